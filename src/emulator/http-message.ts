/**
 * HTTP requests and replies as plain values, so that every handler is a function from one to the other and
 * can be tried without a socket. Only server.ts turns real traffic into them.
 */

/** A request as it came, before any decoding. */
export interface HttpRequest {
  /** Upper case. */
  readonly method: string
  /** Path without the query, still percent-encoded. */
  readonly path: string
  /** What follows the first `?`, still percent-encoded; empty without one. */
  readonly query: string
  /** Values by lower-case header name, in the order in which they came. */
  readonly headers: ReadonlyMap<string, readonly string[]>
  readonly body: Uint8Array
}

/** A reply; the server adds `Date`, `x-amzn-RequestId` and the length. */
export interface HttpReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A reply whose body is `value` as JSON. */
export function jsonReply(status: number, value: unknown, headers: Record<string, string> = {}): HttpReply {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) }
}
