/**
 * Which PKCS#11 mechanism makes a SigV4-X509 signature on a given token, and how its input and output
 * differ from the message and the signature.
 * @see PKCS#11 v2.40 mechanisms §2.1.6 (RSA PKCS #1 v1.5), §2.3.6 (ECDSA)
 */

import { createHash } from 'node:crypto'
import type { SigningAlgorithm } from '../signer.js'
import { formatEcdsaSignature } from '../x509/der.js'

/** Mechanism numbers of PKCS#11. */
const CKM = { RSA_PKCS: 0x1, SHA256_RSA_PKCS: 0x40, ECDSA: 0x1041, ECDSA_SHA256: 0x1044 } as const

/** DER of `DigestInfo` for SHA-256 up to the digest itself (RFC 8017 §9.2 note 1). */
const SHA256_DIGEST_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex')

/** A way to sign on a token. */
export interface SigningMechanism {
  /** CKM_ number for C_SignInit. */
  readonly mechanism: number
  /** What C_Sign must be given for `message`. */
  formatInput(message: Uint8Array): Uint8Array
  /** The SigV4-X509 signature for what C_Sign gave. @throws RangeError if that has an impossible size */
  formatSignature(output: Uint8Array): Uint8Array
}

const same = (bytes: Uint8Array): Uint8Array => bytes
const digest = (message: Uint8Array): Uint8Array => createHash('sha256').update(message).digest()

/**
 * Best first. RSA: the mechanism that hashes itself, because restricted TPM keys and FIPS-mode HSMs refuse
 * raw PKCS #1. ECDSA: the raw one, because SoftHSM 2.6 has no other.
 */
const MECHANISMS: Readonly<Record<SigningAlgorithm, readonly SigningMechanism[]>> = {
  'AWS4-X509-RSA-SHA256': [
    { mechanism: CKM.SHA256_RSA_PKCS, formatInput: same, formatSignature: same },
    {
      mechanism: CKM.RSA_PKCS,
      formatInput: (message) => Buffer.concat([SHA256_DIGEST_INFO, digest(message)]),
      formatSignature: same,
    },
  ],
  'AWS4-X509-ECDSA-SHA256': [
    { mechanism: CKM.ECDSA, formatInput: digest, formatSignature: formatEcdsaSignature },
    { mechanism: CKM.ECDSA_SHA256, formatInput: same, formatSignature: formatEcdsaSignature },
  ],
}

/** The best mechanism among those `available` (CKM_ numbers), or undefined if none of them can do it. */
export function findMechanism(
  algorithm: SigningAlgorithm,
  available: readonly number[],
): SigningMechanism | undefined {
  return MECHANISMS[algorithm].find(({ mechanism }) => available.includes(mechanism))
}
