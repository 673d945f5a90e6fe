/**
 * X.509 certificates as the signing path sees them: the fields that SigV4-X509 puts on the wire, and the
 * rules that Roles Anywhere sets for an end-entity certificate, checked before a PIN or a touch is spent.
 * Node's own parser does not show version, signature algorithm, key usage and basic constraints, so a small
 * reader takes them from the DER (RFC 5280 §4.1). Signatures are verified by node:crypto.
 */

import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { HoldfastError } from '../errors.js'
import type { SigningAlgorithm } from '../signer.js'
import { type DerElement, parseInteger, parseOid, readElement, readElements, TAG } from './der.js'

/** A parsed certificate. Byte fields are views of `der`. */
export interface Certificate {
  readonly der: Uint8Array
  /** 1, 2 or 3. */
  readonly version: number
  readonly serialNumber: bigint
  /** Dotted OID; for RSASSA-PSS that of its hash function. */
  readonly signatureHashOid: string
  /** DER of the Name. */
  readonly issuer: Uint8Array
  /** DER of the Name. */
  readonly subject: Uint8Array
  readonly notBefore: Date
  readonly notAfter: Date
  /** DER SubjectPublicKeyInfo. */
  readonly publicKeyInfo: Uint8Array
  /** Named bits of the keyUsage extension by number (0 is digitalSignature); absent extension: undefined. */
  readonly keyUsageBits: ReadonlySet<number> | undefined
  /** True only where basicConstraints says CA:TRUE. */
  readonly isCa: boolean
}

const OID = {
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  rsassaPss: '1.2.840.113549.1.1.10',
  sha1: '1.3.14.3.2.26',
} as const

/** Signature algorithms (or PSS hashes) weaker than SHA-256 that Roles Anywhere refuses. */
const WEAK_SIGNATURES: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.2': 'MD2',
  '1.2.840.113549.1.1.4': 'MD5',
  '1.2.840.113549.2.5': 'MD5',
  '1.2.840.113549.1.1.5': 'SHA-1',
  '1.3.14.3.2.29': 'SHA-1',
  '1.2.840.10040.4.3': 'SHA-1',
  '1.2.840.10045.4.1': 'SHA-1',
  [OID.sha1]: 'SHA-1',
  '1.2.840.113549.1.1.14': 'SHA-224',
  '1.2.840.10045.4.3.1': 'SHA-224',
  '2.16.840.1.101.3.4.2.4': 'SHA-224',
}

/**
 * Parses one DER certificate; trailing bytes are refused.
 * @throws HoldfastError CERTIFICATE_INVALID
 */
export function parseCertificate(der: Uint8Array): Certificate {
  try {
    return readCertificate(der)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new HoldfastError('CERTIFICATE_INVALID', `the certificate is not valid X.509 DER: ${reason}`, {
      cause,
    })
  }
}

function readCertificate(der: Uint8Array): Certificate {
  const [tbs, outerAlgorithm, signature] = readSequence(readElement(der))
  expect(signature, TAG.bitString)
  const fields = readSequence(tbs)
  const version = fields[0]?.tag === 0xa0 ? Number(readInteger(readElement(fields.shift()!.content))) + 1 : 1
  const [serial, algorithm, issuer, validity, subject, publicKeyInfo, ...optional] = fields
  if (version < 1 || version > 3) throw new RangeError('unknown version')
  // RFC 5280 §4.1.1.2: both are the same, or the signature is not of the kind that the certificate says.
  if (
    Buffer.compare(expect(algorithm, TAG.sequence).whole, expect(outerAlgorithm, TAG.sequence).whole) !== 0
  ) {
    throw new RangeError('its two signature algorithms differ')
  }
  const [notBefore, notAfter] = readSequence(validity)
  const extensions = readExtensions(optional.find((field) => field.tag === 0xa3))
  const keyUsage = extensions.get(OID.keyUsage)
  const basicConstraints = extensions.get(OID.basicConstraints)
  return {
    der,
    version,
    serialNumber: readInteger(serial),
    signatureHashOid: readSignatureHash(algorithm),
    issuer: expect(issuer, TAG.sequence).whole,
    subject: expect(subject, TAG.sequence).whole,
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
    publicKeyInfo: expect(publicKeyInfo, TAG.sequence).whole,
    keyUsageBits: keyUsage && readNamedBits(expect(readElement(keyUsage), TAG.bitString).content),
    isCa: basicConstraints !== undefined && readIsCa(basicConstraints),
  }
}

function expect(element: DerElement | undefined, tag: number): DerElement {
  if (element?.tag !== tag) throw new RangeError(`expected tag ${tag}, found ${element?.tag ?? 'nothing'}`)
  return element
}

function readSequence(element: DerElement | undefined): DerElement[] {
  return readElements(expect(element, TAG.sequence).content)
}

