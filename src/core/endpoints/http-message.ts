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

/** What there is beside a request. */
export interface HttpOptions {
  /** Aborted when whoever asked has gone. */
  readonly signal: AbortSignal
  /** Tells whoever asked something ahead of the reply, where that can be done. */
  readonly notify?: ((notice: string) => void) | undefined
}

/** Answers requests. */
export type HttpHandler = (request: HttpRequest, options: HttpOptions) => Promise<HttpReply>
