/**
 * The guard around a login with a stored PIN: a PIN that a token refused, or whose login never came to an end, is
 * not tried again, however often the program is started. So a service that restarts with a wrong PIN costs the
 * token one try instead of all of them.
 *
 * The memory is one file for each token and PIN in a folder of its own. A file that says `trying` is put there, and
 * on disk, before C_Login; putting it there is also the lock that lets one of several processes try. A PIN
 * that is known to be good is used without writing anything.
 */
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { access, link, mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../core/errors.js'
import type { PinIdentity, TokenIdentity } from '../core/pin.js'
import {
  damagedRecord,
  findPinRecord,
  formatPinRecord,
  isOutdated,
  isPinRefusal,
  judgePinRecord,
  type PinRecord,
  type PinRecordNames,
  type PinState,
  type PinVerdict,
  pinRecordNames,
  RECORD_SUFFIX,
  type RecordWriter,
  refusedBefore,
  type StoredPinIdentity,
} from '../core/pin-record.js'
import { formatPrintable } from '../core/printable.js'
import { findProcessStatus, type ProcessStatus } from '../core/process-status.js'

/** What the guard needs to know. */
export interface PinGuardOptions {
  readonly token: TokenIdentity
  readonly pin: PinIdentity
  /** Folders that may hold the records, best first, as from `stateDirectories`. */
  readonly directories: readonly string[]
  /** Effective user id of this process. */
  readonly uid: number
  readonly now: () => Date
  /** Ends the wait for another process's login. */
  readonly signal: AbortSignal
}

/** The records' own folder within the state folder. */
const FOLDER = 'pin'
const MAX_RECORD_BYTES = 4096
/** Death of a process is no event in a folder, so the wait for another login looks again. */
const LOOK_AGAIN_MS = 50

/**
 * Calls `login`, which performs C_Login, at most once, and gives back what it gives. If `login` throws PIN_INCORRECT,
 * PIN_INVALID or PIN_LOCKED, the PIN is remembered as refused; any other error leaves things as they were. A
 * typed PIN is not guarded.
 * @throws HoldfastError PIN_REFUSED_BEFORE if the PIN was refused, or its login never ended
 * @throws HoldfastError PIN_GUARD_UNAVAILABLE if the PIN is not known to be good and no record of it can be written
 * @throws HoldfastError TOKEN_TIMEOUT if `signal` ends the wait for another process's login with this PIN
 */
export async function withPinGuard<T>(options: PinGuardOptions, login: () => Promise<T> | T): Promise<T> {
  const { pin, token } = options
  if (pin.kind === 'typed') return login()
  const names = pinRecordNames(token, pin)
  const folder = await openFolder(options)
  const guard: Guard = { ...options, pin, names, folder, writer: await readWriter() }
  for (;;) {
    const verdict = await judge(guard)
    if (verdict === 'proven') return loginProven(guard, login)
    if (verdict === 'unproven' && (await claim(guard))) return loginUnproven(guard, login)
    await waitForOther(options)
  }
}

/** Forgets what {@link withPinGuard} remembers of the tokens that `matches` wants, or of all; damaged records always go. */
export async function forgetPinRecords(
  directories: readonly string[],
  matches: (token: TokenIdentity) => boolean = () => true,
): Promise<ForgottenPinRecord[]> {
  const forgotten: ForgottenPinRecord[] = []
  for (const directory of directories) {
    const folder = join(directory, FOLDER)
    for (const name of await listRecords(folder)) {
      const path = join(folder, name)
      const record = findPinRecord(await readFile(path, 'utf8').catch(() => ''))
      if (record !== undefined && !matches(record.token)) continue
      await unlink(path).catch((cause) => {
        throw unavailable(path, cause)
      })
      forgotten.push({ path, record })
    }
  }
  return forgotten
}

/** A record that is no more. `record` is undefined if it was damaged. */
export interface ForgottenPinRecord {
  readonly path: string
  readonly record: PinRecord | undefined
}

interface Guard extends PinGuardOptions {
  readonly pin: StoredPinIdentity
  readonly names: PinRecordNames
  readonly folder: Folder
  readonly writer: RecordWriter
}

/** Where the records are. Without a path there is no such place. */
interface Folder {
  readonly path: string | undefined
  readonly writable: boolean
  /** Why places that would have been better are not used. */
  readonly obstacles: readonly string[]
}

// --- what the records say

async function judge(guard: Guard): Promise<PinVerdict> {
  const { folder, names } = guard
  if (folder.path === undefined) return 'unproven'
  const present = await listRecords(folder.path, names.prefix)
  const onlyGood = present.every((name) => name === names.good)
  const record = onlyGood
    ? await readRecord(guard, names.good)
    : ((await readRecord(guard, names.tried())) ?? (await readRecord(guard, names.good)))
  const writerLives = record?.state === 'trying' && (await isAlive(record.writer, guard.writer))
  const verdict = judgePinRecord(record, writerLives)
  if (verdict === 'refused') throw refusedBefore(record!)
  return verdict
}

async function listRecords(folder: string, prefix = ''): Promise<string[]> {
  try {
    const names = await readdir(folder)
    return names.filter((name) => name.startsWith(prefix) && name.endsWith(RECORD_SUFFIX))
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return []
    throw unavailable(folder, error)
  }
}

async function readRecord(guard: Guard, name: string): Promise<PinRecord | undefined> {
  const path = join(guard.folder.path!, name)
  let text: string | undefined
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const { mode, uid, size } = await file.stat()
      const isOurs =
        (mode & constants.S_IFMT) === constants.S_IFREG && !isShared(mode) && isTrusted(uid, guard.uid)
      if (isOurs && size <= MAX_RECORD_BYTES) text = await file.readFile('utf8')
    } finally {
      await file.close()
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    if (codeOf(error) !== 'ELOOP') throw unavailable(path, error)
  }
  const record = text === undefined ? undefined : findPinRecord(text)
  if (record === undefined) throw damagedRecord(path, guard.pin)
  return record
}

