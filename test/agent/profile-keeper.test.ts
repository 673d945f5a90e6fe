/** A profile over hours, with a clock that the test turns and a file that it may break. */

import assert from 'node:assert/strict'
import { keepProfile } from '../../src/agent/profile-keeper.js'
import { dropExpired, setCredentials } from '../../src/core/aws-files/credentials-file.js'
import type { Credentials } from '../../src/core/credentials.js'
import { type ErrorCode, HoldfastError } from '../../src/core/errors.js'
import { createFakeClock, settle } from '../support/fake-clock.js'

const MINUTE = 60_000

describe('keepProfile', () => {
  let stop: () => Promise<void>
  afterEach(() => stop())

  function setUp({ text = '', fault }: { text?: string; fault?: ErrorCode } = {}) {
    const clock = createFakeClock()
    const interrupt = new AbortController()
    const world = {
      clock,
      text,
      sessions: 0,
      writes: 0,
      fault,
      fileFault: undefined as ErrorCode | undefined,
      said: [] as string[],
      warnings: [] as string[],
      renew: () => {},
      ended: Promise.resolve(),
    }
    const provider = async (): Promise<Credentials> => {
      world.sessions++
      if (world.fault !== undefined) throw new HoldfastError(world.fault, 'no session')
      const expiration = new Date(clock.now().getTime() + 60 * MINUTE)
      return { accessKeyId: `ASIA${world.sessions}`, secretAccessKey: 's', sessionToken: 't', expiration }
    }
    const edit = async (change: (text: string) => string) => {
      if (world.fileFault !== undefined) throw new HoldfastError(world.fileFault, 'no file')
      const edited = change(world.text)
      if (edited !== world.text) world.writes++
      world.text = edited
    }
    world.ended = keepProfile({
      provider,
      profile: {
        set: (credentials) => edit((former) => setCredentials(former, 'edge', credentials)),
        drop: (at) => edit((former) => dropExpired(former, 'edge', at)),
      },
      clock,
      random: () => 0,
      say: async (said) => void world.said.push(said),
      warn: (warning) => world.warnings.push(warning),
      onHangup: (renew) => {
        world.renew = renew
      },
      signal: interrupt.signal,
    })
    stop = async () => {
      interrupt.abort()
      await world.ended.catch(() => undefined)
    }
    return world
  }
  const idOf = ({ text }: { text: string }) => /^aws_access_key_id = (.*)$/m.exec(text)?.[1]

  it('writes a set at once, and the next ones long before they expire', async () => {
    const world = setUp()
    await settle()
    assert.equal(idOf(world), 'ASIA1')
    assert.deepEqual(world.said, ['wrote credentials that expire at 2026-03-01T13:00:00Z'])
    await world.clock.pass(39 * MINUTE)
    assert.equal(idOf(world), 'ASIA1')
    await world.clock.pass(2 * MINUTE)
    assert.equal(idOf(world), 'ASIA2')
    await world.clock.pass(24 * 60 * MINUTE)
    assert.equal(world.sessions, world.writes)
    assert.equal(world.sessions, 38)
    assert.deepEqual(world.warnings, [])
  })

  it('keeps a set until it expires when it cannot be renewed, then takes it away, and goes on trying', async () => {
    const world = setUp({ text: '[edge]\nregion = x\n' })
    await settle()
    world.fault = 'NETWORK_FAILED'
    await world.clock.pass(59 * MINUTE)
    assert.equal(idOf(world), 'ASIA1')
    await world.clock.pass(MINUTE)
    assert.equal(
      world.text,
      '[edge]\n# holdfast update: ASIA1 expired at 2026-03-01T13:00:00Z and was removed\nregion = x\n',
    )
    assert.equal(world.warnings[0], 'no session (NETWORK_FAILED); the next try is in 3 s')
    assert.ok(world.warnings.includes('the credentials expired at 2026-03-01T13:00:00Z and were removed'))
    world.fault = undefined
    await world.clock.pass(10 * MINUTE)
    assert.match(idOf(world)!, /^ASIA/)
  })

  it('gets a new set when it is told to, also where it would not try by itself', async () => {
    const world = setUp()
    await settle()
    world.fault = 'LOGIN_FAILED'
    world.renew()
    await world.clock.pass(30 * MINUTE)
    assert.equal(world.sessions, 2)
    assert.deepEqual(world.warnings, [
      'no session (LOGIN_FAILED); the next try is made when it is told to with SIGHUP',
    ])
    world.fault = undefined
    world.renew()
    await settle()
    assert.equal(idOf(world), 'ASIA3')
  })

  it('goes on trying every five minutes at most where a failure does not pass by itself', async () => {
    const world = setUp()
    await settle()
    world.fault = 'REFUSED_ROLE'
    await world.clock.pass(60 * MINUTE)
    assert.ok(world.sessions >= 4 && world.sessions <= 12, `${world.sessions} sessions`)
    world.fault = undefined
    await world.clock.pass(6 * MINUTE)
    assert.equal(idOf(world), `ASIA${world.sessions}`)
  })

  it('ends with a failure that does not pass by itself before there is a first set', async () => {
    const world = setUp({ fault: 'REFUSED_ROLE' })
    await assert.rejects(world.ended, { code: 'REFUSED_ROLE' })
    assert.equal(world.text, '')
  })

  it('waits for the first set where the failure may pass', async () => {
    const world = setUp({ fault: 'NETWORK_FAILED' })
    await world.clock.pass(5 * MINUTE)
    world.fault = undefined
    await world.clock.pass(5 * MINUTE)
    assert.match(idOf(world)!, /^ASIA/)
  })

  it('takes away what an earlier run has left once it expires', async () => {
    const expiration = new Date('2026-03-01T12:05:00Z')
    const left = setCredentials('', 'edge', {
      accessKeyId: 'ASIAOLD',
      secretAccessKey: 's',
      sessionToken: 't',
      expiration,
    })
    const world = setUp({ text: left, fault: 'NETWORK_FAILED' })
    await world.clock.pass(4 * MINUTE)
    assert.equal(world.text, left)
    await world.clock.pass(2 * MINUTE)
    assert.equal(idOf(world), undefined)
  })

  it('writes a set later where the file cannot be written', async () => {
    const world = setUp()
    await settle()
    world.fileFault = 'OUTPUT_FAILED'
    await world.clock.pass(41 * MINUTE)
    assert.equal(world.sessions, 2)
    assert.equal(idOf(world), 'ASIA1')
    assert.equal(world.warnings[0], 'no file (OUTPUT_FAILED); the next try is in 15 s')
    world.fileFault = undefined
    await world.clock.pass(MINUTE)
    assert.equal(idOf(world), 'ASIA2')
    assert.equal(world.sessions, 2)
  })

  it('ends where the first set cannot be written', async () => {
    const world = setUp()
    world.fileFault = 'OUTPUT_FAILED'
    await assert.rejects(world.ended, { code: 'OUTPUT_FAILED' })
  })

  it('takes a set away that expired while the machine was suspended, and writes a new one', async () => {
    const world = setUp()
    await settle()
    world.fault = 'NETWORK_FAILED'
    world.clock.suspend(8 * 60 * MINUTE)
    await world.clock.pass(MINUTE)
    assert.equal(idOf(world), undefined)
    world.fault = undefined
    await world.clock.pass(6 * MINUTE)
    assert.match(idOf(world)!, /^ASIA/)
  })

  it('leaves the file as it is when it is told to end', async () => {
    const world = setUp()
    await settle()
    const { text } = world
    await stop()
    await world.ended
    assert.equal(world.text, text)
    assert.equal(idOf(world), 'ASIA1')
  })
})
