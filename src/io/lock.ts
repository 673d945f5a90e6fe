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
import { identifyOurselves, isRunning } from './processes.js'

/** After that nobody holds a lock of whom it cannot be told whether he lives. */
const MAX_HELD_MS = 5 * 60 * 1000

/** When those who wait look again, in milliseconds: soon, then less and less often, and not all at the same time. */
const FIRST_LOOK_MS = 20
const LAST_LOOK_MS = 300

/** Lets the lock go. */
export type Release = () => void

/**
 * Takes the lock, or gives undefined where another living process has it. It comes free with that process; where that
 * cannot be told, as of one in another container, after five minutes.
 * @param path of a folder that nothing else uses, in one that is there
 * @param options.maxHeldMs time after which also a living process, which may have been stopped, does not hold it any more
 * @throws Error of the file system
 */
export function tryLock(path: string, { maxHeldMs = Number.POSITIVE_INFINITY } = {}): Release | undefined {
  for (const holder of listHolders(path)) {
    if (isAtWork(holder, join(path, holder), maxHeldMs)) return undefined
    ignore(['ENOENT'], () => unlinkSync(join(path, holder)))
  }
  const { pid, startTime, boot, namespace } = describeOurselves()
  const name = [pid, startTime, boot, namespace, randomBytes(6).toString('hex')].join('-')
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
  for (let looks = 0; release === undefined; looks++) {
    await waitForTurn(looks, signal)
    release = tryLock(path)
  }
  try {
    return await use()
  } finally {
    release()
  }
}

/**
 * Waits until it is worth a look whether the lock is free.
 * @param looks how many there have been in vain
 * @throws what `signal` was aborted with
 */
export async function waitForTurn(looks: number, signal: AbortSignal): Promise<void> {
  const delayMs = Math.min(FIRST_LOOK_MS * 2 ** looks, LAST_LOOK_MS) * (0.5 + Math.random())
  await delay(delayMs, undefined, { signal }).catch(() => signal.throwIfAborted())
}

function listHolders(path: string): string[] {
  return ignore(['ENOENT'], () => readdirSync(path)) ?? []
}

function isAtWork(holder: string, file: string, maxHeldMs: number): boolean {
  const since = ignore(['ENOENT'], () => statSync(file).mtimeMs)
  if (since === undefined) return false
  const heldMs = Date.now() - since
  const [pid, startTime, boot, namespace] = holder.split('-')
  const us = describeOurselves()
  if (boot !== us.boot || heldMs > maxHeldMs) return false
  if (startTime === '' || namespace !== us.namespace) return heldMs <= MAX_HELD_MS
  return isRunning({ pid: Number(pid), startTime: startTime!, bootId: us.bootId })
}

/** The parts of a holder's name; none has a dash. Each container has a namespace of PIDs of its own. */
function describeOurselves() {
  const us = identifyOurselves()
  const namespace = ignore(['ENOENT', 'EACCES'], () => readlinkSync('/proc/self/ns/pid')) ?? ''
  return { ...us, boot: us.bootId.replaceAll('-', ''), namespace: namespace.replaceAll(/\D/g, '') }
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
