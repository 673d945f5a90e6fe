/**
 * The judges of test/interop that are programs in other languages, each with the AWS SDK for that language at a pinned
 * version. They are built once, into the git-ignored `.cache`.
 */

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { run } from './command.js'

const CACHE = resolve(import.meta.dirname, '../../.cache')
const INTEROP = resolve(import.meta.dirname, '../interop')

/** A language of which there is a judge. */
export type Language = 'go' | 'java' | 'rust'

/** One such program. */
export interface SdkProgram {
  /** The words that start it, once `build` has ended. */
  readonly command: readonly string[]
  /** Compiles it, with what the language's registry has, if it is not there. */
  build(): Promise<void>
}

/** What makes a program of the sources in a folder. */
interface Toolchain {
  compile(source: string, folder: string): Promise<void>
  start(folder: string): readonly string[]
}

/** The judge in `language`. */
export function findSdkProgram(language: Language): SdkProgram {
  const source = join(INTEROP, language)
  const folder = join(CACHE, `${language}-${fingerprint(source)}`)
  const { compile, start } = TOOLCHAINS[language]
  return {
    command: start(folder),
    async build() {
      if (existsSync(folder)) return
      await mkdir(CACHE, { recursive: true })
      const stage = await mkdtemp(join(CACHE, `${language}-`))
      try {
        await compile(source, stage)
        await rename(stage, folder)
      } finally {
        await rm(stage, { recursive: true, force: true })
      }
    },
  }
}

function fingerprint(source: string): string {
  const hash = createHash('sha256')
  const entries = readdirSync(source, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
  for (const file of files.sort()) hash.update(readFileSync(file))
  return hash.digest('hex').slice(0, 16)
}

const BUILD_LIMIT_MS = 600_000

const TOOLCHAINS: Readonly<Record<Language, Toolchain>> = {
  go: {
    async compile(source, folder) {
      const build = ['-C', source, 'build', '-buildvcs=false', '-o', join(folder, 'judge')]
      await run(await findGo(), build, {}, BUILD_LIMIT_MS)
    },
    start: (folder) => [join(folder, 'judge')],
  },
  java: {
    async compile(source, folder) {
      const libraries = join(folder, 'lib')
      const maven = ['--batch-mode', '--quiet', '--file', join(source, 'pom.xml')]
      const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${libraries}`]
      await run('mvn', [...maven, ...copy], {}, BUILD_LIMIT_MS)
      await run('javac', ['-cp', `${libraries}/*`, '-d', folder, join(source, 'Judge.java')])
    },
    // Of the two compilers at run time only the one that is ready soon.
    start: (folder) => ['java', '-XX:TieredStopAtLevel=1', '-cp', `${folder}:${folder}/lib/*`, 'Judge'],
  },
  rust: {
    async compile(source, folder) {
      const target = join(folder, 'target')
      const build = ['build', '--quiet', '--locked', '--manifest-path', join(source, 'Cargo.toml')]
      await run('cargo', [...build, '--target-dir', target], {}, BUILD_LIMIT_MS)
      await rename(join(target, 'debug/judge'), join(folder, 'judge'))
      await rm(target, { recursive: true })
    },
    start: (folder) => [join(folder, 'judge')],
  },
}

/** A Go that go.mod is content with. One from 1.21 on gets that itself; an older one gets it here as those do, as a module. */
async function findGo(): Promise<string> {
  const version = await run('go', ['env', 'GOVERSION'])
  if (Number(/^go1\.(\d+)/.exec(version)?.[1]) >= 21) return 'go'
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  const toolchain = `golang.org/toolchain@v0.0.1-go1.26.0.linux-${architecture}`
  const { Dir } = JSON.parse(await run('go', ['mod', 'download', '-json', toolchain], {}, BUILD_LIMIT_MS))
  // Modules have no executable files.
  await run('chmod', ['-R', 'u+x', join(Dir, 'bin'), join(Dir, 'pkg/tool')])
  return join(Dir, 'bin/go')
}
