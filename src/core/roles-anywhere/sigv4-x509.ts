/**
 * SigV4-X509: the request that proves possession of a certificate's private key.
 * There is no derived signing key: the private key signs the string to sign itself. Nothing is put in the
 * query, so its canonical form is always the empty line.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-sign-process.html
 */

import { createHash } from 'node:crypto'
import type { SigningAlgorithm } from '../signer.js'
import type { Certificate } from '../x509/certificate.js'

/** What is to be signed: a POST with a JSON body, by the key of `certificate`. */
export interface UnsignedRequest {
  /** Host header, with the port if it is not the scheme's own. */
  readonly host: string
  /** Absolute path, already in its encoded form, for example `/sessions`. */
  readonly path: string
  readonly body: Uint8Array
  readonly date: Date
  readonly region: string
  readonly certificate: Certificate
  /** Intermediates, nearest to the certificate first; may be empty. */
  readonly chain: readonly Certificate[]
  readonly algorithm: SigningAlgorithm
}

/** Headers that are signed, in the order they are signed in, and the bytes that the key must sign. */
export interface PreparedRequest {
  /** All signed headers, names in lowercase and sorted. They must be sent byte for byte as they are here. */
  readonly headers: Readonly<Record<string, string>>
  /** UTF-8 of the string to sign. */
  readonly stringToSign: Uint8Array
  /** Value of the Authorization header for a signature over `stringToSign`. */
  formatAuthorization(signature: Uint8Array): string
}

/** Builds the signed headers and the string to sign. */
export function prepareRequest(request: UnsignedRequest): PreparedRequest {
  const timestamp = formatTimestamp(request.date)
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    host: request.host,
    'x-amz-date': timestamp,
    'x-amz-x509': base64(request.certificate.der),
  }
  if (request.chain.length > 0) {
    headers['x-amz-x509-chain'] = request.chain.map(({ der }) => base64(der)).join(',')
  }
  const signedHeaders = Object.keys(headers).join(';')
  const canonicalRequest = [
    'POST',
    request.path,
    '',
    ...Object.entries(headers).map(([name, value]) => `${name}:${value}`),
    '',
    signedHeaders,
    sha256Hex(request.body),
  ].join('\n')
  const scope = `${timestamp.slice(0, 8)}/${request.region}/rolesanywhere/aws4_request`
  const stringToSign = [request.algorithm, timestamp, scope, sha256Hex(canonicalRequest)].join('\n')
  // The credential's serial number is decimal; in hex the service answers 403.
  const credential = `${request.certificate.serialNumber}/${scope}`
  return {
    headers,
    stringToSign: Buffer.from(stringToSign),
    formatAuthorization: (signature) =>
      `${request.algorithm} Credential=${credential}, SignedHeaders=${signedHeaders}, Signature=${Buffer.from(signature).toString('hex')}`,
  }
}

/** `20260102T030405Z` */
function formatTimestamp(date: Date): string {
  return `${date.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}
