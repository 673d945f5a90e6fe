/** The machine's clocks and timers. */

import { uptime } from 'node:os'

/** The wall clock, and timers, and how long the machine has been running. */
export const systemClock = {
  now: () => new Date(),
  /** Linux counts the time in which it is suspended, too (CLOCK_BOOTTIME); the timers of Node do not. */
  elapsedMs: () => uptime() * 1000,
  setTimer(wake: () => void, delayMs: number): () => void {
    const timer = setTimeout(wake, delayMs)
    return () => clearTimeout(timer)
  },
}
