/** Damaged certificates: whatever a byte of one says, the answer is a certificate or one of our own errors. */

import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { HoldfastError } from '../../../src/core/errors.js'
import { compareKey } from '../../../src/core/pkcs11/key-match.js'
import {
  type Certificate,
  parseCertificate,
  signingAlgorithmOf,
  verifyEndEntity,
} from '../../../src/core/x509/certificate.js'
import { findChain } from '../../../src/core/x509/chain.js'
import {
  commonName,
  DIGITAL_SIGNATURE,
  element,
  extension,
  handmadeCertificate,
  integer,
  oid,
  sequence,
} from '../../support/handmade-certificate.js'

describe('a damaged certificate', () => {
  // Extensions of every kind that is read, and RSASSA-PSS parameters.
  const whole = handmadeCertificate({
    serialNumber: integer(2n ** 158n + 1n),
    issuer: commonName('edge'),
    extensions: [
      DIGITAL_SIGNATURE,
      extension('551d13', sequence(element(1, Buffer.of(0xff))), { critical: true }),
      extension('2a0304', Buffer.of(5, 0), { critical: true }),
    ],
  })
  const issuer = parseCertificate(whole)
  const rsaKey = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
  const pssParameters = sequence(element(0xa0, sequence(oid('608648016503040201'), Buffer.of(5, 0))))
  const rsa = handmadeCertificate({
    algorithm: sequence(oid('2a864886f70d01010a'), pssParameters),
    publicKeyInfo: rsaKey.export({ format: 'der', type: 'spki' }),
    extensions: [],
  })
  const clock = { now: new Date('2026-06-01T00:00:00Z'), buildDate: new Date('2026-01-01T00:00:00Z') }

  /** Parses `der`; whatever is thrown, then and by what uses the certificate, is one of our own errors. */
  function probe(der: Uint8Array): 'parsed' | 'refused' {
    let certificate: Certificate
    try {
      certificate = parseCertificate(der)
    } catch (error) {
      assert.ok(error instanceof HoldfastError, String(error))
      assert.equal(error.code, 'CERTIFICATE_INVALID')
      return 'refused'
    }
    for (const use of [
      () => verifyEndEntity(certificate, clock),
      () => signingAlgorithmOf(certificate),
      () => compareKey(certificate, { modulus: Buffer.of(1), publicExponent: Buffer.of(3) }),
      () => compareKey(certificate, { ecPoint: Buffer.of(4, 1, 1), ecParams: Buffer.of(6, 0) }),
      () => findChain(certificate, [issuer]),
    ]) {
      try {
        use()
      } catch (error) {
        assert.ok(error instanceof HoldfastError, String(error))
      }
    }
    // Where OpenSSL reads it as well, both read the same.
    const openssl = tolerantX509(der)
    if (openssl !== undefined) {
      const { serialNumber } = openssl
      const number = serialNumber.startsWith('-')
        ? -BigInt(`0x${serialNumber.slice(1)}`)
        : BigInt(`0x${serialNumber}`)
      assert.equal(certificate.serialNumber, number)
      if (!openssl.validTo.startsWith('Bad')) {
        assert.equal(certificate.notAfter.getTime(), Date.parse(openssl.validTo), openssl.validTo)
      }
    }
    return 'parsed'
  }

  function tolerantX509(der: Uint8Array): X509Certificate | undefined {
    try {
      return new X509Certificate(der)
    } catch {
      return undefined
    }
  }

  it('is one before the damage', () => {
    assert.equal(probe(whole), 'parsed')
    assert.equal(probe(rsa), 'parsed')
  })

  it('is refused wherever it is cut off', () => {
    for (const der of [whole, rsa]) {
      for (let length = 0; length < der.length; length++) {
        assert.equal(probe(der.subarray(0, length)), 'refused', `${length} bytes`)
      }
    }
  })

  it('is parsed or refused, whichever byte is another', () => {
    const counts = { parsed: 0, refused: 0 }
    for (const der of [whole, rsa]) {
      for (let offset = 0; offset < der.length; offset++) {
        for (const byte of [0x00, der[offset]! ^ 1, der[offset]! ^ 0x80]) {
          const damaged = Buffer.from(der)
          damaged[offset] = byte
          counts[probe(damaged)]++
        }
      }
    }
    assert.ok(counts.parsed > 100 && counts.refused > 100, JSON.stringify(counts))
  })

  it('is parsed or refused, whatever is changed, taken out or put in', () => {
    const edit = fc.record({
      offset: fc.nat(whole.length),
      remove: fc.nat(8),
      insert: fc.uint8Array({ maxLength: 8 }),
    })
    fc.assert(
      fc.property(
        fc.constantFrom(whole, rsa),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        (der, edits) => {
          let damaged = der
          for (const { offset, remove, insert } of edits) {
            damaged = Buffer.concat([damaged.subarray(0, offset), insert, damaged.subarray(offset + remove)])
          }
          probe(damaged)
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('is parsed or refused, whatever a field holds', () => {
    const junk = fc.uint8Array({ maxLength: 40 })
    const any = fc.tuple(fc.constantFrom(1, 2, 3, 4, 5, 6, 0x17, 0x18, 0x30, 0x31, 0xa0), junk)
    const field = any.map(([tag, content]) => element(tag, content))
    const names = ['serialNumber', 'algorithm', 'subject', 'issuer', 'notAfter', 'publicKeyInfo'] as const
    fc.assert(
      fc.property(fc.constantFrom(...names), field, (name, value) => {
        probe(handmadeCertificate({ [name]: value }))
      }),
      { numRuns: 400 },
    )
    fc.assert(
      fc.property(fc.constantFrom('551d0f', '551d13'), fc.oneof(junk, field), (extensionOid, value) => {
        probe(handmadeCertificate({ extensions: [extension(extensionOid, value)] }))
      }),
      { numRuns: 400 },
    )
  })
})
