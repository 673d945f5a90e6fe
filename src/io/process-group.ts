/** Ends a program that was started in a process group of its own (`detached`), and all that it has started. */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { kill } from 'node:process'

/**
 * Asks the whole group to end, since it may have a terminal or a screen to tidy up, and kills what is left.
 * @param patienceMs how long the program may take to end by itself, in milliseconds
 */
export async function endGroup(child: ChildProcess, patienceMs: number): Promise<void> {
  child.stdout?.destroy()
  if (child.pid === undefined) return
  const end = (signal: NodeJS.Signals) => {
    try {
      kill(-child.pid!, signal)
    } catch {
      // They have ended by themselves.
    }
  }
  const ended = child.exitCode !== null || child.signalCode !== null
  const patience = AbortSignal.timeout(patienceMs)
  end('SIGTERM')
  if (!ended) await once(child, 'exit', { signal: patience }).catch(() => undefined)
  end('SIGKILL')
}
