/**
 * What a CA has done and does: issue, revoke, list. A certificate or revocation list is in the CA's folder, on disk,
 * before anybody gets to see it; the name of its record is its number, which therefore is never given twice.
 */

import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { HoldfastError } from '../core/errors.js'
import {
  type Certificate,
  type ClockFacts,
  formatTime,
  parseCertificatesPem,
  verifyEndEntity,
} from '../core/x509/certificate.js'
import { formatPem } from '../core/x509/pem.js'
import { addCaFile, findCaFile, listRecords } from '../io/ca-folder.js'
import { type Authority, verifySigned } from './authority.js'
import { issueEndEntity, issueRevocationList, parseThisUpdate } from './issue.js'
import type { CertificateRequest } from './request.js'
import { REVOCATION_REASONS, type Revocation, type RevocationReason } from './revocation.js'
import { newSerialNumber, serialNumberOf } from './serial-number.js'
import type { CaSigner } from './signer.js'

const DAY_MS = 86_400_000
/** So that a machine whose clock is somewhat behind can use its certificate at once. */
const BACKDATE_MS = 5 * 60_000
/** Of 126 random bits none comes a second time, unless the random source is broken. */
const MAX_TRIES = 3

/** A certificate that the CA has issued. */
export interface IssuedCertificate {
  readonly serialNumber: string
  /** As OpenSSL writes it, in one line. */
  readonly subject: string
  /** The same of the alternative names; empty if there are none. */
  readonly alternativeNames: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly pem: string
  /** Absolute path of its record. */
  readonly path: string
}

/**
 * Issues a certificate for what was requested, and records it. It ends with the CA's own certificate at the latest.
 * @param clock `now` is when it is issued
 * @throws HoldfastError CSR_INVALID if the name is that of the CA, CERTIFICATE_UNSUITABLE and others of `verifyEndEntity`,
 *   SIGNATURE_INVALID, OUTPUT_FAILED; nothing is then issued
 */
export async function issueCertificate(
  authority: Authority,
  signer: CaSigner,
  request: CertificateRequest,
  {
    days,
    uid,
    random,
    ...clock
  }: ClockFacts & { days: number; uid: number; random?: (size: number) => Buffer },
): Promise<IssuedCertificate> {
  const { directory, certificate } = authority
  const now = clock.now.getTime()
  const notBefore = wholeSeconds(Math.max(now - BACKDATE_MS, certificate.notBefore.getTime()))
  const notAfter = wholeSeconds(Math.min(now + days * DAY_MS, certificate.notAfter.getTime()))
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const serialNumber = newSerialNumber(random)
    const issue = { serialNumber, notBefore, notAfter }
    const der = await issueEndEntity(request, issue, certificate.der, signer)
    const pem = formatPem('CERTIFICATE', der)
    verifySigned(authority.pem, pem)
    refuseNameOfCa(authority.pem, pem)
    verifyEndEntity(parseCertificatesPem(pem)[0]!, clock)
    if (addCaFile(directory, `issued/${serialNumber}.pem`, pem))
      return readIssued(authority, serialNumber, uid)
  }
  throw new Error('the random source repeats itself')
}

/** Where issuer and subject have one name, verifiers take a certificate for a self-signed one. */
function refuseNameOfCa(authority: string, issued: string): void {
  const [ca, subject] = [authority, issued].map((pem) => new X509Certificate(pem).subject?.toLowerCase())
  if (subject !== ca) return
  throw new HoldfastError(
    'CSR_INVALID',
    "the certificate signing request has the CA's own name: make it again with another, or name one with --subject",
  )
}

/**
 * An issued certificate by its number.
 * @throws HoldfastError CERTIFICATE_NOT_FOUND, CA_DAMAGED, CA_UNSAFE, FILE_UNREADABLE
 */
export function readIssued(authority: Authority, serialNumber: string, uid: number): IssuedCertificate {
  const issued = findIssued(authority, serialNumber, uid)
  if (issued !== undefined) return issued
  throw new HoldfastError(
    'CERTIFICATE_NOT_FOUND',
    `the CA in ${authority.directory} has issued no certificate with serial number ${serialNumber}: holdfast ca list shows those that it has`,
  )
}

function findIssued(
  { directory }: Authority,
  serialNumber: string,
  uid: number,
): IssuedCertificate | undefined {
  const name = `issued/${serialNumber}.pem`
  const pem = findCaFile(directory, name, uid)
  if (pem === undefined) return undefined
  const path = join(directory, name)
  try {
    const [certificate] = parseCertificatesPem(pem)
    if (certificate === undefined || serialNumberOf(certificate) !== serialNumber)
      throw new Error('another number')
    const { notBefore, notAfter } = certificate
    const { subject: lines, subjectAltName: alternativeNames = '' } = new X509Certificate(certificate.der)
    const subject = lines.replaceAll('\n', ', ')
    return { serialNumber, subject, alternativeNames, notBefore, notAfter, pem, path }
  } catch (cause) {
    throw damaged(path, cause)
  }
}

/** All issued certificates, in the order in which they end. @throws HoldfastError as {@link readIssued} */
export function listIssued(authority: Authority, uid: number): IssuedCertificate[] {
  return listRecords(authority.directory, 'issued')
    .map((serialNumber) => readIssued(authority, serialNumber, uid))
    .sort((a, b) => a.notAfter.getTime() - b.notAfter.getTime())
}

