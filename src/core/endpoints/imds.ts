/**
 * The part of the EC2 instance metadata service, version 2 only, that SDKs ask for credentials and region. From request
 * to reply; who may send a request at all is core/endpoints/local-request. Any program that can reach it may ask for a token,
 * which protects against relays and careless proxies, not against neighbours.
 * @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html
 */

import { type Credentials, formatExpiration } from '../credentials.js'
import { type Answer, answerShortage, findHeader, findPath, jsonReply, textReply } from './endpoint-answer.js'
import type { HttpRequest } from './http-message.js'
import { holdsToken, type ImdsTokens, issueToken } from './imds-tokens.js'

const TTL_HEADER = 'x-aws-ec2-metadata-token-ttl-seconds'
const TOKEN_HEADER = 'x-aws-ec2-metadata-token'
const TOKEN_PATH = '/latest/api/token'
const MAX_TTL_SECONDS = 21_600

/** What the service knows, and what it may use for one request. */
export interface ImdsEndpoint {
  readonly identity: string
  /** Name of the role, without its path. */
  readonly roleName: string
  readonly accountId: string
  readonly region: string
  readonly tokens: ImdsTokens
  /** Who asks, as far as that is known: tokens are counted by it. */
  readonly remote: string
  /** A text that nobody can guess, for a token, should one be wanted. */
  readonly createToken: () => string
  /** Milliseconds of a clock that nobody can set. */
  readonly elapsedMs: number
  readonly now: Date
  /** The current credentials of the identity. @throws HoldfastError */
  readonly take: () => Promise<Credentials>
}

/** Answers one request. */
export async function answerImdsRequest(request: HttpRequest, endpoint: ImdsEndpoint): Promise<Answer> {
  // SDKs differ in whether the URL of an endpoint ends with a slash, and some put one more behind it.
  const path = decode(findPath(request) ?? '')
    ?.replace(/^\/+/, '/')
    .replace(/\/$/, '')
  if (path === TOKEN_PATH) return answerTokenRequest(request, endpoint)
  if (request.method !== 'GET') return refuse(405, 'Method Not Allowed', { allow: 'GET' })
  const token = findHeader(request, TOKEN_HEADER)
  if (token === undefined || !holdsToken(endpoint.tokens, token, endpoint.elapsedMs)) {
    return { ...refuse(401, 'Unauthorized'), result: 'unauthorized' }
  }
  return answerMetadataRequest(path, endpoint)
}

function answerTokenRequest(request: HttpRequest, endpoint: ImdsEndpoint): Answer {
  if (request.method !== 'PUT') return refuse(405, 'Method Not Allowed', { allow: 'PUT' })
  const ttl = findHeader(request, TTL_HEADER)
  const ttlSeconds = ttl !== undefined && /^\d{1,5}$/.test(ttl) ? Number(ttl) : 0
  if (ttlSeconds < 1 || ttlSeconds > MAX_TTL_SECONDS) return refuse(400, 'Missing or Invalid Parameters')
  const token = endpoint.createToken()
  issueToken(endpoint.tokens, token, {
    remote: endpoint.remote,
    nowMs: endpoint.elapsedMs,
    expiresAtMs: endpoint.elapsedMs + ttlSeconds * 1000,
  })
  return { reply: textReply(200, token, { [TTL_HEADER]: String(ttlSeconds) }) }
}

async function answerMetadataRequest(path: string | undefined, endpoint: ImdsEndpoint): Promise<Answer> {
  const { roleName, region, accountId } = endpoint
  // A zone that nothing runs in; some SDKs know no other way to the region than to take its last letter off.
  const availabilityZone = `${region}a`
  switch (path) {
    case '/latest/meta-data/iam/security-credentials':
    case '/latest/meta-data/iam/security-credentials-extended':
      return { reply: textReply(200, roleName) }
    case `/latest/meta-data/iam/security-credentials/${roleName}`:
      return answerWithCredentials(endpoint)
    case `/latest/meta-data/iam/security-credentials-extended/${roleName}`:
      return answerWithCredentials(endpoint, { AccountId: accountId })
    case '/latest/meta-data/placement/region':
      return { reply: textReply(200, region) }
    case '/latest/meta-data/placement/availability-zone':
      return { reply: textReply(200, availabilityZone) }
    case '/latest/dynamic/instance-identity/document':
      return { reply: jsonReply(200, { accountId, availabilityZone, region }) }
    default:
      return refuse(404, 'Not Found')
  }
}

async function answerWithCredentials(
  { identity, now, take }: ImdsEndpoint,
  more: object = {},
): Promise<Answer> {
  try {
    const credentials = await take()
    const reply = jsonReply(200, {
      Code: 'Success',
      LastUpdated: formatExpiration(now),
      Type: 'AWS-HMAC',
      AccessKeyId: credentials.accessKeyId,
      SecretAccessKey: credentials.secretAccessKey,
      Token: credentials.sessionToken,
      Expiration: formatExpiration(credentials.expiration),
      ...more,
    })
    return { identity, credentials, result: 'ok', reply }
  } catch (error) {
    return { identity, ...answerShortage(error, { tell: false }) }
  }
}

/** The name of a role may have characters that some SDKs encode and some do not. */
function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}

function refuse(status: number, reason: string, headers?: Record<string, string>): Answer {
  return { reply: textReply(status, `${status} - ${reason}`, headers) }
}
