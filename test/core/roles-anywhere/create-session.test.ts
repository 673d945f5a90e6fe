import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { HoldfastError } from '../../../src/core/errors.js'
import {
  formatCreateSessionRequest,
  parseCreateSessionReply,
} from '../../../src/core/roles-anywhere/create-session.js'

const ROLE = 'arn:aws:iam::111122223333:role/edge/Uploader'
const REQUEST = {
  trustAnchorArn: 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/a',
  profileArn: 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/p',
  roleArn: ROLE,
}
const NOW = new Date('2026-01-02T03:04:05Z')

/** The answer that the User Guide shows, with one part replaced. */
function reply(change: { entry?: object; credentials?: object; user?: object; all?: object } = {}): Buffer {
  return Buffer.from(
    JSON.stringify({
      credentialSet: [
        {
          assumedRoleUser: {
            arn: 'arn:aws:sts::111122223333:assumed-role/Uploader/0a',
            assumedRoleId: 'AROAEXAMPLE:0a',
            ...change.user,
          },
          credentials: {
            accessKeyId: 'ASIAEXAMPLE',
            secretAccessKey: 'canary-secret',
            sessionToken: 'canary-token',
            expiration: '2026-01-02T04:04:05Z',
            ...change.credentials,
          },
          packedPolicySize: 10,
          roleArn: ROLE,
          sourceIdentity: 'CN=edge',
          ...change.entry,
        },
      ],
      subjectArn: 'arn:aws:rolesanywhere:eu-central-1:111122223333:subject/s',
      ...change.all,
    }),
  )
}

const parse = (body: Uint8Array) => parseCreateSessionReply(body, { now: NOW, roleArn: ROLE })

describe('formatCreateSessionRequest', () => {
  const format = (more: object) =>
    JSON.parse(Buffer.from(formatCreateSessionRequest({ ...REQUEST, ...more })).toString())

  it('names only what was asked for', () => {
    assert.deepEqual(format({}), REQUEST)
    const more = { durationSeconds: 900, roleSessionName: 'box-7@site' }
    assert.deepEqual(format(more), { ...REQUEST, ...more })
  })

  it('gives the same bytes for the same request', () => {
    assert.deepEqual(formatCreateSessionRequest(REQUEST), formatCreateSessionRequest({ ...REQUEST }))
  })

  it('accepts 900 to 43200 seconds', () => {
    for (const durationSeconds of [900, 3600, 43200])
      assert.equal(format({ durationSeconds }).durationSeconds, durationSeconds)
    for (const durationSeconds of [0, 899, 43201, 900.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => format({ durationSeconds }), { code: 'USAGE', message: /900 to 43200/ })
    }
  })

  it('accepts session names of 2 to 64 characters of the STS pattern', () => {
    for (const roleSessionName of ['ab', 'a'.repeat(64), '_+=,.@-'])
      assert.equal(format({ roleSessionName }).roleSessionName, roleSessionName)
    for (const roleSessionName of ['', 'a', 'a'.repeat(65), 'a b', 'a/b', 'ä1', 'ab\n']) {
      assert.throws(() => format({ roleSessionName }), { code: 'USAGE', message: /session name/ })
    }
  })
})

describe('parseCreateSessionReply', () => {
  it('reads credentials and the account', () => {
    assert.deepEqual(parse(reply()), {
      accessKeyId: 'ASIAEXAMPLE',
      secretAccessKey: 'canary-secret',
      sessionToken: 'canary-token',
      expiration: new Date('2026-01-02T04:04:05Z'),
      accountId: '111122223333',
    })
  })

  it('reads fractions of a second and offsets', () => {
    const expiration = (text: string) =>
      parse(reply({ credentials: { expiration: text } })).expiration.toISOString()
    assert.equal(expiration('2026-01-02T04:04:05.5Z'), '2026-01-02T04:04:05.500Z')
    assert.equal(expiration('2026-01-02T05:04:05+01:00'), '2026-01-02T04:04:05.000Z')
  })

  for (const [problem, body] of [
    ['nothing', Buffer.alloc(0)],
    ['no JSON', Buffer.from('<html>canary-secret</html>')],
    ['cut JSON', reply().subarray(0, -3)],
    [
      'bytes that are not UTF-8',
      Buffer.concat([Buffer.from('{"x":"'), Buffer.from([0xff]), Buffer.from('"}')]),
    ],
    ['null', Buffer.from('null')],
    ['a list', Buffer.from('[]')],
    ['no credentialSet', reply({ all: { credentialSet: undefined } })],
    ['a credentialSet that is no list', reply({ all: { credentialSet: { 0: {} } } })],
    ['an empty credentialSet', reply({ all: { credentialSet: [] } })],
    ['an entry that is null', reply({ all: { credentialSet: [null] } })],
    ['no credentials', reply({ entry: { credentials: undefined } })],
    ['credentials that are a text', reply({ entry: { credentials: 'canary-secret' } })],
    ['a number for a key id', reply({ credentials: { accessKeyId: 7 } })],
    ['an empty secret', reply({ credentials: { secretAccessKey: '' } })],
    ['a token with a line end', reply({ credentials: { sessionToken: 'canary-token\n' } })],
    ['no token', reply({ credentials: { sessionToken: null } })],
    ['no expiration', reply({ credentials: { expiration: undefined } })],
    ['a numeric expiration', reply({ credentials: { expiration: 1767326645 } })],
    ['an expiration in words', reply({ credentials: { expiration: 'tomorrow' } })],
    ['an expiration without a zone', reply({ credentials: { expiration: '2026-01-02T04:04:05' } })],
    ['an expiration on no day', reply({ credentials: { expiration: '2026-13-02T04:04:05Z' } })],
    ['credentials that expire now', reply({ credentials: { expiration: '2026-01-02T03:04:05Z' } })],
    ['credentials of another role', reply({ entry: { roleArn: `${ROLE}2` } })],
    ['credentials of no named role', reply({ entry: { roleArn: undefined } })],
    ['no assumed role', reply({ entry: { assumedRoleUser: undefined } })],
    ['an assumed role without an ARN', reply({ user: { arn: 'canary-secret' } })],
    [
      'an assumed role of another account',
      reply({ user: { arn: 'arn:aws:sts::999922223333:assumed-role/Uploader/0a' } }),
    ],
    ['a user instead of a role', reply({ user: { arn: 'arn:aws:iam::111122223333:user/bob' } })],
  ] as const) {
    it(`refuses ${problem}, without quoting it`, () => {
      assert.throws(
        () => parse(body),
        (error: unknown) => {
          assert(error instanceof HoldfastError)
          assert.equal(error.code, 'REPLY_INVALID')
          assert.doesNotMatch(inspect(error, { depth: 9 }), /canary/)
          return true
        },
      )
    })
  }

  it('names both times if the credentials have expired', () => {
    assert.throws(() => parse(reply({ credentials: { expiration: '2026-01-01T00:00:00Z' } })), {
      code: 'REPLY_INVALID',
      message: /2026-01-01T00:00:00.000Z.*2026-01-02T03:04:05.000Z.*clock/,
    })
  })

  it('answers any JSON with REPLY_INVALID', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        assert.throws(() => parse(Buffer.from(text)), { code: 'REPLY_INVALID' })
      }),
    )
  })
})
