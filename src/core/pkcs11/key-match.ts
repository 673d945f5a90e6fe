/**
 * Does a key in a token belong to a certificate? Told from public attributes alone, never by a test
 * signature, which would cost a PIN or a touch. Tokens differ in which attributes they show and how they
 * encode them.
 * @see PKCS#11 v2.40 base §4.9, mechanisms §2.1.3 (RSA), §2.3.3 (CKA_EC_POINT)
 */

import { createPublicKey, type KeyObject } from 'node:crypto'
import { type Certificate, publicKeyOf } from '../x509/certificate.js'
import { readElement, readElements, TAG } from '../x509/der.js'

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

/**
 * Compares a key's public attributes with the public key of `certificate`.
 * @throws HoldfastError KEY_UNSUPPORTED if the certificate's key cannot be read
 */
export function compareKey(certificate: Certificate, key: PublicAttributes): KeyMatch {
  const publicKey = publicKeyOf(certificate)
  const same = comparePublicKeyInfo(publicKey, key) ?? compareRsa(publicKey, key) ?? compareEc(publicKey, key)
  if (same === undefined) return 'unknown'
  return same ? 'same' : 'different'
}

/** Undefined where the token shows no such attribute, as in the two functions below, or a broken one. */
function comparePublicKeyInfo(
  publicKey: KeyObject,
  { publicKeyInfo }: PublicAttributes,
): boolean | undefined {
  if (!publicKeyInfo?.length) return undefined
  try {
    return createPublicKey({ key: Buffer.from(publicKeyInfo), format: 'der', type: 'spki' }).equals(publicKey)
  } catch {
    return undefined
  }
}

/** Tokens may keep the modulus of a private key without its public exponent (PKCS#11 mechanisms §2.1.3). */
function compareRsa(
  publicKey: KeyObject,
  { modulus, publicExponent }: PublicAttributes,
): boolean | undefined {
  if (!modulus?.length) return undefined
  if (publicKey.asymmetricKeyType !== 'rsa') return false
  const [n, e] = readElements(readElement(readPublicKeyInfo(publicKey).bits).content)
  return (
    equalsNumber(n!.content, modulus) && (!publicExponent?.length || equalsNumber(e!.content, publicExponent))
  )
}

function compareEc(publicKey: KeyObject, { ecPoint, ecParams }: PublicAttributes): boolean | undefined {
  if (!ecPoint?.length) return undefined
  if (publicKey.asymmetricKeyType !== 'ec') return false
  const { parameters, bits } = readPublicKeyInfo(publicKey)
  return (
    (!ecParams?.length || equal(ecParams, parameters!.whole)) &&
    pointForms(ecPoint).some((point) => equal(point, bits))
  )
}

/** The parts of SubjectPublicKeyInfo (RFC 5280 §4.1), as OpenSSL writes it and thus well-formed. */
function readPublicKeyInfo(publicKey: KeyObject) {
  const [algorithm, bitString] = readElements(
    readElement(publicKey.export({ format: 'der', type: 'spki' })).content,
  )
  const [, parameters] = readElements(algorithm!.content)
  return { parameters, bits: bitString!.content.subarray(1) }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** Big-endian and unsigned. */
function equalsNumber(a: Uint8Array, b: Uint8Array): boolean {
  return equal(withoutLeadingZeros(a), withoutLeadingZeros(b))
}

function withoutLeadingZeros(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0)
  return start < 0 ? number.subarray(0, 0) : number.subarray(start)
}

/** The point of CKA_EC_POINT as it may be meant: raw, inside an OCTET STRING, or inside a BIT STRING. */
export function pointForms(ecPoint: Uint8Array): Uint8Array[] {
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
