/**
 * Certificate signing requests (PKCS#10, RFC 2986) whose signature is made elsewhere, in a token: for names that a person
 * gives, or for those of a certificate that is to be renewed, byte for byte. Left out: attributes but the extensions that
 * are asked for.
 */

import { createPublicKey } from 'node:crypto'
import { isIP } from 'node:net'
import { HoldfastError } from '../errors.js'
import { formatForeignText } from '../printable.js'
import type { Certificate } from './certificate.js'
import { formatElement, readElement, readElements, TAG } from './der.js'
import type { NameAttribute } from './distinguished-name.js'

/** What a request asks for. */
export interface RequestedNames {
  /** DER of the Name. */
  readonly subject: Uint8Array
  /** DER of each Extension. */
  readonly extensions: readonly Uint8Array[]
}

const SET = 0x31
const NULL = 0x05
const UTF8_STRING = 0x0c
const PRINTABLE_STRING = 0x13
const IA5_STRING = 0x16

/** Contents of object identifiers. */
const OID = {
  extensionRequest: '2a864886f70d01090e',
  subjectAltName: '551d11',
  keyUsage: '551d0f',
  extendedKeyUsage: '551d25',
  clientAuth: '2b06010505070302',
  sha256WithRsa: '2a864886f70d01010b',
  ecdsaWithSha256: '2a8648ce3d040302',
} as const

/** Types of attributes (RFC 4519, RFC 2985), by the names that core/x509/distinguished-name takes. */
const ATTRIBUTES: Readonly<Record<string, { readonly oid: string; readonly stringTag: number }>> = {
  CN: { oid: '550403', stringTag: UTF8_STRING },
  C: { oid: '550406', stringTag: PRINTABLE_STRING },
  L: { oid: '550407', stringTag: UTF8_STRING },
  ST: { oid: '550408', stringTag: UTF8_STRING },
  O: { oid: '55040a', stringTag: UTF8_STRING },
  OU: { oid: '55040b', stringTag: UTF8_STRING },
  DC: { oid: '0992268993f22c640119', stringTag: IA5_STRING },
  E: { oid: '2a864886f70d010901', stringTag: IA5_STRING },
}

/** What Roles Anywhere needs of a certificate: a subject, digitalSignature; clientAuth is customary beside it. */
export function nameRequest(
  subject: readonly NameAttribute[],
  alternativeNames: readonly AlternativeName[],
): RequestedNames {
  const names = alternativeNames.map(({ kind, value }) => formatElement(GENERAL_NAMES[kind], value))
  return {
    subject: formatElement(TAG.sequence, ...subject.map(formatAttribute)),
    extensions: [
      // One bit, digitalSignature, the highest of a byte whose seven others do not count.
      formatExtension(OID.keyUsage, formatElement(TAG.bitString, Uint8Array.of(7, 0x80)), true),
      formatExtension(OID.extendedKeyUsage, formatElement(TAG.sequence, formatOid(OID.clientAuth))),
      ...(names.length === 0
        ? []
        : [formatExtension(OID.subjectAltName, formatElement(TAG.sequence, ...names))]),
    ],
  }
}

/** One alternative name, its value as it is encoded: text in ASCII, an address in 4 or 16 bytes. */
export interface AlternativeName {
  readonly kind: keyof typeof GENERAL_NAMES
  readonly value: Uint8Array
}

/** Tags of GeneralName (RFC 5280 §4.2.1.6). */
const GENERAL_NAMES = { email: 0x81, dns: 0x82, uri: 0x86, ip: 0x87 } as const

/** What the value of each kind looks like. An address is told by its own rules. */
const VALUES: Readonly<Record<keyof typeof GENERAL_NAMES, RegExp>> = {
  email: /^[!-~]+@[!-~]+$/,
  dns: /^(\*\.)?[\w-]+(\.[\w-]+)*$/,
  uri: /^[A-Za-z][\w+.-]*:[!-~]+$/,
  ip: /^[\da-f.:]+$/i,
}

/**
 * Reads `dns:edge-1.example,ip:192.0.2.7,uri:spiffe://example/edge-1,email:ops@example.com`; a comma within a name is
 * written `\,`.
 * @throws HoldfastError USAGE
 */