function readInteger(element: DerElement | undefined): bigint {
  return parseInteger(expect(element, TAG.integer).content)
}

function readOid(element: DerElement | undefined): string {
  return parseOid(expect(element, TAG.oid).content)
}

/** extnID → content of extnValue. */
function readExtensions(field: DerElement | undefined): Map<string, Uint8Array> {
  const extensions = new Map<string, Uint8Array>()
  if (field === undefined) return extensions
  for (const extension of readSequence(readElement(field.content))) {
    const parts = readSequence(extension)
    const oid = readOid(parts[0])
    // RFC 5280 §4.2: no extension may appear twice; which one counts would be anybody's guess.
    if (extensions.has(oid)) throw new RangeError(`extension ${oid} appears twice`)
    extensions.set(oid, expect(parts.at(-1), TAG.octetString).content)
  }
  return extensions
}

/** OID that tells the hash: of the algorithm itself, or of RSASSA-PSS-params (default SHA-1, RFC 4055 §3.1). */
function readSignatureHash(algorithm: DerElement | undefined): string {
  const [oidElement, parameters] = readSequence(algorithm)
  const oid = readOid(oidElement)
  if (oid !== OID.rsassaPss) return oid
  const hash = readSequence(parameters).find((element) => element.tag === 0xa0)
  if (hash === undefined) return OID.sha1
  return readOid(readSequence(readElement(hash.content))[0])
}

function readNamedBits(bitString: Uint8Array): Set<number> {
  const bits = new Set<number>()
  // X.690 §8.6.2: the first byte is the number of bits at the end that do not count.
  const [unused = 8] = bitString
  if (unused > 7) throw new RangeError('bad bit string')
  for (let bit = 0; bit < (bitString.length - 1) * 8 - unused; bit++) {
    if ((bitString[1 + (bit >> 3)]! & (0x80 >> (bit & 7))) !== 0) bits.add(bit)
  }
  return bits
}

function readIsCa(extension: Uint8Array): boolean {
  const [first] = readSequence(readElement(extension))
  return first?.tag === TAG.boolean && first.content[0] !== 0
}

/** UTCTime `YYMMDDHHMMSSZ` (years 1950 to 2049) or GeneralizedTime `YYYYMMDDHHMMSSZ`: RFC 5280 §4.1.2.5. */
function readTime(element: DerElement | undefined): Date {
  const { tag, content } = element?.tag === TAG.utcTime ? element : expect(element, TAG.generalizedTime)
  const text = Buffer.from(content).toString('latin1')
  const century = tag === TAG.generalizedTime ? '' : text < '50' ? '20' : '19'
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(century + text)
  if (match === null) throw new RangeError('bad time')
  const [, year, month, day, hours, minutes, seconds] = match
  const iso = `${year}-${month}-${day}T${hours}:${minutes}:${seconds}.000Z`
  const date = new Date(iso)
  // A month 13 gives no date, and a 30 February another one.
  if (date.toJSON() !== iso) throw new RangeError('bad time')
  return date
}

/**
 * The certificates in `text`, in their order. Other PEM blocks and text between blocks are passed over.
 * @throws HoldfastError CERTIFICATE_INVALID if a block is not a certificate or has no end
 * @see RFC 7468 §5.1 for the labels
 */
export function parseCertificatesPem(text: string): Certificate[] {
  const blocks = text.matchAll(/-----BEGIN ((?:X509 |X\.509 )?CERTIFICATE)-----(?:([^-]*)-----END \1-----)?/g)
  return [...blocks].map(([, label, base64]) => {
    if (base64 !== undefined) return parseCertificate(Buffer.from(base64, 'base64'))
    throw new HoldfastError('CERTIFICATE_INVALID', `a PEM block ${label} has no end: is the file cut off?`)
  })
}

/** The public key. @throws HoldfastError KEY_UNSUPPORTED if node:crypto does not know its type */
export function publicKeyOf(certificate: Certificate): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(certificate.publicKeyInfo), format: 'der', type: 'spki' })
  } catch (cause) {
    throw new HoldfastError(
      'KEY_UNSUPPORTED',
      `the public key of ${describe(certificate)} cannot be read: issue a certificate for a key of type RSA, P-256, P-384 or P-521`,
      { cause },
    )
  }
}

const CURVES = new Set(['prime256v1', 'secp384r1', 'secp521r1'])

/**
 * The SigV4-X509 algorithm for the certificate's key: RSA, or ECDSA on P-256, P-384 or P-521.
 * @throws HoldfastError KEY_UNSUPPORTED for every other key: Ed25519 and RSA-PSS keys have no algorithm name there
 */
