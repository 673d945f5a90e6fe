/**
 * Faults that are injected on request, in a fixed order and number, so that a test of a client's retries
 * repeats exactly. They strike CreateSession only, so that setting the emulator up is never disturbed.
 */
import type { HttpReply } from './http-message.js'
import { errorReply, ServiceError, validationError } from './service-error.js'

const REPLIES = {
  /** Smithy's usual throttling answer; the service's own code is not published. */
  throttle: () => errorReply(new ServiceError(429, 'ThrottlingException', 'Rate exceeded')),
  error: () => errorReply(new ServiceError(500, 'InternalServerException', 'Internal server error')),
  unavailable: () => errorReply(new ServiceError(503, 'ServiceUnavailableException', 'Service unavailable')),
  /** The connection is closed without a reply. */
  drop: () => undefined,
} satisfies Record<string, () => HttpReply | undefined>

/** `throttle` 429, `error` 500, `unavailable` 503, `drop` closes the connection. */
export type FaultKind = keyof typeof REPLIES

export const FAULT_KINDS = Object.keys(REPLIES) as FaultKind[]

/** A fault that is due now: a reply instead of the real one, or the connection dropped. */
export type Fault = { readonly reply: HttpReply | undefined }

/** The faults that are still to come. */
export class Faults {
  /** Milliseconds before every answer to CreateSession. */
  latencyMs = 0
  #pending: { kind: FaultKind; count: number }[] = []

  /** Lets the next `count` sessions fail, after those that were asked for before. */
  failNext(kind: FaultKind, count = 1): void {
    this.#pending.push({ kind, count })
  }

  /** Forgets all faults that have not struck, and the latency. */
  clear(): void {
    this.#pending = []
    this.latencyMs = 0
  }

  /** The fault for the session that asks now, if one is due. */
  take(): Fault | undefined {
    const next = this.#pending[0]
    if (next === undefined) return undefined
    next.count -= 1
    if (next.count <= 0) this.#pending.shift()
    return { reply: REPLIES[next.kind]() }
  }
}

/**
 * Reads `3:throttle`: how many of the next sessions fail, and how.
 * @throws ServiceError ValidationException
 */
export function parseFault(text: string): { kind: FaultKind; count: number } {
  const [, count, kind] = /^([1-9]\d{0,5}):([a-z]+)$/.exec(text) ?? []
  if (count === undefined || !FAULT_KINDS.includes(kind as FaultKind)) {
    throw validationError(`'${text}' is not COUNT:KIND with a kind of ${FAULT_KINDS.join(', ')}`)
  }
  return { kind: kind as FaultKind, count: Number(count) }
}
