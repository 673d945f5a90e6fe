/**
 * The record of an identity's enrolment on disk: where it is, and that only one process works with it. It is replaced as a
 * whole; one that says nothing is removed.
 */

import { join, resolve } from 'node:path'
import { type EnrolmentRecord, NO_ENROLMENT, parseEnrolmentRecord } from '../core/enroll/enrolment.js'
import { HoldfastError } from '../core/errors.js'
import { editFile, readTextFile } from '../io/edited-file.js'
import { isThere, makeFolder, removeFile, verifyHands } from '../io/exchange-file.js'
import { tryLock } from '../io/lock.js'

/** Where and whose. */
export interface RecordPlace {
  /** State folders, best first. */
  readonly directories: readonly string[]
  readonly uid: number
  readonly signal: AbortSignal
}

/** Gives and takes the record, and writes files as carefully as it. */
export interface EnrolmentFiles {
  /** Path of the record. */
  readonly path: string
  /** Where a certificate may lie until it is accepted. */
  readonly candidateFile: string
  load(): Promise<EnrolmentRecord>
  save(record: EnrolmentRecord): Promise<void>
  /** Replaces any file by one with the text that `edit` makes of its own. */
  edit(path: string, edit: (text: string) => string, mode: number): Promise<void>
}

/**
 * Lends the record of the identity `name`.
 * @throws HoldfastError USAGE if another process works with it, OUTPUT_FAILED where it cannot be kept, CONFIG_UNSAFE where
 *   others could write it
 */
export async function withEnrolmentFiles<T>(
  name: string,
  place: RecordPlace,
  use: (files: EnrolmentFiles) => Promise<T>,
): Promise<T> {
  const { uid, signal } = place
  const folder = await chooseFolder(name, place.directories)
  const path = join(folder, `${name}.json`)
  verifyHands(path, uid)
  const release = tryLock(`${path}.running`)
  if (release === undefined) {
    throw new HoldfastError('USAGE', `another holdfast enroll ${name} is at work: wait until it has ended`)
  }
  const edit: EnrolmentFiles['edit'] = (file, change, mode) => editFile(file, change, { uid, mode, signal })
  try {
    return await use({
      path,
      candidateFile: join(folder, `${name}.pem`),
      edit,
      async load() {
        const text = await readTextFile(path)
        return text === '' ? NO_ENROLMENT : parseEnrolmentRecord(text, path)
      },
      async save(record) {
        if (record.unfinished === undefined && record.replaced.length === 0) await removeFile(path)
        else await edit(path, () => `${JSON.stringify(record, undefined, 2)}\n`, 0o600)
      },
    })
  } finally {
    release()
  }
}

/** The folder where a record of that name is, else the first that can be written. */
async function chooseFolder(name: string, directories: readonly string[]): Promise<string> {
  const folders = directories.map((directory) => resolve(directory, 'enroll'))
  for (const folder of folders) if (await isThere(join(folder, `${name}.json`))) return folder
  for (const folder of folders) if (await makeFolder(folder)) return folder
  throw new HoldfastError(
    'OUTPUT_FAILED',
    `no folder for the record of the enrolment can be written (${folders.join(', ') || 'there is no HOME'}): name one with --state-dir`,
  )
}
