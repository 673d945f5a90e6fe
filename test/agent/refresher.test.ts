/** The engine of one identity, with clocks that the test turns. */

import assert from 'node:assert/strict'
import { createRefresher, type Refresher, type RefresherParts } from '../../src/agent/refresher.js'
import type { Credentials } from '../../src/core/credentials.js'
import { type ErrorCode, HoldfastError } from '../../src/core/errors.js'
import { createFakeClock, type FakeClock, settle } from '../support/fake-clock.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** A refresher, with a service that fails as long as `fault` is set. */
function setUp(parts: Partial<RefresherParts> = {}) {
  const clock: FakeClock = createFakeClock()
  const world = {
    fault: undefined as ErrorCode | undefined,
    sessions: 0,
    lifetimeMs: HOUR,
    /** If set, sessions wait for it. */
    gate: undefined as Promise<void> | undefined,
    unattended: true,
    retries: [] as (number | undefined)[],
  }
  const provider = async (): Promise<Credentials> => {
    world.sessions++
    const number = world.sessions
    await world.gate
    if (world.fault !== undefined) throw new HoldfastError(world.fault, `session ${number} failed`)
    const expiration = new Date(clock.now().getTime() + world.lifetimeMs)
    return { accessKeyId: `ASIA${number}`, secretAccessKey: 's', sessionToken: 't', expiration }
  }
  const refresher: Refresher = createRefresher({
    provider,
    clock,
    random: () => 0,
    isUnattended: () => world.unattended,
    onFailed: (_, retryInMs) => world.retries.push(retryInMs),
    ...parts,
  })
  const get = async (options: Partial<Parameters<Refresher['get']>[0]> = {}) =>
    (await refresher.get({ attended: true, signal: new AbortController().signal, ...options })).accessKeyId
  return { clock, world, refresher, get }
}

