/**
 * Does a key in a token belong to a certificate? Told from public attributes alone, never by a test
 * signature, which would cost a PIN or a touch. Tokens differ in which attributes they show and how they
 * encode them.
 * @see PKCS#11 v2.40 base §4.9, mechanisms §2.1.3 (RSA), §2.3.3 (CKA_EC_POINT)
 */

import type { Certificate } from './certificate.js'
import { readElement, readElements, TAG } from './der.js'

/** What a token shows of a key; empty and absent mean the same. */
export interface PublicAttributes {
  /** CKA_PUBLIC_KEY_INFO: DER SubjectPublicKeyInfo. */
  readonly publicKeyInfo?: Uint8Array | undefined
  /** CKA_MODULUS, big-endian. */
  readonly modulus?: Uint8Array | undefined
  /** CKA_PUBLIC_EXPONENT, big-endian. */
  readonly publicExponent?: Uint8Array | undefined
  /** CKA_EC_PARAMS: DER of the curve. */
  readonly ecParams?: Uint8Array | undefined
  /** CKA_EC_POINT: DER OCTET STRING as the standard says, a raw point, or a BIT STRING in old modules. */
  readonly ecPoint?: Uint8Array | undefined
}

/** `unknown` where the token shows too little. */
export type KeyMatch = 'same' | 'different' | 'unknown'

/** Compares a key's public attributes with the public key of `certificate`. */
export function compareKey(certificate: Certificate, key: PublicAttributes): KeyMatch {
  const [algorithm, bitString] = readElements(readElement(certificate.publicKeyInfo).content)
  const publicKey = bitString!.content.subarray(1)
  if (key.publicKeyInfo?.length) {
    return equal(key.publicKeyInfo, certificate.publicKeyInfo) ? 'same' : 'different'
  }
  if (key.modulus?.length && key.publicExponent?.length) {
    return equalsRsa(publicKey, key.modulus, key.publicExponent) ? 'same' : 'different'
  }
  if (key.ecPoint?.length) {
    const curve = readElements(algorithm!.content)[1]?.whole
    const sameCurve = !key.ecParams?.length || (curve !== undefined && equal(key.ecParams, curve))
    return sameCurve && pointForms(key.ecPoint).some((point) => equal(point, publicKey))
      ? 'same'
      : 'different'
  }
  return 'unknown'
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** `publicKey` is the content of the BIT STRING: RSAPublicKey for an RSA key, a point for an EC key. */
function equalsRsa(publicKey: Uint8Array, modulus: Uint8Array, publicExponent: Uint8Array): boolean {
  if (publicKey[0] !== TAG.sequence) return false
  const [n, e] = readElements(readElement(publicKey).content)
  return (
    equal(withoutLeadingZeros(n!.content), withoutLeadingZeros(modulus)) &&
    equal(withoutLeadingZeros(e!.content), withoutLeadingZeros(publicExponent))
  )
}

function withoutLeadingZeros(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0)
  return start < 0 ? number.subarray(0, 0) : number.subarray(start)
}

/** The point as it may be meant: raw, inside an OCTET STRING, or inside a BIT STRING. */
function pointForms(ecPoint: Uint8Array): Uint8Array[] {
  const forms = [ecPoint]
  try {
    const { tag, content } = readElement(ecPoint)
    if (tag === TAG.octetString) forms.push(content)
    if (tag === TAG.bitString) forms.push(content.subarray(1))
  } catch {
    // A raw point begins with 04 too and need not be DER.
  }
  return forms
}
