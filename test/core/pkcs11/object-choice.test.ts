/** Which key or certificate is meant among those that were listed. */

import assert from 'node:assert/strict'
import type { KeyFacts } from '../../../src/core/pkcs11/admin-protocol.js'
import { findKeyFaults } from '../../../src/core/pkcs11/key-facts.js'
import {
  chooseCertificate,
  chooseKey,
  nameObject,
  readStored,
} from '../../../src/core/pkcs11/object-choice.js'
import { createAuthority, createFileKey } from '../../support/certificates.js'

const key = (changes: Partial<KeyFacts> = {}): KeyFacts => ({
  uri: `pkcs11:id=%${changes.id ?? '01'}`,
  id: '01',
  label: 'a',
  type: 'p-256',
  isPrivate: true,
  attributes: {},
  ...changes,
})

describe('chooseKey', () => {
  it('takes the only one, and lists several', () => {
    assert.equal(chooseKey([key()]).id, '01')
    assert.throws(() => chooseKey([]), { code: 'KEY_NOT_FOUND' })
    assert.throws(() => chooseKey([key(), key({ id: '02' })]), {
      code: 'KEY_AMBIGUOUS',
      message: /id=%01, pkcs11:id=%02/,
    })
  })
})

describe('chooseCertificate', () => {
  const store = (der: Uint8Array, label: string) => ({
    uri: `pkcs11:object=${label}`,
    id: '01',
    label,
    der: Buffer.from(der).toString('base64'),
  })
  async function readAll() {
    const authority = await createAuthority()
    const { publicKey } = await createFileKey('P-256')
    const leaf = async (serialNumber: string) =>
      store(await authority.issue(publicKey, { serialNumber }), serialNumber)
    const garbage = store(Uint8Array.of(1), 'garbage')
    return { ca: store(authority.certificate, 'ca'), one: await leaf('0a'), two: await leaf('00ff'), garbage }
  }

  it('takes the one that is no CA’s, and a CA’s where nothing else is', async () => {
    const { ca, one, garbage } = await readAll()
    assert.equal(chooseCertificate(readStored([ca, one, garbage]), undefined).stored, one)
    assert.equal(chooseCertificate(readStored([ca]), undefined).stored, ca)
    assert.equal(chooseCertificate(readStored([garbage]), undefined).certificate, undefined)
  })

  it('tells two by their serial number, however that is written', async () => {
    const { one, two, garbage } = await readAll()
    const read = readStored([garbage, one, two])
    assert.throws(() => chooseCertificate(read, undefined), {
      code: 'CERTIFICATE_AMBIGUOUS',
      message: /--serial/,
    })
    for (const serial of ['ff', 'FF', '00:ff', '00ff'])
      assert.equal(chooseCertificate(read, serial).stored, two)
    assert.throws(() => chooseCertificate(read, 'fe'), { code: 'CERTIFICATE_NOT_FOUND' })
    for (const serial of ['f', '255x', '', '0x0a'])
      assert.throws(() => chooseCertificate(read, serial), { code: 'USAGE' })
  })
})

describe('nameObject', () => {
  it('shows label and id on one line', () => {
    assert.equal(nameObject('key', key({ label: 'a"\u001b' })), 'key "a\\"\\u001b" (id 01)')
    assert.equal(nameObject('key', key({ id: '' })), 'key "a" (id none)')
  })
})

describe('findKeyFaults', () => {
  it('has nothing to say of a key that only signs, or of which nothing is told', () => {
    const good = {
      extractable: false,
      sensitive: true,
      neverExtractable: true,
      alwaysSensitive: true,
      local: true,
    }
    assert.deepEqual(findKeyFaults(key({ attributes: { ...good, sign: true, decrypt: false } })), [])
    assert.deepEqual(findKeyFaults(key()), [])
  })
  it('says what a key can that it should not', () => {
    const faults = findKeyFaults(
      key({ attributes: { extractable: true, sign: false, decrypt: true, local: false } }),
    )
    assert.deepEqual(faults, [
      'it can be taken out of the token',
      'it was made outside the token',
      'it may not sign',
      'it may decrypt as well as sign',
    ])
  })
})