export function parseAlternativeNames(text: string): AlternativeName[] {
  return text.split(/(?<!\\),/).map((escaped) => {
    const part = escaped.replaceAll('\\,', ',')
    const [, kind = '', value = ''] = /^\s*(\w+):\s*(.*?)\s*$/.exec(part) ?? []
    const known = Object.hasOwn(GENERAL_NAMES, kind) ? (kind as AlternativeName['kind']) : undefined
    if (known === undefined || !VALUES[known].test(value) || (known === 'ip' && isIP(value) === 0)) {
      throw new HoldfastError(
        'USAGE',
        `--san: "${formatForeignText(part, 100)}" is no alternative name: write dns:HOST, ip:ADDRESS, uri:URI or email:ADDRESS, with commas between (\\, is one within a name)`,
      )
    }
    return { kind: known, value: known === 'ip' ? parseAddress(value) : Buffer.from(value) }
  })
}

/** The bytes of an address that isIP takes. */
function parseAddress(text: string): Uint8Array {
  if (isIP(text) === 4) return Uint8Array.from(text.split('.').map(Number))
  // URL writes each IPv6 address in one way, an IPv4 address at its end in hexadecimal.
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::')
  const groups = (part: string | undefined) => (part ? part.split(':') : [])
  const missing = 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array<string>(missing).fill('0'), ...groups(tail)]
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex')
}

/** The names and usages of a certificate, as they stand in it. */
export function nameLike(certificate: Certificate): RequestedNames {
  const [tbs] = readElements(readElement(certificate.der).content)
  const field = readElements(tbs!.content).find(({ tag }) => tag === 0xa3)
  const extensions = field === undefined ? [] : readElements(readElement(field.content).content)
  const wanted: readonly string[] = [OID.keyUsage, OID.extendedKeyUsage, OID.subjectAltName]
  return {
    subject: certificate.subject,
    extensions: extensions
      .filter(({ content }) =>
        wanted.includes(Buffer.from(readElements(content)[0]!.content).toString('hex')),
      )
      .map(({ whole }) => whole),
  }
}

/**
 * A request, DER, signed with what belongs to the public key.
 * @param publicKey DER SubjectPublicKeyInfo
 * @param sign makes a signature with SHA-256: PKCS #1 v1.5, or ECDSA in DER
 */
export async function createCertificateRequest(
  { subject, extensions }: RequestedNames,
  publicKey: Uint8Array,
  sign: (message: Uint8Array) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const attributes = formatElement(
    0xa0,
    formatElement(
      TAG.sequence,
      formatOid(OID.extensionRequest),
      formatElement(SET, formatElement(TAG.sequence, ...extensions)),
    ),
  )
  const version = formatElement(TAG.integer, Uint8Array.of(0))
  const info = formatElement(TAG.sequence, version, subject, publicKey, attributes)
  const signature = await sign(info)
  return formatElement(
    TAG.sequence,
    info,
    formatAlgorithm(publicKey),
    formatElement(TAG.bitString, Uint8Array.of(0), signature),
  )
}

function formatOid(hex: string): Uint8Array {
  return formatElement(TAG.oid, Buffer.from(hex, 'hex'))
}

function formatAlgorithm(publicKey: Uint8Array): Uint8Array {
  const { asymmetricKeyType } = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
  // RFC 5758 §3.2 wants nothing behind the one, RFC 4055 §5 a NULL behind the other.
  if (asymmetricKeyType === 'ec') return formatElement(TAG.sequence, formatOid(OID.ecdsaWithSha256))
  return formatElement(TAG.sequence, formatOid(OID.sha256WithRsa), formatElement(NULL))
}

function formatAttribute({ type, value }: NameAttribute): Uint8Array {
  const attribute = ATTRIBUTES[type]
  if (attribute === undefined) throw new HoldfastError('USAGE', `a subject cannot have the attribute ${type}`)
  const text = formatElement(attribute.stringTag, Buffer.from(type === 'C' ? value.toUpperCase() : value))
  return formatElement(SET, formatElement(TAG.sequence, formatOid(attribute.oid), text))
}

function formatExtension(oid: string, value: Uint8Array, isCritical = false): Uint8Array {
  const critical = isCritical ? [formatElement(TAG.boolean, Uint8Array.of(0xff))] : []
  return formatElement(TAG.sequence, formatOid(oid), ...critical, formatElement(TAG.octetString, value))
}
