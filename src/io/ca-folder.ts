/**
 * The folder of a CA: its certificate, its encrypted key, and the database of what it has issued, revoked and listed,
 * one file a record, which appears whole or not at all, and only where no other is: no crash leaves half a record, and of two
 * that would have one name (a serial number, the number of a list) one fails. Records are added and never changed.
 */

import { lstatSync, readdirSync, readlinkSync, unlinkSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { HoldfastError } from '../core/errors.js'
import { findPathRisks, formatPathRisk } from '../core/path-trust.js'
import {
  addFile,
  codeOf,
  describeFault,
  isMissing,
  LEFT_BEHIND,
  makeFolder,
  type PlainFile,
  readPlainFile,
} from './disk.js'

/** The kinds of records: a folder for each, and what their files are called. */
const RECORDS = {
  issued: /^[0-9a-f]{32}\.pem$/,
  revoked: /^[0-9a-f]{32}\.json$/,
  crl: /^[1-9]\d{0,8}\.pem$/,
} as const

/** One of the folders of records. */
export type RecordKind = keyof typeof RECORDS

const KINDS = Object.keys(RECORDS) as RecordKind[]
const MAX_RECORD_BYTES = 1024 * 1024

/** Absolute path of the CA's folder: the named one, else `holdfast/ca` in the user's folder for data. */
export function caDirectory(env: Readonly<Record<string, string | undefined>>, named?: string): string {
  if (named !== undefined) return resolve(named)
  const xdg = env.XDG_DATA_HOME
  // The specification wants a relative path to be ignored.
  const data = xdg !== undefined && isAbsolute(xdg) ? xdg : join(env.HOME || homedir(), '.local/share')
  return join(data, 'holdfast', 'ca')
}

/**
 * Makes the folder, those above it, and those of the records, of mode 0700, where they are missing.
 * @throws HoldfastError CA_UNSAFE, OUTPUT_FAILED
 */
export function createCaFolder(directory: string, uid: number): void {
  verifyHands(directory, uid)
  for (const kind of KINDS) asWriting(directory, () => makeFolder(join(directory, kind)))
  verifyHands(directory, uid)
}

/**
 * Refuses a folder in which, or on the way to which, others than `uid` and root could put something of their own.
 * @throws HoldfastError CA_UNSAFE, FILE_UNREADABLE
 */
export function verifyHands(directory: string, uid: number): void {
  for (const kind of KINDS) {
    const risks = asReading(directory, () =>
      findPathRisks(join(directory, kind, 'record'), uid, { lstatSync, readlinkSync }),
    )
    const risk = risks.find(({ isRootsChoice }) => !isRootsChoice)
    if (risk === undefined) continue
    throw new HoldfastError('CA_UNSAFE', `the CA in ${directory} is not used: ${formatPathRisk(risk)}`)
  }
}

/**
 * The text of a file in the folder, or undefined if there is none.
 * @param name path within the folder
 * @throws HoldfastError CA_UNSAFE if it is in foreign hands, CA_DAMAGED, FILE_UNREADABLE
 */
export function findCaFile(directory: string, name: string, uid: number): string | undefined {
  const path = join(directory, name)
  const unsafe = (why: string) => new HoldfastError('CA_UNSAFE', `${path} is not used: ${why}`)
  let file: PlainFile | undefined
  try {
    file = readPlainFile(path, MAX_RECORD_BYTES)
  } catch (cause) {
    if (isMissing(cause)) return undefined
    if (codeOf(cause) === 'ELOOP') throw unsafe('it is a link')
    throw new HoldfastError('FILE_UNREADABLE', `${path} cannot be read (${codeOf(cause)})`, { cause })
  }
  if (file === undefined) {
    throw new HoldfastError('CA_DAMAGED', `${path} is not a file of a CA: restore it from a backup`)
  }
  if (file.uid !== uid && file.uid !== 0) throw unsafe(`it belongs to uid ${file.uid}: chown ${uid} ${path}`)
  // Of the others everybody may know what they say.
  if ((file.mode & (name.startsWith('key-') ? 0o077 : 0o022)) !== 0) {
    throw unsafe(`others have access to it: chmod 600 ${path}`)
  }
  return file.bytes.toString('utf8')
}

/**
 * The names of all records of a kind, without their extension.
 * @throws HoldfastError CA_DAMAGED if there is something else beside them: it may be a record that was renamed
 */
export function listRecords(directory: string, kind: RecordKind): string[] {
  const folder = join(directory, kind)
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const faults = { cause }
    if (code === 'ENOENT') {
      throw new HoldfastError('CA_DAMAGED', `the folder ${folder} is gone: restore it from a backup`, faults)
    }
    throw new HoldfastError('FILE_UNREADABLE', `${folder} cannot be read (${code})`, faults)
  }
  const records = names.filter((name) => !LEFT_BEHIND.test(name))
  const stray = records.find((name) => !RECORDS[kind].test(name))
  if (stray === undefined) return records.map((name) => name.slice(0, name.lastIndexOf('.')))
  throw new HoldfastError(
    'CA_DAMAGED',
    `${join(folder, stray)} is no record of the CA: put it elsewhere, or give it its name again`,
  )
}

/**
 * Puts a file into the folder, where it stays. It is on disk when this returns.
 * @param name path within the folder
 * @returns false if there is one of that name, which is left as it is
 * @throws HoldfastError OUTPUT_FAILED; there is then no such file
 */
export function addCaFile(directory: string, name: string, text: string): boolean {
  return asWriting(directory, () => addFile(join(directory, name), text))
}

/** Takes a file away that turned out not to be needed. */
export function removeCaFile(directory: string, name: string): void {
  asWriting(directory, () => removeIfThere(join(directory, name)))
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It is not there, or it is left behind like what a crash leaves.
  }
}

function asReading<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new HoldfastError('FILE_UNREADABLE', `${path} cannot be read (${describeFault(cause)})`, { cause })
  }
}

function asWriting<T>(directory: string, write: () => T): T {
  try {
    return write()
  } catch (cause) {
    throw new HoldfastError(
      'OUTPUT_FAILED',
      `the CA in ${directory} cannot be written (${describeFault(cause)})`,
      {
        cause,
      },
    )
  }
}