/**
 * The serial number of a certificate that must be one of this CA's.
 * @throws HoldfastError CERTIFICATE_NOT_FOUND
 */
export function identifyIssued(authority: Authority, certificate: Certificate, uid: number): string {
  const serialNumber = serialNumberOf(certificate)
  const issued = readIssued(authority, serialNumber, uid)
  const [own] = parseCertificatesPem(issued.pem)
  if (own !== undefined && Buffer.compare(own.der, certificate.der) === 0) return serialNumber
  throw new HoldfastError(
    'CERTIFICATE_NOT_FOUND',
    `the certificate has serial number ${serialNumber}, and is another one than the CA has issued under it`,
  )
}

/**
 * Records that a certificate is revoked from now on.
 * @returns the record: the former one, if it was revoked before
 * @throws HoldfastError OUTPUT_FAILED
 */
export function revokeCertificate(
  { directory }: Authority,
  { uid, ...revocation }: Revocation & { uid: number },
): Revocation & { readonly isNew: boolean } {
  const { serialNumber } = revocation
  const record = { ...revocation, revokedAt: wholeSeconds(revocation.revokedAt.getTime()) }
  const isNew = addCaFile(directory, `revoked/${serialNumber}.json`, `${JSON.stringify(record)}\n`)
  return { ...(isNew ? record : findRevocation(directory, serialNumber, uid)!), isNew }
}

/** All revocations by serial number. @throws HoldfastError CA_DAMAGED, CA_UNSAFE, FILE_UNREADABLE */
export function listRevocations({ directory }: Authority, uid: number): Map<string, Revocation> {
  return new Map(
    listRecords(directory, 'revoked').map((serialNumber) => [
      serialNumber,
      findRevocation(directory, serialNumber, uid)!,
    ]),
  )
}

function findRevocation(directory: string, serialNumber: string, uid: number): Revocation | undefined {
  const name = `revoked/${serialNumber}.json`
  const text = findCaFile(directory, name, uid)
  if (text === undefined) return undefined
  try {
    const record = JSON.parse(text)
    const revokedAt = new Date(record.revokedAt)
    const isSound =
      record.serialNumber === serialNumber &&
      revokedAt.toJSON() === record.revokedAt &&
      REVOCATION_REASONS.includes(record.reason)
    if (isSound) return { serialNumber, revokedAt, reason: record.reason as RevocationReason }
  } catch {
    // Not JSON.
  }
  throw damaged(join(directory, name))
}

/** A revocation list that the CA has signed. */
export interface RevocationList {
  readonly number: number
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  /** How many certificates are on it. */
  readonly revoked: number
  readonly pem: string
  /** Absolute path of its record. */
  readonly path: string
}

/**
 * Signs a list of all revoked certificates, and records it under the next number. Left out are those that have expired,
 * once a list after their end has had them (RFC 5280 §3.3).
 * @throws HoldfastError CA_DAMAGED, CA_UNSAFE, CLOCK_WRONG, FILE_UNREADABLE, SIGNATURE_INVALID, OUTPUT_FAILED; there is then no new list
 */
export async function issueList(
  authority: Authority,
  signer: CaSigner,
  { days, uid, now }: { days: number; uid: number; now: Date },
): Promise<RevocationList> {
  const { directory } = authority
  const thisUpdate = wholeSeconds(now.getTime())
  const nextUpdate = wholeSeconds(now.getTime() + days * DAY_MS)
  for (;;) {
    // First the number, then what is revoked: a list has all that was revoked before the one with the number below it.
    const last = Math.max(0, ...listRecords(directory, 'crl').map(Number))
    const previous = last === 0 ? undefined : readThisUpdate(directory, last, uid)
    if (previous !== undefined && thisUpdate < previous) {
      throw new HoldfastError(
        'CLOCK_WRONG',
        `this machine's clock says ${formatTime(now)}, but list ${last} is of ${formatTime(previous)}: set the clock`,
      )
    }
    const revocations = [...listRevocations(authority, uid).values()].filter(
      (revocation) => previous === undefined || !isOver(authority, revocation, previous, uid),
    )
    const list = { number: last + 1, thisUpdate, nextUpdate }
    const der = await issueRevocationList(revocations, list, authority.certificate.der, signer)
    const name = `crl/${list.number}.pem`
    const pem = formatPem('X509 CRL', der)
    if (addCaFile(directory, name, pem)) {
      return { ...list, revoked: revocations.length, pem, path: join(directory, name) }
    }
  }
}

/** True if the certificate has been on a list that is younger than its end. */
function isOver(authority: Authority, revocation: Revocation, previous: Date, uid: number): boolean {
  if (revocation.revokedAt >= previous) return false
  const issued = findIssued(authority, revocation.serialNumber, uid)
  return issued !== undefined && issued.notAfter < previous
}

function readThisUpdate(directory: string, number: number, uid: number): Date {
  const name = `crl/${number}.pem`
  const pem = findCaFile(directory, name, uid)
  try {
    if (pem !== undefined) return parseThisUpdate(pem)
  } catch (cause) {
    throw damaged(join(directory, name), cause)
  }
  throw damaged(join(directory, name))
}

/** Certificates know no fractions of a second. */
function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000)
}

function damaged(path: string, cause?: unknown): HoldfastError {
  return new HoldfastError('CA_DAMAGED', `the record ${path} is damaged: restore it from a backup`, { cause })
}
