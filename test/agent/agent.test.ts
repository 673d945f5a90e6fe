/** The agent's set of identities: what changes, what stays, and what has the token when. Clocks are the test's. */

import assert from 'node:assert/strict'
import { type AgentEvent, type AgentParts, createAgent } from '../../src/agent/agent.js'
import type { ServedIdentity } from '../../src/core/config/config.js'
import { HoldfastError } from '../../src/core/errors.js'
import { createFakeClock, settle } from '../support/fake-clock.js'

const MINUTE = 60_000

/** An agent in a world that the test changes. */
async function setUp(identities: Record<string, ServedIdentity> = { edge: { roleArn: 'a' } }) {
  const clock = createFakeClock()
  const world = {
    identities,
    /** Fingerprint of every file. */
    files: new Map<string, string>(),
    configFault: undefined as HoldfastError | undefined,
    fault: undefined as HoldfastError | undefined,
    sessions: [] as (string | undefined)[],
    turns: 0,
    atOnce: 0,
    mostAtOnce: 0,
    events: [] as AgentEvent[],
  }
  const parts: AgentParts = {
    clock,
    random: () => 0,
    configFiles: ['config'],
    async readIdentities() {
      if (world.configFault !== undefined) throw world.configFault
      return new Map(Object.entries(world.identities))
    },
    fingerprint: (paths) => paths.map((path) => world.files.get(path)).join(),
    createProvider:
      (identity, { takeTurn }) =>
      async () => {
        await takeTurn(async () => {
          world.turns++
          world.atOnce++
          world.mostAtOnce = Math.max(world.mostAtOnce, world.atOnce)
          await settle()
          world.atOnce--
        })
        if (world.fault !== undefined) throw world.fault
        world.sessions.push(identity.roleArn)
        const expiration = new Date(clock.now().getTime() + 60 * MINUTE)
        return {
          accessKeyId: `${identity.roleArn}${world.sessions.length}`,
          secretAccessKey: 's',
          sessionToken: 't',
          expiration,
        }
      },
    asksPerson: async () => false,
    findSessionKey: ({ roleArn }) => roleArn,
    onEvent: (event) => world.events.push(event),
  }
  const agent = await createAgent(parts)
  agent.start()
  await clock.pass(0)
  await settle()
  const get = async (name = 'edge') =>
    (await agent.get(name, { attended: false, signal: new AbortController().signal })).accessKeyId
  const change = async (file: string) => {
    world.files.set(file, String(Math.random()))
    await clock.pass(6000)
  }
  return { agent, clock, world, get, change }
}

