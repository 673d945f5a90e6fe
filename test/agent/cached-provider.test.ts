/** The cache in one process, with a clock and a provider of the test's; many processes are in test/commands/cache. */

import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCachedProvider } from '../../src/agent/cached-provider.js'
import type { Identity } from '../../src/core/config/identity.js'
import type { Credentials } from '../../src/core/credentials.js'
import { HoldfastError } from '../../src/core/errors.js'
import { tryLock } from '../../src/io/lock.js'

const MINUTE = 60_000
const ARN = 'arn:aws:rolesanywhere:eu-central-1:111122223333'
const IDENTITY: Identity = {
  pkcs11Uri: 'pkcs11:token=edge?pin-value=1234',
  trustAnchorArn: `${ARN}:trust-anchor/8b1c6f3e-4d52-4a6b-9d0e-2f1a7c5b9e01`,
  profileArn: `${ARN}:profile/0d9f2b7a-6c14-4e8f-8a35-b7e2d4c61f02`,
  roleArn: 'arn:aws:iam::111122223333:role/edge',
}

describe('createCachedProvider', () => {
  let runtime: string
  let nowMs: number
  let uptimeMs: number | undefined
  let sessions: number
  let failure: Error | undefined
  let warnings: string[]
  beforeEach(() => {
    runtime = mkdtempSync('/dev/shm/holdfast-cache-')
    nowMs = 0
    uptimeMs = undefined
    sessions = 0
    failure = undefined
    warnings = []
  })
  afterEach(() => rmSync(runtime, { recursive: true }))

  const makeSession = async (): Promise<Credentials> => {
    sessions++
    await new Promise((done) => setImmediate(done))
    nowMs++ // no clock stands still
    if (failure !== undefined) throw failure
    return {
      accessKeyId: `ASIA${sessions}`,
      secretAccessKey: 'secret',
      sessionToken: 'token',
      expiration: new Date(nowMs + 60 * MINUTE),
    }
  }
  const take = async (identity: Identity = IDENTITY, signal = new AbortController().signal) => {
    const surroundings = {
      env: { XDG_RUNTIME_DIR: runtime },
      uid: process.geteuid!(),
      now: () => new Date(nowMs),
      uptimeMs: () => uptimeMs ?? nowMs,
      warn: (text: string) => warnings.push(text),
      signal,
    }
    return (await createCachedProvider(makeSession, identity, surroundings)()).accessKeyId
  }
  const fail = (code: 'NETWORK_FAILED' | 'PIN_NEEDED' = 'NETWORK_FAILED') => {
    failure = new HoldfastError(code, 'no way')
  }
  const cache = () => join(runtime, 'holdfast/cache')
  const lockOf = (name: string) => join(cache(), `${name}.lock`)

  it('makes one session until a quarter of an hour is left of it', async () => {
    assert.equal(await take(), 'ASIA1')
    nowMs += 44 * MINUTE
    assert.equal(await take(), 'ASIA1')
    nowMs += MINUTE
    assert.equal(await take(), 'ASIA2')
    assert.deepEqual(warnings, [])
  })

  it('makes one session for many that ask at the same time', async () => {
    const ids = await Promise.all(Array.from({ length: 50 }, () => take()))
    assert.deepEqual(new Set(ids), new Set(['ASIA1']))
  })

  it('goes by key, certificate, module, ARNs, duration, session name and endpoint', async () => {
    await take()
    const others: Identity[] = [
      { pkcs11Uri: 'pkcs11:token=other' },
      { certificate: '/edge.pem' },
      { pkcs11Module: '/module.so' },
      { roleArn: 'arn:aws:iam::111122223333:role/other' },
      { profileArn: `${ARN}:profile/0d9f2b7a-6c14-4e8f-8a35-b7e2d4c61f03` },
      { trustAnchorArn: `${ARN}:trust-anchor/8b1c6f3e-4d52-4a6b-9d0e-2f1a7c5b9e02` },
      { sessionDuration: 900 },
      { roleSessionName: 'name' },
      { endpoint: 'https://example.com' },
    ]
    for (const other of others) await take({ ...IDENTITY, ...other })
    assert.equal(sessions, 1 + others.length)
    await take({ ...IDENTITY, pkcs11Uri: 'pkcs11:token=edge?pin-value=other', timeout: 7 })
    assert.equal(sessions, 1 + others.length)
  })

  it('tells files of one name in two folders apart', async () => {
    const files = { ...IDENTITY, pkcs11Uri: undefined, certificate: 'c.pem', privateKey: 'k.pem' }
    await take(files)
    await take({ ...files, certificate: join(process.cwd(), 'c.pem') })
    assert.equal(sessions, 1)
    await take({ ...files, certificate: '/c.pem' })
    assert.equal(sessions, 2)
  })

  it('keeps what is still good when a renewal fails, until it expires', async () => {
    await take()
    fail()
    nowMs += 50 * MINUTE
    assert.equal(await take(), 'ASIA1')
    assert.deepEqual(warnings, [
      'no new credentials: no way (NETWORK_FAILED); the cached ones are used until they expire',
    ])
    nowMs += 10 * MINUTE
    await assert.rejects(take(), { code: 'NETWORK_FAILED', message: 'no way' })
    failure = undefined
    assert.match(await take(), /^ASIA/)
  })

  it('tells those who waited of the failure, and has those who come later try again', async () => {
    fail()
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => take()))
    for (const result of results) assert.equal(result.status, 'rejected')
    assert.equal(sessions, 1)
    await assert.rejects(take(), { code: 'NETWORK_FAILED' })
    assert.equal(sessions, 2)
  })

  it('has a session tried again after the clock was set back', async () => {
    uptimeMs = 1000
    nowMs = 1000 * MINUTE
    fail()
    await assert.rejects(take(), { code: 'NETWORK_FAILED' })
    ;[uptimeMs, nowMs, failure] = [2000, 0, undefined]
    assert.equal(await take(), 'ASIA2')
  })

  it('lets each try that waited where a person was needed', async () => {
    fail('PIN_NEEDED')
    await Promise.allSettled([take(), take(), take()])
    assert.equal(sessions, 3)
  })

  it('gives what is still good while another process makes a session, and else waits for it', async () => {
    await take()
    const [name] = readdirSync(cache())
    nowMs += 50 * MINUTE
    const release = tryLock(lockOf(name!))!
    assert.equal(await take(), 'ASIA1')
    nowMs += 10 * MINUTE
    const waiting = take()
    release()
    assert.equal(await waiting, 'ASIA2')
    assert.deepEqual(readdirSync(cache()), [name])
  })

  it('ends waiting when it is interrupted', async () => {
    await take()
    tryLock(lockOf(readdirSync(cache())[0]!))
    nowMs += 60 * MINUTE
    const interrupt = new AbortController()
    const waiting = take(IDENTITY, interrupt.signal)
    interrupt.abort(new HoldfastError('INTERRUPTED', 'by a test'))
    await assert.rejects(waiting, { code: 'INTERRUPTED' })
    assert.equal(sessions, 1)
  })

  it('leaves no failure behind that is an interruption or a bug', async () => {
    failure = new TypeError('bug')
    await assert.rejects(take(), failure)
    assert.deepEqual(readdirSync(cache()), [])
  })

  it('makes a session of its own, with a warning, where there is no safe place', async () => {
    await take()
    chmodSync(cache(), 0o777)
    for (const id of ['ASIA2', 'ASIA3']) assert.equal(await take(), id)
    assert.equal(warnings.length, 2)
    assert.match(warnings[0]!, /^credentials are not cached: everyone can replace what is in folder/)
  })

  it('makes a new session in place of an entry that is damaged', async () => {
    await take()
    const [name] = readdirSync(cache())
    writeFileSync(join(cache(), name!), '{"version":1,')
    assert.equal(await take(), 'ASIA2')
    assert.equal(await take(), 'ASIA2')
  })
})
