/**
 * Picks, from certificates that lie about, those that lead from an end-entity certificate towards its
 * trust anchor, for the X-Amz-X509-Chain header.
 */

import { X509Certificate } from 'node:crypto'
import { HoldfastError } from '../errors.js'
import {
  type Certificate,
  type ClockFacts,
  describe,
  parseCertificate,
  verifyValidity,
} from './certificate.js'

/**
 * Roles Anywhere takes chains of at most five certificates.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication.html
 */
const MAX_CHAIN_LENGTH = 5

/** What lies beside a leaf in a token may be anything: of it, what can be parsed. Only what the user named must parse. */
export function readCandidates(ders: readonly Uint8Array[]): Certificate[] {
  return ders.flatMap((der) => {
    try {
      return [parseCertificate(der)]
    } catch {
      return []
    }
  })
}

/**
 * The intermediates above `leaf`, nearest first: each found by issuer name and verified signature. The leaf
 * and self-signed roots are left out, since the service has the anchor; of several issuers the one that
 * expires last is taken. An empty list where no candidate fits. What {@link verifyAuthority} checks is not checked here.
 * @throws HoldfastError CERTIFICATE_UNSUITABLE if more than five are found
 */
export function findChain(leaf: Certificate, candidates: readonly Certificate[]): Certificate[] {
  const chain: Certificate[] = []
  const byExpiry = candidates
    .filter(({ der }) => Buffer.compare(der, leaf.der) !== 0)
    .toSorted((a, b) => b.notAfter.getTime() - a.notAfter.getTime())
  for (let current = leaf; ; ) {
    const issuer = byExpiry.find(
      (candidate) => isIssuer(candidate, current) && !isIssuer(candidate, candidate),
    )
    if (issuer === undefined || chain.includes(issuer)) return chain
    if (chain.length === MAX_CHAIN_LENGTH) {
      throw new HoldfastError(
        'CERTIFICATE_UNSUITABLE',
        `${describe(leaf)} needs more than ${MAX_CHAIN_LENGTH} intermediate certificates, the most that Roles Anywhere takes: make a CA nearer to it the trust anchor, and leave out the certificates above that`,
      )
    }
    chain.push(issuer)
    current = issuer
  }
}

const KEY_CERT_SIGN = 5

/**
 * Checks what every verifier asks of the certificate of a CA.
 * @throws HoldfastError CERTIFICATE_UNSUITABLE, CERTIFICATE_EXPIRED, CLOCK_WRONG
 * @see RFC 5280 §6.1.4 (k), (n)
 */
export function verifyAuthority(certificate: Certificate, clock: ClockFacts): void {
  const { isCa, keyUsageBits } = certificate
  if (!isCa || keyUsageBits?.has(KEY_CERT_SIGN) === false) {
    const lack = isCa ? 'the key usage keyCertSign' : 'basicConstraints with CA:TRUE'
    throw new HoldfastError(
      'CERTIFICATE_UNSUITABLE',
      `${describe(certificate)} is not the certificate of a CA, since it lacks ${lack}`,
    )
  }
  verifyValidity(certificate, clock)
}

/** True if the key of `candidate` has signed `subject`, and its name says so. */
export function isIssuer(candidate: Certificate, subject: Certificate): boolean {
  if (Buffer.compare(candidate.subject, subject.issuer) !== 0) return false
  try {
    return new X509Certificate(subject.der).verify(new X509Certificate(candidate.der).publicKey)
  } catch {
    // A key type that this Node does not know proves nothing; the service decides without it.
    return false
  }
}