describe('createAgent', () => {
  it('lets one session after the other have the token', async () => {
    const names = ['a', 'b', 'c', 'd']
    const { world, get } = await setUp(Object.fromEntries(names.map((name) => [name, { roleArn: name }])))
    await Promise.all(names.map((name) => get(name)))
    assert.equal(world.mostAtOnce, 1)
    assert.deepEqual([...world.sessions].sort(), names)
  })

  it('goes on with what it has when an identity changes that means the same role', async () => {
    const { world, get, change } = await setUp()
    assert.equal(await get(), 'a1')
    world.identities = { edge: { roleArn: 'a', timeout: 5 } }
    world.fault = new HoldfastError('NETWORK_FAILED', 'x')
    await change('config')
    assert.equal(await get(), 'a1')
    world.fault = undefined
    await change('x')
    assert.equal(await get(), 'a2')
  })

  it('hands out nothing of another role', async () => {
    const { world, get, change } = await setUp()
    assert.equal(await get(), 'a1')
    world.identities = { edge: { roleArn: 'b' } }
    world.fault = new HoldfastError('NETWORK_FAILED', 'x')
    await change('config')
    await assert.rejects(get(), { code: 'NETWORK_FAILED' })
  })

  it('leaves alone what has not changed', async () => {
    const { world, get, change } = await setUp()
    world.identities = { ...world.identities, other: { roleArn: 'b' } }
    await change('config')
    assert.deepEqual(world.sessions, ['a', 'b'])
    world.identities = { other: { roleArn: 'b' } }
    await change('config')
    assert.deepEqual(world.sessions, ['a', 'b'])
    await assert.rejects(get(), { code: 'CONFIG_NOT_FOUND' })
  })

  it('keeps what it serves when the configuration cannot be read, and says so until it can', async () => {
    const { agent, world, get, change } = await setUp()
    world.configFault = new HoldfastError('CONFIG_INVALID', 'bad')
    await change('config')
    assert.equal(agent.configError, world.configFault)
    assert.equal(await get(), 'a1')
    world.configFault = undefined
    await change('config')
    assert.equal(agent.configError, undefined)
  })

  it('renews an identity whose certificate file has changed, and another one not', async () => {
    const { world, change } = await setUp({
      edge: { roleArn: 'a', certificate: '/edge.pem', privateKey: '/edge.key' },
      other: { roleArn: 'b', pkcs11Uri: 'pkcs11:token=x?pin-source=/pin' },
    })
    await change('/edge.pem')
    assert.deepEqual(world.sessions, ['a', 'b', 'a'])
    await change('/pin')
    assert.deepEqual(world.sessions, ['a', 'b', 'a', 'b'])
  })

  it('tries again at once what has failed when the clock is set', async () => {
    const { clock, world, get } = await setUp()
    world.fault = new HoldfastError('CERTIFICATE_EXPIRED', 'x')
    clock.set(400 * 24 * 60 * MINUTE)
    await clock.pass(20_000)
    await assert.rejects(get(), { code: 'CERTIFICATE_EXPIRED' })
    world.fault = undefined
    clock.set(-400 * 24 * 60 * MINUTE)
    await clock.pass(20_000)
    assert.equal(await get(), 'a2')
    assert.ok(world.events.some(({ kind }) => kind === 'clock-set'))
  })

  it('shows the token no PIN twice that it has refused, where the guard is off and nothing has changed', async () => {
    const { agent, clock, world, get, change } = await setUp({
      edge: { roleArn: 'a', pinGuard: 'off', pinFile: '/pin' },
    })
    const turns = () => world.turns
    world.fault = new HoldfastError('PIN_INCORRECT', 'x')
    const before = turns()
    await agent.reload()
    await clock.pass(0)
    assert.equal(turns(), before + 1)
    await clock.pass(60 * MINUTE)
    for (let asked = 0; asked < 5; asked++) {
      await assert.rejects(get(), { code: 'PIN_INCORRECT' })
      await clock.pass(MINUTE)
    }
    clock.set(60 * MINUTE)
    await clock.pass(MINUTE)
    assert.equal(turns(), before + 1)
    await change('/pin')
    assert.equal(turns(), before + 2)
  })

  it('serves the others where one identity is not complete', async () => {
    const { agent, get } = await setUp({ edge: { roleArn: 'a' }, half: {} })
    assert.equal(await get(), 'a1')
    assert.equal(agent.find({ name: 'half' }), 'half')
    assert.equal(agent.find({ sessionKey: 'undefined' }), undefined)
  })

  it('finds an identity by its name, by what it means, and by both', async () => {
    const { agent } = await setUp({ edge: { roleArn: 'a' }, other: { roleArn: 'b' } })
    assert.equal(agent.find({ name: 'edge' }), 'edge')
    assert.equal(agent.find({ sessionKey: 'b' }), 'other')
    assert.equal(agent.find({ name: 'edge', sessionKey: 'a' }), 'edge')
    assert.equal(agent.find({ name: 'edge', sessionKey: 'b' }), undefined)
    assert.equal(agent.find({ name: 'edg' }), undefined)
    assert.equal(agent.find({ sessionKey: 'c' }), undefined)
    assert.equal(agent.find({}), undefined)
    assert.equal(agent.find({ name: 'constructor' }), undefined)
  })

  it('counts sessions and failures, by code', async () => {
    const { agent, clock, world } = await setUp()
    world.fault = new HoldfastError('THROTTLED', 'x')
    await clock.pass(41 * MINUTE)
    const [state] = agent.states
    assert.equal(state!.refreshes, 1)
    assert.ok(state!.failures.get('THROTTLED')! > 1)
    assert.equal(state!.failure?.count, state!.failures.get('THROTTLED'))
  })

  it('does nothing more once it is stopped', async () => {
    const { agent, clock, world } = await setUp()
    agent.stop()
    assert.equal(clock.timers, 0)
    await clock.pass(60 * MINUTE)
    assert.equal(world.sessions.length, 1)
  })
})
