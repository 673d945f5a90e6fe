/**
 * What is said on the agent's socket: HTTP with a JSON body. Where a PIN goes along, its bytes follow the JSON and one
 * line feed, so that it never stands inside a JSON text, whose string nobody could wipe. What a person has to know before
 * the answer comes (a touch, for one) goes ahead of it, in the Link of a 103 (RFC 8297).
 */

import { type Credentials, formatExpiration } from '../credentials.js'
import { type ErrorCode, HoldfastError, isErrorCode } from '../errors.js'
import type { PinNeed } from '../pkcs11/token-protocol.js'

/** What can be asked for, by `POST`; `status` and `metrics` by `GET`. */
export type AgentPath = '/credentials' | '/unlock' | '/lock' | '/status' | '/metrics'

/** A PIN that a person has just given, and how: the guard of tried PINs goes by it. */
export interface GivenPin {
  readonly kind: 'terminal' | 'askpass'
  /** What messages call it. */
  readonly name: string
  /** Belongs to whoever holds the object. */
  readonly bytes: Uint8Array
}

/** A request about one identity. */
export interface AgentRequest {
  /** The identity's name; absent where only flags say what is meant. */
  readonly name?: string | undefined
  /** What the identity must be like, as `formatSessionKey` says it; absent where the name says it all. */
  readonly sessionKey?: string | undefined
  readonly pin?: GivenPin | undefined
  /** What the client says of itself. Nobody vouches for it. */
  readonly claims?: { readonly pid: number; readonly uid: number } | undefined
}

/**
 * What comes back. `unknown`: the agent has no such identity, so whoever asks is on their own. `done` is false where there was
 * nothing to be done. `needPin` beside credentials: they are about to expire, and a person who is there can have new ones.
 */
export type AgentReply =
  | { readonly credentials: Credentials; readonly needPin?: PinNeed | undefined }
  | { readonly done: boolean }
  | { readonly unknown: true }
  | { readonly failed: HoldfastError; readonly needPin?: PinNeed | undefined }

/** The longest request that is read, in bytes. */
export const MAX_REQUEST_BYTES = 64 * 1024

const LINE_FEED = 0x0a

/** The body of a request. It holds a copy of the PIN, to be wiped when it has been sent. */
export function formatAgentRequest({ pin, ...request }: AgentRequest): Buffer {
  const about = pin && { pin: { kind: pin.kind, name: pin.name } }
  const json = Buffer.from(JSON.stringify({ ...request, ...about }))
  return pin === undefined ? json : Buffer.concat([json, Buffer.of(LINE_FEED), pin.bytes])
}

/**
 * Reads the body of a request. The PIN is a view of `body`.
 * @throws HoldfastError USAGE
 */
export function parseAgentRequest(body: Uint8Array): AgentRequest {
  const end = body.indexOf(LINE_FEED)
  const fields = parseFields(end === -1 ? body : body.subarray(0, end))
  const { name, sessionKey, pin, claims } = fields
  const isValid =
    isTextOrAbsent(name) &&
    isTextOrAbsent(sessionKey) &&
    (claims === undefined || hasFields(claims, { pid: Number.isSafeInteger, uid: Number.isSafeInteger })) &&
    (pin === undefined) === (end === -1) &&
    (pin === undefined || hasFields(pin, { kind: isPinKind, name: isText }))
  if (!isValid) throw invalid()
  const { kind, name: pinName } = Object(pin) as GivenPin
  return {
    name: name as string | undefined,
    sessionKey: sessionKey as string | undefined,
    claims: claims as AgentRequest['claims'],
    ...(pin === undefined ? {} : { pin: { kind, name: pinName, bytes: body.subarray(end + 1) } }),
  }
}

