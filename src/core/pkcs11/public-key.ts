/**
 * The public key behind the attributes that a token shows of a key.
 * @see PKCS#11 v2.40 base §4.9, mechanisms §2.1.2 (RSA), §2.3.3 (EC); RFC 5480 (SubjectPublicKeyInfo of EC keys)
 */

import { createPublicKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto'
import { type PublicAttributes, pointForms } from './key-match.js'

/** Curves by the DER of their object identifiers, which is CKA_EC_PARAMS. */
const CURVES: Readonly<Record<string, { readonly crv: string; readonly bytes: number }>> = {
  '06082a8648ce3d030107': { crv: 'P-256', bytes: 32 },
  '06052b81040022': { crv: 'P-384', bytes: 48 },
  '06052b81040023': { crv: 'P-521', bytes: 66 },
}

/** DER SubjectPublicKeyInfo; undefined where the token shows too little, or nothing that is a key. */
export function findPublicKey(attributes: PublicAttributes): Uint8Array | undefined {
  for (const find of [findPublicKeyInfo, findRsaKey, findEcKey]) {
    try {
      const key = find(attributes)
      if (key !== undefined) return key.export({ format: 'der', type: 'spki' })
    } catch {
      // What is no key in one form may be one in another.
    }
  }
  return undefined
}

function findPublicKeyInfo({ publicKeyInfo }: PublicAttributes): KeyObject | undefined {
  if (!publicKeyInfo?.length) return undefined
  return createPublicKey({ key: Buffer.from(publicKeyInfo), format: 'der', type: 'spki' })
}

function findRsaKey({ modulus, publicExponent }: PublicAttributes): KeyObject | undefined {
  if (!modulus?.length || !publicExponent?.length) return undefined
  return fromJwk({ kty: 'RSA', n: encode(modulus), e: encode(publicExponent) })
}

function findEcKey({ ecPoint, ecParams }: PublicAttributes): KeyObject | undefined {
  const curve = ecParams && CURVES[Buffer.from(ecParams).toString('hex')]
  if (!ecPoint?.length || curve === undefined) return undefined
  const { crv, bytes } = curve
  const point = pointForms(ecPoint).find((form) => form[0] === 0x04 && form.length === 1 + 2 * bytes)
  if (point === undefined) return undefined
  return fromJwk({
    kty: 'EC',
    crv,
    x: encode(point.subarray(1, 1 + bytes)),
    y: encode(point.subarray(1 + bytes)),
  })
}

function fromJwk(key: JsonWebKeyInput['key']): KeyObject {
  return createPublicKey({ key, format: 'jwk' })
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}
