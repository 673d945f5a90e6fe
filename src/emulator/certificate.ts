/**
 * Reading of X.509 certificates (RFC 5280) for the emulator: @peculiar/x509 for the fields, OpenSSL through
 * Node for keys and signatures. Only reads; the rules are in certificate-rules.ts and certificate-path.ts.
 */
import 'reflect-metadata'
import { type KeyObject, X509Certificate as NodeCertificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'

/** One attribute of a distinguished name: short name (or dotted OID) and text. */
export interface NameAttribute {
  readonly type: string
  readonly value: string
}

/** The kinds of subject alternative names that Roles Anywhere maps to session tags. */
export type AlternativeName =
  | { readonly kind: 'DNS' | 'URI'; readonly value: string }
  | { readonly kind: 'Name'; readonly value: readonly NameAttribute[] }

/** A certificate with the fields that decide whether it is accepted. */
export interface Certificate {
  readonly der: Buffer
  readonly pem: string
  /** 1 for X.509 v1, 3 for v3. */
  readonly version: number
  readonly serialNumber: bigint
  /** Serial number in lower-case hex, padded to an even length. */
  readonly serialHex: string
  /** Such as `SHA-256`; undefined where the signature algorithm names no hash. */
  readonly signatureHash: string | undefined
  readonly subject: readonly NameAttribute[]
  readonly issuer: readonly NameAttribute[]
  readonly subjectText: string
  readonly issuerText: string
  /** DER of the names, in base64, for comparison. */
  readonly subjectDer: string
  readonly issuerDer: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** Undefined without basicConstraints. */
  readonly ca: boolean | undefined
  readonly pathLength: number | undefined
  /** Undefined without a keyUsage extension. */
  readonly keyUsage:
    | { readonly digitalSignature: boolean; readonly keyCertSign: boolean; readonly crlSign: boolean }
    | undefined
  readonly alternativeNames: readonly AlternativeName[]
  /** OIDs of critical extensions that the emulator does not process. */
  readonly unknownCritical: readonly string[]
  readonly publicKey: KeyObject
  /** True if the signature on this certificate verifies with the key of `issuer`. */
  isSignedBy(issuer: Certificate): boolean
}

const BASIC_CONSTRAINTS = '2.5.29.19'
const KEY_USAGE = '2.5.29.15'
const EXTENDED_KEY_USAGE = '2.5.29.37'
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17'
const PROCESSED = [BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALTERNATIVE_NAME]

/** RFC 4514 short names that @peculiar/x509 leaves as dotted OIDs. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  '2.5.4.9': 'STREET',
  '0.9.2342.19200300.100.1.1': 'UID',
}

/** The attributes of a name, in certificate order. */
function readName(name: x509.Name): NameAttribute[] {
  return name
    .toJSON()
    .flatMap((rdn) =>
      Object.entries(rdn).flatMap(([type, values]) =>
        values.map((value) => ({ type: SHORT_NAMES[type] ?? type, value })),
      ),
    )
}

function readAlternativeNames(certificate: x509.X509Certificate): AlternativeName[] {
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? []
  return names.flatMap((name): AlternativeName[] => {
    if (name.type === 'dns') return [{ kind: 'DNS', value: name.value }]
    if (name.type === 'url') return [{ kind: 'URI', value: name.value }]
    if (name.type === 'dn') return [{ kind: 'Name', value: readName(new x509.Name(name.value)) }]
    return []
  })
}

/** How many certificates are remembered: the same few come again and again. */
const MAX_KNOWN = 100
const known = new Map<string, Certificate>()

/**
 * Reads one DER certificate. That takes longer than all else about a session, so each is read once.
 * @throws Error if the bytes are not exactly one certificate
 */
export function readCertificate(bytes: Uint8Array): Certificate {
  const key = Buffer.from(bytes).toString('base64')
  const certificate = known.get(key) ?? parseCertificate(bytes)
  if (known.size >= MAX_KNOWN) known.clear()
  known.set(key, certificate)
  return certificate
}

function parseCertificate(bytes: Uint8Array): Certificate {
  const node = new NodeCertificate(bytes)
  if (node.raw.length !== bytes.length) throw new Error('bytes follow the certificate')
  const parsed = new x509.X509Certificate(node.raw)
  const constraints = parsed.getExtension(x509.BasicConstraintsExtension)
  const usages = parsed.getExtension(x509.KeyUsagesExtension)?.usages
  const serialHex = node.serialNumber.toLowerCase()
  return {
    der: Buffer.from(node.raw),
    pem: node.toString(),
    // biome-ignore lint/complexity/useLiteralKeys: a protected field, and the only place of the version
    version: parsed['asn'].tbsCertificate.version + 1,
    serialNumber: BigInt(`0x${serialHex}`),
    serialHex: serialHex.padStart(serialHex.length + (serialHex.length % 2), '0'),
    signatureHash: parsed.signatureAlgorithm.hash?.name,
    subject: readName(parsed.subjectName),
    issuer: readName(parsed.issuerName),
    subjectText: parsed.subject,
    issuerText: parsed.issuer,
    subjectDer: Buffer.from(parsed.subjectName.toArrayBuffer()).toString('base64'),
    issuerDer: Buffer.from(parsed.issuerName.toArrayBuffer()).toString('base64'),
    notBefore: parsed.notBefore,
    notAfter: parsed.notAfter,
    ca: constraints?.ca,
    pathLength: constraints?.pathLength,
    keyUsage: usages === undefined ? undefined : readKeyUsage(usages),
    alternativeNames: readAlternativeNames(parsed),
    unknownCritical: parsed.extensions
      .filter((e) => e.critical && !PROCESSED.includes(e.type))
      .map((e) => e.type),
    publicKey: node.publicKey,
    isSignedBy: (issuer) => node.verify(issuer.publicKey),
  }
}

function readKeyUsage(usages: number): Certificate['keyUsage'] {
  return {
    digitalSignature: (usages & x509.KeyUsageFlags.digitalSignature) !== 0,
    keyCertSign: (usages & x509.KeyUsageFlags.keyCertSign) !== 0,
    crlSign: (usages & x509.KeyUsageFlags.cRLSign) !== 0,
  }
}

/**
 * Reads the CERTIFICATE blocks of a PEM text, in order; other text is skipped, as OpenSSL does.
 * @throws Error if a block is not a certificate
 */
export function readCertificatesPem(pem: string): Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => readCertificate(new NodeCertificate(block).raw))
}
