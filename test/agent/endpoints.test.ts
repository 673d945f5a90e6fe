/** The endpoints over real sockets, before a real agent: who gets credentials, who does not, and what is written of it. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { type EndpointParts, openContainerEndpoint, openImds } from '../../src/agent/endpoints.js'
import { findDigest, formatRecord } from '../../src/core/endpoints/consumer.js'
import { HoldfastError } from '../../src/core/errors.js'
import type { EndpointServer } from '../../src/io/endpoint-server.js'
import { systemClock } from '../../src/io/steady-clock.js'
import { createShortSessions, type ShortSessions } from '../support/short-sessions.js'

const TOKEN = 'token-of-app'
const IMDS_ROLE = '/latest/meta-data/iam/security-credentials/edge-role'

describe('the endpoints of the agent', () => {
  let short: ShortSessions
  let server: EndpointServer | undefined
  let elapsedMs: number
  let faults: unknown[]
  beforeEach(async () => {
    short = await createShortSessions({ seconds: 3600, identities: { edge: {}, touch: { onDemand: true } } })
    elapsedMs = 1_000_000
    faults = []
  })
  afterEach(async () => {
    short.agent.stop()
    await server?.close()
    assert.deepEqual(faults, [])
  })

  const partsOf = (changes: Partial<EndpointParts> = {}): EndpointParts => ({
    ...short,
    clock: { ...systemClock, elapsedMs: () => elapsedMs },
    listen: { host: '127.0.0.1', port: 0 },
    allowedUids: undefined,
    onFault: (_, error) => faults.push(error),
    ...changes,
  })
  const openContainer = async (changes?: Partial<EndpointParts>) => {
    const consumersOf = () => [{ name: 'app', digest: findDigest(formatRecord('app', TOKEN))! }]
    server = await openContainerEndpoint(partsOf(changes), { consumersOf })
  }
  const open = async (changes?: Partial<EndpointParts>) => {
    server = await openImds(partsOf(changes), { identity: 'edge' })
  }
  const ask = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const { port } = server!
    const sent = request({ host: '127.0.0.1', port, path, headers, method, agent: false }).end()
    const [reply] = await once(sent, 'response')
    return { status: reply.statusCode as number, body: String(await buffer(reply)) }
  }
  const askContainer = (name: string, headers = {}) =>
    ask(`/credentials/${name}`, { authorization: TOKEN, ...headers })
  const getToken = async (seconds = 60) => {
    const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': String(seconds) }
    return (await ask('/latest/api/token', headers, 'PUT')).body
  }

  it('hand out what the agent has, and write who got it', async () => {
    await openContainer()
    const { status, body } = await askContainer('edge')
    assert.equal(status, 200)
    const [{ accessKeyId, expiration }] = short.sessions as [(typeof short.sessions)[0]]
    assert.equal(JSON.parse(body).AccessKeyId, accessKeyId)
    const [[event, fields]] = short.log as [(typeof short.log)[0]]
    assert.equal(event, 'handed-out')
    assert.deepEqual(fields, {
      identity: 'edge',
      door: 'container',
      place: `127.0.0.1:${server!.port}`,
      expires: expiration.toISOString().replace('.000', ''),
      serial: undefined,
      consumer: 'app',
      uid: process.getuid!(),
      'claimed-uid': undefined,
      'claimed-pid': undefined,
    })
  })

  it('never write a secret', async () => {
    await openContainer()
    await askContainer('edge')
    await askContainer('edge', { authorization: 'wrong-token' })
    await server!.close()
    await open()
    const token = await getToken()
    await ask(IMDS_ROLE, { 'x-aws-ec2-metadata-token': token })
    await ask(IMDS_ROLE, { 'x-aws-ec2-metadata-token': 'wrong-token' })
    assert.equal(short.log.length, 4)
    const text = JSON.stringify([short.log, short.ledger.counts])
    for (const secret of ['canary', TOKEN, 'wrong-token', token]) assert.ok(!text.includes(secret), secret)
  })

  it('say 503 at once where a person is needed', async () => {
    await openContainer()
    const { status, body } = await askContainer('touch')
    assert.equal(status, 503)
    assert.equal(JSON.parse(body).Code, 'PIN_NEEDED')
    assert.equal(short.sessions.length, 0)
  })

  it('say 503 where there is no session, and give none after its expiry', async () => {
    await openContainer()
    short.failure = new HoldfastError('REFUSED', 'AWS says no')
    const { status, body } = await askContainer('edge')
    assert.equal(status, 503)
    assert.deepEqual(JSON.parse(body), { Code: 'REFUSED', Message: 'AWS says no' })
  })

  it('wait for a session that is being made for less time than SDKs wait', async () => {
    let goOn!: () => void
    short.delay = new Promise((done) => {
      goOn = done
    })
    await openContainer()
    const { status, body } = await askContainer('edge')
    assert.equal(status, 503)
    assert.equal(JSON.parse(body).Code, 'DEADLINE_EXCEEDED')
    goOn()
    assert.equal((await askContainer('edge')).status, 200)
    assert.equal(short.sessions.length, 1)
  })

  it('do not serve what is no longer configured', async () => {
    await openContainer()
    assert.equal((await askContainer('gone')).status, 401)
    server = await server!.close().then(() => openImds(partsOf(), { identity: 'gone' }))
    assert.equal((await ask(IMDS_ROLE)).status, 503)
  })

  it('tell the role, the region and the account that the configuration names', async () => {
    await open()
    const headers = { 'x-aws-ec2-metadata-token': await getToken() }
    assert.equal((await ask('/latest/meta-data/iam/security-credentials/', headers)).body, 'edge-role')
    assert.equal((await ask('/latest/meta-data/placement/region', headers)).body, 'eu-central-1')
    assert.equal(JSON.parse((await ask(IMDS_ROLE, headers)).body).Code, 'Success')
  })

  it('give nothing for an IMDS token whose time is over, whoever has it', async () => {
    await open()
    const headers = { 'x-aws-ec2-metadata-token': await getToken(60) }
    assert.equal((await ask(IMDS_ROLE, headers)).status, 200)
    elapsedMs += 60_000
    assert.equal((await ask(IMDS_ROLE, headers)).status, 401)
  })

  for (const headers of [
    { host: 'evil.example' },
    { origin: 'http://127.0.0.1' },
    { 'sec-fetch-site': 'same-origin' },
    { 'x-forwarded-for': '127.0.0.1' },
  ]) {
    it(`give nothing to a request with ${JSON.stringify(headers)}`, async () => {
      await openContainer()
      const { status, body } = await askContainer('edge', headers)
      assert.equal(status, 403)
      assert.doesNotMatch(body, /canary/)
      await server!.close()
      await open()
      const put = { 'x-aws-ec2-metadata-token-ttl-seconds': '60', ...headers }
      assert.equal((await ask('/latest/api/token', put, 'PUT')).status, 403)
      assert.deepEqual(
        short.ledger.counts.map(({ door, result }) => [door, result]),
        [
          ['container', 'foreign'],
          ['imds', 'foreign'],
        ],
      )
    })
  }

  it('answer at the address of EC2, for machines that have it led here', async () => {
    await open()
    const headers = { host: '169.254.169.254', 'x-aws-ec2-metadata-token': await getToken() }
    assert.equal((await ask(IMDS_ROLE, headers)).status, 200)
  })

  it('serve only the users that are allowed', async () => {
    const uid = process.getuid!()
    await open({ allowedUids: new Set([uid]) })
    assert.equal((await ask(IMDS_ROLE, { 'x-aws-ec2-metadata-token': await getToken() })).status, 200)
    await server!.close()
    await open({ allowedUids: new Set([uid + 1]) })
    assert.match(await getToken(), /^\{"Code":"Forbidden"/)
    await server!.close()
    await openContainer({ allowedUids: new Set() })
    assert.equal((await askContainer('edge')).status, 403)
  })

  it('count every refusal, and write only some', async () => {
    await open()
    for (let count = 0; count < 50; count++) await ask('/')
    assert.equal(short.log.length, 20)
    assert.equal(short.ledger.counts[0]?.count, 50)
    elapsedMs += 60_000
    await ask('/')
    assert.equal(short.log.length, 21)
  })

  for (const host of ['0.0.0.0', '::', '::ffff:0.0.0.0', '::FFFF:0:0']) {
    it(`do not listen on all addresses (${host})`, async () => {
      const opening = openImds(partsOf({ listen: { host, port: 0 } }), { identity: 'edge' })
      await assert.rejects(opening, { code: 'USAGE', message: /all addresses/ })
    })
  }
})
