/**
 * A second, separate writing-out of SigV4-X509, so that the emulator is not judged by the program that it is
 * there to judge. Every part of the request can be bent after it was signed, or before.
 */
import { createHash, type KeyObject, sign } from 'node:crypto'
import type { HttpRequest } from '../../src/emulator/http-message.js'
import type { Identity } from './pki.js'

export interface SignOptions {
  readonly body?: unknown
  /** Raw query, already encoded and in canonical order. */
  readonly query?: string
  readonly host?: string
  readonly date?: Date
  readonly region?: string
  readonly chain?: readonly Identity[]
  /** Headers beside the usual ones, or instead of them; signed unless `unsigned` names them. */
  readonly headers?: Readonly<Record<string, string>>
  readonly unsigned?: readonly string[]
  readonly signWith?: KeyObject
  readonly algorithm?: string
  readonly serial?: string
  /** The whole scope. */
  readonly scope?: string
  readonly amzDate?: string
  /** Changes the parts of the Authorization header after signing. */
  readonly bend?: (parts: { credential: string; signedHeaders: string; signature: string }) => Partial<{
    credential: string
    signedHeaders: string
    signature: string
  }>
}

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex')

/** A signed `POST /sessions`. */
export function signedRequest(identity: Identity, options: SignOptions = {}): HttpRequest {
  const { query = '', date = new Date(), region = 'us-east-1', chain = [], unsigned = [] } = options
  const body = Buffer.from(
    typeof options.body === 'string' ? options.body : JSON.stringify(options.body ?? {}),
  )
  const amzDate = options.amzDate ?? `${date.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    host: options.host ?? 'rolesanywhere.us-east-1.amazonaws.com',
    'x-amz-date': amzDate,
    'x-amz-x509': identity.der.toString('base64'),
    ...(chain.length === 0
      ? {}
      : { 'x-amz-x509-chain': chain.map((c) => c.der.toString('base64')).join(',') }),
    ...options.headers,
  }
  const names = Object.keys(headers)
    .filter((name) => !unsigned.includes(name))
    .sort()
  const canonical = [
    'POST',
    '/sessions',
    query,
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    sha256(body),
  ].join('\n')
  const scope = options.scope ?? `${amzDate.slice(0, 8)}/${region}/rolesanywhere/aws4_request`
  const algorithm =
    options.algorithm ?? (identity.kind === 'rsa' ? 'AWS4-X509-RSA-SHA256' : 'AWS4-X509-ECDSA-SHA256')
  const stringToSign = `${algorithm}\n${amzDate}\n${scope}\n${sha256(canonical)}`
  const signature = sign('sha256', Buffer.from(stringToSign), options.signWith ?? identity.key).toString(
    'hex',
  )
  const serial = options.serial ?? BigInt(`0x${identity.certificate.serialNumber}`).toString()
  const parts = { credential: `${serial}/${scope}`, signedHeaders: names.join(';'), signature }
  const sent = { ...parts, ...options.bend?.(parts) }
  headers.authorization = `${algorithm} Credential=${sent.credential}, SignedHeaders=${sent.signedHeaders}, Signature=${sent.signature}`
  return {
    method: 'POST',
    path: '/sessions',
    query,
    headers: new Map(Object.entries(headers).map(([name, value]) => [name, [value]])),
    body,
  }
}

/** `request` with one header changed, or taken away with undefined. */
export function withHeader(
  request: HttpRequest,
  name: string,
  values: readonly string[] | undefined,
): HttpRequest {
  const headers = new Map(request.headers)
  if (values === undefined) headers.delete(name)
  else headers.set(name, values)
  return { ...request, headers }
}
