/**
 * When credentials are renewed, and when a renewal that failed is tried again. Computes only: times are milliseconds,
 * and the random numbers, from 0 to 1, come from outside.
 */

import { type ErrorCode, HoldfastError } from '../errors.js'

/**
 * How long after their issue credentials are renewed. A third of their life is left then, and up to a twelfth more, lest
 * many machines that started together ask together. Of an hour that is 20 to 25 minutes: SDKs renew what has less than
 * 15 left at every use, and an outage of that length goes unnoticed.
 */
export function planRefresh(lifetimeMs: number, random: number): number {
  return (lifetimeMs * (8 - random)) / 12
}

/**
 * How long after their issue credentials are renewed that cost a person something: when a twelfth of their life is left,
 * just enough for the command that asks.
 */
export function planAttendedRefresh(lifetimeMs: number): number {
  return (lifetimeMs * 11) / 12
}

const FIRST_RETRY_MS = 5000
const LAST_RETRY_MS = 5 * 60 * 1000
/** New roles and policies are not known everywhere at once. */
const ROLE_RETRY_MS = 30_000

/**
 * How long after a failure the next try comes by itself: of one that may pass after about 5, 10, 20 … seconds, and at last,
 * as of any other, which somebody may have mended, every five minutes. A PIN that was refused is not shown to the token
 * again by that: whoever guards PINs remembers it. Not so one that was good before, where there is no saying why the
 * login failed: then undefined.
 * @param failures how many there have been in a row, this one counted
 */
export function planRetry(error: unknown, failures: number, random: number): number | undefined {
  const code = error instanceof HoldfastError ? error.code : undefined
  if (code === 'LOGIN_FAILED') return undefined
  let delayMs = LAST_RETRY_MS
  if (isTransient(error)) delayMs = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LAST_RETRY_MS)
  else if (code === 'REFUSED_ROLE' && failures === 1) delayMs = ROLE_RETRY_MS
  return delayMs * (0.5 + random / 2)
}

/** How long after a failure whoever asks is told of it, instead of starting another try. */
export function planRetryOnDemand(error: unknown): number {
  return isTransient(error) ? 2000 : 30_000
}

/** Beside those of exit status 6 (network, service, clock), failures that may pass although nobody mends anything. */
const PASSING: readonly ErrorCode[] = [
  'FILE_UNREADABLE',
  'INTERRUPTED',
  'MODULE_CRASHED',
  'MODULE_FAILED',
  'PIN_GUARD_UNAVAILABLE',
  'PIN_SOURCE_UNREADABLE',
  'TOKEN_FAILED',
  'TOKEN_NOT_FOUND',
  'TOKEN_REMOVED',
  'TOKEN_TIMEOUT',
]

/**
 * True if the same try may succeed later: the network, a token that is pulled out, a bug. False for a PIN, a key, a
 * certificate, a configuration, and for what Roles Anywhere has refused: there somebody has to change something.
 */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof HoldfastError)) return true
  return error.exitStatus === 6 || PASSING.includes(error.code)
}