async function readWriter(): Promise<RecordWriter> {
  const status = await findProcess('self')
  const bootId = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  return { pid: status?.pid ?? 0, startTime: status?.startTime ?? '', bootId: bootId.trim() }
}

/** Where that cannot be told (no /proc, another PID namespace) a process counts as dead, its `trying` as refused. */
async function isAlive(writer: RecordWriter, us: RecordWriter): Promise<boolean> {
  if (writer.bootId !== us.bootId) return false
  const status = await findProcess(writer.pid)
  return status?.startTime === writer.startTime && !/[ZX]/.test(status.state)
}

async function findProcess(pid: number | 'self'): Promise<ProcessStatus | undefined> {
  return findProcessStatus(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''))
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

// --- the login and what is kept of it

/** Says on disk that this process is about to try the PIN. False if another one says so already. */
async function claim(guard: Guard): Promise<boolean> {
  const { folder, names } = guard
  if (folder.path === undefined || !folder.writable) {
    throw new HoldfastError(
      'PIN_GUARD_UNAVAILABLE',
      `the PIN from ${guard.pin.name} is not known to be good, and it is not tried because a refusal could not be remembered: ${folder.obstacles.join('; ') || 'there is no state folder'}. Name a folder with --state-dir, or accept that restarts with a wrong PIN can lock the token with --pin-guard off`,
    )
  }
  try {
    return await addRecord(join(folder.path, names.tried()), createRecord(guard, 'trying'))
  } catch (error) {
    throw unavailable(folder.path, error)
  }
}

async function loginUnproven<T>(guard: Guard, login: () => Promise<T> | T): Promise<T> {
  const { folder, names } = guard
  const tried = join(folder.path!, names.tried())
  let result: T
  try {
    result = await login()
  } catch (error) {
    const record = isPinRefusal(error, false)
      ? replaceRecord(tried, createRecord(guard, 'refused', error))
      : unlink(tried).then(() => syncFolder(folder.path!))
    // If that fails, `trying` stays, which counts as refused as well.
    await record.catch(() => undefined)
    throw error
  }
  try {
    // In this order a full disk leaves no record at all, and the next login is an unproven one again.
    await unlink(tried)
    await replaceRecord(join(folder.path!, names.good), createRecord(guard, 'good'))
    await forgetOutdated(guard)
  } catch {
    // The login worked, and that is what counts.
  }
  return result
}

async function loginProven<T>(guard: Guard, login: () => Promise<T> | T): Promise<T> {
  const { folder, names } = guard
  let result: T
  try {
    result = await login()
  } catch (error) {
    if (!isPinRefusal(error, true)) throw error
    try {
      await replaceRecord(join(folder.path!, names.tried()), createRecord(guard, 'refused', error))
      if (names.good !== names.tried()) await unlink(join(folder.path!, names.good))
    } catch (cause) {
      const { code, message } = error as HoldfastError
      const warning = `this could not be remembered (${describe(cause)}), so each further run costs one more try`
      throw new HoldfastError(code, `${message}; ${warning}`, { cause: error })
    }
    throw error
  }
  await forgetOutdated(guard).catch(() => undefined)
  return result
}

