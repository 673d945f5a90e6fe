/** Looks, again and again, for what nobody tells the agent: files that have changed, and a clock that was set. */

import type { AgentEvent } from './agent.js'
import type { Clock } from './refresher.js'
import type { Roster } from './roster.js'

/** How often. */
const WATCH_MS = 5000
/** By how much the wall clock may go another way than the one that nobody sets, in milliseconds. */
const CLOCK_TOLERANCE_MS = 60_000

/** Watches until what comes back is called. */
export function startWatch(roster: Roster, clock: Clock, onEvent: (event: AgentEvent) => void): () => void {
  const measureOffset = () => clock.now().getTime() - clock.elapsedMs()
  let offsetMs = measureOffset()
  let isStopped = false
  let callOff: () => void

  const look = async () => {
    const byMs = measureOffset() - offsetMs
    if (Math.abs(byMs) > CLOCK_TOLERANCE_MS) {
      offsetMs += byMs
      onEvent({ kind: 'clock-set', byMs })
      // It may have failed because of the clock, if not because of a PIN.
      for (const { keeper } of roster.entries.values()) if (keeper.state.failure !== undefined) keeper.renew()
    }
    if (roster.isOutdated()) await roster.reload({ renewAll: false })
    for (const [name, entry] of roster.entries) {
      if (!entry.haveFilesChanged()) continue
      onEvent({ kind: 'changed', name })
      entry.renew()
    }
  }
  const lookLater = () => {
    callOff = clock.setTimer(() => void look().finally(() => isStopped || lookLater()), WATCH_MS)
  }
  lookLater()
  return () => {
    isStopped = true
    callOff()
  }
}
