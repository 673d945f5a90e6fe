/**
 * Keeps the credentials of one identity fresh: one refresh at a time, early, in the background where nobody needs to
 * touch or type anything. What is still valid is kept when a refresh fails, and never handed out past its expiry.
 *
 * Two clocks are looked at, since each fails in its way: the wall clock may be set, and what counts from the start of the
 * machine knows nothing of a time that was wrong at the issue. What is older by one of them is older.
 */

import {
  planAttendedRefresh,
  planRefresh,
  planRetry,
  planRetryOnDemand,
} from '../core/agent/refresh-schedule.js'
import type { CredentialProvider, Credentials } from '../core/credentials.js'
import { HoldfastError } from '../core/errors.js'
import type { TakeOptions } from './shelf.js'

/** The clocks, and what wakes the program up. */
export interface Clock {
  now(): Date
  /** Milliseconds of a clock that nobody sets and that goes on while the machine is suspended. */
  elapsedMs(): number
  /** Runs `wake` once, after `delayMs`; what comes back calls it off. */
  setTimer(wake: () => void, delayMs: number): () => void
}

/** What a refresher is made of. */
export interface RefresherParts {
  /** Makes one session. Never called again before it has ended. */
  readonly provider: CredentialProvider
  /** False while a person is needed: then a refresh is started only by somebody who asks. */
  readonly isUnattended: () => boolean
  readonly clock: Clock
  /** From 0 to 1. */
  readonly random: () => number
  readonly onRefreshed?: (credentials: Credentials) => void
  /** @param retryInMs when it is tried again by itself; undefined if not before something changes or somebody asks */
  readonly onFailed?: (error: unknown, retryInMs: number | undefined) => void
}

/** How a refresher is doing. */
export interface RefresherState {
  /** What is handed out; undefined if there is nothing, or it has expired. */
  readonly credentials: Credentials | undefined
  readonly refreshing: boolean
  /** Why the last refresh failed; undefined if it did not. */
  readonly failure: { readonly error: unknown; readonly at: Date; readonly count: number } | undefined
}

/** How credentials are asked of a refresher. */
export interface RefresherGetOptions extends TakeOptions {
  /** Makes the session in place of the usual provider, if one is needed: with a PIN that somebody has just typed. */
  readonly provider?: CredentialProvider | undefined
  /** True if what is held will not do. */
  readonly fresh?: boolean | undefined
}

/** The engine of one identity. */
export interface Refresher {
  readonly state: RefresherState
  /** The `credentials` of its state. */
  readonly held: Credentials | undefined
  /** True if what is held has so little left that a person who asks is to get another set. */
  readonly isDue: boolean
  /** As {@link Shelf.get}. */
  get(options: RefresherGetOptions): Promise<Credentials>
  /** Begins to refresh by itself. */
  start(): void
  /** Something has changed: refreshes as soon as it may. What is valid is handed out until that has succeeded. */
  renew(): void
  /** Takes over what another refresher of the same session has left. */
  adopt(credentials: Credentials): void
  stop(): void
}

/** How often the clocks are compared with the plan: a timer alone would sleep through a suspend. */
const TICK_MS = 15_000

interface Instant {
  readonly date: Date
  readonly elapsedMs: number
}

interface Held {
  readonly credentials: Credentials
  readonly since: Instant
  readonly lifetimeMs: number
  /** Age at which they are renewed. */
  readonly refreshAfterMs: number
}

interface Failure {
  readonly error: unknown
  readonly since: Instant
  readonly count: number
  readonly retryAfterMs: number | undefined
}