describe('createRefresher', () => {
  it('makes one session for all who ask at once, and none for those who ask later', async () => {
    const { world, get } = setUp()
    const keys = await Promise.all(Array.from({ length: 200 }, () => get()))
    assert.deepEqual([...new Set(keys)], ['ASIA1'])
    assert.equal(await get(), 'ASIA1')
    assert.equal(world.sessions, 1)
  })

  it('renews in the background before anybody needs it', async () => {
    const { clock, world, refresher, get } = setUp()
    refresher.start()
    await clock.pass(39 * MINUTE)
    assert.equal(world.sessions, 1)
    await clock.pass(2 * MINUTE)
    assert.equal(await get(), 'ASIA2')
    await clock.pass(24 * HOUR)
    assert.equal(world.sessions, 2 + 36)
  })

  it('hands out the old credentials while a refresh is under way', async () => {
    const { clock, world, refresher, get } = setUp()
    refresher.start()
    await settle()
    let open: () => void = () => undefined
    world.gate = new Promise((resolve) => {
      open = resolve
    })
    await clock.pass(41 * MINUTE)
    assert.equal(refresher.state.refreshing, true)
    assert.equal(await get(), 'ASIA1')
    open()
    await settle()
    assert.equal(await get(), 'ASIA2')
  })

  it('keeps what is valid through an outage, to its last second, and then says why', async () => {
    const { clock, world, refresher, get } = setUp()
    refresher.start()
    await settle()
    world.fault = 'NETWORK_FAILED'
    await clock.pass(HOUR - 1000)
    assert.equal(await get(), 'ASIA1')
    assert.ok(world.sessions > 4 && world.sessions < 20, `${world.sessions} sessions`)
    await clock.pass(1000)
    await assert.rejects(get(), { code: 'NETWORK_FAILED' })
    assert.equal(refresher.state.credentials, undefined)
    world.fault = undefined
    await clock.pass(5 * MINUTE)
    assert.match(await get(), /^ASIA/)
    assert.equal(refresher.state.failure, undefined)
  })

  it('does not hammer what does not pass by itself, and takes it up again at once when something has changed', async () => {
    const { clock, world, refresher, get } = setUp()
    world.fault = 'PIN_INCORRECT'
    refresher.start()
    await clock.pass(9 * MINUTE)
    assert.ok(world.sessions > 1 && world.sessions < 5, `${world.sessions} sessions`)
    world.fault = undefined
    refresher.renew()
    await settle()
    assert.equal(refresher.state.failure, undefined)
    assert.match(await get(), /^ASIA/)
  })

  it('renews what it holds, unasked, soon after a refusal has been lifted', async () => {
    const { clock, world, refresher } = setUp({ random: () => 1 })
    refresher.start()
    await settle()
    world.fault = 'REFUSED_ROLE'
    refresher.renew()
    await settle()
    assert.deepEqual(world.retries, [30_000])
    await clock.pass(MINUTE)
    world.fault = undefined
    await clock.pass(5 * MINUTE)
    assert.equal(refresher.held?.accessKeyId, 'ASIA4')
    assert.equal(refresher.state.failure, undefined)
  })

  it('does not by itself repeat a login that failed without a reason', async () => {
    const { clock, world, refresher } = setUp()
    world.fault = 'LOGIN_FAILED'
    refresher.start()
    await clock.pass(HOUR)
    assert.equal(world.sessions, 1)
    assert.deepEqual(world.retries, [undefined])
  })

  it('tries again on demand, but not for each who asks', async () => {
    const { clock, world, refresher, get } = setUp()
    world.fault = 'REFUSED'
    refresher.start()
    await settle()
    for (let asked = 0; asked < 50; asked++) await assert.rejects(get(), { code: 'REFUSED' })
    assert.equal(world.sessions, 1)
    await clock.pass(MINUTE)
    world.fault = undefined
    assert.equal(await get(), 'ASIA2')
  })

  it('notices after a suspend that what it holds has expired', async () => {
    const { clock, refresher, get } = setUp()
    refresher.start()
    await settle()
    clock.suspend(8 * HOUR)
    assert.equal(refresher.state.credentials, undefined)
    assert.equal(await get(), 'ASIA2')
  })

  it('renews soon after a suspend although its timer has slept as well', async () => {
    const { clock, world, refresher } = setUp()
    refresher.start()
    await settle()
    clock.suspend(45 * MINUTE)
    await clock.pass(15_000)
    assert.equal(world.sessions, 2)
  })

  it('goes by the older of two clocks when one is set', async () => {
    const { clock, refresher, get } = setUp()
    refresher.start()
    await settle()
    clock.set(-10 * HOUR)
    await clock.pass(41 * MINUTE)
    assert.equal(await get(), 'ASIA2')
    clock.set(2 * HOUR)
    assert.equal(await get(), 'ASIA3')
  })

  describe('where a person is needed', () => {
    it('does nothing by itself, and nobody waits who said that there is no person', async () => {
      const { clock, world, refresher, get } = setUp()
      world.unattended = false
      refresher.start()
      await clock.pass(HOUR)
      assert.equal(world.sessions, 0)
      await assert.rejects(get({ attended: false }), { code: 'PIN_NEEDED' })
      assert.equal(await get(), 'ASIA1')
      assert.equal(await get({ attended: false }), 'ASIA1')
      await clock.pass(HOUR)
      assert.equal(world.sessions, 1)
    })

    it('renews when somebody asks near the end, and falls back to what is valid', async () => {
      const { clock, world, get } = setUp()
      world.unattended = false
      await get()
      await clock.pass(54 * MINUTE)
      assert.equal(await get(), 'ASIA1')
      await clock.pass(2 * MINUTE)
      world.fault = 'TOKEN_TIMEOUT'
      assert.equal(await get(), 'ASIA1')
      assert.equal(world.sessions, 2)
      await clock.pass(MINUTE)
      world.fault = undefined
      assert.equal(await get({ attended: false }), 'ASIA1')
      assert.equal(await get(), 'ASIA3')
    })

    it('uses the provider of whoever asks, also after another one has failed', async () => {
      const { clock, world, get } = setUp()
      world.unattended = false
      world.fault = 'PIN_NEEDED'
      const first = get()
      const expiration = new Date(clock.now().getTime() + HOUR)
      const typed = { accessKeyId: 'typed', secretAccessKey: 's', sessionToken: 't', expiration }
      const second = get({ provider: async () => typed })
      await assert.rejects(first, { code: 'PIN_NEEDED' })
      assert.equal(await second, 'typed')
    })
  })

  it('lets one who asks give up without ending the refresh of the others', async () => {
    const { world, get } = setUp()
    let open: () => void = () => undefined
    world.gate = new Promise((resolve) => {
      open = resolve
    })
    const impatient = new AbortController()
    const first = get({ signal: impatient.signal })
    const second = get()
    impatient.abort(new HoldfastError('INTERRUPTED', 'gone'))
    await assert.rejects(first, { code: 'INTERRUPTED' })
    open()
    assert.equal(await second, 'ASIA1')
  })

  it('leaves no timer behind when it is stopped', async () => {
    const { clock, refresher } = setUp()
    refresher.start()
    await settle()
    assert.equal(clock.timers, 1)
    refresher.stop()
    assert.equal(clock.timers, 0)
  })

  it('takes over what another one has left, and renews it', async () => {
    const { clock, world, refresher, get } = setUp()
    const expiration = new Date(clock.now().getTime() + 30 * MINUTE)
    refresher.adopt({ accessKeyId: 'old', secretAccessKey: 's', sessionToken: 't', expiration })
    assert.equal(await get(), 'old')
    world.fault = 'NETWORK_FAILED'
    refresher.renew()
    refresher.start()
    await clock.pass(MINUTE)
    assert.equal(await get(), 'old')
    await clock.pass(30 * MINUTE)
    await assert.rejects(get(), { code: 'NETWORK_FAILED' })
  })
})
