/** HTTP as the agent's doors see it: a whole request, and a whole reply. Sockets and limits are io's. */

/** A request, read to its end. */
export interface HttpRequest {
  readonly method: string
  /** As it stands in the request line: path and query. */
  readonly target: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Belongs to whoever answers, who may wipe it. */
  readonly body: Uint8Array
}

/** A reply. Its length is added. */
export interface HttpReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
}

/** Answers requests. `signal` is aborted when whoever asked has gone. */
export type HttpHandler = (request: HttpRequest, options: { signal: AbortSignal }) => Promise<HttpReply>
