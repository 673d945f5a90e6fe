/**
 * Bounds work in time, and lets it be ended from outside as well. AbortSignal.any would do that, but in Node 20 it
 * may be collected as garbage, and its time with it.
 */
import type { HoldfastError } from '../core/errors.js'

/** When work ends at the latest. */
export interface Deadline {
  /** Ends it before its time; what waits gets its reason. */
  readonly signal: AbortSignal
  readonly timeoutMs: number
  /** The reason that is given when the time is up. */
  readonly expired: HoldfastError
}

/** Lends a signal that is aborted with `signal`, or when the time is up before `work` has ended. */
export async function withDeadline<T>(
  { signal, timeoutMs, expired }: Deadline,
  work: (deadline: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController()
  const abort = () => deadline.abort(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  const timer = setTimeout(() => deadline.abort(expired), timeoutMs)
  try {
    return await work(deadline.signal)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}
