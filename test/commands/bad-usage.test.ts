/**
 * Command lines, PKCS#11 URIs and ARNs that cannot be meant: refused with status 2 before anything is opened.
 * The built program; it needs neither token nor server for that.
 */

import assert from 'node:assert/strict'
import type { ErrorCode } from '../../src/core/errors.js'
import { assertFailure } from '../support/outcome.js'
import { type ProgramResult, runHoldfast } from '../support/program.js'

type Flags = Readonly<Record<string, string | undefined>>

const ANCHOR = 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/a1'
const PROFILE = 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/p1'
const ROLE = 'arn:aws:iam::111122223333:role/path/edge'

/** Good flags; but there is no such module, and nobody listens at the endpoint. */
const FLAGS: Flags = {
  '--pkcs11-uri': 'pkcs11:token=edge',
  '--pkcs11-module': '/nonexistent.so',
  '--trust-anchor-arn': ANCHOR,
  '--profile-arn': PROFILE,
  '--role-arn': ROLE,
  '--endpoint': 'http://127.0.0.1:1',
}

const LONG = 'a'.repeat(100_000)

/**
 * Runs with {@link FLAGS}, some of them changed, added or (undefined) left out, and with more words behind. The
 * word canary stands for a secret, which must not be repeated.
 */
async function run(changes: Flags, words: readonly string[] = []): Promise<ProgramResult> {
  const flags = Object.entries({ ...FLAGS, ...changes }).flatMap(([flag, value]) =>
    value === undefined ? [] : [flag, value],
  )
  const result = await runHoldfast(['credential-process', ...flags, ...words], { timeoutMs: 30_000 })
  assert.doesNotMatch(result.stderr, /canary/)
  return result
}

function show(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}

