/** Mechanisms of PKCS#11: which is chosen, and that each gives the signature that node:crypto verifies. */

import assert from 'node:assert/strict'
import { constants, createHash, generateKeyPairSync, privateEncrypt, sign, verify } from 'node:crypto'
import { findMechanism } from '../../../src/core/pkcs11/mechanism.js'

const RSA = 'AWS4-X509-RSA-SHA256'
const ECDSA = 'AWS4-X509-ECDSA-SHA256'
const CKM = { RSA_PKCS: 0x1, SHA256_RSA_PKCS: 0x40, SHA1_RSA_PKCS: 0x6, ECDSA: 0x1041, ECDSA_SHA256: 0x1044 }
const message = Buffer.from('what is signed')

describe('findMechanism', () => {
  for (const [algorithm, available, chosen] of [
    [RSA, [CKM.RSA_PKCS, CKM.SHA256_RSA_PKCS], CKM.SHA256_RSA_PKCS],
    [RSA, [CKM.SHA1_RSA_PKCS, CKM.RSA_PKCS, CKM.ECDSA], CKM.RSA_PKCS],
    [ECDSA, [CKM.ECDSA_SHA256, CKM.ECDSA], CKM.ECDSA],
    [ECDSA, [CKM.RSA_PKCS, CKM.ECDSA_SHA256], CKM.ECDSA_SHA256],
    [RSA, [CKM.ECDSA, CKM.ECDSA_SHA256, CKM.SHA1_RSA_PKCS], undefined],
    [ECDSA, [CKM.RSA_PKCS, CKM.SHA256_RSA_PKCS], undefined],
    [RSA, [], undefined],
    [ECDSA, [], undefined],
  ] as const) {
    const offered = available.map((number) => `0x${number.toString(16)}`).join(', ') || 'nothing'
    const name = chosen === undefined ? 'nothing' : `0x${chosen.toString(16)}`
    it(`takes ${name} of ${offered} for ${algorithm}`, () => {
      assert.equal(findMechanism(algorithm, available)?.mechanism, chosen)
    })
  }
})

describe('a signing mechanism', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

  it('CKM_SHA256_RSA_PKCS is given the message, and its output is the signature', () => {
    const mechanism = findMechanism(RSA, [CKM.SHA256_RSA_PKCS])!
    const output = sign('sha256', mechanism.formatInput(message), rsa.privateKey)
    assert.ok(verify('sha256', message, rsa.publicKey, mechanism.formatSignature(output)))
  })

  it('CKM_RSA_PKCS is given the DigestInfo, and its output is the signature', () => {
    const mechanism = findMechanism(RSA, [CKM.RSA_PKCS])!
    const key = { key: rsa.privateKey, padding: constants.RSA_PKCS1_PADDING }
    const output = privateEncrypt(key, mechanism.formatInput(message))
    assert.ok(verify('sha256', message, rsa.publicKey, mechanism.formatSignature(output)))
    assert.ok(!verify('sha256', message, rsa.publicKey, privateEncrypt(key, message)))
  })

  it('CKM_ECDSA is given the digest', () => {
    const mechanism = findMechanism(ECDSA, [CKM.ECDSA])!
    assert.deepEqual(mechanism.formatInput(message), createHash('sha256').update(message).digest())
  })

  it('CKM_ECDSA_SHA256 is given the message', () => {
    assert.equal(findMechanism(ECDSA, [CKM.ECDSA_SHA256])!.formatInput(message), message)
  })

  for (const number of [CKM.ECDSA, CKM.ECDSA_SHA256]) {
    for (const namedCurve of ['P-256', 'P-384', 'P-521']) {
      it(`0x${number.toString(16)} gives r‖s of ${namedCurve}, which becomes DER`, () => {
        const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve })
        const output = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })
        const { formatSignature } = findMechanism(ECDSA, [number])!
        assert.ok(verify('sha256', message, publicKey, formatSignature(output)))
        assert.ok(!verify('sha256', message, publicKey, output))
        assert.throws(() => formatSignature(output.subarray(1)), RangeError)
      })
    }
  }
})
