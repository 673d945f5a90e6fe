/**
 * A certificate in words, for a person who wants to know what it is and whether IAM Roles Anywhere would take it.
 * @see RFC 5280 §4.1, §4.2
 */

import { createHash, X509Certificate } from 'node:crypto'
import { HoldfastError } from '../errors.js'
import {
  type Certificate,
  type ClockFacts,
  formatSerial,
  formatTime,
  verifyEndEntity,
} from './certificate.js'
import { findExpiryWarning } from './expiry.js'
import { describeKeyType } from './key-type.js'

/** What stands in a certificate. Names are written like `CN=edge-1, O=Example`, in its own order. */
export interface CertificateFacts {
  readonly subject: string
  readonly issuer: string
  /** As CreateSession has it, decimal, and as AWS shows it, hexadecimal. */
  readonly serialNumber: { readonly decimal: string; readonly hex: string }
  /** ISO 8601. */
  readonly notBefore: string
  readonly notAfter: string
  /** `p-256`, `rsa-2048`, …, `unknown`. */
  readonly keyType: string
  readonly isCa: boolean
  readonly keyUsage: readonly string[]
  /** Names of the purposes that have one here, else their OIDs. */
  readonly extendedKeyUsage: readonly string[]
  /** `DNS:edge-1.example`, `URI:…`, `IP Address:…`, `email:…`. */
  readonly alternativeNames: readonly string[]
  /** SHA-256 of the DER, hexadecimal. */
  readonly fingerprint: string
  /** What Roles Anywhere would say of it as the certificate of a session, as far as it alone tells. */
  readonly rolesAnywhere: Verdict
}

/** Undefined `fault` means that it would be taken, if a trust anchor trusts its issuer. */
export interface Verdict {
  readonly accepted: boolean
  readonly fault?: string
  /** What a person should know all the same. */
  readonly warning?: string
}

/** Names of the bits of the keyUsage extension (RFC 5280 §4.2.1.3). */
const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
]

const PURPOSES: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.3.1': 'serverAuth',
  '1.3.6.1.5.5.7.3.2': 'clientAuth',
  '1.3.6.1.5.5.7.3.3': 'codeSigning',
  '1.3.6.1.5.5.7.3.4': 'emailProtection',
  '1.3.6.1.5.5.7.3.9': 'OCSPSigning',
}

/** @throws HoldfastError CERTIFICATE_INVALID if OpenSSL does not take it for a certificate */
export function readCertificateFacts(certificate: Certificate, clock: ClockFacts): CertificateFacts {
  const { der, serialNumber, notBefore, notAfter, keyUsageBits, isCa } = certificate
  const read = readWithOpenSsl(der)
  return {
    subject: formatLines(read.subject),
    issuer: formatLines(read.issuer),
    serialNumber: { decimal: serialNumber.toString(), hex: formatSerial(certificate) },
    notBefore: formatTime(notBefore),
    notAfter: formatTime(notAfter),
    keyType: findKeyType(certificate),
    isCa,
    keyUsage: KEY_USAGES.filter((_, bit) => keyUsageBits?.has(bit)),
    // Node calls the extended key usage so.
    extendedKeyUsage: (read.keyUsage ?? []).map((oid) => PURPOSES[oid] ?? oid),
    alternativeNames: read.subjectAltName?.split(', ') ?? [],
    fingerprint: createHash('sha256').update(der).digest('hex'),
    rolesAnywhere: judge(certificate, clock),
  }
}

function readWithOpenSsl(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der)
  } catch (cause) {
    throw new HoldfastError(
      'CERTIFICATE_INVALID',
      `OpenSSL cannot read the certificate: ${(cause as Error).message}`,
      { cause },
    )
  }
}

function formatLines(name: string | undefined): string {
  return name?.trimEnd().replaceAll('\n', ', ') ?? ''
}

function findKeyType({ publicKeyInfo }: Certificate): string {
  try {
    return describeKeyType(publicKeyInfo)
  } catch {
    return 'unknown'
  }
}

function judge(certificate: Certificate, clock: ClockFacts): Verdict {
  try {
    verifyEndEntity(certificate, clock)
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    return { accepted: false, fault: error.message }
  }
  const warning = findExpiryWarning(certificate, clock.now)
  return { accepted: true, ...(warning === undefined ? {} : { warning }) }
}
