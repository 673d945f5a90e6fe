/**
 * Keeps one profile of the shared credentials file up to date: each new set is written as it comes, one that has expired
 * is taken away, and in between what is still good stays, whatever fails.
 */

import { isTransient } from '../core/agent/refresh-schedule.js'
import { type CredentialProvider, type Credentials, formatExpiration } from '../core/credentials.js'
import { HoldfastError } from '../core/errors.js'
import { type Clock, createRefresher } from './refresher.js'

/** The profile as it stands in the file. Both reject if the file is then as it was. */
export interface ProfileFile {
  set(credentials: Credentials): Promise<void>
  /** Takes credentials away that were set by this or an earlier run and have expired `at` that time. */
  drop(at: Date): Promise<void>
}

/** What the keeper is made of. */
export interface ProfileKeeperParts {
  readonly provider: CredentialProvider
  readonly profile: ProfileFile
  readonly clock: Clock
  /** From 0 to 1. */
  readonly random: () => number
  /** Says what went well. */
  readonly say: (text: string) => Promise<void>
  readonly warn: (text: string) => void
  /** Has `renew` called when somebody wants a new set. */
  readonly onHangup: (renew: () => void) => void
  /** Ends the work; the profile stays as it is. */
  readonly signal: AbortSignal
}

/** How often the file is compared with what it should have, at least: a write that failed is tried again then. */
const TICK_MS = 15_000

/**
 * Runs until `signal`.
 * @throws HoldfastError what keeps the first set from being made or written, unless it may pass by itself
 */
export async function keepProfile(parts: ProfileKeeperParts): Promise<void> {
  const { profile, clock, say, warn, signal } = parts
  const bell = createBell(clock)
  signal.addEventListener('abort', bell.ring, { once: true })
  const refresher = createRefresher({
    ...parts,
    isUnattended: () => true,
    onRefreshed: bell.ring,
    onFailed: (error, retryInMs) => {
      if (!signal.aborted) warn(describeFailure(error, retryInMs))
      bell.ring()
    },
  })
  let written: Credentials | undefined
  let isProven = false

  const bringUpToDate = async () => {
    const { credentials } = refresher.state
    if (credentials === undefined) {
      // What an earlier run has left may expire meanwhile; ours has, whatever the clock was set to.
      await profile.drop(laterOf(clock.now(), written?.expiration))
      if (written !== undefined) {
        warn(`the credentials expired at ${formatExpiration(written.expiration)} and were removed`)
      }
    } else if (credentials !== written) {
      await profile.set(credentials)
      await say(`wrote credentials that expire at ${formatExpiration(credentials.expiration)}`)
      isProven = true
    }
    written = credentials
  }

  parts.onHangup(refresher.renew)
  refresher.start()
  try {
    while (!signal.aborted) {
      const { failure } = refresher.state
      if (!isProven && failure !== undefined && !isTransient(failure.error)) throw failure.error
      const isDone = await bringUpToDate().then(
        () => true,
        (error) => {
          if (!isProven || !(error instanceof HoldfastError)) throw error
          if (!signal.aborted) warn(describeFailure(error, TICK_MS))
          return false
        },
      )
      await bell.wait(isDone ? Math.min(TICK_MS, leftMs(written, clock)) : TICK_MS)
    }
  } finally {
    refresher.stop()
  }
}

function laterOf(one: Date, other: Date = one): Date {
  return one < other ? other : one
}

function leftMs(credentials: Credentials | undefined, clock: Clock): number {
  if (credentials === undefined) return TICK_MS
  return Math.max(credentials.expiration.getTime() - clock.now().getTime(), 0)
}

function describeFailure(error: unknown, retryInMs: number | undefined): string {
  const what = error instanceof HoldfastError ? `${error.message} (${error.code})` : String(error)
  const next =
    retryInMs === undefined ? 'made when it is told to with SIGHUP' : `in ${Math.ceil(retryInMs / 1000)} s`
  return `${what}; the next try is ${next}`
}

/** Wakes the one who waits; rung while nobody waits, the next does not wait at all. */
function createBell(clock: Clock) {
  let isRung = false
  let wake = () => {}
  return {
    ring: () => {
      isRung = true
      wake()
    },
    async wait(timeoutMs: number): Promise<void> {
      if (!isRung) {
        const callOff = await new Promise<() => void>((resolve) => {
          const cancel = clock.setTimer(() => resolve(cancel), timeoutMs)
          wake = () => resolve(cancel)
        })
        callOff()
      }
      isRung = false
    },
  }
}
