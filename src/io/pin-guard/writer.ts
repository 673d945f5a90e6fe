/**
 * Who writes a record of a tried PIN, and whether that process is still at work. Only Linux tells (in /proc).
 * @see proc(5): /proc/pid/stat, /proc/sys/kernel/random/boot_id
 */
import { readFileSync } from 'node:fs'
import type { RecordWriter } from '../../core/pin/pin-record.js'
import { findProcessStatus, type ProcessStatus } from '../../core/process-status.js'

/** This process. */
export function readWriter(): RecordWriter {
  const status = findProcess('self')
  const bootId = readText('/proc/sys/kernel/random/boot_id')
  return { pid: status?.pid ?? 0, startTime: status?.startTime ?? '', bootId: bootId.trim() }
}

/**
 * True if `writer` still runs. Where that cannot be told (no /proc, another PID namespace) it counts as dead.
 * @param us the writer that this process is
 */
export function isAlive(writer: RecordWriter, us: RecordWriter): boolean {
  if (writer.bootId !== us.bootId) return false
  const status = findProcess(writer.pid)
  return status?.startTime === writer.startTime && !/[ZX]/.test(status.state)
}

function findProcess(pid: number | 'self'): ProcessStatus | undefined {
  return findProcessStatus(readText(`/proc/${pid}/stat`))
}

/** Empty if there is no such file. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
