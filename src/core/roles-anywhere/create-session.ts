/**
 * The body of a CreateSession request and of its successful answer. The ARNs stand in the body, not in the
 * query, so that nothing of them needs URI encoding in the canonical request. What a refusal means is in
 * core/roles-anywhere/refusal.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-create-session.html
 */

import type { Credentials } from '../credentials.js'
import { HoldfastError } from '../errors.js'
import { parseArn } from './arn.js'

/** Path of CreateSession; the service has no other, and it is part of what is signed. */
export const CREATE_SESSION_PATH = '/sessions'

/** How long a session may last. */
export const SESSION_SECONDS = { min: 900, max: 43200 } as const

/** What a session is asked for with. */
export interface CreateSessionRequest {
  readonly trustAnchorArn: string
  readonly profileArn: string
  readonly roleArn: string
  /** 900 to 43200; absent: the profile's. The session gets the smaller of the two. */
  readonly durationSeconds?: number | undefined
  /** Accepted only by a profile that allows custom session names; absent: the certificate's serial number. */
  readonly roleSessionName?: string | undefined
}

/**
 * The JSON body, UTF-8.
 * @throws HoldfastError USAGE for a duration or session name that the service cannot accept
 */
export function formatCreateSessionRequest(request: CreateSessionRequest): Uint8Array {
  const { trustAnchorArn, profileArn, roleArn, durationSeconds, roleSessionName } = request
  const { min, max } = SESSION_SECONDS
  if (
    durationSeconds !== undefined &&
    !(Number.isInteger(durationSeconds) && durationSeconds >= min && durationSeconds <= max)
  ) {
    throw new HoldfastError(
      'USAGE',
      `a session lasts ${min} to ${max} seconds (15 minutes to 12 hours), so --session-duration cannot be ${durationSeconds}`,
    )
  }
  if (roleSessionName !== undefined && !/^[\w+=,.@-]{2,64}$/.test(roleSessionName)) {
    throw new HoldfastError(
      'USAGE',
      'a role session name (--role-session-name) has 2 to 64 characters, each an ASCII letter or digit or one of _+=,.@-',
    )
  }
  // JSON.stringify leaves out what is undefined.
  return Buffer.from(
    JSON.stringify({ profileArn, roleArn, trustAnchorArn, durationSeconds, roleSessionName }),
  )
}

/** What a successful answer is held against. */
export interface ReplyExpectation {
  readonly now: Date
  /** The role that was asked for. */
  readonly roleArn: string
}

/**
 * Reads the body of a successful answer.
 * @throws HoldfastError REPLY_INVALID if it is not the documented JSON, has no credentials, has some that
 *   have expired already, or has those of another role. No message and no cause quotes the body.
 */
export function parseCreateSessionReply(body: Uint8Array, expected: ReplyExpectation): Credentials {
  const { credentialSet } = parseJsonObject(body)
  if (!Array.isArray(credentialSet)) throw invalid('it has no list "credentialSet"')
  if (credentialSet.length === 0) throw invalid('its "credentialSet" is empty')
  const entry = asObject(credentialSet[0], 'credentialSet[0]')
  if (entry.roleArn !== expected.roleArn) {
    throw invalid(`its credentials are not for the role that was asked for, ${expected.roleArn}`)
  }
  const credentials = asObject(entry.credentials, 'credentials')
  const user = asObject(entry.assumedRoleUser, 'assumedRoleUser')
  return {
    accessKeyId: asText(credentials.accessKeyId, 'accessKeyId'),
    secretAccessKey: asText(credentials.secretAccessKey, 'secretAccessKey'),
    sessionToken: asText(credentials.sessionToken, 'sessionToken'),
    expiration: parseExpiration(asText(credentials.expiration, 'expiration'), expected.now),
    accountId: parseAccountId(asText(user.arn, 'assumedRoleUser.arn'), expected.roleArn),
  }
}

function invalid(problem: string): HoldfastError {
  return new HoldfastError('REPLY_INVALID', `the answer of Roles Anywhere cannot be used: ${problem}`)
}

function parseJsonObject(body: Uint8Array): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    // The parser's own error quotes the text, which may hold a secret: it must not become the cause.
    throw invalid(`it is not JSON (${body.length} bytes)`)
  }
  return asObject(value, 'the answer')
}

function asObject(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw invalid(`${name} is not a JSON object`)
}

/** Non-empty, and of the visible ASCII characters that credentials, ARNs and times consist of. */
function asText(value: unknown, name: string): string {
  if (typeof value === 'string' && /^[\x21-\x7e]+$/.test(value)) return value
  throw invalid(`${name} is missing or not a text of visible ASCII characters`)
}

function parseExpiration(text: string, now: Date): Date {
  const isIso = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/.test(text)
  const expiration = new Date(isIso ? text : Number.NaN)
  if (Number.isNaN(expiration.getTime())) throw invalid('expiration is not an ISO 8601 time')
  if (expiration <= now) {
    throw invalid(
      `its credentials expired at ${expiration.toISOString()}, and this machine's clock says ${now.toISOString()}; is the clock right?`,
    )
  }
  return expiration
}

function parseAccountId(assumedRoleArn: string, roleArn: string): string {
  const user = findArn(assumedRoleArn)
  const role = findArn(roleArn)
  if (user?.service !== 'sts' || user.resourceType !== 'assumed-role') {
    throw invalid('assumedRoleUser.arn is not the ARN of an assumed role')
  }
  if (user.accountId !== role?.accountId) throw invalid('the assumed role is in another account')
  return user.accountId
}

function findArn(text: string) {
  try {
    return parseArn(text, 'the answer')
  } catch {
    return undefined
  }
}
