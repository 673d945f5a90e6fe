/**
 * What a CA signs with, be it a key in a file or in a token: its public half, and signatures as X.509 has them.
 */

import { createPublicKey, generateKeyPair, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import type { KeyType } from '../core/pkcs11/admin-protocol.js'

/** Holds the private key of a CA. All signatures are with SHA-256. */
export interface CaSigner {
  /** DER SubjectPublicKeyInfo. */
  readonly publicKeyInfo: Uint8Array
  /** RSASSA-PKCS1-v1_5, or ECDSA as DER `SEQUENCE { r, s }`, of the message (not its hash). */
  sign(message: Uint8Array): Promise<Uint8Array>
}

/** Signs with a key in memory. */
export function createKeySigner(key: KeyObject): CaSigner {
  return {
    publicKeyInfo: createPublicKey(key).export({ format: 'der', type: 'spki' }),
    sign: async (message) => sign('sha256', message, key),
  }
}

/** A new private key. */
export async function generateKey(type: KeyType): Promise<KeyObject> {
  const generate = promisify(generateKeyPair)
  const [kind, size] = type.split('-') as [string, string]
  const { privateKey } =
    kind === 'rsa'
      ? await generate('rsa', { modulusLength: Number(size) })
      : await generate('ec', { namedCurve: `P-${size}` })
  return privateKey
}
