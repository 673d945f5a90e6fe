/**
 * S3's ListBuckets and STS's GetCallerIdentity on the loopback interface, for requests that are signed with
 * the credentials of a known session: the use that credentials are for. Both answers name the access key.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */

import { createHash, createHmac } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { type Peer, startHttpPeer } from './peers.js'

/** Credentials that a request may be signed with. */
export interface KnownSession {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
}

/** The running services. */
export interface AwsServices extends Peer {
  readonly url: string
}

interface SignedCall {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Serves whoever has one of the sessions. */
export async function startAwsServices(sessions: () => readonly KnownSession[]): Promise<AwsServices> {
  const peer = await startHttpPeer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const [path = '', query = ''] = request.url!.split('?')
    const { method = '', headers } = request
    const call = { method, path, query, headers, body: Buffer.concat(chunks) }
    const outcome = findSigner(call, sessions())
    response.setHeader('content-type', 'application/xml')
    if ('fault' in outcome) {
      const { fault } = outcome
      // S3 and STS each look for the code in a place of their own.
      const error = `<Code>${fault}</Code><Message>${fault}</Message>`
      const body =
        method === 'GET'
          ? `<Error>${error}</Error>`
          : `<ErrorResponse><Error>${error}</Error></ErrorResponse>`
      return void response.writeHead(403).end(body)
    }
    response.end(method === 'GET' ? bucketsOf(outcome.accessKeyId) : identityOf(outcome.accessKeyId))
  })
  return { ...peer, url: `http://127.0.0.1:${peer.port}` }
}

function findSigner(
  { method, path, query, headers, body }: SignedCall,
  sessions: readonly KnownSession[],
): { readonly accessKeyId: string } | { readonly fault: string } {
  const authorization =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    )
  if (authorization === null) return { fault: 'MissingAuthenticationToken' }
  const [accessKeyId, day, region, service, signedHeaders, signature] = authorization.slice(1) as [
    string,
    ...string[],
  ]
  const session = sessions.find((known) => known.accessKeyId === accessKeyId)
  if (session === undefined) return { fault: 'InvalidAccessKeyId' }
  if (headers['x-amz-security-token'] !== session.sessionToken) return { fault: 'InvalidToken' }
  const names = signedHeaders!.split(';')
  const required = ['host', 'x-amz-date', 'x-amz-security-token']
  if (!required.every((name) => names.includes(name))) return { fault: 'SignatureDoesNotMatch' }
  const bodyHash = sha256(body)
  if ((headers['x-amz-content-sha256'] ?? bodyHash) !== bodyHash)
    return { fault: 'XAmzContentSHA256Mismatch' }
  const canonical = [
    method,
    path,
    query
      .split('&')
      .map((pair) => (pair === '' || pair.includes('=') ? pair : `${pair}=`))
      .sort()
      .join('&'),
    ...names.map((name) => `${name}:${String(headers[name]).trim().replaceAll(/ +/g, ' ')}`),
    '',
    signedHeaders,
    bodyHash,
  ].join('\n')
  const date = String(headers['x-amz-date'])
  const scope = `${day}/${region}/${service}/aws4_request`
  const key = [day!, region!, service!, 'aws4_request'].reduce(
    (secret: Buffer | string, part) => hmac(secret, part),
    `AWS4${session.secretAccessKey}`,
  )
  const expected = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`).toString('hex')
  return expected === signature && date.startsWith(day!)
    ? { accessKeyId }
    : { fault: 'SignatureDoesNotMatch' }
}

function sha256(data: Buffer | string): string {
  return createHash('sha256').update(data).digest('hex')
}

function hmac(key: Buffer | string, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

function bucketsOf(accessKeyId: string): string {
  return `<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>${accessKeyId}</ID></Owner><Buckets><Bucket><Name>measurements</Name><CreationDate>2026-01-02T03:04:05.000Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>`
}

function identityOf(accessKeyId: string): string {
  return `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:sts::111122223333:assumed-role/edge/${accessKeyId}</Arn><UserId>AROAEXAMPLE:${accessKeyId}</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
}
