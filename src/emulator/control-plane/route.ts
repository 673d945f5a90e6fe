/**
 * One operation of the REST API: method, path template and the function that answers it; and what the
 * operations share: paging of lists, tags given at creation.
 */
import type { HttpReply } from '../http-message.js'
import { jsonReply } from '../http-message.js'
import { validationError } from '../service-error.js'
import type { World } from '../state.js'

/** A request after its path, query and body were decoded. */
export interface Call {
  /** Values of the path template's `{names}`. */
  readonly path: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** The JSON body; an empty object if there was none. */
  readonly body: unknown
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Such as `/trustanchor/{trustAnchorId}/enable`. */
  readonly path: string
  readonly answer: (call: Call, world: World) => HttpReply | Promise<HttpReply>
}

const DEFAULT_PAGE_SIZE = 50

/**
 * One page of `items` as the reply of a List operation, under the wire's `member` name.
 * @throws ServiceError ValidationException if pageSize or nextToken is not usable
 */
export function pageReply(member: string, items: readonly unknown[], query: URLSearchParams): HttpReply {
  const pageSize = Number(query.get('pageSize') ?? DEFAULT_PAGE_SIZE)
  if (!Number.isInteger(pageSize) || pageSize < 1) throw validationError('pageSize is not a positive integer')
  const token = query.get('nextToken')
  const start = token === null ? 0 : Number(Buffer.from(token, 'base64url').toString())
  if (!Number.isInteger(start) || start < 0 || (token !== null && start === 0))
    throw validationError('nextToken is not valid')
  const end = start + pageSize
  const next = end < items.length ? { nextToken: Buffer.from(String(end)).toString('base64url') } : {}
  return jsonReply(200, { [member]: items.slice(start, end), ...next })
}
