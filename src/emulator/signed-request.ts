/**
 * Verification of a request signed with SigV4-X509: the Authorization header, the date and its scope, the
 * certificate headers, and the signature over the canonical request. Written from AWS's description of the
 * process alone; ML-DSA is not supported, since Node does not verify it yet.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-sign-process.html
 */
import { verify } from 'node:crypto'
import { canonicalRequest, sha256Hex } from './canonical-request.js'
import { type Certificate, readCertificate } from './certificate.js'
import type { HttpRequest } from './http-message.js'
import { accessDenied } from './service-error.js'

/** Clock difference that is let pass; AWS publishes none for this service, five minutes is SigV4's usual. */
const CLOCK_TOLERANCE_MS = 5 * 60 * 1000

const MAX_CHAIN = 5

/** What a well signed request proves: its sender holds the key of `certificate`. */
export interface Proof {
  readonly certificate: Certificate
  /** The certificates of X-Amz-X509-Chain. */
  readonly offered: readonly Certificate[]
}

interface Authorization {
  readonly algorithm: string
  readonly serial: string
  readonly date: string
  readonly scope: string
  readonly signedHeaders: readonly string[]
  readonly signature: Buffer
}

/** The key type that each algorithm signs with, as Node names it. */
const KEY_TYPES: Readonly<Record<string, string>> = {
  'AWS4-X509-RSA-SHA256': 'rsa',
  'AWS4-X509-ECDSA-SHA256': 'ec',
}

/**
 * Verifies form, clock, scope, serial number and signature of `request`.
 * @throws ServiceError AccessDeniedException
 */
export function verifySignedRequest(request: HttpRequest, region: string, now: Date): Proof {
  const authorization = parseAuthorization(singleHeader(request, 'authorization'), region)
  const signedAt = singleHeader(request, 'x-amz-date')
  const certificateText = singleHeader(request, 'x-amz-x509')
  verifyDate(signedAt, authorization.date, now)
  verifySignedHeaders(request, authorization.signedHeaders)
  const certificate = decodeCertificate(certificateText, 'X-Amz-X509')
  const offered = decodeChain(request)
  verifySerial(authorization.serial, certificate)
  verifySignature(request, authorization, signedAt, certificate)
  return { certificate, offered }
}

function malformed(reason: string): Error {
  return accessDenied('Authorization header is malformed', reason)
}

function parseAuthorization(header: string, region: string): Authorization {
  const match = /^(\S+) Credential=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([^,\s]+)$/.exec(header)
  if (match === null)
    throw malformed('Authorization is not "algorithm Credential=…, SignedHeaders=…, Signature=…"')
  const [, algorithm, credential, signedHeaders, signature] = match as unknown as string[]
  if (!Object.hasOwn(KEY_TYPES, algorithm!)) throw malformed(`algorithm ${algorithm} is not supported`)
  const [serial, date, scopeRegion, service, terminator, ...rest] = credential!.split('/')
  if (terminator === undefined || rest.length > 0)
    throw malformed('Credential is not serial/date/region/service/aws4_request')
  if (!/^\d{8}$/.test(date!)) throw malformed('the date of the credential scope is not YYYYMMDD')
  if (scopeRegion !== region)
    throw accessDenied(
      `Credential should be scoped to a valid region`,
      `scope names ${scopeRegion}, this is ${region}`,
    )
  if (service !== 'rolesanywhere')
    throw accessDenied("Credential should be scoped to correct service: 'rolesanywhere'")
  if (terminator !== 'aws4_request')
    throw accessDenied("Credential should be scoped with a valid terminator: 'aws4_request'")
  if (!/^(?:[0-9a-f]{2})+$/.test(signature!)) throw malformed('the signature is not lower-case hex')
  return {
    algorithm: algorithm!,
    serial: serial!,
    date: date!,
    scope: `${date}/${region}/rolesanywhere/aws4_request`,
    signedHeaders: signedHeaders!.split(';'),
    signature: Buffer.from(signature!, 'hex'),
  }
}

function singleHeader(request: HttpRequest, name: string): string {
  const values = request.headers.get(name) ?? []
  if (values.length === 0) throw accessDenied(`Missing header: ${name}`)
  if (values.length > 1) throw malformed(`header ${name} was sent ${values.length} times`)
  return values[0]!
}