/** Called when the PIN is good: what was refused before need not be kept for ever. */
async function forgetOutdated(guard: Guard): Promise<void> {
  const { folder, names, now } = guard
  for (const name of await listRecords(folder.path!, names.prefix)) {
    if (name === names.good) continue
    const path = join(folder.path!, name)
    const record = findPinRecord(await readFile(path, 'utf8'))
    if (record === undefined || isOutdated(record, now())) await unlink(path)
  }
}

// --- the files

function createRecord({ token, pin, writer, now }: Guard, state: PinState, error?: unknown): PinRecord {
  const about = { version: 1, state, token, source: pin.name, since: now().toISOString(), writer } as const
  return error instanceof HoldfastError ? { ...about, reason: error.code } : about
}

/** Puts a record where there is none, whole and on disk. False if there is one. */
async function addRecord(path: string, record: PinRecord): Promise<boolean> {
  const temporary = await writeTemporary(path, record)
  try {
    await link(temporary, path)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    await unlink(temporary)
  }
  try {
    await syncFolder(dirname(path))
  } catch (error) {
    await unlink(path)
    throw error
  }
  return true
}

/** Puts a record in the place of any other, whole and on disk. */
async function replaceRecord(path: string, record: PinRecord): Promise<void> {
  await rename(await writeTemporary(path, record), path)
  await syncFolder(dirname(path))
}

async function writeTemporary(path: string, record: PinRecord): Promise<string> {
  const temporary = `${path}.${randomUUID()}`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(formatPinRecord(record))
    await file.sync()
  } catch (error) {
    await unlink(temporary)
    throw error
  } finally {
    await file.close()
  }
  return temporary
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await folder.sync()
  } catch (error) {
    // fsync(2): the file system has nothing to synchronize here.
    if (codeOf(error) !== 'EINVAL') throw error
  } finally {
    await folder.close()
  }
}

/** The first place that can be written, else the first that can be read. */
async function openFolder({ directories, uid }: PinGuardOptions): Promise<Folder> {
  const obstacles: string[] = []
  let readable: string | undefined
  for (const directory of directories) {
    const path = resolve(directory, FOLDER)
    try {
      await makeFolder(dirname(path))
      await verifyFolder(dirname(path), uid, 0o022)
      await makeFolder(path)
      await verifyFolder(path, uid, 0o077)
      readable ??= path
      await access(path, constants.W_OK)
      return { path, writable: true, obstacles }
    } catch (error) {
      obstacles.push(`${formatPrintable(directory)}: ${describe(error)}`)
    }
  }
  return { path: readable, writable: false, obstacles }
}

/**
 * Makes the folder and those above it, open to nobody else, and on disk. mkdir's own `recursive` never comes back
 * where a folder exists and yet none can be made in it, such as /proc.
 */
async function makeFolder(path: string): Promise<void> {
  const make = () =>
    mkdir(path, 0o700).catch((error) => {
      if (codeOf(error) === 'EEXIST') return 'exists'
      throw error
    })
  try {
    if ((await make()) === 'exists') return
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    await makeFolder(dirname(path))
    await make()
  }
  await syncFolder(dirname(path))
}

async function verifyFolder(path: string, uid: number, forbidden: number): Promise<void> {
  const { mode, uid: owner } = await stat(path)
  if (!isTrusted(owner, uid)) throw new Error(`${formatPrintable(path)} belongs to uid ${owner}`)
  if (mode & forbidden) {
    const mend = forbidden === 0o077 ? 'go=' : 'go-w'
    throw new Error(`${formatPrintable(path)} is open to others: chmod ${mend} ${formatPrintable(path)}`)
  }
}

function isTrusted(owner: number, uid: number): boolean {
  return owner === 0 || owner === uid
}

function isShared(mode: number): boolean {
  return (mode & 0o022) !== 0
}

function unavailable(path: string, cause: unknown): HoldfastError {
  return new HoldfastError(
    'PIN_GUARD_UNAVAILABLE',
    `the record of PIN tries in ${formatPrintable(path)} cannot be used (${describe(cause)}), so the PIN was not tried: mend that, or name another folder with --state-dir`,
    { cause },
  )
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

function describe(error: unknown): string {
  return codeOf(error) ?? (error as Error).message
}
