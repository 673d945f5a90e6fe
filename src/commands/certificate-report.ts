/** How commands print a certificate, and what they print of one that cannot be read. */

import { nameObject, type ReadCertificate } from '../core/pkcs11/object-choice.js'
import type { Certificate } from '../core/x509/certificate.js'
import { type CertificateFacts, readCertificateFacts } from '../core/x509/certificate-facts.js'
import { findExpiryWarning } from '../core/x509/expiry.js'
import type { Context } from './context.js'

/** A certificate of a token, and what stands in it. */
export interface CertificateEntry {
  readonly uri: string
  readonly id: string
  readonly label: string
  /** Absent for one that cannot be read. */
  readonly certificate?: CertificateFacts
}

/** What stands in a certificate; undefined if it cannot be read. */
export function findFacts(
  certificate: Certificate | undefined,
  { now, buildDate }: Context,
): CertificateFacts | undefined {
  try {
    return certificate && readCertificateFacts(certificate, { now: now(), buildDate })
  } catch {
    return undefined
  }
}

/** Says on stderr of a certificate that is no CA's that it ends soon. */
export function warnOfEnding(certificate: Certificate | undefined, { now, stderr }: Context): void {
  if (certificate === undefined || certificate.isCa) return
  const ending = findExpiryWarning(certificate, now())
  if (ending !== undefined) stderr(`warning: ${ending}`)
}

/** For lists. */
export function describeEntry({ stored, certificate }: ReadCertificate, context: Context): CertificateEntry {
  const { uri, id, label } = stored
  const facts = findFacts(certificate, context)
  return { uri, id, label, ...(facts === undefined ? {} : { certificate: facts }) }
}

/** A few lines about a certificate of a token. */
export function formatEntry({ stored, certificate }: ReadCertificate, context: Context): string[] {
  const facts = findFacts(certificate, context)
  const name = nameObject('certificate', stored)
  if (facts === undefined) return [`${name}: cannot be read`, `  ${stored.uri}`]
  const { subject, issuer, serialNumber, notAfter, isCa, keyType } = facts
  return [
    `${name}: ${subject}${isCa ? ' (a CA)' : ''}`,
    `  ${keyType}, serial number ${serialNumber.hex}, by ${issuer}, until ${notAfter}`,
    `  ${stored.uri}`,
  ]
}

/** All about one. */
export function formatFacts(facts: CertificateFacts): string[] {
  const list = (values: readonly string[]) => (values.length === 0 ? 'none' : values.join(', '))
  const { rolesAnywhere, serialNumber } = facts
  const verdict = rolesAnywhere.accepted
    ? 'would take it, from a trust anchor that its issuer leads to'
    : `would refuse it: ${rolesAnywhere.fault}`
  return [
    `subject          ${facts.subject}`,
    `issuer           ${facts.issuer}`,
    `serial number    ${serialNumber.decimal} (hexadecimal ${serialNumber.hex})`,
    `valid            ${facts.notBefore} to ${facts.notAfter}`,
    `key              ${facts.keyType}`,
    `CA               ${facts.isCa ? 'yes' : 'no'}`,
    `key usage        ${list(facts.keyUsage)}`,
    `extended usage   ${list(facts.extendedKeyUsage)}`,
    `other names      ${list(facts.alternativeNames)}`,
    `SHA-256          ${facts.fingerprint}`,
    `Roles Anywhere   ${verdict}`,
    ...(rolesAnywhere.warning === undefined ? [] : [`                 ${rolesAnywhere.warning}`]),
  ]
}
