/**
 * The files of the records of tried PINs. Each appears whole and on disk, or not at all; what somebody else could have
 * written is not believed.
 */
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { link, open, readdir, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { HoldfastError } from '../../core/errors.js'
import { findPinRecord, formatPinRecord, isRecordName, type PinRecord } from '../../core/pin-record.js'
import { formatPrintable } from '../../core/printable.js'
import { codeOf, describeFault, isMissing, isTrusted, syncFolder } from './state-folder.js'

const MAX_RECORD_BYTES = 4096

/**
 * Names of the records in `folder` that begin with `prefix`; none if there is no such folder.
 * @throws HoldfastError PIN_GUARD_UNAVAILABLE
 */
export async function listRecords(folder: string, prefix = ''): Promise<string[]> {
  try {
    const names = await readdir(folder)
    return names.filter((name) => name.startsWith(prefix) && isRecordName(name))
  } catch (error) {
    if (isMissing(error)) return []
    throw unavailable(folder, error)
  }
}

/**
 * The record at `path`; undefined if there is none. One that is not whole, or not written by root or `uid` alone, is
 * `damaged`.
 * @throws HoldfastError PIN_GUARD_UNAVAILABLE
 */
export async function readRecord(path: string, uid: number): Promise<PinRecord | 'damaged' | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const { mode, uid: owner, size } = await file.stat()
      const isFile = (mode & constants.S_IFMT) === constants.S_IFREG
      const isShared = (mode & 0o022) !== 0
      if (!isFile || isShared || !isTrusted(owner, uid) || size > MAX_RECORD_BYTES) return 'damaged'
      return findPinRecord(await file.readFile('utf8')) ?? 'damaged'
    } finally {
      await file.close()
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    if (codeOf(error) === 'ELOOP') return 'damaged'
    throw unavailable(path, error)
  }
}

/** Puts a record where there is none. False if there is one. */
export async function addRecord(path: string, record: PinRecord): Promise<boolean> {
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

/** Puts a record in the place of any other. */
export async function replaceRecord(path: string, record: PinRecord): Promise<void> {
  await rename(await writeTemporary(path, record), path)
  await syncFolder(dirname(path))
}

/** Takes a record away, for good. */
export async function removeRecord(path: string): Promise<void> {
  await unlink(path)
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

/** The error for a record, or a folder of records, that cannot be used. */
export function unavailable(path: string, cause: unknown): HoldfastError {
  return new HoldfastError(
    'PIN_GUARD_UNAVAILABLE',
    `the record of PIN tries in ${formatPrintable(path)} cannot be used (${describeFault(cause)}), so the PIN was not tried: mend that, or name another folder with --state-dir`,
    { cause },
  )
}
