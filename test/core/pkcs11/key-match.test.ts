/** Public attributes as tokens show them, against the public key of a certificate. */

import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { compareKey, type PublicAttributes } from '../../../src/core/pkcs11/key-match.js'
import { type Certificate, parseCertificate } from '../../../src/core/x509/certificate.js'
import { element, handmadeCertificate, integer, oid, sequence } from '../../support/handmade-certificate.js'

const spki = (key: KeyObject) => key.export({ format: 'der', type: 'spki' })
const certificateOf = (publicKeyInfo: Uint8Array) => parseCertificate(handmadeCertificate({ publicKeyInfo }))
const base64url = (text: string | undefined) => Buffer.from(text ?? assert.fail(), 'base64url')
const CURVES = {
  'P-256': Buffer.from('06082a8648ce3d030107', 'hex'),
  'P-384': Buffer.from('06052b81040022', 'hex'),
  'P-521': Buffer.from('06052b81040023', 'hex'),
}
const NULL = Buffer.of(5, 0)

/** The uncompressed point. */
function pointOf(key: KeyObject): Buffer {
  const { x, y } = key.export({ format: 'jwk' })
  return Buffer.concat([Buffer.of(4), base64url(x), base64url(y)])
}

function checks(certificate: Certificate) {
  const expect = (result: string) => (what: string, key: PublicAttributes) =>
    it(`says ${result} for ${what}`, () => assert.equal(compareKey(certificate, key), result))
  return { same: expect('same'), different: expect('different'), unknown: expect('unknown') }
}

