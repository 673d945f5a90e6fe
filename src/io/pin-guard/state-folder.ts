/**
 * The folder that keeps the records of tried PINs: chosen among candidates, made where it is missing, and used only
 * if nobody else can put something into it.
 */
import { constants } from 'node:fs'
import { access, mkdir, open, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { formatPrintable } from '../../core/printable.js'

/** The records' own folder within a state folder. */
export const RECORDS_FOLDER = 'pin'

/** Where the records are. Without a path there is no such place. */
export interface StateFolder {
  readonly path: string | undefined
  readonly writable: boolean
  /** Why places that would have been better are not used. */
  readonly obstacles: readonly string[]
}

/**
 * The first of the places that can be written, else the first that can be read. A place that others can write, or
 * whose records they can read, is neither.
 * @param directories state folders, best first, as from `stateDirectories`
 * @param uid effective user id of this process
 */
export async function openStateFolder(directories: readonly string[], uid: number): Promise<StateFolder> {
  const obstacles: string[] = []
  let readable: string | undefined
  for (const directory of directories) {
    const path = resolve(directory, RECORDS_FOLDER)
    try {
      await makeFolder(dirname(path))
      await verifyFolder(dirname(path), uid, 0o022)
      await makeFolder(path)
      await verifyFolder(path, uid, 0o077)
      readable ??= path
      await access(path, constants.W_OK)
      return { path, writable: true, obstacles }
    } catch (error) {
      obstacles.push(`${formatPrintable(directory)}: ${describeFault(error)}`)
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

/** True if what `owner` wrote may be believed: root, or the user itself. */
export function isTrusted(owner: number, uid: number): boolean {
  return owner === 0 || owner === uid
}

/** Puts on disk which files the folder has. */
export async function syncFolder(path: string): Promise<void> {
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

/** Code of an error of the file system, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

/** What to say of such an error: its message would name a path that is already said. */
export function describeFault(error: unknown): string {
  return codeOf(error) ?? (error as Error).message
}
