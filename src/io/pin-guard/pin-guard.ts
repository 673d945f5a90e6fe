/**
 * The guard around a login with a stored PIN: a PIN that a token refused, or whose login never came to an end, is
 * not tried again, however often the program is started. So a service that restarts with a wrong PIN costs the
 * token one try instead of all of them.
 *
 * The memory is one file for each token and PIN in a folder of its own. A file that says `trying` is put there, and
 * on disk, before C_Login; putting it there is also the lock that lets one of several processes try. A PIN
 * that is known to be good is used without writing anything.
 *
 * That is the limit: after the PIN was changed on the token, the old one is still known to be good until the token
 * has refused it with a reason. Of the logins with it that run at one moment each costs a try, and so does each that is
 * killed, times out or fails without a reason before the refusal is on disk.
 */
import { rmSync, unlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../../core/errors.js'
import type { PinIdentity, TokenIdentity } from '../../core/pin/pin.js'
import {
  damagedRecord,
  explainRefusal,
  isOutdated,
  isPinRefusal,
  isTriedName,
  judgePinRecord,
  type PinRecord,
  type PinRecordNames,
  type PinState,
  type PinVerdict,
  pinRecordNames,
  refusedBefore,
  type StoredPinIdentity,
} from '../../core/pin/pin-record.js'
import { formatPrintable } from '../../core/printable.js'
import { describeFault, isMissing } from '../disk.js'
import { identifyOurselves, isRunning } from '../processes.js'
import {
  addRecord,
  listRecords,
  readRecord,
  removeRecord,
  replaceRecord,
  unavailable,
} from './record-files.js'
import {
  findRecordsFolder,
  lookForStateFolder,
  openStateFolder,
  type StateFolder,
  verifyFolder,
} from './state-folder.js'

/** The PIN in question, and where it is remembered. */
export interface GuardedPin {
  readonly token: TokenIdentity
  readonly pin: PinIdentity
  /** Folders that may hold the records, best first, as from `stateDirectories`. */
  readonly directories: readonly string[]
  /** Effective user id of this process. */
  readonly uid: number
  readonly now: () => Date
}

/** What the guard needs to know. */
export interface PinGuardOptions extends GuardedPin {
  /** Ends the wait for another process's login. */
  readonly signal: AbortSignal
}

/** Death of a process is no event in a folder, so the wait for another login looks again. */
const LOOK_AGAIN_MS = 50

/**
 * Calls `login`, which performs C_Login, at most once, and gives back what it gives. If `login` throws PIN_INCORRECT or
 * PIN_INVALID, or for a PIN that is not known to be good LOGIN_FAILED or, unless it is a TPM's, PIN_LOCKED, the PIN is remembered as refused;
 * any other error leaves things as they were. A typed PIN is not guarded.
 * @throws HoldfastError PIN_REFUSED_BEFORE if the PIN was refused, or its login never ended
 * @throws HoldfastError PIN_GUARD_UNAVAILABLE if the PIN is not known to be good and no record of it can be written
 * @throws HoldfastError TOKEN_TIMEOUT if `signal` ends the wait for another process's login with this PIN
 */
export async function withPinGuard<T>(options: PinGuardOptions, login: () => Promise<T> | T): Promise<T> {
  const guard = openGuard(options)
  if (guard === undefined) return login()
  for (;;) {
    const verdict = judge(guard)
    if (verdict === 'proven') return loginProven(guard, login)
    if (verdict === 'unproven' && claim(guard)) return loginUnproven(guard, login)
    await waitForOther(options)
  }
}

/** What the guard would do with a PIN, by {@link inspectPinGuard}. */
export interface GuardView {
  readonly verdict: PinVerdict
  /** Where a record would be written; without a path it has to be made first. */
  readonly folder: StateFolder
}

/**
 * What {@link withPinGuard} would say to the PIN now. Nothing is tried, made or written. Undefined for a typed PIN.
 * @throws HoldfastError PIN_REFUSED_BEFORE, PIN_GUARD_UNAVAILABLE
 */
export function inspectPinGuard(options: GuardedPin): GuardView | undefined {
  const { pin, token, directories, uid } = options
  if (pin.kind === 'typed') return undefined
  const folder = lookForStateFolder(directories, uid)
  const guard = { ...options, pin, names: pinRecordNames(token, pin), folder }
  const verdict = judge(guard)
  if (verdict === 'unproven') verifyWritable(guard)
  return { verdict, folder }
}

/**
 * Remembers a PIN that {@link withPinGuard} found good and that the token refused after all, as it may when a key wants
 * the PIN once more for its signature. Errors that are not about the PIN change nothing.
 * @returns `error`, or what to throw instead of it
 */
export async function rememberRefusal(options: GuardedPin, error: unknown): Promise<unknown> {
  const guard = isPinRefusal(error, true) ? openGuard(options) : undefined
  if (guard === undefined) return error
  const { names } = guard
  try {
    if (guard.folder.path === undefined) throw new Error('there is no state folder')
    replaceRecord(pathOf(guard, names.tried()), createRecord(guard, 'refused', error))
    // There is none if a parallel run was refused as well.
    rmSync(pathOf(guard, names.good), { force: true })
    return error
  } catch (cause) {
    const { code, message } = error as HoldfastError
    const warning = `this could not be remembered (${describeFault(cause)}), so each further run costs one more try`
    return new HoldfastError(code, `${message}; ${warning}`, { cause: error })
  }
}

/**
 * Forgets what {@link withPinGuard} remembers, or those records that are meant. A folder that somebody else could meddle
 * with is left alone.
 * @param uid effective user id of this process
 * @param isMeant gets undefined for a damaged record
 * @throws HoldfastError PIN_GUARD_UNAVAILABLE if a record cannot be removed
 */
export async function forgetPinRecords(
  directories: readonly string[],
  uid: number,
  isMeant: (record: PinRecord | undefined) => boolean = () => true,
): Promise<ForgottenPinRecords> {
  const forgotten: ForgottenPinRecord[] = []
  const leftAlone: string[] = []
  for (const directory of directories) {
    try {
      forgotten.push(...forgetIn(findRecordsFolder(directory, uid), uid, isMeant))
    } catch (error) {
      if (error instanceof HoldfastError) throw error
      if (!isMissing(error)) leftAlone.push(`${formatPrintable(directory)}: ${describeFault(error)}`)
    }
  }
  return { forgotten, leftAlone }
}

function forgetIn(
  folder: string,
  uid: number,
  isMeant: (record: PinRecord | undefined) => boolean,
): ForgottenPinRecord[] {
  const forgotten: ForgottenPinRecord[] = []
  for (const name of listRecords(folder)) {
    const path = join(folder, name)
    const found = readRecord(path, uid)
    const record = found === 'damaged' ? undefined : found
    if (found === undefined || !isMeant(record)) continue
    try {
      removeRecord(path)
    } catch (cause) {
      throw unavailable(path, cause)
    }
    forgotten.push({ path, record })
  }
  return forgotten
}

/** What {@link forgetPinRecords} did. */
export interface ForgottenPinRecords {
  readonly forgotten: readonly ForgottenPinRecord[]
  /** Folders that are there and were not looked into, and why. */
  readonly leftAlone: readonly string[]
}

/** A record that is no more. `record` is undefined if it was damaged. */
export interface ForgottenPinRecord {
  readonly path: string
  readonly record: PinRecord | undefined
}

interface Guard extends GuardedPin {
  readonly pin: StoredPinIdentity
  readonly names: PinRecordNames
  readonly folder: StateFolder
}

/** Undefined for a typed PIN. */
function openGuard(options: GuardedPin): Guard | undefined {
  const { pin, token, directories, uid } = options
  if (pin.kind === 'typed') return undefined
  const names = pinRecordNames(token, pin)
  const folder = openStateFolder(directories, uid)
  return { ...options, pin, names, folder }
}

function pathOf({ folder }: Guard, name: string): string {
  return join(folder.path!, name)
}

function judge(guard: Guard): PinVerdict {
  const { folder, names } = guard
  const tried = [{ folder: folder.path, record: findTried(guard) }, ...findTriedElsewhere(guard)]
  // Read last, right before the login: a parallel run that the token refuses takes it away.
  const good = folder.path === undefined ? undefined : read(guard, names.good)
  let verdict = judgePinRecord(good, false)
  for (const { folder, record } of tried) {
    if (folder === undefined || record === undefined) continue
    const writerLives = record.state === 'trying' && isRunning(record.writer)
    const worse = judgePinRecord(record, writerLives)
    if (worse === 'refused') throw refusedBefore(record, folder)
    verdict = worse
  }
  return verdict
}

function findTried(guard: Guard): PinRecord | undefined {
  const { folder, names } = guard
  if (folder.path === undefined) return undefined
  const present = listRecords(folder.path, names.prefix)
  return present.some(isTriedName) ? read(guard, names.tried()) : undefined
}

/**
 * What was written when another folder was the one to use: before its mode was changed, or in another environment. Such a
 * folder may be open to others by now, who could take away a record or put it back; but they cannot make one that is
 * ours, and it can only speak against the PIN. What is damaged there says nothing.
 */
function findTriedElsewhere({ folder, names, uid }: Guard): { folder: string; record: PinRecord }[] {
  const found: { folder: string; record: PinRecord }[] = []
  for (const path of folder.others) {
    try {
      verifyFolder(path, uid)
      const present = listRecords(path, names.prefix)
      const record = present.some(isTriedName) ? readRecord(join(path, names.tried()), uid) : undefined
      if (record !== undefined && record !== 'damaged' && record.state !== 'good') {
        found.push({ folder: path, record })
      }
    } catch {
      // It is not there, not ours, or cannot be read.
    }
  }
  return found
}

function read(guard: Guard, name: string): PinRecord | undefined {
  const path = pathOf(guard, name)
  const record = readRecord(path, guard.uid)
  if (record === 'damaged') throw damagedRecord(path, guard.pin)
  return record
}

async function waitForOther({ signal, token }: PinGuardOptions): Promise<void> {
  try {
    await delay(LOOK_AGAIN_MS, undefined, { signal })
  } catch (cause) {
    if (signal.reason instanceof HoldfastError) throw signal.reason
    throw new HoldfastError(
      'TOKEN_TIMEOUT',
      `another process is logging in to token "${formatPrintable(token.label)}" with the same PIN and did not end in time`,
      { cause },
    )
  }
}

/** Says on disk that this process is about to try the PIN. False if another one says so already. */
function claim(guard: Guard): boolean {
  verifyWritable(guard)
  const path = guard.folder.path!
  try {
    return addRecord(join(path, guard.names.tried()), createRecord(guard, 'trying'))
  } catch (error) {
    throw unavailable(path, error)
  }
}

function verifyWritable({ folder, pin }: Guard): void {
  if (!folder.writable) {
    throw new HoldfastError(
      'PIN_GUARD_UNAVAILABLE',
      `the PIN from ${pin.name} is not known to be good, and it is not tried because a refusal could not be remembered: ${folder.obstacles.join('; ') || 'there is no state folder'}. Name a folder with --state-dir, or accept that restarts with a wrong PIN can lock the token with --pin-guard off`,
    )
  }
}

async function loginUnproven<T>(guard: Guard, login: () => Promise<T> | T): Promise<T> {
  const { names, token, pin } = guard
  const tried = pathOf(guard, names.tried())
  let result: T
  try {
    result = await login()
  } catch (error) {
    const isRefusal = isPinRefusal(error, false, guard.token.store !== undefined)
    try {
      if (isRefusal) replaceRecord(tried, createRecord(guard, 'refused', error))
      else removeRecord(tried)
    } catch {
      // Then `trying` stays, which counts as refused as well.
    }
    throw isRefusal ? explainRefusal(error, { token, source: pin.name }, dirname(tried)) : error
  }
  try {
    // In this order a full disk leaves no record at all, and the next login is an unproven one again.
    unlinkSync(tried)
    replaceRecord(pathOf(guard, names.good), createRecord(guard, 'good'))
    forgetOutdated(guard)
  } catch {
    // The login worked, and that is what counts.
  }
  return result
}

async function loginProven<T>(guard: Guard, login: () => Promise<T> | T): Promise<T> {
  let result: T
  try {
    result = await login()
  } catch (error) {
    throw await rememberRefusal(guard, error)
  }
  try {
    forgetOutdated(guard)
  } catch {
    // It is done the next time.
  }
  return result
}

/** Called when the PIN is good: what was refused before need not be kept for ever. */
function forgetOutdated(guard: Guard): void {
  const { folder, names, now, uid } = guard
  for (const name of listRecords(folder.path!, names.prefix)) {
    if (name === names.good) continue
    const record = readRecord(pathOf(guard, name), uid)
    if (record === undefined) continue
    if (record === 'damaged' || isOutdated(record, now())) unlinkSync(pathOf(guard, name))
  }
}

function createRecord({ token, pin, now }: Guard, state: PinState, error?: unknown): PinRecord {
  const since = now().toISOString()
  const owner = pin.owner === 'so' ? { owner: pin.owner } : {}
  const about = {
    version: 1,
    state,
    token,
    ...owner,
    source: pin.name,
    since,
    writer: identifyOurselves(),
  } as const
  return error instanceof HoldfastError ? { ...about, reason: error.code } : about
}
