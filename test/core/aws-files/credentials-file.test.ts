/** Profiles of the shared credentials file: what is written, what is taken away, and what is nobody's business. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import {
  dropExpired,
  hasLongLivedKey,
  setCredentials,
  verifyCredentialsProfile,
} from '../../../src/core/aws-files/credentials-file.js'
import type { Credentials } from '../../../src/core/credentials.js'
import { run } from '../../support/command.js'

const EXPIRATION = new Date('2026-01-02T03:04:05Z')
const CREDENTIALS: Credentials = {
  accessKeyId: 'ASIAEXAMPLE',
  secretAccessKey: 'se/cr+et=',
  sessionToken: 'to//ken==',
  expiration: EXPIRATION,
}
const KEYS = `aws_access_key_id = ASIAEXAMPLE
aws_secret_access_key = se/cr+et=
aws_session_token = to//ken==
`
const NOTE = '# holdfast update: ASIAEXAMPLE expires at 2026-01-02T03:04:05Z\n'
const GONE = '# holdfast update: ASIAEXAMPLE expired at 2026-01-02T03:04:05Z and was removed\n'

const set = (text: string) => setCredentials(text, 'edge', CREDENTIALS)
const drop = (text: string, now = EXPIRATION) => dropExpired(text, 'edge', now)

describe('setCredentials', () => {
  it('adds the profile to a file', () => {
    assert.equal(set(''), `[edge]\n${NOTE}${KEYS}`)
    assert.equal(set('[a]\nregion=x'), `[a]\nregion=x\n\n[edge]\n${NOTE}${KEYS}`)
  })

  it('renews what it wrote, and what AWS’s own helper wrote', () => {
    const renewed = setCredentials(set(''), 'edge', { ...CREDENTIALS, expiration: new Date(2e12) })
    assert.equal(renewed, `[edge]\n${NOTE.replace(/ at .*/, ' at 2033-05-18T03:33:20Z')}${KEYS}`)
    const helpers =
      '[edge]\naws_access_key_id = A\naws_secret_access_key = B\naws_session_token = C\nregion = x\n'
    assert.equal(set(helpers), `[edge]\n${NOTE}${KEYS}region = x\n`)
  })

  it('leaves a header alone that botocore takes for another profile', () => {
    assert.equal(set('[ edge ]\nregion=x\n'), `[ edge ]\nregion=x\n\n[edge]\n${NOTE}${KEYS}`)
  })
})

describe('dropExpired', () => {
  it('takes the three keys away once they have expired, and says so', () => {
    assert.equal(drop(`# c\n[edge]\n${NOTE}${KEYS}region = x\n`), `# c\n[edge]\n${GONE}region = x\n`)
  })

  it('leaves keys that have not expired', () => {
    assert.equal(drop(set(''), new Date(EXPIRATION.getTime() - 1)), set(''))
  })

  it('leaves keys that somebody else put in their place, of other profiles, and without a note', () => {
    for (const text of [
      set('').replace('_id = ASIAEXAMPLE', '_id = AKIAEXAMPLE'),
      setCredentials('', 'other', CREDENTIALS),
      `[edge]\n${KEYS}`,
      `[edge]\n${NOTE}`,
      `[edge]\n${NOTE.replace('2026-01-02T03:04:05Z', 'noon')}${KEYS}`,
    ]) {
      assert.equal(drop(text), text)
    }
  })

  it('does nothing more when it is done again', () => {
    assert.equal(drop(drop(set(''))), drop(set('')))
  })

  it('gives a file back as it was before the keys came, but for the note', () => {
    const line = fc.oneof(
      fc.constantFrom(
        '[edge]',
        '[a]',
        'region = x',
        '  nested = y',
        '# c',
        '; c',
        '',
        '\r',
        '\t',
        's3 =',
        'no',
      ),
      fc.string({ unit: 'grapheme', maxLength: 6 }).filter((text) => !/[=:\r\n]/.test(text)),
    )
    const texts = fc.array(fc.tuple(line, fc.constantFrom('\n', '\n', '\r\n')), { maxLength: 20 })
    fc.assert(
      fc.property(texts, (lines) => {
        const text = lines.flat().join('')
        const after = drop(set(text)).replace(/[^\r\n]*# holdfast update:[^\r\n]*\r?\n/, '')
        if (/^\[edge\]/m.test(text)) assert.equal(after, text)
        else assert.match(after.slice(text.length), /^(\r?\n)?\[edge\]\r?\n$/)
        assert.ok(after.startsWith(text))
      }),
    )
  })
})

describe('hasLongLivedKey', () => {
  const keys = (text: string) => hasLongLivedKey(`[edge]\n${text}`, 'edge')

  it('is true for a key without a session token', () => {
    assert.ok(keys('aws_access_key_id = AKIA\naws_secret_access_key = s\n'))
    assert.ok(keys('aws_secret_access_key = s\naws_session_token =\n'))
  })

  it('is false for one that expires, and where there is none', () => {
    assert.ok(!keys(KEYS))
    assert.ok(!keys('region = x\n#aws_access_key_id = AKIA\n'))
    assert.ok(!keys('aws_access_key_id =\naws_secret_access_key =\n'))
    assert.ok(!keys('[other]\naws_access_key_id = AKIA\n'))
  })
})

describe('verifyCredentialsProfile', () => {
  it('accepts names that every SDK can look up', () => {
    for (const name of ['default', 'work/edge', 'a@b.c']) verifyCredentialsProfile(name)
  })

  it('refuses others, and the section that Python gives to all', () => {
    for (const name of ['', 'a b', 'a]', 'a\nb', 'DEFAULT']) {
      assert.throws(() => verifyCredentialsProfile(name), { code: 'USAGE' })
    }
  })
})

describe('a credentials file', () => {
  it('is read by botocore’s parser and the AWS CLI', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-credentials-'))
    try {
      const file = join(folder, 'credentials')
      const others =
        '# mine\r\n[default]\r\naws_access_key_id=AKIA\r\naws_secret_access_key  :  x\r\n\r\n[edge]\r\nregion = eu-west-1'
      await writeFile(file, set(others))
      const env = { HOME: folder, AWS_SHARED_CREDENTIALS_FILE: file, AWS_CONFIG_FILE: '/dev/null' }
      const get = async (...words: string[]) => (await run('aws', ['configure', 'get', ...words], env)).trim()
      assert.equal(await get('aws_access_key_id', '--profile', 'edge'), 'ASIAEXAMPLE')
      assert.equal(await get('aws_secret_access_key', '--profile', 'edge'), 'se/cr+et=')
      assert.equal(await get('aws_session_token', '--profile', 'edge'), 'to//ken==')
      assert.equal(await get('region', '--profile', 'edge'), 'eu-west-1')
      assert.equal(await get('aws_secret_access_key'), 'x')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
