/** One identity of the agent whose PIN a person gives. */

import assert from 'node:assert/strict'
import { createKeeper, type KeeperParts } from '../../src/agent/keeper.js'
import type { GivenPin } from '../../src/core/agent/agent-protocol.js'
import type { Credentials } from '../../src/core/credentials.js'
import { type ErrorCode, HoldfastError } from '../../src/core/errors.js'
import type { PinNeed } from '../../src/core/pkcs11/token-protocol.js'
import { createFakeClock, settle } from '../support/fake-clock.js'

const NEED: PinNeed = {
  role: 'user',
  flags: 0,
  token: { manufacturer: '', model: '', serial: '', label: 'edge' },
}

/** A keeper, and what its sessions were given. They wait for `gate` before they want the PIN. */
function setUp(parts: Partial<KeeperParts> = {}) {
  const clock = createFakeClock()
  let open: () => void = () => undefined
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const pins: string[] = []
  const token = { need: NEED }
  const keeper = createKeeper({
    createProvider:
      ({ pinGiver }) =>
      async (): Promise<Credentials> => {
        await gate
        const pin = await pinGiver.give(token.need)
        pins.push(String(Buffer.from(pin)))
        const expiration = new Date(clock.now().getTime() + 3_600_000)
        return {
          accessKeyId: `ASIA${pins.length}`,
          secretAccessKey: 's',
          sessionToken: 't',
          expiration,
        }
      },
    asksPerson: true,
    onDemand: false,
    clock,
    random: () => 0,
    onRefreshed: () => undefined,
    onFailed: () => undefined,
    ...parts,
  })
  return { keeper, pins, open, token, clock }
}

const typed = (text: string): GivenPin => ({
  kind: 'terminal',
  name: 'terminal',
  bytes: Buffer.from(text),
})

