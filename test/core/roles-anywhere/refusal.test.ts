import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  explainRefusal,
  findRequestId,
  isRetryableReply,
  type Reply,
} from '../../../src/core/roles-anywhere/refusal.js'

const NOW = new Date('2026-01-02T03:04:05Z')
const REQUEST = {
  now: NOW,
  trustAnchorArn: 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/a',
  profileArn: 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/p',
  roleArn: 'arn:aws:iam::111122223333:role/Uploader',
  roleSessionName: 'box',
  certificate: 'the certificate with serial 0a',
}

function answer(
  status: number,
  message: string,
  type = 'AccessDeniedException',
  headers: object = {},
): Reply {
  return {
    status,
    headers: {
      'x-amzn-errortype': type,
      'x-amzn-requestid': 'req-1234',
      date: NOW.toUTCString(),
      ...headers,
    },
    body: Buffer.from(JSON.stringify({ message })),
  }
}

const explain = (reply: Reply, now = NOW) => explainRefusal(reply, { ...REQUEST, now })

describe('explainRefusal', () => {
  for (const [status, type, message, code, advice] of [
    [
      403,
      'AccessDeniedException',
      'Untrusted signing certificate',
      'REFUSED_UNTRUSTED_CERTIFICATE',
      /trust-anchor\/a.*--intermediates/,
    ],
    [
      403,
      'AccessDeniedException',
      'untrusted Signing Certificate',
      'REFUSED_UNTRUSTED_CERTIFICATE',
      /--intermediates/,
    ],
    [
      403,
      'AccessDeniedException',
      'Untrusted certificate. Insufficient certificate',
      'REFUSED_UNTRUSTED_CERTIFICATE',
      /digitalSignature/,
    ],
    [
      403,
      'AccessDeniedException',
      'Certificate revoked',
      'REFUSED_CERTIFICATE_REVOKED',
      /the certificate with serial 0a.*revocation list/,
    ],
    [
      403,
      'AccessDeniedException',
      'Invalid signature',
      'REFUSED_SIGNATURE',
      /verified here before it was sent/,
    ],
    [
      403,
      'AccessDeniedException',
      "Requested Role isn't one of those listed in the Profile.",
      'REFUSED_ROLE',
      /profile\/p does not list the role/,
    ],
    [
      403,
      'AccessDeniedException',
      'Not authorized to set roleSessionName',
      'REFUSED_SESSION_NAME',
      /\(box\).*acceptRoleSessionName/,
    ],
    [
      403,
      'AccessDeniedException',
      'Unable to assume role for arn:aws:iam::1:role/x',
      'REFUSED_ROLE',
      /trust policy.*sts:SetSourceIdentity/,
    ],
    [
      403,
      'AccessDeniedException',
      'Unable to assume role for arn:x The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
      'REFUSED_REQUEST',
      /--session-duration/,
    ],
    [
      403,
      'AccessDeniedException',
      'Unable to assume role for arn:x Some attributes failed to be mapped into session tags. Issuer: [ ]; Subject: [ ]; SAN: [ DNS/2 ]',
      'REFUSED_ROLE',
      /trust policy.*left out of the session tags/,
    ],
    [
      403,
      'AccessDeniedException',
      'User: arn:x is not authorized to perform: sts:AssumeRole on resource: arn:y',
      'REFUSED_ROLE',
      /trust policy/,
    ],
    [403, 'AccessDeniedException', 'No.', 'REFUSED', /are enabled/],
    [
      400,
      'ValidationException',
      "1 validation error: Value at 'durationSeconds' failed to satisfy constraint: Member must …",
      'REFUSED_REQUEST',
      /malformed/,
    ],
    [404, 'ResourceNotFoundException', 'Trust anchor not found', 'REFUSED_NOT_FOUND', /does not know/],
    [429, 'TooManyRequestsException', 'Rate exceeded', 'THROTTLED', /too many requests/],
    [400, 'ThrottlingException', 'Rate exceeded', 'THROTTLED', /too many requests/],
    [500, 'InternalServerException', 'oops', 'SERVICE_UNAVAILABLE', /try again later/],
    [418, 'TeapotException', 'short and stout', 'REFUSED', /are enabled/],
  ] as const) {
    it(`explains ${status} ${type} "${message.slice(0, 60)}" as ${code}`, () => {
      const error = explain(answer(status, message, type))
      assert.equal(error.code, code)
      assert.match(error.message, advice)
      assert(error.message.includes(`: "${message}", request id req-1234`), error.message)
      assert(error.message.includes(`the answer was ${status} ${type}`), error.message)
      assert.doesNotMatch(error.message, /no AWS request id/)
    })
  }

  it('reads type and message from the body too, under either spelling', () => {
    const reply = {
      status: 403,
      headers: {},
      body: Buffer.from(
        '{"__type":"com.amazonaws.rolesanywhere#AccessDeniedException","Message":"Invalid signature"}',
      ),
    }
    assert.match(explain(reply).message, /403 AccessDeniedException: "Invalid signature"/)
    const coded = { ...reply, body: Buffer.from('{"code":"ThrottlingException"}') }
    assert.equal(explain(coded).code, 'THROTTLED')
    assert.match(explain(coded).message, /without a message/)
  })

  it('cuts the URL off the type in the header', () => {
    const reply = answer(404, 'x', 'ResourceNotFoundException:http://internal.amazon.com/coral/')
    assert.match(explain(reply).message, /404 ResourceNotFoundException: "x"/)
  })

  it('says that an answer without a request id may not be the service’s', () => {
    const proxy = {
      status: 403,
      headers: {},
      body: Buffer.from('<html>\n  <title>Blocked by policy</title></html>'),
    }
    assert.equal(explain(proxy).code, 'REFUSED')
    assert.match(
      explain(proxy).message,
      /"<html> <title>Blocked by policy<\/title><\/html>" \(no AWS request id/,
    )
  })

  it('tells how far the clock is off', () => {
    const ahead = explain(answer(403, 'Invalid signature'), new Date('2026-01-02T04:07:05Z'))
    assert.equal(ahead.code, 'CLOCK_WRONG')
    assert.match(ahead.message, /1 h 3 min ahead of .*"Invalid signature", request id req-1234/)
    const behind = explain(answer(403, 'No.'), new Date('2025-12-01T00:00:00Z'))
    assert.equal(behind.code, 'CLOCK_WRONG')
    assert.match(behind.message, /32 d 3 h 4 min behind/)
  })

  it('does not blame a clock that is less than five minutes off, nor for an answer that is not about access', () => {
    assert.equal(
      explain(answer(403, 'Invalid signature'), new Date('2026-01-02T03:09:00Z')).code,
      'REFUSED_SIGNATURE',
    )
    assert.equal(
      explain(answer(403, 'Invalid signature'), new Date('2026-01-02T03:09:06Z')).code,
      'CLOCK_WRONG',
    )
    assert.equal(
      explain(answer(404, 'x', 'ResourceNotFoundException'), new Date(0)).code,
      'REFUSED_NOT_FOUND',
    )
    assert.equal(explain(answer(403, 'No.', 'x', { date: 'yesterday' }), new Date(0)).code, 'REFUSED')
  })

  it('recognizes an expired signature without a Date header', () => {
    const words =
      'Signature expired: 20260102T030405Z is now earlier than 20260102T031405Z (20260102T031905Z - 5 min.)'
    const error = explain(answer(400, words, 'AccessDeniedException', { date: '' }))
    assert.equal(error.code, 'CLOCK_WRONG')
    assert(error.message.includes(words))
  })

  it('names the host of a redirect, and not the rest of its address', () => {
    const error = explain(answer(302, '', 'x', { location: 'https://login.example:8443/canary?canary' }))
    assert.equal(error.code, 'REPLY_INVALID')
    assert.match(error.message, /redirects to login\.example:8443, which is not followed/)
    assert.doesNotMatch(error.message, /canary/)
    assert.equal(explain(answer(304, '')).code, 'REPLY_INVALID')
  })

  it('makes one line of limited length from any answer', () => {
    const anyReply = fc.record({
      status: fc.integer({ min: 100, max: 599 }),
      headers: fc.dictionary(
        fc.constantFrom('x-amzn-errortype', 'x-amzn-requestid', 'date', 'location'),
        fc.string({ unit: 'binary' }),
      ),
      body: fc.oneof(
        fc.uint8Array(),
        fc
          .record({ message: fc.string({ unit: 'binary' }), __type: fc.anything() })
          .map((value) => Buffer.from(JSON.stringify(value) ?? '')),
      ),
    })
    fc.assert(
      fc.property(anyReply, (reply) => {
        const { message } = explain(reply)
        assert.doesNotMatch(message, /\p{C}/u)
        assert(message.length < 8000)
        isRetryableReply(reply)
      }),
    )
  })
})

describe('isRetryableReply', () => {
  it('is true for throttling and failures of the service', () => {
    for (const status of [429, 500, 502, 503, 504])
      assert(isRetryableReply(answer(status, 'x', 'x')), `${status}`)
    assert(isRetryableReply(answer(400, 'x', 'ThrottlingException')))
    assert(isRetryableReply(answer(403, 'x', 'TooManyRequestsException')))
  })

  it('is false for a refusal', () => {
    for (const status of [201, 302, 400, 403, 404])
      assert(!isRetryableReply(answer(status, 'x', 'x')), `${status}`)
    assert(!isRetryableReply(answer(403, 'ThrottlingException')))
  })
})

describe('findRequestId', () => {
  it('finds the header, or nothing', () => {
    assert.equal(findRequestId(answer(403, 'x')), 'req-1234')
    assert.equal(findRequestId({ status: 403, headers: {}, body: Buffer.alloc(0) }), undefined)
  })
})