describe('holdfast credential-process', () => {
  it('gets as far as the module with good flags', async () => {
    assertFailure(await run({}), 'MODULE_NOT_FOUND', 3)
  })

  describe('with words that cannot be meant', () => {
    const lines: [words: string[], says: RegExp][] = [
      [['--unknown'], /Unknown argument: unknown/],
      [['--region.name', 'x'], /Unknown argument: region\.name/],
      [['edge', 'west'], /Unknown argument: west/],
      [['--region'], /region/],
      [['--region', 'us-east-1', '--region', 'us-east-2'], /--region is given twice/],
      [['--pkcs11-lib', '/other.so'], /--pkcs11-(module|lib) is given twice/],
      [['--no-region'], /--no-region means nothing/],
      [['--verify-ssl=maybe'], /--verify-ssl is true or false/],
      [['--pin-guard', 'perhaps'], /pin-guard.*"on", "off"/],
      [[''], /name is empty/],
    ]
    for (const [words, says] of lines) {
      it(`refuses ${words.join(' ') || 'an empty name'}`, async () => {
        assertFailure(await run({}, words), 'USAGE', 2, says)
      })
    }
  })

  describe('with values that cannot be meant', () => {
    const values: [changes: Flags, says: RegExp][] = [
      [{ '--region': '' }, /region is empty/],
      [{ '--pkcs11-uri': '' }, /pkcs11-uri is empty/],
      [{ '--role-arn': '' }, /role-arn is empty/],
      [{ '--role-arn': undefined }, /--role-arn is missing/],
      [{ '--pkcs11-uri': undefined }, /no key is named/],
      [{ '--region': 'mars-1', '--endpoint': undefined }, /mars-1.*not the name of an AWS region/],
      [{ '--region': 'eu-central-1/../x' }, /not the name of an AWS region/],
      [{ '--session-duration': '899' }, /900 to 43200/],
      [{ '--session-duration': '1000000000' }, /900 to 43200/],
      [{ '--session-duration': 'hour' }, /--session-duration must be a whole number/],
      [{ '--timeout': '0' }, /timeout must be a whole number/],
      [{ '--timeout': '-1' }, /timeout must be a whole number/],
      [{ '--timeout': '1.5' }, /timeout must be a whole number/],
      [{ '--timeout': '1000000000' }, /timeout must be a whole number of seconds, from 1 to 86400/],
      [
        { '--token-timeout': '1000000000' },
        /token-timeout must be a whole number of seconds, from 1 to 86400/,
      ],
      [{ '--token-timeout': 'Infinity' }, /token-timeout must be a whole number/],
      [{ '--role-session-name': 'a b' }, /role session name/],
      [{ '--role-session-name': LONG }, /2 to 64 characters/],
      [{ '--private-key': '/key.pem' }, /two sources/],
      [{ '--pkcs11-uri': undefined, '--private-key': '/key.pem' }, /needs its certificate in a file/],
      [{ '--endpoint': 'http://example.com' }, /must begin with https/],
      [{ '--endpoint': 'https://127.0.0.1/prefix' }, /must have no path/],
      [{ '--endpoint': 'https://user:canary@127.0.0.1' }, /must not hold a user name or password/],
      [{ '--endpoint': 'ftp://127.0.0.1' }, /must begin with https/],
      [{ '--endpoint': 'nowhere' }, /is not a URL/],
      [{ '--config': '/config.toml' }, /--config is of use only with the name of an identity/],
    ]
    for (const [changes, says] of values) {
      it(`refuses ${show(JSON.stringify(changes))}`, async () => {
        assertFailure(await run(changes), 'USAGE', 2, says)
      })
    }
  })

  describe('with a PKCS#11 URI that cannot be meant', () => {
    const uris: [uri: string, says: RegExp, code?: ErrorCode][] = [
      ['pkcs11:token', /position 7: an attribute needs a "="/],
      ['pkcs11:;token=a', /position 7/],
      ['pkcs11:token=a%2', /position 14: "%" needs two hexadecimal digits/],
      ['pkcs11:token=%FF', /not UTF-8/],
      ['pkcs11:token=a%00', /NUL/],
      ['pkcs11:token=a;token=b', /token is given twice/],
      ['pkcs11:Token=a', /write token in lowercase/],
      ['pkcs11:token=a b', /position 14: a blank in a value is written %20/],
      ['pkcs11:token=a;x=ü', /percent-encoded/],
      ['pkcs11:token=a;type=secret-key', /type=secret-key, .*leave the type out/],
      ['pkcs11:pin-source=/pin', /belongs after the "\?"/],
      ['pkcs11:token=a;type=key', /for type:/],
      ['pkcs11:token=a;x-owner=me', /for x-owner:/],
      [`pkcs11:token=${'a'.repeat(33)}`, /for token: .* too long/],
      [`pkcs11:token=${LONG}`, /too long/],
      ['pkcs11:slot-id=x', /slot-id is a decimal number/],
      ['pkcs11:library-version=1.x', /library-version/],
      ['pkcs12:token=a', /needs its certificate|starts with "pkcs11:"/, 'USAGE'],
      ['pkcs11:token=a?pin-source=/a&pin-value=canary', /exclude each other/],
      ['pkcs11:token=a?pin-source=%7Ccat%20/etc/canary', /commands .* are not run/],
      ['pkcs11:token=a?pin-source=http://host/pin', /only file: URIs and paths/],
      ['pkcs11:token=a?pin-source=file:pin', /file:\/ABSOLUTE\/PATH/],
    ]
    for (const [uri, says, code = 'URI_INVALID'] of uris) {
      it(`refuses ${show(uri)}`, async () => {
        assertFailure(await run({ '--pkcs11-uri': uri }), code, 2, says)
      })
    }

    it('loads no module that a URI names, without leave', async () => {
      for (const query of ['module-path=/usr/lib/softhsm/libsofthsm2.so', 'module-name=softhsm2']) {
        const changes = { '--pkcs11-uri': `pkcs11:token=a?${query}`, '--pkcs11-module': undefined }
        assertFailure(await run(changes), 'USAGE', 2, /--allow-uri-module/)
      }
    })

    it('refuses two sources of the PIN', async () => {
      const changes = { '--pkcs11-uri': 'pkcs11:token=a?pin-source=/a', '--pin-file': '/b' }
      assertFailure(await run(changes), 'USAGE', 2, /the PIN has two sources, --pin-file and pin-source/)
    })
  })

  describe('with ARNs that cannot be meant', () => {
    const arns: [changes: Flags, says: RegExp][] = [
      [{ '--role-arn': ANCHOR }, /the ARN of a trust anchor, which belongs in --trust-anchor-arn/],
      [
        { '--trust-anchor-arn': PROFILE },
        /the ARN of a Roles Anywhere profile, which belongs in --profile-arn/,
      ],
      [{ '--profile-arn': ROLE }, /the ARN of an IAM role, which belongs in --role-arn/],
      [{ '--role-arn': 'role/edge' }, /not an ARN/],
      [{ '--role-arn': 'arn:aws:iam::1111:role/edge' }, /twelve digits/],
      [{ '--role-arn': 'arn:aws:iam::111122223333:user/edge' }, /iam:user/],
      [{ '--role-arn': `${ROLE} ` }, /blank/],
      [{ '--role-arn': `${ROLE}${LONG}` }, /longer than 1011 characters/],
      [{ '--role-arn': ROLE.replace('111122223333', '999999999999') }, /one account/],
      [{ '--profile-arn': PROFILE.replace('eu-central-1', 'us-east-1') }, /one region/],
      [{ '--role-arn': ROLE.replace('arn:aws:', 'arn:aws-cn:') }, /one partition/],
      [
        {
          '--trust-anchor-arn': ANCHOR.replace('arn:aws:', 'arn:aws-cn:'),
          '--profile-arn': PROFILE.replace('arn:aws:', 'arn:aws-cn:'),
          '--role-arn': ROLE.replace('arn:aws:', 'arn:aws-cn:'),
        },
        /eu-central-1 belongs to partition "aws"/,
      ],
    ]
    for (const [changes, says] of arns) {
      it(`refuses ${show(JSON.stringify(changes))}`, async () => {
        assertFailure(await run(changes), 'ARN_INVALID', 2, says)
      })
    }
  })
})
