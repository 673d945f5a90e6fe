/**
 * Certificate signing requests (PKCS#10, RFC 2986) as the CA takes them: what it reads out of one, and what it refuses
 * in one. Of the extensions that a request asks for only the alternative names are granted.
 */

import 'reflect-metadata'
import { createPublicKey, type KeyObject } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { HoldfastError } from '../core/errors.js'
import { type DerElement, readElement, readElements } from '../core/x509/der.js'
import { findNameFault, findUntaggable, type NameAttribute } from '../core/x509/distinguished-name.js'

/** What shall be certified, verified as far as a request tells. */
export interface CertificateRequest {
  /** DER SubjectPublicKeyInfo, as OpenSSL writes it. */
  readonly publicKeyInfo: Uint8Array
  readonly subject: x509.Name
  /** The subjectAltName extension to put into the certificate. */
  readonly alternativeNames: x509.Extension | undefined
  /** What a person should know: what is not granted, and what Roles Anywhere will not be able to use. */
  readonly notes: readonly string[]
}

const ALTERNATIVE_NAMES = '2.5.29.17'
/** What may stand in alternative names, by their tags (RFC 5280 §4.2.1.6). */
const NAME_PATTERNS: ReadonlyMap<number, RegExp> = new Map([
  [0x81, /^[!-~]+@[!-~]+$/], // email
  [0x82, /^(\*\.)?[\w-]+(\.[\w-]+)*$/], // DNS
  [0x86, /^[A-Za-z][\w+.-]*:[!-~]+$/], // URI
  [0x87, /^(.{4}|.{16})$/s], // IP
  [0xa4, /^.{3,}$/s], // directory name, which is not empty
])
const MIN_RSA_BITS = 2048
const CURVES = ['prime256v1', 'secp384r1', 'secp521r1']

/**
 * Reads a request, in DER or as one PEM block, and verifies that whoever made it has the private key.
 * @param override subject to certify instead of the requested one
 * @throws HoldfastError CSR_INVALID, KEY_UNSUPPORTED
 */
export async function readRequest(
  bytes: Uint8Array,
  override?: readonly NameAttribute[],
): Promise<CertificateRequest> {
  const request = parse(bytes)
  const publicKeyInfo = readPublicKey(request)
  await verifySignature(request)
  refuseCa(request)
  const subject = override === undefined ? request.subjectName : createName(override)
  const attributes = readAttributes(subject)
  const fault = findNameFault(attributes)
  if (fault !== undefined) {
    throw invalid(`has a subject that ${fault}: make it again with one, or name another with --subject`)
  }
  const untaggable = findUntaggable(attributes)
  const notes = untaggable.map(
    (type) =>
      `the ${type} of the subject has characters that AWS session tags cannot have: no trust policy can ask for it`,
  )
  const alternativeNames = readAlternativeNames(request)
  return { publicKeyInfo, subject, alternativeNames, notes: [...notes, ...listIgnored(request)] }
}

/** The name with these attributes, each in the string type that RFC 5280 wants. */
export function createName(attributes: readonly NameAttribute[]): x509.Name {
  return new x509.Name(
    attributes.map(({ type, value }) => {
      if (type === 'C') return { C: [{ printableString: value.toUpperCase() }] }
      return { [type]: [type === 'DC' || type === 'E' ? { ia5String: value } : { utf8String: value }] }
    }),
  )
}

function parse(bytes: Uint8Array): x509.Pkcs10CertificateRequest {
  const der = decode(bytes)
  try {
    readElement(der)
    const request = new x509.Pkcs10CertificateRequest(der)
    void request.extensions // which are parsed when they are first looked at
    return request
  } catch (cause) {
    throw invalid(`is not PKCS#10: ${(cause as Error).message}`, cause)
  }
}

async function verifySignature(request: x509.Pkcs10CertificateRequest): Promise<void> {
  let isSigned: boolean
  try {
    isSigned = await request.verify()
  } catch (cause) {
    throw invalid(`has a signature of an unknown kind: ${(cause as Error).message}`, cause)
  }
  if (!isSigned) throw invalid('has a signature that is not by its own key: make it again')
}

function decode(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString('latin1')
  if (!text.includes('-----BEGIN')) return bytes
  const blocks = [...text.matchAll(/-----BEGIN ((?:NEW )?CERTIFICATE REQUEST)-----([^-]*)-----END \1-----/g)]
  if (blocks.length === 1) return Buffer.from(blocks[0]![2]!, 'base64')
  throw invalid(`has ${blocks.length} PEM blocks CERTIFICATE REQUEST, where one is needed`)
}

