/**
 * Which process this is, and whether another one still runs. Only Linux tells, in /proc; what it does not tell is empty, and
 * whoever asks decides what that means.
 * @see proc(5): /proc/pid/stat, /proc/sys/kernel/random/boot_id
 */

import { findProcessStatus, type ProcessIdentity, type ProcessStatus } from '../core/process-status.js'
import { readTextIfAny } from './disk.js'

let ourselves: ProcessIdentity | undefined

/** This process, read once. Where nothing is told, its `pid` is 0. */
export function identifyOurselves(): ProcessIdentity {
  if (ourselves === undefined) {
    const { pid = 0, startTime = '' } = findOurStatus() ?? {}
    ourselves = { pid, startTime, bootId: readTextIfAny('/proc/sys/kernel/random/boot_id').trim() }
  }
  return ourselves
}

/** The status of this process; undefined if it is not told. */
export function findOurStatus(): ProcessStatus | undefined {
  return findProcessStatus(readTextIfAny('/proc/self/stat'))
}

/** True if a process runs. False if it has ended, or cannot be seen: in another PID namespace, for one. */
export function isRunning({ pid, startTime, bootId }: ProcessIdentity): boolean {
  if (bootId !== identifyOurselves().bootId) return false
  const status = findProcessStatus(readTextIfAny(`/proc/${pid}/stat`))
  return status?.startTime === startTime && !/[ZX]/.test(status.state)
}
