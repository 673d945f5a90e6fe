/**
 * Private keys encrypted with a passphrase, as OpenSSL and others read them: PKCS#8 with PBES2, scrypt and AES-256-CBC.
 * Node's own export derives the key with 2048 rounds of PBKDF2, which is too few for a passphrase that a person chose.
 * @see RFC 5958 (EncryptedPrivateKeyInfo), RFC 8018 §6.2 (PBES2), RFC 7914 §7 (scrypt in PBES2)
 */

import { createCipheriv, createPrivateKey, type KeyObject, scryptSync } from 'node:crypto'
import { formatElement, formatUnsignedInteger, TAG } from './der.js'
import { formatPem } from './pem.js'

/** DER of object identifiers. */
const OID = {
  pbes2: Buffer.from('06092a864886f70d01050d', 'hex'),
  scrypt: Buffer.from('06092b06010401da47040b', 'hex'),
  aes256Cbc: Buffer.from('060960864801650304012a', 'hex'),
} as const

/** As costly as OpenSSL opens without being asked to: it gives scrypt 32 MiB, of which N and r take a half. */
const COST = { N: 2 ** 14, r: 8, p: 5 } as const
const KEY_BYTES = 32

/** How many random bytes {@link encryptPrivateKey} needs: a salt, and an initialization vector. */
export const ENCRYPTION_RANDOM_BYTES = 32

/**
 * PEM of the key, encrypted.
 * @param random {@link ENCRYPTION_RANDOM_BYTES} fresh random bytes
 */
export function encryptPrivateKey(key: KeyObject, passphrase: Uint8Array, random: Uint8Array): string {
  const [salt, iv] = [random.subarray(0, 16), random.subarray(16, ENCRYPTION_RANDOM_BYTES)]
  const plain = key.export({ type: 'pkcs8', format: 'der' })
  const encryptionKey = scryptSync(passphrase, salt, KEY_BYTES, COST)
  const cipher = createCipheriv('aes-256-cbc', encryptionKey, iv)
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()])
  plain.fill(0)
  encryptionKey.fill(0)

  const sequence = (...parts: Uint8Array[]) => formatElement(TAG.sequence, ...parts)
  const octets = (bytes: Uint8Array) => formatElement(TAG.octetString, bytes)
  const cost = [COST.N, COST.r, COST.p].map((n) => formatUnsignedInteger(Uint8Array.of(n >> 8, n & 0xff)))
  const derivation = sequence(OID.scrypt, sequence(octets(salt), ...cost))
  const scheme = sequence(OID.pbes2, sequence(derivation, sequence(OID.aes256Cbc, octets(iv))))
  return formatPem('ENCRYPTED PRIVATE KEY', sequence(scheme, octets(encrypted)))
}

/** The key, or undefined if the passphrase is another one or the PEM is damaged: which of them, nobody can tell. */
export function findPrivateKey(pem: string, passphrase: Uint8Array): KeyObject | undefined {
  try {
    return createPrivateKey({ key: pem, format: 'pem', passphrase: Buffer.from(passphrase) })
  } catch {
    return undefined
  }
}
