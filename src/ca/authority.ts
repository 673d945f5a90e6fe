/**
 * A local CA: made once, then opened for each use. Its folder has its certificate, and a file that leads to its key and is
 * named after it. The certificate comes last: a folder has one CA, also if two are made in it at once or one half.
 */

import { X509Certificate } from 'node:crypto'
import { HoldfastError } from '../core/errors.js'
import { type Certificate, parseCertificatesPem } from '../core/x509/certificate.js'
import type { NameAttribute } from '../core/x509/distinguished-name.js'
import { formatPem } from '../core/x509/pem.js'
import { addCaFile, createCaFolder, findCaFile, removeCaFile, verifyHands } from '../io/ca-folder.js'
import { issueAuthority } from './issue.js'
import type { KeyRecord } from './key.js'
import { newSerialNumber } from './serial-number.js'
import type { CaSigner } from './signer.js'

/** A CA that is there. */
export interface Authority {
  /** Absolute path of its folder. */
  readonly directory: string
  readonly certificate: Certificate
  /** PEM of the certificate. */
  readonly pem: string
}

const CERTIFICATE = 'ca.pem'

/** Which CA to make. */
export interface NewAuthority {
  readonly directory: string
  readonly subject: readonly NameAttribute[]
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
 * Has a key certify itself, and puts the certificate and what leads to the key into the folder.
 * @throws HoldfastError CA_EXISTS, CA_UNSAFE, SIGNATURE_INVALID, OUTPUT_FAILED; there is then no new CA
 */
export async function createAuthority(
  { directory, subject, notBefore, notAfter, uid }: NewAuthority,
  signer: CaSigner,
  key: KeyRecord,
): Promise<Authority> {
  verifyHands(directory, uid)
  const issue = { serialNumber: newSerialNumber(), notBefore, notAfter }
  const pem = formatPem('CERTIFICATE', await issueAuthority(subject, issue, signer))
  verifySigned(pem, pem)
  createCaFolder(directory, uid)
  verifyVacant(directory, uid)
  const isKeyNew = addCaFile(directory, key.name, key.text)
  let isFirst = false
  try {
    isFirst = addCaFile(directory, CERTIFICATE, pem)
  } finally {
    if (!isFirst && isKeyNew) removeCaFile(directory, key.name)
  }
  if (!isFirst) throw exists(directory)
  return openAuthority(directory, uid)
}

/**
 * Refuses a certificate that is not signed by the CA's key: a token may sign with another one than is meant.
 * @param issued PEM, as the CA's
 * @throws HoldfastError SIGNATURE_INVALID
 */
export function verifySigned(authority: string, issued: string): void {
  const ca = new X509Certificate(authority)
  const certificate = new X509Certificate(issued)
  if (certificate.checkIssued(ca) && certificate.verify(ca.publicKey)) return
  throw new HoldfastError('SIGNATURE_INVALID', "the signature is not by the CA's key: nothing was issued")
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
