/** Public keys from what tokens show of them, in each of the forms in which they do. */

import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { findPublicKey } from '../../../src/core/pkcs11/public-key.js'
import { formatElement, readElement, readElements, TAG } from '../../../src/core/x509/der.js'
import { describeKeyType } from '../../../src/core/x509/key-type.js'

const spki = (key: KeyObject) => new Uint8Array(key.export({ format: 'der', type: 'spki' }))
const number = (text = '') => Buffer.from(text, 'base64url')

/** CKA_EC_PARAMS, and the point without an encoding around it. */
function readEc(publicKey: Uint8Array) {
  const [algorithm, bits] = readElements(readElement(publicKey).content)
  return { ecParams: readElements(algorithm!.content)[1]!.whole, point: bits!.content.subarray(1) }
}

describe('findPublicKey', () => {
  for (const namedCurve of ['P-256', 'P-384', 'P-521']) {
    it(`finds a key on ${namedCurve} in each form of its point`, () => {
      const expected = spki(generateKeyPairSync('ec', { namedCurve }).publicKey)
      const { ecParams, point } = readEc(expected)
      const bitString = formatElement(TAG.bitString, Uint8Array.of(0), point)
      for (const ecPoint of [point, formatElement(TAG.octetString, point), bitString]) {
        assert.deepEqual(new Uint8Array(findPublicKey({ ecParams, ecPoint })!), expected)
      }
      assert.deepEqual(new Uint8Array(findPublicKey({ publicKeyInfo: expected })!), expected)
    })
  }

  it('finds an RSA key, with leading zeros and without', () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const { n, e } = publicKey.export({ format: 'jwk' })
    for (const zeros of [Buffer.alloc(0), Buffer.alloc(1)]) {
      const modulus = Buffer.concat([zeros, number(n)])
      const found = findPublicKey({ modulus, publicExponent: number(e) })
      assert.ok(createPublicKey({ key: Buffer.from(found!), format: 'der', type: 'spki' }).equals(publicKey))
    }
  })

  it('finds none where too little is shown, or what is no key', () => {
    const { ecParams, point } = readEc(spki(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey))
    const beside = Uint8Array.from(point)
    beside[64]! ^= 1
    for (const attributes of [
      {},
      { publicKeyInfo: new Uint8Array() },
      { publicKeyInfo: Uint8Array.of(1, 2) },
      { modulus: Buffer.alloc(256, 1) },
      { ecParams },
      { ecPoint: point },
      { ecParams, ecPoint: point.subarray(1) },
      { ecParams, ecPoint: beside },
      { ecParams: Uint8Array.of(6, 1, 1), ecPoint: point },
    ]) {
      assert.equal(findPublicKey(attributes), undefined, JSON.stringify(attributes))
    }
  })
})

describe('describeKeyType', () => {
  const types: [string, KeyObject][] = [
    ['p-256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey],
    ['p-521', generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey],
    ['rsa-2048', generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey],
    ['unknown', generateKeyPairSync('ed25519').publicKey],
    ['unknown', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey],
  ]
  for (const [type, key] of types) {
    it(`calls ${key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType} ${type}`, () => {
      assert.equal(describeKeyType(spki(key)), type)
    })
  }
})
