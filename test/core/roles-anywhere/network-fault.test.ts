import assert from 'node:assert/strict'
import { explainNetworkFault, type NetworkActivity } from '../../../src/core/roles-anywhere/network-fault.js'

const ACTIVITY: NetworkActivity = {
  doing: 'waiting for the answer',
  peer: 'rolesanywhere.test:443',
  isProxy: false,
  now: new Date('2026-01-02T03:04:05Z'),
}
const explain = (code: string, more: Partial<NetworkActivity> = {}, message = 'words') =>
  explainNetworkFault(Object.assign(new Error(message), { code }), { ...ACTIVITY, ...more })

describe('explainNetworkFault', () => {
  for (const [code, errorCode, words] of [
    [
      'ENOTFOUND',
      'NETWORK_FAILED',
      /^rolesanywhere\.test:443 is not known to the DNS; check the region or --endpoint/,
    ],
    ['EAI_AGAIN', 'NETWORK_FAILED', /the DNS does not answer/],
    ['ECONNREFUSED', 'NETWORK_FAILED', /refuses connections/],
    ['ECONNRESET', 'NETWORK_FAILED', /broke the connection/],
    ['EPIPE', 'NETWORK_FAILED', /broke the connection/],
    ['ETIMEDOUT', 'NETWORK_FAILED', /does not answer/],
    ['EHOSTUNREACH', 'NETWORK_FAILED', /cannot be reached/],
    ['ENETUNREACH', 'NETWORK_FAILED', /cannot be reached/],
    ['EMFILE', 'NETWORK_FAILED', /failed while waiting for the answer: words/],
    ['HPE_INVALID_CONSTANT', 'REPLY_INVALID', /is not HTTP\/1\.1/],
    ['HPE_HEADER_OVERFLOW', 'REPLY_INVALID', /headers are too long/],
    ['EPROTO', 'TLS_FAILED', /TLS with rolesanywhere\.test:443 failed: words/],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'TLS_FAILED', /TLS 1\.2 or later/],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'TLS_FAILED', /for another host: words/],
    ['CERT_NOT_YET_VALID', 'CLOCK_WRONG', /2026-01-02T03:04:05\.000Z; set the clock/],
    ['CERT_HAS_EXPIRED', 'TLS_FAILED', /has expired.*2026-01-02T03:04:05\.000Z/],
    ['CERT_SIGNATURE_FAILURE', 'TLS_FAILED', /TLS certificate of rolesanywhere\.test:443 .*words/],
    ['INVALID_PURPOSE', 'TLS_FAILED', /not accepted: words \(INVALID_PURPOSE\)/],
    ['UNSPECIFIED', 'TLS_FAILED', /not accepted/],
    ['EAI_FAIL', 'NETWORK_FAILED', /words/],
    ['EADDRNOTAVAIL', 'NETWORK_FAILED', /words/],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'TLS_FAILED', /AWS_CA_BUNDLE/],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'TLS_FAILED', /AWS_CA_BUNDLE/],
    ['UNABLE_TO_GET_ISSUER_CERT', 'TLS_FAILED', /AWS_CA_BUNDLE/],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'TLS_FAILED', /AWS_CA_BUNDLE/],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'TLS_FAILED', /AWS_CA_BUNDLE/],
  ] as const) {
    it(`explains ${code} as ${errorCode}`, () => {
      const error = explain(code)
      assert.equal(error.code, errorCode)
      assert.match(error.message, words)
      assert.equal((error.cause as { code: string }).code, code)
    })
  }

  it('blames a proxy for what only a proxy can be wrong about', () => {
    assert.equal(explain('HPE_INVALID_CONSTANT', { isProxy: true }).code, 'PROXY_FAILED')
    assert.equal(explain('ECONNREFUSED', { isProxy: true }).code, 'NETWORK_FAILED')
  })

  it('blames a clock that is before the build, for a certificate only', () => {
    const buildDate = new Date('2026-01-02T03:04:06Z')
    assert.equal(explain('CERT_HAS_EXPIRED', { buildDate }).code, 'CLOCK_WRONG')
    assert.equal(explain('SELF_SIGNED_CERT_IN_CHAIN', { buildDate }).code, 'CLOCK_WRONG')
    assert.equal(explain('SELF_SIGNED_CERT_IN_CHAIN', { buildDate: ACTIVITY.now }).code, 'TLS_FAILED')
    assert.equal(explain('ECONNREFUSED', { buildDate }).code, 'NETWORK_FAILED')
  })

  it('makes one line of what the other side says, and of what is no error', () => {
    assert.match(explain('EPROTO', {}, 'a\nb\u001b[2J').message, /failed: a b\\u\{1b\}\[2J;/)
    assert.equal(explainNetworkFault(undefined, ACTIVITY).code, 'NETWORK_FAILED')
  })
})
