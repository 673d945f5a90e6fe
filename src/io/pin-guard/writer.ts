/**
 * Who writes a record of a tried PIN, and whether that process is still at work. Only Linux tells (in /proc).
 * @see proc(5): /proc/pid/stat, /proc/sys/kernel/random/boot_id
 */
import { readFile } from 'node:fs/promises'
import type { RecordWriter } from '../../core/pin-record.js'
import { findProcessStatus, type ProcessStatus } from '../../core/process-status.js'

/** This process. */
export async function readWriter(): Promise<RecordWriter> {
  const status = await findProcess('self')
  const bootId = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  return { pid: status?.pid ?? 0, startTime: status?.startTime ?? '', bootId: bootId.trim() }
}

/**
 * True if `writer` still runs. Where that cannot be told (no /proc, another PID namespace) it counts as dead.
 * @param us the writer that this process is
 */
export async function isAlive(writer: RecordWriter, us: RecordWriter): Promise<boolean> {
  if (writer.bootId !== us.bootId) return false
  const status = await findProcess(writer.pid)
  return status?.startTime === writer.startTime && !/[ZX]/.test(status.state)
}

async function findProcess(pid: number | 'self'): Promise<ProcessStatus | undefined> {
  return findProcessStatus(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''))
}
