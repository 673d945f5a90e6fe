/** Clocks that a test turns: time passes only when it says so, and timers go off in their order. */

import type { Clock } from '../../src/agent/refresher.js'

/** A clock that stands still until it is turned. */
export interface FakeClock extends Clock {
  /** Lets time pass: timers that come due go off, and what waits for them runs. */
  pass(milliseconds: number): Promise<void>
  /** The machine sleeps: the clocks go on, the timers do not. */
  suspend(milliseconds: number): void
  /** Somebody sets the wall clock. */
  set(byMs: number): void
  /** How many timers are set. */
  readonly timers: number
}

interface Timer {
  readonly wake: () => void
  readonly at: number
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** A clock that begins at a time of no meaning. @param turns how much runs between two timers */
export function createFakeClock(start = new Date('2026-03-01T12:00:00Z'), turns?: number): FakeClock {
  let elapsedMs = 1_000_000
  let offsetMs = start.getTime() - elapsedMs
  /** What timers go by: it stops in a suspend. */
  let awakeMs = 0
  const timers = new Set<Timer>()
  return {
    now: () => new Date(elapsedMs + offsetMs),
    elapsedMs: () => elapsedMs,
    setTimer(wake, delayMs) {
      const timer = { wake, at: awakeMs + delayMs }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    async pass(milliseconds) {
      const end = awakeMs + milliseconds
      for (;;) {
        await settle(turns)
        const [next] = [...timers].filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)
        const at = next?.at ?? end
        elapsedMs += at - awakeMs
        awakeMs = at
        if (next === undefined) break
        timers.delete(next)
        next.wake()
      }
      await settle(turns)
    },
    suspend(milliseconds) {
      elapsedMs += milliseconds
    },
    set(byMs) {
      offsetMs += byMs
    },
    get timers() {
      return timers.size
    },
  }
}
