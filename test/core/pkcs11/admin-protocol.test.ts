/** What may cross the pipe of a token child that administers: each request and each reply, and nothing else. */

import assert from 'node:assert/strict'
import {
  type AdminOperation,
  parseAdminReply,
  parseAdminRequest,
  type ReplyOf,
  type RequestOf,
} from '../../../src/core/pkcs11/admin-protocol.js'

const token = {
  slot: 1,
  slotDescription: 'slot',
  initialized: true,
  label: 'edge',
  manufacturer: 'm',
  model: 'm',
  serial: '1',
  flags: 0x40d,
  minPinLength: 4,
  maxPinLength: 0xffffffff,
  generates: ['p-256' as const],
  signs: ['ec' as const],
  uri: 'pkcs11:token=edge',
}
const key = {
  uri: 'pkcs11:id=%01',
  id: '01',
  label: 'a',
  type: 'p-256',
  publicKey: 'AA==',
  isPrivate: true,
  attributes: { sign: true },
}
const certificate = { uri: 'pkcs11:id=%01', id: '01', label: 'a', der: 'AA==' }
const uri = 'pkcs11:token=edge'

const SAMPLES: { [Name in AdminOperation]: { request: RequestOf<Name>; reply: ReplyOf<Name> } } = {
  listTokens: {
    request: {},
    reply: {
      module: { path: '/m.so', manufacturer: 'm', description: 'd', version: '2.6' },
      tokens: [token],
    },
  },
  initToken: { request: { slot: 1, label: 'a', replaces: { label: 'b', serial: '1' } }, reply: { token } },
  setPin: { request: { uri }, reply: { token } },
  unblockPin: { request: { uri }, reply: { token } },
  generateKey: { request: { uri, type: 'p-384', label: 'a', id: 'a1' }, reply: { token, key } },
  listObjects: { request: { uri, login: true }, reply: { token, keys: [key], certificates: [certificate] } },
  publicKey: { request: { uri }, reply: { token, key, publicKey: 'AA==' } },
  sign: { request: { uri, message: 'AA==' }, reply: { signature: 'AA==' } },
  importCertificate: {
    request: { uri, certificate: 'AA==', chain: ['AQ=='], replace: false },
    reply: { token, key, certificate, chain: [certificate], replaced: [] },
  },
  readCertificates: { request: { uri, login: false }, reply: { token, certificates: [certificate] } },
  deleteObjects: { request: { uri, der: 'AA==' }, reply: { token, deleted: ['pkcs11:'] } },
}
const samples = Object.entries(SAMPLES) as [AdminOperation, { request: object; reply: object }][]
const cross = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** The value with each of its parts in turn taken away, or made something else. */
function* spoil(value: unknown): Generator<unknown> {
  if (Array.isArray(value)) {
    if (value.length > 0) for (const part of spoil(value[0])) yield [part, ...value.slice(1)]
    yield 'no list'
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, part] of Object.entries(value)) {
      for (const spoilt of spoil(part)) yield { ...value, [name]: spoilt }
    }
    yield 'no object'
  } else yield typeof value === 'number' ? 'no number' : 7.5
}

describe('parseAdminRequest', () => {
  for (const [operation, { request }] of samples) {
    it(`takes ${operation}, and nothing like it`, () => {
      assert.deepEqual(parseAdminRequest(cross({ operation, request })), { operation, request })
      for (const spoilt of spoil(request)) {
        assert.throws(
          () => parseAdminRequest({ operation, request: spoilt }),
          { code: 'MODULE_FAILED' },
          JSON.stringify(spoilt),
        )
      }
    })
  }

  for (const value of [
    undefined,
    null,
    'x',
    {},
    { operation: 'toString', request: {} },
    { operation: 'wipe', request: {} },
  ]) {
    it(`refuses ${JSON.stringify(value)}`, () => {
      assert.throws(() => parseAdminRequest(value), { code: 'MODULE_FAILED' })
    })
  }

  it('refuses an id that is no hexadecimal and a message that is no base64', () => {
    const make = (id: string) => ({
      operation: 'generateKey',
      request: { ...SAMPLES.generateKey.request, id },
    })
    for (const id of ['1', 'A1', 'xx', '0x01'])
      assert.throws(() => parseAdminRequest(make(id)), { code: 'MODULE_FAILED' })
    for (const message of ['A', 'AA', 'A A=', '<>']) {
      assert.throws(() => parseAdminRequest({ operation: 'sign', request: { uri, message } }), {
        code: 'MODULE_FAILED',
      })
    }
  })
})

describe('parseAdminReply', () => {
  for (const [operation, { reply }] of samples) {
    it(`takes the reply to ${operation}, and nothing like it`, () => {
      assert.deepEqual(parseAdminReply(operation, cross(reply)), reply)
      for (const spoilt of spoil(reply)) {
        assert.throws(
          () => parseAdminReply(operation, spoilt),
          { code: 'MODULE_FAILED' },
          JSON.stringify(spoilt),
        )
      }
    })
  }
})
