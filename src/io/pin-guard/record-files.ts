/**
 * The files of the records of tried PINs. Each appears whole and on disk, or not at all; what somebody else could have
 * written is not believed.
 */
import { randomUUID } from 'node:crypto'
import { readdirSync, renameSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { HoldfastError } from '../../core/errors.js'
import { findPinRecord, formatPinRecord, isRecordName, type PinRecord } from '../../core/pin/pin-record.js'
import { formatPrintable } from '../../core/printable.js'
import { addFile, codeOf, describeFault, isMissing, readPlainFile, syncFolder, writeSynced } from '../disk.js'
import { isTrusted } from './state-folder.js'

const MAX_RECORD_BYTES = 4096

/**
 * Names of the records in `folder` that begin with `prefix`; none if there is no such folder.
 * @throws HoldfastError PIN_GUARD_UNAVAILABLE
 */
export function listRecords(folder: string, prefix = ''): string[] {
  try {
    return readdirSync(folder).filter((name) => name.startsWith(prefix) && isRecordName(name))
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
export function readRecord(path: string, uid: number): PinRecord | 'damaged' | undefined {
  try {
    const file = readPlainFile(path, MAX_RECORD_BYTES)
    if (file === undefined || (file.mode & 0o022) !== 0 || !isTrusted(file.uid, uid)) return 'damaged'
    return findPinRecord(file.bytes.toString('utf8')) ?? 'damaged'
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    if (codeOf(error) === 'ELOOP') return 'damaged'
    throw unavailable(path, error)
  }
}

/** Puts a record where there is none. False if there is one. */
export function addRecord(path: string, record: PinRecord): boolean {
  return addFile(path, formatPinRecord(record))
}

/** Puts a record in the place of any other. */
export function replaceRecord(path: string, record: PinRecord): void {
  const draft = `${path}.${randomUUID()}`
  writeSynced(draft, formatPinRecord(record), 0o600)
  renameSync(draft, path)
  syncFolder(dirname(path))
}

/** Takes a record away, for good. */
export function removeRecord(path: string): void {
  unlinkSync(path)
  syncFolder(dirname(path))
}

/** The error for a record, or a folder of records, that cannot be used. */
export function unavailable(path: string, cause: unknown): HoldfastError {
  return new HoldfastError(
    'PIN_GUARD_UNAVAILABLE',
    `the record of PIN tries in ${formatPrintable(path)} cannot be used (${describeFault(cause)}), so the PIN was not tried: mend that, or name another folder with --state-dir`,
    { cause },
  )
}
