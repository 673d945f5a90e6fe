/** What the replies of the container endpoint and of IMDS have in common, and what each means to those who keep watch. */

import type { Credentials } from '../credentials.js'
import { HoldfastError } from '../errors.js'
import type { HttpReply, HttpRequest } from './http-message.js'

/** A reply, and what became of the request. */
export interface Answer {
  readonly reply: HttpReply
  /** `ok` if credentials are handed out, else why not; absent where the request is not for credentials. */
  readonly result?: string
  /** The identity, if whoever asked may know of it. */
  readonly identity?: string
  /** Who asked, proved by a token. */
  readonly consumer?: string
  readonly credentials?: Credentials
}

/** Nobody on the way may keep a reply, or take it for something else. */
const UNKEPT = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }

/** A reply whose body is `value` as JSON. */
export function jsonReply(status: number, value: object, headers: Record<string, string> = {}): HttpReply {
  return {
    status,
    headers: { 'content-type': 'application/json', ...UNKEPT, ...headers },
    body: JSON.stringify(value),
  }
}

/** A reply whose body is a text without a line end. */
export function textReply(status: number, body: string, headers: Record<string, string> = {}): HttpReply {
  return { status, headers: { 'content-type': 'text/plain', ...UNKEPT, ...headers }, body }
}

/** A refusal in the form that SDKs show to their user. */
export function errorReply(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): HttpReply {
  return jsonReply(status, { Code: code, Message: message }, headers)
}

/** Path of a request, without its query; undefined if the target is a whole URL, as for a proxy, or no path at all. */
export function findPath({ target }: HttpRequest): string | undefined {
  return target.startsWith('/') ? target.split('?', 1)[0] : undefined
}

/** Value of a header; undefined if it is not there. */
export function findHeader({ headers }: HttpRequest, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

/**
 * The answer where there are no credentials to hand out: 503, which SDKs try again, and never an empty set.
 * @param error why not; what is not a HoldfastError is thrown on
 * @param options.tell true if whoever asks may read the message, which names files and tokens
 */
export function answerShortage(error: unknown, { tell }: { tell: boolean }): Answer {
  if (!(error instanceof HoldfastError)) throw error
  const message = tell ? error.message : 'There are no credentials now; the log of the agent says why'
  return {
    reply: errorReply(503, error.code, message, { 'retry-after': '1' }),
    result: error.code,
  }
}