function verifyDate(signedAt: string, scopeDate: string, now: Date): void {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(signedAt)
  const iso =
    parts === null ? '' : `${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}.000Z`
  const instant = new Date(iso)
  // The round trip refuses instants that do not exist, which Date would roll over.
  if (Number.isNaN(instant.getTime()) || instant.toISOString() !== iso) {
    throw malformed('X-Amz-Date is not an instant as YYYYMMDDTHHMMSSZ')
  }
  if (scopeDate !== signedAt.slice(0, 8))
    throw malformed('the date of the credential scope differs from X-Amz-Date')
  const skewMs = now.getTime() - instant.getTime()
  if (Math.abs(skewMs) <= CLOCK_TOLERANCE_MS) return
  const bound = formatAmzDate(new Date(now.getTime() - Math.sign(skewMs) * CLOCK_TOLERANCE_MS))
  throw skewMs > 0
    ? accessDenied(
        `Signature expired: ${signedAt} is now earlier than ${bound} (${formatAmzDate(now)} - 5 min.)`,
      )
    : accessDenied(
        `Signature not yet current: ${signedAt} is still later than ${bound} (${formatAmzDate(now)} + 5 min.)`,
      )
}

function formatAmzDate(date: Date): string {
  return `${date.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`
}

function verifySignedHeaders(request: HttpRequest, names: readonly string[]): void {
  if (names.some((name) => name !== name.toLowerCase())) throw malformed('SignedHeaders are not lower case')
  if (names.some((name, index) => index > 0 && name <= names[index - 1]!))
    throw malformed('SignedHeaders are not sorted')
  const absent = names.find((name) => !request.headers.has(name))
  if (absent !== undefined) throw malformed(`signed header ${absent} was not sent`)
  const required = ['host', 'x-amz-date', 'x-amz-x509']
  if (request.headers.has('x-amz-x509-chain')) required.push('x-amz-x509-chain')
  const unsigned = required.find((name) => !names.includes(name))
  if (unsigned !== undefined) throw malformed(`header ${unsigned} must be signed`)
}

function decodeCertificate(text: string, header: string): Certificate {
  const der = Buffer.from(text, 'base64')
  // Node's decoder is lax; only the standard alphabet, padded and without line breaks, survives the round trip.
  if (text === '' || der.toString('base64') !== text) throw malformed(`${header} is not base64`)
  try {
    return readCertificate(der)
  } catch (error) {
    throw malformed(`${header} does not hold a DER certificate: ${(error as Error).message}`)
  }
}

function decodeChain(request: HttpRequest): Certificate[] {
  if (!request.headers.has('x-amz-x509-chain')) return []
  const texts = singleHeader(request, 'x-amz-x509-chain').split(',')
  if (texts.length > MAX_CHAIN)
    throw malformed(`X-Amz-X509-Chain holds ${texts.length} certificates, ${MAX_CHAIN} are allowed`)
  return texts.map((text) => decodeCertificate(text, 'X-Amz-X509-Chain'))
}

function verifySerial(serial: string, certificate: Certificate): void {
  if (serial !== certificate.serialNumber.toString()) {
    throw accessDenied(
      'Invalid signature',
      'Credential does not begin with the serial number of X-Amz-X509 in decimal',
    )
  }
}

function verifySignature(
  request: HttpRequest,
  authorization: Authorization,
  signedAt: string,
  certificate: Certificate,
): void {
  const keyType = certificate.publicKey.asymmetricKeyType
  if (keyType !== KEY_TYPES[authorization.algorithm]) {
    throw accessDenied(
      'Invalid signature',
      `${authorization.algorithm} cannot be made with a key of type ${keyType}`,
    )
  }
  const canonical = canonicalRequest(request, authorization.signedHeaders)
  const stringToSign = [authorization.algorithm, signedAt, authorization.scope, sha256Hex(canonical)].join(
    '\n',
  )
  // SHA-256 whatever the curve; Node's defaults are PKCS #1 v1.5 for RSA and DER for ECDSA.
  if (!verify('sha256', Buffer.from(stringToSign), certificate.publicKey, authorization.signature)) {
    throw accessDenied('Invalid signature', 'the signature does not verify over the canonical request')
  }
}
