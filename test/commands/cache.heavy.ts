/**
 * Two hundred programs that want credentials at the same time with `--cache`, also while those that get them are killed.
 */

import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { assertCredentials, until } from '../support/outcome.js'
import { runHoldfast, startHoldfast } from '../support/program.js'
import { createSpy, type Spy } from '../support/spy.js'

describe('credential-process --cache', function () {
  this.timeout(300_000)
  let edge: Edge
  let spy: Spy
  let env: Record<string, string>
  let runtime: string
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
  // They all share the processors with the service.
  const limits = { '--timeout': '200', '--token-timeout': '200' }
  const args = () => [...credentialProcess(edge, { '--pkcs11-module': spy.modulePath, ...limits }), '--cache']
  const runAll = (count: number) =>
    Promise.all(Array.from({ length: count }, () => runHoldfast(args(), { env })))

  it('costs two hundred programs one session and one signature in all', async () => {
    const results = await runAll(200)
    for (const result of results) assertCredentials(result)
    assert.equal(new Set(results.map(({ stdout }) => stdout)).size, 1)
    assert.equal(edge.emulator.journal.length, 1)
    const { C_Initialize, C_Login, C_Sign } = await spy.counts()
    assert.deepEqual({ C_Initialize, C_Login, C_Sign }, { C_Initialize: 1, C_Login: 1, C_Sign: 1 })
  })

  it('gives them to all who wait where the one that makes the session is killed', async () => {
    edge.emulator.faults.latencyMs = 60_000
    const doomed = await startHoldfast([...args(), '--debug'], { env, ready: /debug: / })
    await until(() => edge.emulator.connections > 0)
    const waiting = runAll(30)
    await doomed.stop('SIGKILL')
    edge.emulator.faults.clear()
    const results = await waiting
    for (const result of results) assertCredentials(result)
    assert.equal(new Set(results.map(({ stdout }) => stdout)).size, 1)
    assert.equal((await readdir(join(runtime, 'holdfast/cache'))).length, 1)
  })
})
