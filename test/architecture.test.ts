/**
 * The architecture, read from the import statements of src/: arrows point downward, nothing goes in a circle,
 * each outside package has one door, and the emulator shares nothing with the code it judges.
 */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative, resolve } from 'node:path'

const SRC = resolve(import.meta.dirname, '../src')

interface Import {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
  /** True for `import()`, which loads when it is called. */
  readonly late: boolean
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => normalize(file))
const source = (file: string) => readFileSync(join(SRC, file), 'utf8')

function importsOf(file: string): Import[] {
  const statements = source(file).matchAll(
    /^(?:import|export)\s+(type\s)?[^'"]*?from\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|^import\s+'([^']+)'/gm,
  )
  return [...statements].map(([statement, type, from, dynamic, bare]) => {
    const target = (from ?? dynamic ?? bare)!
    const to = target.startsWith('.')
      ? relative(SRC, resolve(SRC, dirname(file), target)).replace(/\.js$/, '.ts')
      : target
    const typeOnly = type !== undefined || statement.startsWith('typeof import')
    return { from: file, to, typeOnly, late: dynamic !== undefined }
  })
}

const imports = files.flatMap(importsOf)
const inside = imports.filter(({ to }) => files.includes(to))
const outside = imports.filter(({ to }) => !files.includes(to))

/** From what stands on nothing to what may stand on all the others; files of core/ itself are the ground. */
const ROOMS_OF_CORE = [
  '',
  'x509',
  'pin',
  'pkcs11',
  'roles-anywhere',
  'config',
  'aws-files',
  'agent',
  'endpoints',
  'doctor',
  'enroll',
]

/**
 * Height of a file; an import must not lead upward. Files of one folder below io/ are one room; administration of tokens
 * stands on the room that loads modules and logs in.
 */
function height(file: string): number {
  if (file.startsWith('core/')) return 0
  if (file.startsWith('io/provision/') || file === 'pin-answer.ts') return 1.5
  // What other files of io/ stand on.
  if (file === 'io/disk.ts') return 0.25
  if (/^io\/(client-limits|process-group|processes|stream)\.ts$/.test(file)) return 0.5
  if (file === 'io/lock.ts') return 0.75
  if (file.startsWith('io/') || file === 'pin-memory.ts') return 1
  if (['provider.ts', 'source.ts', 'token-login.ts', 'build.ts'].includes(file)) return 2
  if (file === 'identity-provider.ts' || file === 'administration.ts') return 3
  if (file === 'commands/context.ts' || /^(agent|ca|doctor|enroll)\//.test(file)) return 4
  if (file === 'commands/token-options.ts') return 5.5
  if (/^commands\/(ask-agent|certificate-report|confirmation|report|(\w+-)?options)\.ts$/.test(file)) return 5
  if (file.startsWith('commands/') || file === 'index.ts' || file === 'token-child.ts') return 6
  if (file === 'command-table.ts') return 6.5
  if (file === 'cli.ts') return 7
  if (file === 'bin.ts') return 8
  throw new Error(`${file} has no place in the architecture`)
}

const isEmulator = (file: string) => file.startsWith('emulator/')
const show = ({ from, to }: Import) => `${from} -> ${to}`

describe('the architecture', () => {
  it('has no import that leads upward, nor sideways outside core, the agent, the doctor and the rooms of io', () => {
    const wrong = inside
      .filter(({ from, to }) => !isEmulator(from) && !isEmulator(to))
      .filter(({ from, to }) => {
        if (height(to) !== height(from)) return height(to) > height(from)
        const sameRoom = dirname(from) === dirname(to) && dirname(from) !== 'io'
        return !(from.startsWith('core/') || (sameRoom && /^(io|agent|ca|doctor|enroll)\//.test(from)))
      })
    assert.deepEqual(wrong.map(show), [])
  })

  it('has rooms in core of which none leads to one further on', () => {
    const room = (file: string) => ROOMS_OF_CORE.indexOf(dirname(file).slice('core/'.length))
    const core = inside.filter(({ from, to }) => from.startsWith('core/') && to.startsWith('core/'))
    assert.deepEqual(core.filter(({ from, to }) => room(to) > room(from)).map(show), [])
    const rooms = new Set(
      files.filter((file) => file.startsWith('core/')).map((file) => dirname(file).slice(5)),
    )
    assert.deepEqual([...rooms].sort(), [...ROOMS_OF_CORE].sort())
  })

  it('has no cycle of imports that run', () => {
    const graph = new Map(
      files.map((file) => [
        file,
        inside.filter(({ from, typeOnly }) => from === file && !typeOnly).map(({ to }) => to),
      ]),
    )
    const done = new Set<string>()
    const visit = (file: string, path: readonly string[]): void => {
      assert.ok(!path.includes(file), `cycle: ${[...path, file].join(' -> ')}`)
      if (done.has(file)) return
      for (const next of graph.get(file)!) visit(next, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
  })

  it('keeps the emulator apart from the code that it judges', () => {
    const crossing = inside.filter(({ from, to }) => isEmulator(from) !== isEmulator(to))
    assert.deepEqual([...new Set(crossing.map(({ from }) => from))], ['commands/emulator.ts'])
  })

  it('loads the PKCS#11 binding in the token child only', () => {
    const reachable = (file: string, seen = new Set<string>()): Set<string> => {
      if (seen.has(file)) return seen
      seen.add(file)
      for (const { from, to } of inside) if (from === file) reachable(to, seen)
      return seen
    }
    const isBinding = (file: string) => file.startsWith('io/token/') || file.startsWith('io/provision/')
    assert.deepEqual([...reachable('bin.ts')].filter(isBinding), [])
    assert.ok(reachable('token-child.ts').has('io/token/module.ts'))
  })

  it('loads the code that changes tokens only in the token child, and only when it is asked to', () => {
    const ways = inside.filter(({ from, to }) => {
      return to.startsWith('io/provision/') && !from.startsWith('io/provision/')
    })
    assert.deepEqual(ways.map(show), ['token-child.ts -> io/provision/administration.ts'])
    assert.match(source('token-child.ts'), /\bimport\('\.\/io\/provision\/administration\.js'\)/)
    assert.doesNotMatch(source('token-child.ts'), /from '\.\/io\/provision\//)
  })

  it('has one door for each outside package', () => {
    const isX509Door = (file: string) =>
      isEmulator(file) || file === 'ca/request.ts' || file === 'ca/issue.ts'
    const doors: Record<string, (file: string) => boolean> = {
      pkcs11js: (file) => file.startsWith('io/token/') || file.startsWith('io/provision/'),
      'graphene-pk11': (file) => file.startsWith('io/provision/'),
      'toml-eslint-parser': (file) => ['core/config/config.ts', 'core/config/config-edit.ts'].includes(file),
      yargs: (file) => ['cli.ts', 'command-table.ts'].includes(file) || file.startsWith('commands/'),
      '@peculiar/x509': isX509Door,
      'reflect-metadata': isX509Door,
    }
    const wrong = outside.filter(({ from, to }) => !to.startsWith('node:') && doors[to]?.(from) !== true)
    assert.deepEqual(wrong.map(show), [])
  })

  it('loads @peculiar/x509 only in a handler that needs it', () => {
    const load = (file: string, loaded = new Set<string>()): Set<string> => {
      if (loaded.has(file)) return loaded
      loaded.add(file)
      for (const { from, to, typeOnly, late } of imports) {
        if (from === file && !typeOnly && !late) load(to, loaded)
      }
      return loaded
    }
    assert.ok(load('ca/register.ts').has('@peculiar/x509'))
    for (const file of [
      'bin.ts',
      'index.ts',
      'token-child.ts',
      ...files.filter((name) => /^commands\//.test(name)),
    ]) {
      assert.ok(!load(file).has('@peculiar/x509'), file)
    }
  })

  it('lets core compute only', () => {
    const allowed = ['node:buffer', 'node:crypto', 'node:path', 'node:util', 'node:net', 'toml-eslint-parser']
    const wrong = outside.filter(({ from, to }) => from.startsWith('core/') && !allowed.includes(to))
    assert.deepEqual(wrong.map(show), [])
    for (const file of files.filter((name) => name.startsWith('core/'))) {
      assert.doesNotMatch(source(file), /\bDate\.now\(|\bnew Date\(\)|\bsetTimeout\(|\bfetch\(/, file)
    }
  })

  it('names the global process in the entry points only, and where stopping the process concerns a terminal', () => {
    const entries = ['bin.ts', 'token-child.ts', 'index.ts', 'io/terminal.ts']
    for (const file of files.filter((name) => !entries.includes(name))) {
      const code = source(file).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$|`[^`]*`|'[^'\n]*'/gm, '')
      assert.doesNotMatch(code, /\bprocess\.\w/, file)
    }
  })
})
