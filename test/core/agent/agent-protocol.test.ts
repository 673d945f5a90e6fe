/** What is said on the agent's socket, there and back. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  type AgentReply,
  findNotice,
  formatAgentReply,
  formatAgentRequest,
  formatNotice,
  parseAgentReply,
  parseAgentRequest,
} from '../../../src/core/agent/agent-protocol.js'
import { HoldfastError } from '../../../src/core/errors.js'

const text = fc.string({ unit: 'binary', maxLength: 20 })

describe('parseAgentRequest', () => {
  it('reads what formatAgentRequest writes, whatever bytes the PIN has', () => {
    const pin = fc.record({
      kind: fc.constantFrom('terminal' as const, 'askpass' as const),
      name: text,
      bytes: fc.uint8Array({ maxLength: 40 }),
    })
    const request = fc.record(
      {
        name: text,
        sessionKey: text,
        pin,
        claims: fc.record({ pid: fc.maxSafeInteger(), uid: fc.maxSafeInteger() }),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(request, (given) => {
        const { pin: readPin, ...read } = parseAgentRequest(formatAgentRequest(given))
        const { pin: givenPin, ...rest } = given
        assert.deepEqual(JSON.parse(JSON.stringify(read)), JSON.parse(JSON.stringify(rest)))
        assert.equal(readPin?.kind, givenPin?.kind)
        assert.equal(readPin?.name, givenPin?.name)
        assert.deepEqual(readPin && [...readPin.bytes], givenPin && [...givenPin.bytes])
      }),
    )
  })

  it('keeps the PIN out of the JSON', () => {
    const body = formatAgentRequest({
      name: 'edge',
      pin: { kind: 'terminal', name: 't', bytes: Buffer.from('12345678') },
    })
    assert.doesNotMatch(body.toString().split('\n')[0]!, /1234/)
  })

  const wrong: string[] = [
    '',
    'x',
    '1',
    'null',
    '[1',
    '{"name":1}',
    '{"sessionKey":{}}',
    '{"claims":{"pid":"1","uid":0}}',
    '{"name":"a"}\n1234',
    '{"pin":{"kind":"terminal","name":"t"}}',
    '{"pin":{"kind":"file","name":"t"}}\n1234',
    '{"pin":{"kind":"terminal"}}\n1234',
  ]
  for (const body of wrong) {
    it(`refuses ${JSON.stringify(body)}`, () => {
      assert.throws(() => parseAgentRequest(Buffer.from(body)), { code: 'USAGE' })
    })
  }
})

describe('parseAgentReply', () => {
  const parse = (reply: AgentReply) => parseAgentReply(Buffer.from(formatAgentReply(reply).body))
  const credentials = {
    accessKeyId: 'ASIAEXAMPLE',
    secretAccessKey: 'secret',
    sessionToken: 'token',
    expiration: new Date('2026-01-02T03:04:05Z'),
    accountId: '111122223333',
  }

  it('reads what formatAgentReply writes', () => {
    const token = { manufacturer: 'm', model: 'm', serial: '1', label: 'edge' }
    const needPin = { token, flags: 4, role: 'user' as const }
    for (const reply of [
      { credentials },
      { credentials, needPin },
      { done: true },
      { done: false },
      { unknown: true },
    ] as const) {
      assert.deepEqual(parse(reply), reply)
    }
  })

  it('keeps code and message of a failure, and what is to be told whoever has the PIN', () => {
    const token = { manufacturer: 'm', model: 'm', serial: '1', label: 'edge' }
    // An agent that asks for another PIN than the user's does not get that.
    const needPin = { token, flags: 4, role: 'so' as const }
    const reply = parse({ failed: new HoldfastError('PIN_NEEDED', 'why'), needPin })
    assert.ok('failed' in reply)
    assert.deepEqual([reply.failed.code, reply.failed.message], ['PIN_NEEDED', 'why'])
    assert.deepEqual(reply.needPin, { token, flags: 4, role: 'user' })
  })

  it('takes a code that it does not know for a failure of the agent', () => {
    const reply = parseAgentReply(Buffer.from('{"failed":{"code":"FROM_LATER","message":"why"}}'))
    assert.ok('failed' in reply && reply.failed.code === 'AGENT_FAILED')
  })

  it('refuses what is no answer, and does not repeat it', () => {
    const { secretAccessKey: _, ...part } = credentials
    const bodies = ['', '{}', '<html>', '{"credentials":{}}', JSON.stringify({ credentials: part })]
    for (const body of [...bodies, JSON.stringify({ credentials: { ...credentials, expiration: 'soon' } })]) {
      assert.throws(
        () => parseAgentReply(Buffer.from(body)),
        (error: HoldfastError) =>
          error.code === 'AGENT_FAILED' && !error.message.includes('secret') && error.cause === undefined,
        body,
      )
    }
  })
})

describe('findNotice', () => {
  it('finds what formatNotice was given', () => {
    for (const notice of ['touch your key: token "é>,;%" waits', "it's\n"]) {
      assert.equal(findNotice(formatNotice(notice)), notice)
    }
    assert.equal(findNotice(formatNotice('a\ud800')), 'a\ufffd')
  })

  it('finds none in other links', () => {
    for (const link of [undefined, '', '</style.css>; rel=preload', '<data:,%>', ['<data:,a>']]) {
      assert.equal(findNotice(link), undefined)
    }
  })
})