export function signingAlgorithmOf(certificate: Certificate): SigningAlgorithm {
  const key = publicKeyOf(certificate)
  if (key.asymmetricKeyType === 'rsa') return 'AWS4-X509-RSA-SHA256'
  const curve = key.asymmetricKeyDetails?.namedCurve
  if (key.asymmetricKeyType === 'ec' && curve !== undefined && CURVES.has(curve)) {
    return 'AWS4-X509-ECDSA-SHA256'
  }
  throw new HoldfastError(
    'KEY_UNSUPPORTED',
    `${describe(certificate)} has a key of type ${curve ?? key.asymmetricKeyType}; Roles Anywhere takes RSA, P-256, P-384 and P-521: issue a certificate for such a key`,
  )
}

/** `the certificate with serial 1a2b`: what error messages call it. Serial in hex, as AWS shows it. */
export function describe(certificate: Pick<Certificate, 'serialNumber'>): string {
  return `the certificate with serial ${formatSerial(certificate)}`
}

/** The serial number in hexadecimal, two digits for each byte. */
export function formatSerial({ serialNumber }: Pick<Certificate, 'serialNumber'>): string {
  const [sign, number] = serialNumber < 0n ? ['-', -serialNumber] : ['', serialNumber]
  const hex = number.toString(16)
  return `${sign}${hex.length % 2 === 0 ? hex : `0${hex}`}`
}

/** The subject's common name, the last one if there are several; undefined if it has none. */
export function commonNameOf({ der }: Certificate): string | undefined {
  return [new X509Certificate(der).toLegacyObject().subject?.CN].flat().at(-1)
}

/** Facts about time that a check of validity needs. */
export interface ClockFacts {
  readonly now: Date
  /** When this program was built: a clock before that is wrong. */
  readonly buildDate: Date
}

/**
 * Checks what Roles Anywhere asks of an end-entity certificate, so that a refusal costs no PIN and no touch.
 * @throws HoldfastError CERTIFICATE_UNSUITABLE, CERTIFICATE_EXPIRED, CLOCK_WRONG (the clock is before the
 *   build date or before notBefore), KEY_UNSUPPORTED
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html "Signature validation"
 */
export function verifyEndEntity(certificate: Certificate, clock: ClockFacts): void {
  verifySuitable(certificate)
  verifyValidity(certificate, clock)
}

/**
 * Checks those of the rules that have nothing to do with time.
 * @throws HoldfastError CERTIFICATE_UNSUITABLE, KEY_UNSUPPORTED
 */
export function verifySuitable(certificate: Certificate): void {
  const unsuitable = (fault: string) => {
    throw new HoldfastError('CERTIFICATE_UNSUITABLE', `${describe(certificate)} ${fault}`)
  }
  if (certificate.version !== 3) unsuitable('is not X.509 version 3: have it issued again as version 3')
  if (certificate.isCa) unsuitable('is a CA certificate: name the end-entity certificate of your key instead')
  if (certificate.keyUsageBits?.has(0) !== true) {
    unsuitable('lacks the key usage digitalSignature: have it issued again with keyUsage=digitalSignature')
  }
  const weak = WEAK_SIGNATURES[certificate.signatureHashOid]
  if (weak !== undefined) unsuitable(`is signed with ${weak}: have it issued again with SHA-256 or stronger`)
  if (readElements(certificate.subject)[0]?.content.length === 0) {
    unsuitable('has an empty subject: have it issued again with a subject, best with a CN')
  }
  signingAlgorithmOf(certificate)
}

/**
 * Refuses a clock that says a time before this program was built.
 * @throws HoldfastError CLOCK_WRONG
 */
export function verifyClock({ now, buildDate }: ClockFacts): void {
  if (now >= buildDate) return
  throw new HoldfastError(
    'CLOCK_WRONG',
    `this machine's clock says ${formatTime(now)}, before this program was built (${formatTime(buildDate)}): set the clock (timedatectl set-ntp true)`,
  )
}

/**
 * Checks that a certificate is valid now.
 * @throws HoldfastError CERTIFICATE_EXPIRED, CLOCK_WRONG as above
 */
export function verifyValidity(certificate: Certificate, { now, buildDate }: ClockFacts): void {
  verifyClock({ now, buildDate })
  const clock = `this machine's clock says ${formatTime(now)}`
  if (now < certificate.notBefore) {
    throw new HoldfastError(
      'CLOCK_WRONG',
      `${clock}, but ${describe(certificate)} is valid only from ${formatTime(certificate.notBefore)}: set the clock; if it is right, wait or have the certificate issued again`,
    )
  }
  if (now > certificate.notAfter) {
    throw new HoldfastError(
      'CERTIFICATE_EXPIRED',
      `${describe(certificate)} expired at ${formatTime(certificate.notAfter)} (${clock}): renew it`,
    )
  }
}

/** ISO 8601, in UTC, without fractions of a second. */
export function formatTime(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`
}
