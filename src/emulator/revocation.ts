/**
 * Certificate revocation lists (RFC 5280 section 5) as Roles Anywhere takes them: PEM, imported by hand,
 * signed by a CA certificate of the trust anchor. No distribution points, no OCSP, no delta lists. As the
 * service's documents say nothing of nextUpdate, an old list stays in force here.
 */
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import type { Certificate } from './certificate.js'

/** A verified list: who issued it, and what it revokes. */
export interface RevocationList {
  /** DER of the issuer's name, in base64. */
  readonly issuerDer: string
  readonly serialNumbers: ReadonlySet<bigint>
}

/**
 * Reads a PEM list.
 * @throws Error if it is not exactly one CRL in PEM
 */
export function readRevocationList(pem: string): RevocationList {
  const crl = parsePem(pem)
  return {
    issuerDer: Buffer.from(crl.issuerName.toArrayBuffer()).toString('base64'),
    serialNumbers: new Set(crl.entries.map((entry) => BigInt(`0x${entry.serialNumber || '0'}`))),
  }
}

/**
 * Why none of `issuers` can have signed this list, or undefined if one did.
 * @throws Error if it is not exactly one CRL in PEM
 */
export async function findRevocationListFault(
  pem: string,
  issuers: readonly Certificate[],
): Promise<string | undefined> {
  const crl = parsePem(pem)
  if (!['SHA-256', 'SHA-384', 'SHA-512'].includes(crl.signatureAlgorithm.hash?.name ?? '')) {
    return 'it is signed with an algorithm weaker than SHA-256'
  }
  const issuer = Buffer.from(crl.issuerName.toArrayBuffer()).toString('base64')
  const named = issuers.filter((candidate) => candidate.subjectDer === issuer)
  if (named.length === 0) return 'its issuer is not a CA of the trust anchor'
  const allowed = named.filter((candidate) => candidate.keyUsage?.crlSign === true)
  if (allowed.length === 0) return "the CA certificate's keyUsage lacks cRLSign"
  for (const candidate of allowed) {
    const publicKey = new x509.X509Certificate(candidate.der).publicKey
    if (await crl.verify({ publicKey })) return undefined
  }
  return 'its signature does not verify with the key of the trust anchor'
}

/** The certificate of `path` that one of `lists` revokes, if any does. */
export function findRevoked(
  path: readonly Certificate[],
  lists: readonly RevocationList[],
): Certificate | undefined {
  return path.find((certificate) =>
    lists.some(
      (list) => list.issuerDer === certificate.issuerDer && list.serialNumbers.has(certificate.serialNumber),
    ),
  )
}

function parsePem(pem: string): x509.X509Crl {
  const blocks = pem.match(/-----BEGIN X509 CRL-----[^-]*-----END X509 CRL-----/g) ?? []
  if (blocks.length !== 1) throw new Error(`${blocks.length} "X509 CRL" blocks in PEM, where one is needed`)
  return new x509.X509Crl(Buffer.from(blocks[0]!.replace(/-----[^-]+-----/g, ''), 'base64'))
}
