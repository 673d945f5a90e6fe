/** What is known of an enrolment between its steps. */

import assert from 'node:assert/strict'
import {
  chooseIssued,
  type EnrolmentRecord,
  formatIdentityUri,
  keySettings,
  mayBeSameKey,
  NO_ENROLMENT,
  parseEnrolmentRecord,
  parseTimeSpan,
} from '../../../src/core/enroll/enrolment.js'
import { parseCertificate } from '../../../src/core/x509/certificate.js'
import { createAuthority, createFileKey } from '../../support/certificates.js'

describe('parseEnrolmentRecord', () => {
  const PAIR = { uri: 'pkcs11:token=a;id=%01', certificate: 'AA==' }
  const FULL: EnrolmentRecord = {
    version: 1,
    unfinished: { kind: 'renew', wish: 'a key', token: 'pkcs11:token=a', keyLabel: 'a-1', former: PAIR },
    replaced: [{ ...PAIR, certificateFile: '/a.pem', keyStays: true }],
  }
  for (const record of [NO_ENROLMENT, FULL]) {
    it(`gives back ${JSON.stringify(record).length} characters`, () => {
      assert.deepEqual(parseEnrolmentRecord(JSON.stringify(record), 'edge.json'), record)
    })
  }

  for (const [what, text] of [
    ['nothing', ''],
    ['half a record', JSON.stringify(FULL).slice(0, -9)],
    ['another version', JSON.stringify({ ...FULL, version: 2 })],
    ['another kind', JSON.stringify({ ...FULL, unfinished: { ...FULL.unfinished, kind: 'x' } })],
    ['a number for a text', JSON.stringify({ ...FULL, unfinished: { ...FULL.unfinished, keyUri: 1 } })],
    ['no list', JSON.stringify({ version: 1 })],
    ['null', 'null'],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => parseEnrolmentRecord(text, 'edge.json'), {
        code: 'FILE_UNREADABLE',
        message: /^edge\.json/,
      })
    })
  }
})

describe('chooseIssued', () => {
  it('finds the certificate of the key, the newer of two, and the intermediates in their order', async () => {
    const root = await createAuthority()
    const upper = await root.intermediate('Upper')
    const lower = await upper.intermediate('Lower')
    const key = await createFileKey('P-256')
    const older = await lower.issue(key.publicKey, { notBefore: new Date(Date.now() - 3 * 86_400_000) })
    const newer = await lower.issue(key.publicKey)
    const all = [older, root.certificate, upper.certificate, newer, lower.certificate].map(parseCertificate)
    const { leaf, chain } = chooseIssued(all, key.publicKey)
    assert.deepEqual(
      [leaf, ...chain].map(({ der }) => der),
      [newer, lower.certificate, upper.certificate],
    )
  })

  it('refuses certificates of other keys, and one of a CA', async () => {
    const authority = await createAuthority()
    const key = await createFileKey('P-256')
    const other = parseCertificate(await authority.issue((await createFileKey('P-256')).publicKey))
    const ca = parseCertificate(await authority.issue(key.publicKey, { ca: true }))
    for (const certificates of [[], [other], [ca]]) {
      assert.throws(() => chooseIssued(certificates, key.publicKey), { code: 'KEY_MISMATCH' })
    }
  })
})

describe('formatIdentityUri', () => {
  const KEY =
    'pkcs11:model=SoftHSM%20v2;manufacturer=x;serial=abc;token=edge;id=%02;object=edge-1;type=private'
  for (const [token, key, expected] of [
    ['pkcs11:token=edge', KEY, 'pkcs11:token=edge;id=%02'],
    [
      'pkcs11:token=edge;id=%01;object=old;type=cert?pin-source=file:/p',
      KEY,
      'pkcs11:token=edge;id=%02?pin-source=file:/p',
    ],
    ['pkcs11:serial=abc?module-path=/m&pin-value=canary', KEY, 'pkcs11:serial=abc;id=%02?module-path=/m'],
    ['pkcs11:token=edge', 'pkcs11:token=edge;object=k;type=private', 'pkcs11:token=edge;object=k'],
  ] as const) {
    it(`makes ${expected}`, () => assert.equal(formatIdentityUri(token, key), expected))
  }
})

describe('mayBeSameKey', () => {
  const KEY = 'pkcs11:serial=abc;token=edge;id=%02;object=edge-1;type=private'
  for (const other of [
    'pkcs11:token=edge;id=%02',
    'pkcs11:id=%02?pin-source=/p',
    'pkcs11:token=edge',
    'pkcs11:object=edge-1',
    'pkcs11:id=%02;object=else',
  ]) {
    it(`cannot rule out ${other}`, () => assert.ok(mayBeSameKey(KEY, other)))
  }
  for (const other of [
    'pkcs11:token=other;id=%02',
    'pkcs11:serial=def;id=%02',
    'pkcs11:id=%03',
    'pkcs11:object=edge-2',
  ]) {
    it(`rules out ${other}`, () => assert.ok(!mayBeSameKey(KEY, other)))
  }
})

describe('keySettings', () => {
  it('names the key, its certificate if that is a file, and no key in a file', () => {
    assert.deepEqual(keySettings('u', 'f'), { 'pkcs11-uri': 'u', certificate: 'f', 'private-key': undefined })
    assert.deepEqual(keySettings('u', undefined).certificate, undefined)
  })
})

describe('parseTimeSpan', () => {
  for (const [text, milliseconds] of [
    ['30d', 30 * 86_400_000],
    ['12h', 12 * 3_600_000],
    ['90m', 90 * 60_000],
    ['0d', 0],
  ] as const) {
    it(`reads ${text}`, () => assert.equal(parseTimeSpan(text, '--x'), milliseconds))
  }
  for (const text of ['', '30', 'd', '-1d', '1.5d', '30 d', '1w', '999999d']) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseTimeSpan(text, '--x'), { code: 'USAGE', message: /--x/ })
    })
  }
})
