/** Addresses of EST, and what each kind of answer means. */

import assert from 'node:assert/strict'
import { parseEstUrl, readEstReply } from '../../../src/core/enroll/est.js'
import { createAuthority } from '../../support/certificates.js'
import { formatCertsOnly } from '../../support/est-server.js'

const NOW = new Date('2026-01-02T03:04:05Z')
const TYPE = 'application/pkcs7-mime; smime-type=certs-only'

describe('parseEstUrl', () => {
  for (const [text, expected] of [
    ['https://ca.test', 'https://ca.test/.well-known/est'],
    ['https://ca.test/', 'https://ca.test/.well-known/est'],
    ['https://CA.test:8443/.well-known/est/devices/', 'https://ca.test:8443/.well-known/est/devices'],
    ['https://[::1]:8443/ejbca/est', 'https://[::1]:8443/ejbca/est'],
  ] as const) {
    it(`reads ${text}`, () => {
      assert.equal(parseEstUrl(text).href, expected)
    })
  }

  for (const [what, text] of [
    ['no URL', 'ca.test'],
    ['http', 'http://ca.test'],
    ['a password', 'https://user:canary@ca.test'],
    ['a user', 'https://canary@ca.test'],
    ['a query', 'https://ca.test/?a=canary'],
    ['a fragment', 'https://ca.test/#canary'],
  ] as const) {
    it(`refuses ${what}, and does not repeat it`, () => {
      assert.throws(() => parseEstUrl(text), { code: 'USAGE', message: /^--est-url (?!.*canary)/ })
    })
  }
})

describe('readEstReply', () => {
  let certificate: Uint8Array
  let body: string
  before(async () => {
    certificate = (await createAuthority()).certificate
    body = formatCertsOnly(certificate)
  })

  function read(
    status: number,
    text: string,
    headers: Record<string, string> = { 'content-type': TYPE },
    operation: 'cacerts' | 'simpleenroll' = 'simpleenroll',
  ) {
    const reply = { status, headers, body: Buffer.from(text) }
    return readEstReply(reply, { server: 'ca.test:443', operation, now: NOW })
  }

  for (const type of [TYPE, 'application/pkcs7-mime', 'Application/PKCS7-MIME;smime-type="certs-only"']) {
    it(`takes the certificates of a ${type}`, () => {
      const answer = read(200, body, { 'content-type': type })
      assert.ok(answer.kind === 'issued')
      assert.deepEqual(
        answer.certificates.map(({ der }) => Buffer.from(der)),
        [Buffer.from(certificate)],
      )
    })
  }

  for (const [header, seconds] of [
    ['120', 120],
    ['Fri, 02 Jan 2026 03:05:05 GMT', 60],
    ['Thu, 01 Jan 2026 00:00:00 GMT', 0],
    ['soon', undefined],
    [undefined, undefined],
  ] as const) {
    it(`says when to ask again, for Retry-After ${header}`, () => {
      const headers = header === undefined ? {} : { 'retry-after': header }
      assert.deepEqual(read(202, '', headers as Record<string, string>), {
        kind: 'pending',
        retryAfterSeconds: seconds,
      })
    })
  }

  for (const [what, status, headers, text, code, message] of [
    [
      'another content type',
      200,
      { 'content-type': 'text/html' },
      '<p>',
      'REPLY_INVALID',
      /text\/html.*--est-url/,
    ],
    ['no content type', 200, {}, 'x', 'REPLY_INVALID', /no content type/],
    ['another smime-type', 200, { 'content-type': `${TYPE}x` }, 'x', 'REPLY_INVALID', /certs-onlyx/],
    ['what is not base64', 200, { 'content-type': TYPE }, '-----BEGIN', 'REPLY_INVALID', /not base64/],
    ['an empty body', 200, { 'content-type': TYPE }, '', 'REPLY_INVALID', /not base64/],
    ['what is no certs-only message', 200, { 'content-type': TYPE }, 'MAA=', 'REPLY_INVALID', /certs-only/],
    ['another success', 204, {}, '', 'REPLY_INVALID', /answered 204/],
    ['a redirect', 302, { location: 'https://other.test' }, '', 'REPLY_INVALID', /other\.test.*not followed/],
    ['a bad request', 400, {}, 'bad CN', 'ISSUER_REFUSED', /400 to simpleenroll: "bad CN"$/],
    [
      'who does not know us',
      401,
      { 'www-authenticate': 'Basic realm="x"' },
      '',
      'ISSUER_REFUSED',
      /Basic.*--est-user/,
    ],
    ['an unknown path', 404, {}, '', 'ISSUER_REFUSED', /path of --est-url/],
    ['a throttle', 429, {}, '', 'THROTTLED', /later/],
    ['a broken server', 500, {}, 'oops', 'SERVICE_UNAVAILABLE', /"oops"; try again/],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => read(status, text, headers), { code, message })
    })
  }

  it('refuses to wait for CA certificates', () => {
    assert.throws(() => read(202, '', {}, 'cacerts'), { code: 'REPLY_INVALID' })
  })

  it('cleans the words of the server', () => {
    assert.throws(() => read(403, 'no\n\u001b[31m\u202e'), { message: /"no \\u\{1b\}\[31m\\u\{202e\}"$/ })
    assert.throws(
      () => read(403, 'x'.repeat(5000)),
      (error: Error) => error.message.length < 500,
    )
  })
})