describe('createKeeper', () => {
  for (const [title, use] of [
    ['takes', (keeper, pin, signal) => keeper.take({ attended: true, signal, pin })],
    ['unlocks', (keeper, pin, signal) => keeper.unlock(pin, signal)],
  ] as readonly [
    string,
    (keeper: ReturnType<typeof createKeeper>, pin: GivenPin, signal: AbortSignal) => Promise<unknown>,
  ][]) {
    it(`tries the PIN of somebody who ${title}, and goes, and wipes it, as it was given`, async () => {
      const { keeper, pins, open } = setUp()
      const gone = new AbortController()
      const pin = typed('1234')
      const result = use(keeper, pin, gone.signal)
      gone.abort(new Error('gone'))
      await assert.rejects(result, /gone/)
      pin.bytes.fill(0)
      open()
      await settle()
      assert.deepEqual(pins, ['1234'])
      assert.equal(keeper.state.credentials?.accessKeyId, 'ASIA1')
    })
  }

  it('tries a PIN to unlock with, also where a session with another one was under way', async () => {
    const { keeper, pins, open } = setUp()
    const signal = new AbortController().signal
    const taking = keeper.take({ attended: true, signal, pin: typed('first') })
    const unlocking = keeper.unlock(typed('second'), signal)
    open()
    await Promise.all([taking, unlocking])
    assert.deepEqual(pins, ['first', 'second'])
    assert.equal(keeper.state.mode, 'unlocked')
    keeper.stop()
  })

  describe('where another token is found', () => {
    const OTHER: PinNeed = { ...NEED, token: { ...NEED.token, serial: '2' } }
    const signal = new AbortController().signal

    it('does not show it the PIN that was kept for the first one, and forgets that', async () => {
      const { keeper, pins, open, token } = setUp()
      open()
      await keeper.unlock(typed('1234'), signal)
      keeper.start()
      await settle()
      assert.deepEqual(pins, ['1234'])
      token.need = OTHER
      keeper.renew()
      await settle()
      assert.match(String(keeper.state.failure?.error), /"edge" \(serial number 2\)/)
      assert.equal(keeper.state.mode, 'locked')
      assert.equal(keeper.pinNeed, OTHER)
      keeper.renew()
      await settle()
      assert.deepEqual(pins, ['1234'])
      keeper.stop()
    })

    for (const use of ['take', 'unlock'] as const) {
      it(`does not show it the PIN that somebody gives who was asked for that of the first one (${use})`, async () => {
        const { keeper, pins, open, token } = setUp()
        open()
        await assert.rejects(keeper.take({ attended: true, signal }), { code: 'PIN_NEEDED' })
        assert.equal(keeper.pinNeed, NEED)
        token.need = OTHER
        const give = (pin: GivenPin) =>
          use === 'take' ? keeper.take({ attended: true, signal, pin }) : keeper.unlock(pin, signal)
        await assert.rejects(give(typed('1234')), { code: 'PIN_NEEDED' })
        assert.deepEqual(pins, [])
        assert.equal(keeper.state.mode, 'locked')
        await give(typed('5678'))
        assert.equal(pins[0], '5678')
        keeper.stop()
      })
    }
  })

  describe('unlock', () => {
    const signal = new AbortController().signal
    /** A keeper whose sessions fail once they have been given the PIN. */
    function setUpFailing(code: ErrorCode | undefined) {
      const world = { code, pins: [] as string[] }
      const clock = createFakeClock()
      const { keeper } = setUp({
        clock,
        createProvider:
          ({ pinGiver }) =>
          async () => {
            world.pins.push(String(await pinGiver.give(NEED)))
            if (world.code !== undefined) throw new HoldfastError(world.code, 'a test')
            const expiration = new Date(clock.now().getTime() + 3_600_000)
            return { accessKeyId: 'ASIA', secretAccessKey: 's', sessionToken: 't', expiration }
          },
      })
      keeper.start()
      return { keeper, clock, world }
    }

    for (const code of ['MODULE_CRASHED', 'TOKEN_TIMEOUT', 'TOKEN_REMOVED', 'PIN_INCORRECT'] as const) {
      it(`keeps no PIN that no token has taken, after ${code}`, async () => {
        const { keeper, clock, world } = setUpFailing(code)
        await assert.rejects(keeper.unlock(typed('1234'), signal), { code })
        assert.equal(keeper.state.mode, 'locked')
        await clock.pass(600_000)
        assert.deepEqual(world.pins, ['1234'])
        keeper.stop()
      })
    }

    it('keeps a PIN that the token has taken, whatever the service says, and through faults of the token later', async () => {
      const { keeper, clock, world } = setUpFailing('REFUSED_ROLE')
      await assert.rejects(keeper.unlock(typed('1234'), signal), { code: 'REFUSED_ROLE' })
      assert.equal(keeper.state.mode, 'unlocked')
      world.code = undefined
      keeper.renew()
      await clock.pass(0)
      world.code = 'MODULE_CRASHED'
      keeper.renew()
      await clock.pass(0)
      assert.equal(keeper.state.mode, 'unlocked')
      world.code = 'PIN_INCORRECT'
      keeper.renew()
      await clock.pass(0)
      assert.equal(keeper.state.mode, 'locked')
      assert.equal(world.pins.length, 4)
      keeper.stop()
    })

    it('costs one session, and is soon followed by the next as any other', async () => {
      const { keeper, clock, world } = setUpFailing(undefined)
      await keeper.unlock(typed('1234'), signal)
      await clock.pass(60_000)
      assert.equal(world.pins.length, 1)
      await clock.pass(3_000_000)
      assert.equal(world.pins.length, 2)
      keeper.stop()
    })
  })

  describe('with a set that is about to expire', () => {
    const signal = new AbortController().signal
    const MINUTE = 60_000
    async function setUpOld() {
      const world = setUp()
      world.open()
      const take = async (options: { attended?: boolean; pin?: GivenPin } = {}) =>
        (await world.keeper.take({ attended: true, signal, ...options })).accessKeyId
      await take({ pin: typed('1234') })
      await world.clock.pass(54 * MINUTE)
      assert.equal(world.keeper.isDue, false)
      assert.equal(await take({ pin: typed('early') }), 'ASIA1')
      await world.clock.pass(2 * MINUTE)
      assert.equal(world.keeper.isDue, true)
      return { ...world, take }
    }

    it('gets another one for a person who gives a PIN', async () => {
      const { keeper, pins, take } = await setUpOld()
      assert.equal(await take({ pin: typed('5678') }), 'ASIA2')
      assert.deepEqual(pins, ['1234', '5678'])
      assert.equal(keeper.isDue, false)
    })

    it('hands it out to whoever gives none, until it expires', async () => {
      const { clock, pins, take } = await setUpOld()
      assert.deepEqual([await take(), await take({ attended: false })], ['ASIA1', 'ASIA1'])
      await clock.pass(5 * MINUTE)
      await assert.rejects(take(), { code: 'PIN_NEEDED' })
      assert.deepEqual(pins, ['1234'])
    })

    it('looks at the token where it has not seen it yet, and says what a person is to be asked', async () => {
      const { keeper, open, clock } = setUp()
      open()
      const expiration = new Date(clock.now().getTime() + 60 * MINUTE)
      keeper.adopt({ accessKeyId: 'old', secretAccessKey: 's', sessionToken: 't', expiration })
      await clock.pass(56 * MINUTE)
      assert.equal((await keeper.take({ attended: true, signal })).accessKeyId, 'old')
      assert.equal(keeper.pinNeed, NEED)
      assert.equal(keeper.state.failure, undefined)
    })
  })

  it('has no session fail for somebody who would unlock what is unlocked', async () => {
    const { keeper, pins, open } = setUp()
    const signal = new AbortController().signal
    open()
    await keeper.unlock(typed('1234'), signal)
    await keeper.unlock(undefined, signal)
    assert.deepEqual(pins, ['1234'])
    assert.equal(keeper.state.failure, undefined)
    keeper.stop()
  })
})
