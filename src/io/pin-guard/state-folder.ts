/**
 * The folder that keeps the records of tried PINs: chosen among candidates, made where it is missing, and used only
 * if nobody else can put something into it.
 */
import { accessSync, constants, lstatSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { formatPrintable } from '../../core/printable.js'
import { describeFault, isMissing, makeFolder } from '../disk.js'

/** S_ISVTX, which Node does not name: whoever can write the folder has files of his own in it. */
const STICKY = 0o1000

/** The records' own folder within a state folder. */
const RECORDS_FOLDER = 'pin'

/** Where the records are. Without a path there is no such place. */
export interface StateFolder {
  readonly path: string | undefined
  readonly writable: boolean
  /** Why places that would have been better are not used. */
  readonly obstacles: readonly string[]
  /** The other candidates' folders of records, unverified: they may have been used before. */
  readonly others: readonly string[]
}

/**
 * The first of the places that can be written, else the first that can be read. A place that others can write, or
 * whose records they can read, is neither.
 * @param directories state folders, best first, as from `stateDirectories`
 * @param uid effective user id of this process
 */
export function openStateFolder(directories: readonly string[], uid: number): StateFolder {
  return searchStateFolder(directories, uid, makeFolder)
}

/**
 * The place that {@link openStateFolder} would choose; nothing is made. One that is not there yet has no path, and is
 * writable if it could be made.
 */
export function lookForStateFolder(directories: readonly string[], uid: number): StateFolder {
  return searchStateFolder(directories, uid, undefined)
}

function searchStateFolder(
  directories: readonly string[],
  uid: number,
  make: ((path: string) => void) | undefined,
): StateFolder {
  const obstacles: string[] = []
  let readable: string | undefined
  const candidates = directories.map((directory) => resolve(directory, RECORDS_FOLDER))
  const others = (used?: string) => candidates.filter((path) => path !== used)
  for (const directory of directories) {
    try {
      const path = findRecordsFolder(directory, uid, make)
      readable ??= path
      accessSync(path, constants.W_OK)
      return { path, writable: true, obstacles, others: others(path) }
    } catch (error) {
      if (make === undefined && isMissing(error) && canBeMade(resolve(directory, RECORDS_FOLDER))) {
        return { path: undefined, writable: true, obstacles, others: others() }
      }
      obstacles.push(`${formatPrintable(directory)}: ${describeFault(error)}`)
    }
  }
  return { path: readable, writable: false, obstacles, others: others(readable) }
}

/** True if the nearest folder above that is there can be written. */
function canBeMade(path: string): boolean {
  const above = dirname(path)
  try {
    accessSync(above, constants.W_OK)
    return statSync(above).isDirectory()
  } catch (error) {
    return isMissing(error) && above !== path && canBeMade(above)
  }
}

/**
 * Path of the folder of records in a state folder, verified. The state folder may be a link, of root or `uid`; the
 * folder in it may not.
 * @param prepare called with each of the two folders before it is looked at
 * @throws Error of the file system, or one that says who could meddle
 */
export function findRecordsFolder(
  directory: string,
  uid: number,
  prepare: (path: string) => void = () => {},
): string {
  const named = resolve(directory)
  prepare(named)
  verifyOwner(named, lstatSync(named).uid, uid)
  const real = realpathSync(named)
  verifyFolder(real, uid, 0o022)
  const path = join(real, RECORDS_FOLDER)
  prepare(path)
  verifyFolder(path, uid, 0o077)
  return path
}

/**
 * @param forbidden bits of the mode that it may not have
 * @throws Error unless `path` is a folder, and no link to one, of root or `uid`
 */
export function verifyFolder(path: string, uid: number, forbidden = 0): void {
  const stats = lstatSync(path)
  verifyOwner(path, stats.uid, uid)
  if (!stats.isDirectory()) throw new Error(`${formatPrintable(path)} is not a folder`)
  if (stats.mode & forbidden) {
    // A folder that is there for everybody, such as /tmp, must stay so.
    const isShared = (stats.mode & STICKY) !== 0
    const mend = isShared
      ? 'name a folder of your own'
      : `chmod ${forbidden === 0o077 ? 'go=' : 'go-w'} ${formatPrintable(path)}`
    throw new Error(`${formatPrintable(path)} is open to others: ${mend}`)
  }
}

function verifyOwner(path: string, owner: number, uid: number): void {
  if (!isTrusted(owner, uid)) throw new Error(`${formatPrintable(path)} belongs to uid ${owner}`)
}

/** True if what `owner` wrote may be believed: root, or the user itself. */
export function isTrusted(owner: number, uid: number): boolean {
  return owner === 0 || owner === uid
}
