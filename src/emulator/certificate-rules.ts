/**
 * What a certificate must look like before Roles Anywhere trusts it: one rule set for end-entity
 * certificates, one for the CA certificates of a trust anchor. Nothing here looks at signatures.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
 */
import type { Certificate } from './certificate.js'

const STRONG_HASHES = ['SHA-256', 'SHA-384', 'SHA-512']

function findCommonFault(certificate: Certificate): string | undefined {
  if (certificate.version !== 3) return `it is X.509 v${certificate.version}, not v3`
  if (!STRONG_HASHES.includes(certificate.signatureHash ?? '')) {
    return `its signature algorithm (${certificate.signatureHash ?? 'without a hash'}) is weaker than SHA-256`
  }
  // RFC 5280 section 4.2: a critical extension that is not processed makes the certificate unusable.
  if (certificate.unknownCritical.length > 0) {
    return `it has a critical extension that the emulator does not process: ${certificate.unknownCritical.join(', ')}`
  }
  return undefined
}

/** Why this certificate cannot authenticate, or undefined if it can. Validity is `findDateFault`. */
export function findEndEntityFault(certificate: Certificate): string | undefined {
  const fault = findCommonFault(certificate)
  if (fault !== undefined) return fault
  if (certificate.ca === true) return 'its basicConstraints say CA:true'
  if (certificate.keyUsage?.digitalSignature !== true) return 'its keyUsage lacks digitalSignature'
  if (certificate.subject.length === 0) return 'its subject is empty'
  return undefined
}

/** Why this certificate cannot issue others, or undefined if it can. */
export function findIssuerFault(certificate: Certificate): string | undefined {
  const fault = findCommonFault(certificate)
  if (fault !== undefined) return fault
  if (certificate.ca !== true) return 'its basicConstraints do not say CA:true'
  if (certificate.keyUsage?.keyCertSign !== true) return 'its keyUsage lacks keyCertSign'
  return undefined
}

/** Why this certificate is not valid at `now`, or undefined if it is. */
export function findDateFault(certificate: Certificate, now: Date): string | undefined {
  if (now < certificate.notBefore) return `it is not valid before ${certificate.notBefore.toISOString()}`
  if (now > certificate.notAfter) return `it expired at ${certificate.notAfter.toISOString()}`
  return undefined
}
