/**
 * What several files of io/ do with the file system, above all with what must be on disk when it counts: written and synced,
 * in a folder that is synced too. The errors are those of the file system; whoever calls says what they mean.
 * @see fsync(2): syncing a file does not put its name on disk
 */

import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

/** Writes a new file and puts it on disk; there is none if that fails. */
export function writeSynced(path: string, text: string, mode: number): void {
  const file = openSync(path, 'wx', mode)
  try {
    writeFileSync(file, text)
    fsyncSync(file)
  } catch (error) {
    unlinkSync(path)
    throw error
  } finally {
    closeSync(file)
  }
}

/** What a sudden end may leave of {@link addFile}: it never counted. */
export const LEFT_BEHIND = /^\.new-/

/**
 * Puts a new file where there is none, whole and on disk: written beside its place, synced, and linked into it.
 * @returns false if there is one of that name, which is left as it is
 * @throws Error of the file system; there is then no such file
 * @see link(2)
 */
export function addFile(path: string, text: string): boolean {
  const draft = join(dirname(path), `.new-${randomUUID()}`)
  try {
    writeSynced(draft, text, 0o600)
    linkSync(draft, path)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    rmSync(draft, { force: true })
  }
  try {
    syncFolder(dirname(path))
  } catch (error) {
    unlinkSync(path)
    throw error
  }
  return true
}

/** Puts on disk which files the folder has. */
export function syncFolder(path: string): void {
  const folder = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(folder)
  } catch (error) {
    // fsync(2): the file system has nothing to synchronize here.
    if (codeOf(error) !== 'EINVAL') throw error
  } finally {
    closeSync(folder)
  }
}

/**
 * Makes the folder and those above it, open to nobody else, and on disk. mkdir's own `recursive` never comes back
 * where a folder exists and yet none can be made in it, such as /proc.
 */
export function makeFolder(path: string): void {
  const make = () => {
    try {
      mkdirSync(path, 0o700)
      return true
    } catch (error) {
      // Another process may make it at the same time.
      if (codeOf(error) === 'EEXIST') return false
      throw error
    }
  }
  try {
    if (!make()) return
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    makeFolder(dirname(path))
    make()
  }
  syncFolder(dirname(path))
}

/** A file as it was when it was open: who owns it, who may do what with it, and what is in it. */
export interface PlainFile {
  readonly uid: number
  readonly mode: number
  readonly bytes: Buffer
}

/**
 * A small file of our own, which is no link. Nothing that somebody puts in its place is waited for.
 * @returns undefined for what is no regular file, or is larger than `maxBytes`
 * @throws Error of the file system: ELOOP for a link
 */
export function readPlainFile(path: string, maxBytes: number): PlainFile | undefined {
  // O_NONBLOCK: opening a FIFO would wait for a writer for ever.
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stats = fstatSync(file)
    if (!stats.isFile() || stats.size > maxBytes) return undefined
    return { uid: stats.uid, mode: stats.mode, bytes: readFileSync(file) }
  } finally {
    closeSync(file)
  }
}

/** Text of a small file of the system; empty if there is none that can be read. */
export function readTextIfAny(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Code of an error of the file system, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

/** True if the file system says that something is not there. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR'
}

/** What to say of such an error: its message would name a path that is already said. */
export function describeFault(error: unknown): string {
  return codeOf(error) ?? (error as Error).message
}
