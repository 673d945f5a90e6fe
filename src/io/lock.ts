/**
 * A lock among processes that outlives none of them: a folder with one file in it, whose name says which process holds it
 * since when it runs. rename(2) puts one folder in the place of another only where that is empty, so of all who try one
 * succeeds; and a holder that was killed is taken out by its own name, which is never that of the next one.
 * @see rename(2), proc_pid_stat(5)
 */

import { randomBytes } from 'node:crypto'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findProcessStatus } from '../core/process-status.js'

/** Longer than anybody works under a lock, a person's PIN included: after that nobody holds it. */
const MAX_HELD_MS = 5 * 60 * 1000

/** How often those who wait look whether the lock is free, in milliseconds; not all at the same time. */
const POLL_MS = 25

/** Lets the lock go. */
export type Release = () => void

/**
 * Takes the lock, or gives undefined where another living process has it. It comes free with that process, and after five
 * minutes in any case.
 * @param path of a folder that nothing else uses, in one that is there
 * @throws Error of the file system
 */
export function tryLock(path: string): Release | undefined {
  for (const holder of listHolders(path)) {
    if (isAtWork(holder, join(path, holder))) return undefined
    ignore(['ENOENT'], () => unlinkSync(join(path, holder)))
  }
  const name = [...describeProcess('self'), randomBytes(6).toString('hex')].join('-')
  const ours = `${path}-${name}`
  mkdirSync(ours, { mode: 0o700 })
  try {
    writeFileSync(join(ours, name), '', { mode: 0o600 })
    renameSync(ours, path)
  } catch (error) {
    rmSync(ours, { recursive: true })
    if (isCode(error, ['ENOTEMPTY', 'EEXIST'])) return undefined
    throw error
  }
  return () => {
    ignore(['ENOENT'], () => unlinkSync(join(path, name)))
    ignore(['ENOENT', 'ENOTEMPTY', 'EEXIST'], () => rmdirSync(path))
  }
}

/**
 * Waits for the lock, and lets it go when `use` has ended.
 * @throws Error of the file system, or of `signal`
 */
export async function withLock<T>(path: string, signal: AbortSignal, use: () => Promise<T>): Promise<T> {
  let release = tryLock(path)
  while (release === undefined) {
    await waitForTurn(signal)
    release = tryLock(path)
  }
  try {
    return await use()
  } finally {
    release()
  }
}

/** Some milliseconds, after which it is worth a look whether the lock is free. @throws what `signal` was aborted with */
export async function waitForTurn(signal: AbortSignal): Promise<void> {
  await delay(POLL_MS * (1 + Math.random()), undefined, { signal }).catch(() => signal.throwIfAborted())
}

function listHolders(path: string): string[] {
  return ignore(['ENOENT'], () => readdirSync(path)) ?? []
}

/** Where that cannot be told, as of a process of another container, the time decides alone. */
function isAtWork(holder: string, file: string): boolean {
  const since = ignore(['ENOENT'], () => statSync(file).mtimeMs)
  if (since === undefined || Date.now() - since > MAX_HELD_MS) return false
  const [pid = '', ...rest] = holder.split('-')
  const [startTime, boot, namespace] = rest
  const us = describeProcess('self')
  if (boot !== us[2]) return false
  if (startTime === '' || namespace !== us[3]) return true
  return describeProcess(pid)[1] === startTime
}

/** PID, start time, boot and PID namespace, none of which has a dash; what cannot be told is empty. Only Linux tells. */
function describeProcess(pid: string): [pid: string, startTime: string, boot: string, namespace: string] {
  const status = findProcessStatus(readText(`/proc/${pid}/stat`))
  const isDead = status === undefined || /[ZX]/.test(status.state)
  const boot = readText('/proc/sys/kernel/random/boot_id').replaceAll(/[^0-9a-f]/g, '')
  const namespace = ignore(['ENOENT', 'EACCES'], () => readlinkSync('/proc/self/ns/pid')) ?? ''
  return [String(status?.pid ?? ''), isDead ? '' : status.startTime, boot, namespace.replaceAll(/\D/g, '')]
}

function readText(path: string): string {
  return ignore(['ENOENT', 'ESRCH', 'EACCES'], () => readFileSync(path, 'utf8')) ?? ''
}

function ignore<T>(codes: readonly string[], act: () => T): T | undefined {
  try {
    return act()
  } catch (error) {
    if (!isCode(error, codes)) throw error
    return undefined
  }
}

function isCode(error: unknown, codes: readonly string[]): boolean {
  return codes.includes(String((error as NodeJS.ErrnoException).code))
}