/** A refresher that does nothing until it is asked or started. */
export function createRefresher(parts: RefresherParts): Refresher {
  const { clock, isUnattended } = parts
  let held: Held | undefined
  let failure: Failure | undefined
  let flight: Promise<Credentials> | undefined
  let isOutdated = false
  let isStarted = false
  let callOff: (() => void) | undefined

  const mark = (): Instant => ({ date: clock.now(), elapsedMs: clock.elapsedMs() })
  const ageMs = ({ date, elapsedMs }: Instant) =>
    Math.max(clock.now().getTime() - date.getTime(), clock.elapsedMs() - elapsedMs)
  const findValid = () => (held !== undefined && ageMs(held.since) < held.lifetimeMs ? held : undefined)

  const hold = (credentials: Credentials) => {
    const since = mark()
    const lifetimeMs = credentials.expiration.getTime() - since.date.getTime()
    held = { credentials, since, lifetimeMs, refreshAfterMs: planRefresh(lifetimeMs, parts.random()) }
  }

  const settleFailure = (error: unknown) => {
    const count = (failure?.count ?? 0) + 1
    const retryAfterMs = planRetry(error, count, parts.random())
    failure = { error, since: mark(), count, retryAfterMs }
    parts.onFailed?.(error, isUnattended() ? retryAfterMs : undefined)
  }

  const refresh = (provider: CredentialProvider): Promise<Credentials> => {
    isOutdated = false
    flight = provider()
      .then(
        (credentials) => {
          hold(credentials)
          failure = undefined
          parts.onRefreshed?.(credentials)
          return credentials
        },
        (error) => {
          settleFailure(error)
          throw error
        },
      )
      .finally(() => {
        flight = undefined
        arm()
      })
    // Nobody may be waiting for it.
    flight.catch(() => undefined)
    return flight
  }

  /** Time until the next refresh by itself; undefined if none is planned. */
  const findDelay = (): number | undefined => {
    if (isOutdated) return 0
    if (failure !== undefined) {
      return failure.retryAfterMs && failure.retryAfterMs - ageMs(failure.since)
    }
    return held === undefined ? 0 : held.refreshAfterMs - ageMs(held.since)
  }

  const arm = () => {
    callOff?.()
    callOff = undefined
    if (!isStarted || flight !== undefined) return
    const delayMs = isUnattended() ? (findDelay() ?? TICK_MS) : TICK_MS
    if (delayMs <= 0) void refresh(parts.provider)
    else callOff = clock.setTimer(arm, Math.min(Math.ceil(delayMs), TICK_MS))
  }

  const isFreshEnough = (valid: Held) =>
    isUnattended() || ageMs(valid.since) < planAttendedRefresh(valid.lifetimeMs)

  return {
    get state() {
      return {
        credentials: findValid()?.credentials,
        refreshing: flight !== undefined,
        failure: failure && { error: failure.error, at: failure.since.date, count: failure.count },
      }
    },
    get held() {
      return findValid()?.credentials
    },
    get isDue() {
      const valid = findValid()
      return valid !== undefined && !isFreshEnough(valid)
    },
    async get({ attended, signal, provider, fresh = false }) {
      const valid = fresh ? undefined : findValid()
      if (valid !== undefined && (isFreshEnough(valid) || !attended)) return valid.credentials
      if (!attended && !isUnattended()) throw personNeeded()
      try {
        while (flight !== undefined) {
          // With a PIN of one's own, the failure of another one's is no answer.
          const shared = withAbort(flight, signal)
          if (provider === undefined) return await shared
          const credentials = await shared.catch(() => signal.throwIfAborted())
          if (credentials !== undefined && !fresh) return credentials
        }
        const mayTry = failure === undefined || ageMs(failure.since) >= planRetryOnDemand(failure.error)
        if (provider === undefined && !isOutdated && !mayTry) throw failure?.error
        return await withAbort(refresh(provider ?? parts.provider), signal)
      } catch (error) {
        const stillValid = findValid()
        if (stillValid === undefined || fresh || signal.aborted) throw error
        return stillValid.credentials
      }
    },
    start() {
      isStarted = true
      arm()
    },
    renew() {
      isOutdated = true
      arm()
    },
    adopt: hold,
    stop() {
      isStarted = false
      callOff?.()
    },
  }
}

function personNeeded(): HoldfastError {
  return new HoldfastError(
    'PIN_NEEDED',
    'this identity is renewed only for a person, who may have to touch its token, and nobody can be asked here: run holdfast credential-process where the token is',
  )
}

/** `promise`, or the reason of `signal` if that comes first. */
function withAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