/** The body of a reply, and its HTTP status, which tells the same to whoever does not read the body. */
export function formatAgentReply(reply: AgentReply): { status: number; body: string } {
  if ('credentials' in reply) {
    const { credentials, needPin } = reply
    const expiration = formatExpiration(credentials.expiration)
    return { status: 200, body: JSON.stringify({ credentials: { ...credentials, expiration }, needPin }) }
  }
  if ('done' in reply) return { status: 200, body: JSON.stringify(reply) }
  if ('unknown' in reply) return { status: 404, body: JSON.stringify(reply) }
  const { failed, needPin } = reply
  return {
    status: failed.exitStatus === 2 ? 400 : 503,
    body: JSON.stringify({ failed: { code: failed.code, message: failed.message }, needPin }),
  }
}

/**
 * Reads the body of a reply.
 * @throws HoldfastError AGENT_FAILED if it is none. No message and no cause quotes it.
 */
export function parseAgentReply(body: Uint8Array): AgentReply {
  let reply: Record<string, unknown>
  try {
    reply = parseFields(body)
  } catch {
    throw noReply()
  }
  const { credentials, failed, needPin, unknown, done } = reply
  if (unknown === true) return { unknown }
  if (typeof done === 'boolean') return { done }
  if (hasFields(failed, { code: isText, message: isText })) {
    const { code, message } = failed as { code: string; message: string }
    const known: ErrorCode = isErrorCode(code) ? code : 'AGENT_FAILED'
    return { failed: new HoldfastError(known, message), needPin: findPinNeed(needPin) }
  }
  const shape = { accessKeyId: isText, secretAccessKey: isText, sessionToken: isText, expiration: isDate }
  if (!hasFields(credentials, shape)) throw noReply()
  const aboutPin = findPinNeed(needPin)
  const { accountId, expiration, ...rest } = credentials as Credentials & { expiration: string }
  return {
    credentials: {
      accessKeyId: rest.accessKeyId,
      secretAccessKey: rest.secretAccessKey,
      sessionToken: rest.sessionToken,
      expiration: new Date(expiration),
      ...(isText(accountId) ? { accountId } : {}),
    },
    ...(aboutPin && { needPin: aboutPin }),
  }
}

/** The Link that carries a notice. */
export function formatNotice(notice: string): string {
  // By way of bytes, since half a surrogate pair could not be encoded.
  return `<data:,${encodeURIComponent(Buffer.from(notice).toString())}>; rel=status`
}

/** The notice that a Link carries; undefined if it is none. */
export function findNotice(link: unknown): string | undefined {
  const data = isText(link) ? /^<data:,([^>]*)>/.exec(link)?.[1] : undefined
  try {
    return data && decodeURIComponent(data)
  } catch {
    return undefined
  }
}

function findPinNeed(value: unknown): PinNeed | undefined {
  const token = (field: unknown) =>
    hasFields(field, { manufacturer: isText, model: isText, serial: isText, label: isText })
  if (!hasFields(value, { flags: Number.isSafeInteger, token })) return undefined
  // No agent needs another one, and its word is not taken for it.
  return { ...(value as PinNeed), role: 'user' }
}

function parseFields(json: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json))
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // The parser's message quotes the text.
  }
  throw invalid()
}

function hasFields(value: unknown, shape: Readonly<Record<string, (field: unknown) => boolean>>): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(shape).every(([name, isValid]) => isValid((value as Record<string, unknown>)[name]))
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isTextOrAbsent(value: unknown): boolean {
  return value === undefined || isText(value)
}

function isDate(value: unknown): boolean {
  return isText(value) && !Number.isNaN(Date.parse(value))
}

function isPinKind(value: unknown): boolean {
  return value === 'terminal' || value === 'askpass'
}

function invalid(): HoldfastError {
  return new HoldfastError('USAGE', 'the request to the agent is not one that it knows')
}

function noReply(): HoldfastError {
  return new HoldfastError(
    'AGENT_FAILED',
    'the agent answered something that is no answer: is it of another version? Restart it',
  )
}
