/** `credential-process --cache`: many processes, some of which are killed, and one session. */

import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { assertCredentials, assertFailure, until } from '../support/outcome.js'
import { runHoldfast, startHoldfast } from '../support/program.js'
import { createSpy, type Spy } from '../support/spy.js'

const CLI_ARNS = ['--trust-anchor-arn', '--profile-arn', '--role-arn', '--endpoint']

describe('credential-process --cache', function () {
  this.timeout(120_000)
  let edge: Edge
  let spy: Spy
  let runtime: string
  let env: Record<string, string>
  beforeEach(async () => {
    edge = await createEdge()
    spy = createSpy(edge.token)
    runtime = await mkdtemp('/dev/shm/holdfast-cache-')
    env = { ...edge.env, ...spy.env, XDG_RUNTIME_DIR: runtime }
  })
  afterEach(async () => {
    await edge.dispose()
    await rm(runtime, { recursive: true })
  })
  const args = (changes = {}) => credentialProcess(edge, { '--pkcs11-module': spy.modulePath, ...changes })
  const runCached = (...more: string[]) => runHoldfast([...args(), '--cache', ...more], { env })
  const cache = () => join(runtime, 'holdfast/cache')

  it('costs one session and one signature for all that ask at the same time, and later', async () => {
    const results = await Promise.all(Array.from({ length: 12 }, () => runCached()))
    results.push(await runCached())
    for (const result of results) assertCredentials(result)
    assert.equal(new Set(results.map(({ stdout }) => stdout)).size, 1)
    assert.equal(edge.emulator.journal.length, 1)
    const { C_Initialize, C_Login, C_Sign } = await spy.counts()
    assert.deepEqual({ C_Initialize, C_Login, C_Sign }, { C_Initialize: 1, C_Login: 1, C_Sign: 1 })
  })

  it('keeps nothing unless it is told to', async () => {
    const both = [await runHoldfast(args(), { env }), await runHoldfast(args(), { env })]
    for (const result of both) assertCredentials(result)
    assert.equal(edge.emulator.journal.length, 2)
    assert.deepEqual(await readdir(runtime), [])
  })

  it('can be the wish of an identity', async () => {
    const lines = CLI_ARNS.map((flag) => `${flag.slice(2)} = "${edge.args[edge.args.indexOf(flag) + 1]}"`)
    const config = join(runtime, 'config.toml')
    const key = `pkcs11-uri = "${edge.uri}"\npkcs11-module = "${spy.modulePath}"`
    await writeFile(config, `[identity.edge]\n${lines.join('\n')}\n${key}\ncache = true\n`, { mode: 0o600 })
    const run = () => runHoldfast(['credential-process', 'edge', '--config', config], { env })
    const both = [await run(), await run()]
    for (const result of both) assertCredentials(result)
    assert.equal(edge.emulator.journal.length, 1)
    // And is then the same as by flags.
    assert.equal((await runCached()).stdout, both[0]!.stdout)
  })

  it('starts no token child where nothing is to be signed', async () => {
    assertCredentials(await runCached())
    const uri = `${edge.uri.split('?')[0]}?pin-source=file:/nowhere`
    const unsigned = args({ '--pkcs11-uri': uri })
    assertCredentials(await runHoldfast([...unsigned, '--cache'], { env: { ...env, SOFTHSM2_CONF: '/' } }))
    assert.equal((await spy.counts()).C_Initialize, 1)
  })

  it('has no part in what nobody has verified', async () => {
    assertCredentials(
      await runCached('--no-verify-ssl'),
      /warning: TLS certificates are not checked.*the cache is not used\n$/,
    )
    assertCredentials(await runCached())
    assert.equal(edge.emulator.journal.length, 2)
    assertCredentials(await runCached('--no-verify-ssl'), /warning/)
    assert.equal(edge.emulator.journal.length, 3)
  })

  it('outlives a process that is killed while it makes the session', async () => {
    edge.emulator.faults.latencyMs = 30_000
    const killed = await startHoldfast([...args(), '--cache', '--debug'], { env, ready: /debug: / })
    await until(() => edge.emulator.connections > 0)
    const [lock] = await readdir(cache())
    assert.match(lock!, /\.lock$/)
    await killed.stop('SIGKILL')
    edge.emulator.faults.clear()
    assertCredentials(await runCached())
    assert.deepEqual((await readdir(cache())).length, 1)
  })

  it('tells all of a failure that wait for one session', async () => {
    edge.emulator.faults.failNext('error', 100)
    const results = await Promise.all(Array.from({ length: 6 }, () => runCached()))
    for (const result of results) assertFailure(result, 'SERVICE_UNAVAILABLE', 6)
    const { C_Sign } = await spy.counts()
    assert.ok(C_Sign! < 6, `${C_Sign} signatures`)
  })

  it('does without a cache that others could have written, and says so', async () => {
    assertCredentials(await runCached())
    await chmod(cache(), 0o777)
    assertCredentials(
      await runCached(),
      /^holdfast: warning: credentials are not cached: everyone can replace what is in folder .*\n$/,
    )
    assert.equal(edge.emulator.journal.length, 2)
  })
})
