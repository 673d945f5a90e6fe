/**
 * Reads a PIN, or another secret, from a file, after a look at the file that was opened (not at a name that could be swapped
 * meanwhile) and at the folders above it. A PIN file that others can read or replace is refused, except where an
 * orchestrator made it (systemd credentials, container secrets) and the user has no say in its mode. All calls are
 * synchronous: the token child has nothing else to do, and the detour over another thread takes ten times as long.
 */
import {
  accessSync,
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync,
  statfsSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { HoldfastError } from '../core/errors.js'
import { findPathRisks, formatPathRisk } from '../core/path-trust.js'
import { formatPinSource, PIN_WORDS, type PinIdentity, parsePin, type SecretWords } from '../core/pin/pin.js'
import { formatPrintable } from '../core/printable.js'
import { isMissing } from './disk.js'

/** A PIN and what makes it the same one the next time. */
export interface StoredPin {
  /** Belongs to the caller, who wipes it. */
  readonly pin: Uint8Array
  readonly identity: PinIdentity
  /** What would be refused elsewhere than in a folder of secrets. */
  readonly warnings: readonly string[]
}

/** A PIN is a line; a file that is longer is not a PIN file. */
const MAX_PIN_FILE_BYTES = 4096

const TMPFS_MAGIC = 0x01021994
const RAMFS_MAGIC = 0x858458f6

/**
 * Path of the systemd credential `holdfast.pin`, if there is one.
 * @param env with `CREDENTIALS_DIRECTORY`
 * @see https://systemd.io/CREDENTIALS/
 */
export async function findSystemdCredential(
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  if (!env.CREDENTIALS_DIRECTORY) return undefined
  const path = join(env.CREDENTIALS_DIRECTORY, 'holdfast.pin')
  try {
    accessSync(path)
    return path
  } catch (error) {
    // One that is there but cannot be read is an error when the PIN is needed, not a reason to look elsewhere.
    return isMissing(error) ? undefined : path
  }
}

/** Who reads, and what. */
export interface PinFileOptions {
  /** Effective user id of this process. */
  readonly uid: number
  /** Value of `CREDENTIALS_DIRECTORY`. */
  readonly credentialsDirectory?: string | undefined
  readonly words?: SecretWords
}

/**
 * Reads the PIN in the first line of the file. The file must be a regular one of root or `uid`, which the world cannot
 * read and only its owner can write; nobody else may be able to replace it in its folder.
 * @throws HoldfastError PIN_SOURCE_UNREADABLE, PIN_SOURCE_UNSAFE, PIN_INVALID
 */
export async function readPinFile(path: string, options: PinFileOptions): Promise<StoredPin> {
  const called = `${(options.words ?? PIN_WORDS).name} file ${formatPrintable(path)}`
  let file: number | undefined
  try {
    // Without O_NONBLOCK opening a FIFO waits for a writer. Links are followed: container secrets are links.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    return readOpenFile(file, path, called, options)
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    throw unreadable(
      called,
      isMissing(cause) ? 'does not exist' : `cannot be read: ${describe(cause)}`,
      cause,
    )
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function readOpenFile(
  file: number,
  path: string,
  called: string,
  { uid, credentialsDirectory, words = PIN_WORDS }: PinFileOptions,
): StoredPin {
  const before = fstatSync(file, { bigint: true })
  if (!before.isFile()) {
    throw new HoldfastError('PIN_SOURCE_UNSAFE', `${called} is not a regular file`)
  }
  const real = findRealPath(file, path)
  const fileFaults = findFileFaults(before, real, uid)
  const risks = findPathRisks(path, uid, { lstatSync, readlinkSync })
  const faults = [...fileFaults, ...risks.map(formatPathRisk)]
  const isSecretMount = isInSecretMount(real, credentialsDirectory)
  const risk = risks.find(({ isRootsChoice }) => !isRootsChoice)
  const fault = fileFaults[0] ?? (risk && formatPathRisk(risk))
  if (fault !== undefined && !isSecretMount) {
    throw new HoldfastError('PIN_SOURCE_UNSAFE', `${called} is not used: ${fault}`)
  }
  // Kubernetes swaps the folder behind the link at each start: what stays the same is the name that was given.
  const name = formatPinSource({ kind: 'file', path: isSecretMount ? resolve(path) : real })
  const bytes = readBytes(file, called)
  const after = fstatSync(file, { bigint: true })
  if (after.mtimeNs !== before.mtimeNs || after.ctimeNs !== before.ctimeNs || after.size !== before.size) {
    throw unreadable(called, 'changed while it was read: run again')
  }
  const pin = parsePin(bytes, name, words)
  bytes.fill(0)
  return {
    pin,
    // An orchestrator makes the file anew at each start, so only the PIN itself tells whether it is still good.
    identity: isSecretMount
      ? { kind: 'secret', name, pin }
      : { kind: 'file', name, pin, file: identify(after, real) },
    warnings: faults.map((fault) => `${called} is used, but ${fault}`),
  }
}

/** The file's own name now, without a second walk through the links where the system can tell. */
function findRealPath(file: number, path: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${file}`)
  } catch {
    return realpathSync(path)
  }
}

function identify(stats: BigIntStats, real: string) {
  return {
    realpath: real,
    device: String(stats.dev),
    inode: String(stats.ino),
    size: String(stats.size),
    mtimeNs: String(stats.mtimeNs),
    ctimeNs: String(stats.ctimeNs),
  }
}

function findFileFaults(stats: BigIntStats, real: string, uid: number): string[] {
  const faults: string[] = []
  const owner = Number(stats.uid)
  const mode = Number(stats.mode)
  const file = formatPrintable(real)
  if (owner !== 0 && owner !== uid) {
    faults.push(`it belongs to uid ${owner}, neither root nor uid ${uid}: chown ${uid} ${file}`)
  }
  const who = [
    ...(mode & 0o004 ? ['everyone can read it'] : []),
    ...(mode & 0o002 ? ['everyone can write it'] : []),
    ...(mode & 0o020 ? ['its group can write it'] : []),
  ]
  if (who.length > 0) {
    const octal = (mode & 0o7777).toString(8).padStart(4, '0')
    faults.push(`${who.join(' and ')} (mode ${octal}): chmod g-w,o= ${file}`)
  }
  return faults
}

/**
 * systemd credentials; Docker, Podman and Kubernetes secrets at their usual place; and Kubernetes secrets mounted
 * anywhere: a memory file system with folders named `..2026_01_02_03_04_05.123`, swapped by a link `..data`.
 */
function isInSecretMount(real: string, credentialsDirectory: string | undefined): boolean {
  const folders = ['/run/secrets', '/var/run/secrets', '/run/credentials']
  if (credentialsDirectory) folders.push(resolveLinks(credentialsDirectory))
  if (folders.some((folder) => real.startsWith(`${folder}/`))) return true
  const folder = dirname(real)
  if (!/^\.\.\d{4}_/.test(basename(folder))) return false
  const { type } = statfsSync(folder)
  return type === TMPFS_MAGIC || type === RAMFS_MAGIC
}

function resolveLinks(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function readBytes(file: number, called: string): Uint8Array {
  const bytes = new Uint8Array(MAX_PIN_FILE_BYTES + 1)
  let length = 0
  for (;;) {
    const bytesRead = readSync(file, bytes, length, bytes.length - length, null)
    length += bytesRead
    if (bytesRead === 0) return bytes.subarray(0, length)
    if (length > MAX_PIN_FILE_BYTES) {
      throw unreadable(called, `is longer than ${MAX_PIN_FILE_BYTES} bytes: is it the right file?`)
    }
  }
}

function unreadable(called: string, why: string, cause?: unknown): HoldfastError {
  return new HoldfastError('PIN_SOURCE_UNREADABLE', `${called} ${why}`, { cause })
}

function describe(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).message
}