function readPublicKey(request: x509.Pkcs10CertificateRequest): Uint8Array {
  let key: KeyObject
  try {
    key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: 'der', type: 'spki' })
  } catch (cause) {
    throw invalid('is for a key that is none, or of an unknown kind', cause)
  }
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {}
  const isSupported =
    (key.asymmetricKeyType === 'rsa' && modulusLength >= MIN_RSA_BITS) ||
    (key.asymmetricKeyType === 'ec' && CURVES.includes(namedCurve))
  if (isSupported) return key.export({ format: 'der', type: 'spki' })
  const kind = [key.asymmetricKeyType, namedCurve, modulusLength || '']
    .filter((part) => part !== '')
    .join(' ')
  throw new HoldfastError(
    'KEY_UNSUPPORTED',
    `the request is for a key of type ${kind}; Roles Anywhere takes RSA (here of ${MIN_RSA_BITS} bits or more), P-256, P-384 and P-521`,
  )
}

/** What the request asks for of one kind; if it asks twice, the first. */
function findExtension<T extends x509.Extension>(
  request: x509.Pkcs10CertificateRequest,
  kind: new (raw: ArrayBuffer) => T,
): T | undefined {
  return request.extensions.find((extension) => extension instanceof kind) as T | undefined
}

function refuseCa(request: x509.Pkcs10CertificateRequest): void {
  const isCa = findExtension(request, x509.BasicConstraintsExtension)?.ca === true
  const usages = findExtension(request, x509.KeyUsagesExtension)?.usages ?? 0
  if (isCa || (usages & (x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign)) !== 0) {
    throw invalid(
      'asks to be a CA, which this one does not grant: make it again without CA:TRUE and keyCertSign',
    )
  }
}

/** As they are in the request, once each has been looked at. */
function readAlternativeNames(request: x509.Pkcs10CertificateRequest): x509.Extension | undefined {
  const requested = request.extensions.find(({ type }) => type === ALTERNATIVE_NAMES)
  if (requested === undefined) return undefined
  const value = new Uint8Array(requested.value)
  let names: DerElement[]
  try {
    names = readElements(readElement(value).content)
  } catch (cause) {
    throw invalid('has alternative names that are not DER: make it again with another tool', cause)
  }
  if (names.length === 0) throw invalid('has an empty list of alternative names: make it again without one')
  for (const { tag, content } of names) {
    const pattern = NAME_PATTERNS.get(tag)
    if (pattern === undefined) {
      throw invalid(
        'has an alternative name of a kind that is not granted: only DNS, URI, email, IP and directory names are',
      )
    }
    if (!pattern.test(Buffer.from(content).toString('latin1'))) {
      throw invalid('has an alternative name with characters or a length that none can have')
    }
  }
  return new x509.Extension(ALTERNATIVE_NAMES, false, value)
}

function listIgnored(request: x509.Pkcs10CertificateRequest): string[] {
  const usages = findExtension(request, x509.KeyUsagesExtension)?.usages ?? 0
  const purposes = findExtension(request, x509.ExtendedKeyUsageExtension)?.usages ?? []
  const known = ['2.5.29.15', '2.5.29.37', '2.5.29.19', '2.5.29.14', ALTERNATIVE_NAMES]
  const others = request.extensions.map(({ type }) => type).filter((type) => !known.includes(type))
  return [
    ...((usages & ~x509.KeyUsageFlags.digitalSignature) === 0
      ? []
      : ['key usages other than digitalSignature']),
    ...(purposes.every((purpose) => purpose === x509.ExtendedKeyUsage.clientAuth)
      ? []
      : ['extended key usages other than clientAuth']),
    ...others.map((type) => `the extension ${type}`),
  ].map((what) => `the request asks for ${what}, which this CA does not grant`)
}

/** The attributes of the name, in its order. */
function readAttributes(name: x509.Name): NameAttribute[] {
  return name
    .toJSON()
    .flatMap((rdn) =>
      Object.entries(rdn).flatMap(([type, values]) =>
        values.map((value) => ({ type, value: String(value) })),
      ),
    )
}

function invalid(fault: string, cause?: unknown): HoldfastError {
  return new HoldfastError('CSR_INVALID', `the certificate signing request ${fault}`, { cause })
}
