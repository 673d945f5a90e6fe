/**
 * A local CA: made once, then opened for each use. Its certificate and its key lie in its folder. The key's file is named
 * after the key, and the certificate comes last: a folder has one CA, also if two are made in it at once or one half.
 */

import { randomBytes } from 'node:crypto'
import { type Certificate, parseCertificatesPem } from '../core/certificate.js'
import type { NameAttribute } from '../core/distinguished-name.js'
import { ENCRYPTION_RANDOM_BYTES, encryptPrivateKey, findPrivateKey } from '../core/encrypted-key.js'
import { HoldfastError } from '../core/errors.js'
import { formatPem } from '../core/pem.js'
import { addCaFile, createCaFolder, findCaFile, removeCaFile, verifyHands } from '../io/ca-folder.js'
import { issueAuthority, keyIdOf } from './issue.js'
import type { Passphrase } from './passphrase.js'
import { newSerialNumber } from './serial-number.js'
import { type CaKeyType, type CaSigner, createKeySigner, generateKey } from './signer.js'

/** A CA that is there. */
export interface Authority {
  /** Absolute path of its folder. */
  readonly directory: string
  readonly certificate: Certificate
  /** PEM of the certificate. */
  readonly pem: string
}

const CERTIFICATE = 'ca.pem'
const keyFile = (publicKeyInfo: Uint8Array) => `key-${keyIdOf(publicKeyInfo)}.pem`

/** Which CA to make. */
export interface NewAuthority {
  readonly directory: string
  readonly subject: readonly NameAttribute[]
  readonly keyType: CaKeyType
  readonly notBefore: Date
  readonly notAfter: Date
  readonly uid: number
}

/**
 * Refuses a folder that has a CA already.
 * @throws HoldfastError CA_EXISTS, CA_UNSAFE
 */
export function verifyVacant(directory: string, uid: number): void {
  if (findCaFile(directory, CERTIFICATE, uid) !== undefined) throw exists(directory)
}

/**
 * Makes a key, encrypts it, and has it certify itself.
 * @throws HoldfastError CA_EXISTS, CA_UNSAFE, OUTPUT_FAILED; there is then no new CA
 */
export async function createAuthority(ca: NewAuthority, passphrase: Passphrase): Promise<Authority> {
  const { directory, subject, notBefore, notAfter, uid } = ca
  createCaFolder(directory, uid)
  verifyVacant(directory, uid)
  const key = await generateKey(ca.keyType)
  const signer = createKeySigner(key)
  const issue = { serialNumber: newSerialNumber(), notBefore, notAfter }
  const der = await issueAuthority(subject, issue, signer)

  const name = keyFile(signer.publicKeyInfo)
  addCaFile(directory, name, encryptPrivateKey(key, passphrase.bytes, randomBytes(ENCRYPTION_RANDOM_BYTES)))
  let isFirst = false
  try {
    isFirst = addCaFile(directory, CERTIFICATE, formatPem('CERTIFICATE', der))
  } finally {
    if (!isFirst) removeCaFile(directory, name)
  }
  if (!isFirst) throw exists(directory)
  return openAuthority(directory, uid)
}

function exists(directory: string): HoldfastError {
  return new HoldfastError(
    'CA_EXISTS',
    `there is a CA in ${directory}: use it, or name another folder with --ca`,
  )
}

/**
 * The CA in a folder.
 * @throws HoldfastError CA_NOT_FOUND, CA_UNSAFE, CA_DAMAGED, FILE_UNREADABLE
 */
export function openAuthority(directory: string, uid: number): Authority {
  verifyHands(directory, uid)
  const pem = findCaFile(directory, CERTIFICATE, uid)
  if (pem === undefined) {
    throw new HoldfastError(
      'CA_NOT_FOUND',
      `there is no CA in ${directory}: make one with holdfast ca init, or name its folder with --ca`,
    )
  }
  const certificates = findCertificates(pem)
  const [certificate] = certificates
  if (certificate?.isCa !== true || certificates.length > 1) {
    throw new HoldfastError(
      'CA_DAMAGED',
      `${directory}/${CERTIFICATE} is not the certificate of a CA: restore it from a backup`,
    )
  }
  return { directory, certificate, pem }
}

function findCertificates(pem: string): Certificate[] {
  try {
    return parseCertificatesPem(pem)
  } catch {
    return []
  }
}

/** Path of the file with the CA's encrypted key. */
export function keyPath({ directory, certificate }: Authority): string {
  return `${directory}/${keyFile(certificate.publicKeyInfo)}`
}

/**
 * What signs for the CA.
 * @throws HoldfastError PASSPHRASE_INCORRECT, CA_DAMAGED, CA_UNSAFE, FILE_UNREADABLE
 */
export function unlockAuthority(authority: Authority, passphrase: Passphrase, uid: number): CaSigner {
  const { directory, certificate } = authority
  const path = keyPath(authority)
  const pem = findCaFile(directory, keyFile(certificate.publicKeyInfo), uid)
  if (pem === undefined) {
    throw new HoldfastError('CA_DAMAGED', `the key of the CA, ${path}, is gone: restore it from a backup`)
  }
  const key = findPrivateKey(pem, passphrase.bytes)
  if (key === undefined) {
    throw new HoldfastError(
      'PASSPHRASE_INCORRECT',
      `the passphrase from ${passphrase.origin} does not open ${path}: it is another one, or the file is damaged`,
    )
  }
  const signer = createKeySigner(key)
  if (Buffer.compare(signer.publicKeyInfo, certificate.publicKeyInfo) === 0) return signer
  throw new HoldfastError(
    'CA_DAMAGED',
    `${path} is not the key of the certificate beside it: restore it from a backup`,
  )
}
