/**
 * The packed tarball, installed offline by npm 12 into an empty prefix with no compiler on PATH, gets a credential.
 *
 * That is the edge appliance: npm 12 runs no install scripts, so the package must carry its native addon;
 * and it must bring no dependency, which an offline install could not fetch.
 */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { after, before, describe, it } from 'mocha'
import { run } from '../support/command.js'
import { createEdge, type Edge } from '../support/edge.js'
import { installNode26 } from '../support/node-26.js'
import { runHoldfast } from '../support/program.js'

const ROOT = resolve(import.meta.dirname, '../..')
const ADDON = `dist/pkcs11-linux-${process.arch}.node`

describe('the packed tarball', function () {
  this.timeout(120_000)
  let directory: string
  let edge: Edge
  /** All that is on PATH: node, npm, npx. */
  let bin: string
  let packed: { filename: string; files: { path: string; mode: number }[] }
  let installed: { stdout: string; stderr: string }
  /** The installed package. */
  let home: string

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-package-'))
    bin = await installNode26()
    edge = await createEdge()
    ;[packed] = JSON.parse(await run('npm', ['pack', '--json', '--pack-destination', directory, ROOT]))
    // A project rather than --global, so that the library can be imported from it too.
    await writeFile(join(directory, 'package.json'), '{"private":true,"type":"module"}')
    const env = { PATH: bin, HOME: directory }
    const flags = ['--offline', '--no-audit', '--no-fund', '--foreground-scripts']
    const npm = ['install', '--prefix', directory, ...flags, join(directory, packed.filename)]
    installed = await promisify(execFile)(join(bin, 'node'), [join(bin, 'npm'), ...npm], { env })
    home = join(directory, 'node_modules/holdfast')
  })
  after(async () => {
    await edge?.dispose()
    await rm(directory, { recursive: true, force: true })
  })

  it('holds the program, the library with its types, the addon and the licences', () => {
    const paths = packed.files.map(({ path }) => path)
    for (const path of [
      'LICENSE',
      'package.json',
      'dist/bin.cjs',
      'dist/index.js',
      'dist/types/index.d.ts',
      'dist/token-child.cjs',
      'dist/THIRD-PARTY-LICENSES.txt',
      ADDON,
    ]) {
      assert.ok(paths.includes(path), path)
    }
  })

  it('holds nothing else: no sources, tests, source maps or packages', () => {
    const known =
      /^(dist\/|scripts\/systemd\/|(LICENSE|README\.md|SECURITY\.md|CHANGELOG\.md|package\.json)$)/
    for (const { path } of packed.files) {
      assert.match(path, known)
      assert.doesNotMatch(path, /node_modules|\.map$|\.test\./)
    }
  })

  it('brings no dependency and no install script', async () => {
    assert.deepEqual(await readdir(join(directory, 'node_modules')).then(visible), ['holdfast'])
    const { dependencies, scripts } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'))
    assert.equal(dependencies, undefined)
    for (const name of ['preinstall', 'install', 'postinstall']) assert.equal(scripts[name], undefined)
    assert.equal(existsSync(join(home, 'binding.gyp')), false) // npm would run node-gyp by itself
    assert.equal(installed.stderr, '')
    assert.match(installed.stdout, /added 1 package/)
  })

  it('gets a credential where there is no compiler', async () => {
    for (const tool of ['gcc', 'g++', 'cc', 'make', 'python3'])
      assert.equal(existsSync(join(bin, tool)), false)
    const { stdout, stderr, status } = await runHoldfast(['credential-process', ...edge.args], {
      program: join(home, 'dist/bin.cjs'),
      node: join(bin, 'node'),
      env: { ...edge.env, PATH: bin },
    })
    assert.equal(stderr, '')
    assert.equal(status, 0)
    assert.match(JSON.parse(stdout).AccessKeyId, /^ASIA/)
  })

  it('is refused by a service that does not trust its certificate', async () => {
    const stranger = await createEdge()
    const args = edge.args.with(edge.args.indexOf('--endpoint') + 1, stranger.emulator.url)
    const { stdout, status } = await runHoldfast(['credential-process', ...args], {
      program: join(home, 'dist/bin.cjs'),
      node: join(bin, 'node'),
      env: { ...edge.env, AWS_CA_BUNDLE: stranger.env.AWS_CA_BUNDLE },
    })
    await stranger.dispose()
    assert.equal(stdout, '')
    assert.equal(status, 5)
  })

  it('is a library whose types need no other package', async () => {
    const file = join(directory, 'consumer.ts')
    await writeFile(file, CONSUMER)
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
    const strict = [
      '--ignoreConfig',
      '--strict',
      '--exactOptionalPropertyTypes',
      '--types',
      '',
      '--lib',
      'es2023,dom',
    ]
    await run(process.execPath, [compiler, ...strict, '--module', 'nodenext', '--target', 'es2023', file])
    const flag = (name: string) => edge.args[edge.args.indexOf(name) + 1]
    const { stdout, stderr, status } = await runHoldfast(
      ['--pkcs11-module', '--trust-anchor-arn', '--profile-arn', '--role-arn', '--endpoint'].map(
        flag,
      ) as string[],
      {
        program: join(directory, 'consumer.js'),
        node: join(bin, 'node'),
        env: { ...edge.env, PKCS11_URI: edge.uri },
      },
    )
    assert.equal(stderr, '')
    assert.equal(status, 0)
    assert.match(stdout, /^ASIA\w+ USAGE\n$/)
  })

  it('says what is missing if the addon is', async () => {
    const bare = join(directory, 'bare')
    await mkdir(bare)
    await run('cp', ['-r', home, bare])
    await rm(join(bare, 'holdfast', ADDON))
    const { stderr, status } = await runHoldfast(['credential-process', ...edge.args], {
      program: join(bare, 'holdfast/dist/bin.cjs'),
      node: join(bin, 'node'),
      env: edge.env,
    })
    assert.match(stderr, /ADDON_MISSING/)
    assert.equal(status, 3)
  })
})

describe('scripts/build.mjs', () => {
  it('gives the same bytes twice', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-build-'))
    for (const name of ['one', 'two']) {
      const build = [join(ROOT, 'scripts/build.mjs'), '--out', join(directory, name)]
      await run(process.execPath, build, { SOURCE_DATE_EPOCH: '1700000000' })
    }
    await run('diff', ['--recursive', join(directory, 'one'), join(directory, 'two')])
    await rm(directory, { recursive: true, force: true })
  }).timeout(60_000)
})

/** A user's program; it prints an access key and the code of an error. */
const CONSUMER = `
import { type CredentialProvider, fromRolesAnywhere, HoldfastError } from 'holdfast'
declare const process: { argv: string[]; env: Record<string, string> }
declare const console: { log(...values: unknown[]): void }
const [pkcs11Module, trustAnchorArn, profileArn, roleArn, endpoint] = process.argv.slice(2) as [string, string, string, string, string]
const arns = { trustAnchorArn, profileArn, roleArn }
const pkcs11Uri = process.env['PKCS11_URI']!
const provider: CredentialProvider = fromRolesAnywhere({ ...arns, pkcs11Uri, pkcs11Module, endpoint })
const { accessKeyId } = await provider()
try {
  // @ts-expect-error no role
  fromRolesAnywhere({ trustAnchorArn, profileArn, pkcs11Uri })
} catch (error) {
  console.log(accessKeyId, error instanceof HoldfastError && error.code)
}
`

/** Names without those of npm's own bookkeeping. */
const visible = (names: string[]) => names.filter((name) => !name.startsWith('.'))
