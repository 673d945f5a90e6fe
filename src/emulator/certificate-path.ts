/**
 * Path building and validation from an end-entity certificate to a trust anchor, after RFC 5280 section 6:
 * names, signatures, CA rules, path length and dates of issuers. Policies and name constraints are not
 * processed; a certificate that marks them critical is refused.
 */
import type { Certificate } from './certificate.js'
import { findDateFault, findIssuerFault } from './certificate-rules.js'

function mayIssue(
  issuer: Certificate,
  subject: Certificate,
  caCertificatesBelow: number,
  now: Date,
): boolean {
  return (
    issuer.subjectDer === subject.issuerDer &&
    findIssuerFault(issuer) === undefined &&
    findDateFault(issuer, now) === undefined &&
    (issuer.pathLength === undefined || caCertificatesBelow <= issuer.pathLength) &&
    subject.isSignedBy(issuer)
  )
}

/**
 * Finds a path that begins with `leaf`, goes through any of `offered`, and ends with one of `anchors`.
 * Undefined if there is none.
 */
export function findPath(
  leaf: Certificate,
  offered: readonly Certificate[],
  anchors: readonly Certificate[],
  now: Date,
): Certificate[] | undefined {
  const extend = (
    path: readonly Certificate[],
    unused: readonly Certificate[],
  ): Certificate[] | undefined => {
    const last = path[path.length - 1]!
    // RFC 5280 section 4.2.1.9: self-issued certificates do not count against the path length.
    const below = path.slice(1).filter((c) => c.subjectDer !== c.issuerDer).length
    const anchor = anchors.find((candidate) => mayIssue(candidate, last, below, now))
    if (anchor !== undefined) return [...path, anchor]
    for (const candidate of unused) {
      if (!mayIssue(candidate, last, below, now)) continue
      const found = extend(
        [...path, candidate],
        unused.filter((other) => other !== candidate),
      )
      if (found !== undefined) return found
    }
    return undefined
  }
  return extend([leaf], offered)
}