describe('compareKey', () => {
  for (const [namedCurve, ecParams] of Object.entries(CURVES)) {
    describe(`with a certificate for ${namedCurve}`, () => {
      const { publicKey } = generateKeyPairSync('ec', { namedCurve })
      const { publicKey: otherKey } = generateKeyPairSync('ec', { namedCurve })
      const { same, different } = checks(certificateOf(spki(publicKey)))
      const otherCurve = namedCurve === 'P-256' ? CURVES['P-384'] : CURVES['P-256']
      for (const [form, encode] of [
        ['an OCTET STRING', (point: Buffer) => element(4, point)],
        ['raw', (point: Buffer) => point],
        ['a BIT STRING', (point: Buffer) => element(3, Buffer.of(0), point)],
      ] as const) {
        const ecPoint = encode(pointOf(publicKey))
        same(`its point, ${form}`, { ecPoint, ecParams })
        same(`its point, ${form}, of a curve that is not shown`, { ecPoint })
        different(`its point, ${form}, on another curve`, { ecPoint, ecParams: otherCurve })
        different(`another point, ${form}`, { ecPoint: encode(pointOf(otherKey)), ecParams })
        different(`its point, ${form}, with a byte behind it`, {
          ecPoint: Buffer.concat([ecPoint, Buffer.of(0)]),
          ecParams,
        })
        different(`its point, ${form}, cut off`, { ecPoint: ecPoint.subarray(0, -1), ecParams })
      }
      different('the point twice packed', { ecPoint: element(4, element(4, pointOf(publicKey))) })
      different('an RSA key', { modulus: Buffer.alloc(256, 1), publicExponent: Buffer.of(1, 0, 1) })
    })
  }

  describe('with a certificate for P-256', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { publicKey: otherKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { same, different, unknown } = checks(certificateOf(spki(publicKey)))
    const point = pointOf(publicKey)

    same('its public key info', { publicKeyInfo: spki(publicKey) })
    different('another public key info', { publicKeyInfo: spki(otherKey) })
    different('the public key info of an RSA key', {
      publicKeyInfo: spki(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey),
    })
    const compressed = Buffer.concat([Buffer.of(2 + (point[64]! & 1)), point.subarray(1, 33)])
    same('its public key info with the point compressed', {
      publicKeyInfo: sequence(
        sequence(oid('2a8648ce3d0201'), CURVES['P-256']),
        element(3, Buffer.of(0), compressed),
      ),
    })
    same('its point beside a public key info that is broken', { publicKeyInfo: Buffer.of(1), ecPoint: point })
    different('another point beside a public key info that is broken', {
      publicKeyInfo: Buffer.of(1),
      ecPoint: pointOf(otherKey),
    })

    unknown('nothing', {})
    unknown('attributes that are undefined', {
      publicKeyInfo: undefined,
      modulus: undefined,
      ecPoint: undefined,
    })
    unknown('attributes that are empty', {
      publicKeyInfo: Buffer.alloc(0),
      modulus: Buffer.alloc(0),
      publicExponent: Buffer.alloc(0),
      ecParams: Buffer.alloc(0),
      ecPoint: Buffer.alloc(0),
    })
    unknown('a curve without a point', { ecParams: CURVES['P-256'] })
    unknown('a public exponent without a modulus', { publicExponent: Buffer.of(1, 0, 1) })
    unknown('a public key info that is broken', { publicKeyInfo: Buffer.from('3000', 'hex') })
  })

  describe('with a certificate for RSA', () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const { n, e } = publicKey.export({ format: 'jwk' })
    const [modulus, publicExponent] = [base64url(n), base64url(e)]
    const padded = (bytes: Buffer) => Buffer.concat([Buffer.of(0, 0), bytes])
    const other = Buffer.from(modulus)
    other[0]! ^= 1
    const { same, different, unknown } = checks(certificateOf(spki(publicKey)))

    same('its modulus and exponent', { modulus, publicExponent })
    same('its modulus with leading zeros', { modulus: padded(modulus), publicExponent })
    same('its exponent with leading zeros', { modulus, publicExponent: padded(publicExponent) })
    same('its modulus alone', { modulus })
    different('another modulus', { modulus: other, publicExponent })
    different('another modulus alone', { modulus: other })
    different('another exponent', { modulus, publicExponent: Buffer.of(3) })
    different('a modulus with a zero at its end', {
      modulus: Buffer.concat([modulus, Buffer.of(0)]),
      publicExponent,
    })
    different('a modulus of zeros', { modulus: Buffer.alloc(256), publicExponent })
    different('an EC key', { ecPoint: Buffer.alloc(65, 4), ecParams: CURVES['P-256'] })
    unknown('its exponent alone', { publicExponent })
    same('its public key info without the NULL of the algorithm', {
      publicKeyInfo: sequence(
        sequence(oid('2a864886f70d010101')),
        element(3, Buffer.of(0), publicKey.export({ format: 'der', type: 'pkcs1' })),
      ),
    })
    different('another public key info', {
      publicKeyInfo: sequence(
        sequence(oid('2a864886f70d010101'), NULL),
        element(3, Buffer.of(0), sequence(integer(BigInt(`0x${other.toString('hex')}`)), integer(65537n))),
      ),
    })
  })

  describe('with a certificate for Ed25519', () => {
    const { publicKey } = generateKeyPairSync('ed25519')
    const { same, different } = checks(certificateOf(spki(publicKey)))
    same('its public key info', { publicKeyInfo: spki(publicKey) })
    different('an EC key', { ecPoint: Buffer.alloc(65, 4), ecParams: CURVES['P-256'] })
    different('an RSA key', { modulus: Buffer.alloc(256, 1) })
  })

  it('goes by the public key info where other attributes say something else', () => {
    const [one, two] = [1, 2].map(() => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)
    const certificate = certificateOf(spki(one!))
    assert.equal(compareKey(certificate, { publicKeyInfo: spki(one!), ecPoint: pointOf(two!) }), 'same')
    assert.equal(compareKey(certificate, { publicKeyInfo: spki(two!), ecPoint: pointOf(one!) }), 'different')
  })

  it('reads attributes that are no Buffers', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const certificate = certificateOf(
      spki(createPublicKey(publicKey.export({ format: 'pem', type: 'spki' }))),
    )
    assert.equal(compareKey(certificate, { ecPoint: new Uint8Array(pointOf(publicKey)) }), 'same')
    assert.equal(compareKey(certificate, { publicKeyInfo: new Uint8Array(spki(publicKey)) }), 'same')
  })

  it('throws KEY_UNSUPPORTED for a certificate whose key cannot be read', () => {
    const certificate = certificateOf(sequence())
    assert.throws(() => compareKey(certificate, { modulus: Buffer.of(1) }), { code: 'KEY_UNSUPPORTED' })
  })
})
