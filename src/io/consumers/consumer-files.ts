/**
 * The folder of consumers beside a configuration file: for each consumer of an identity the file of its token, which
 * only the consumer can read, and the record of it, by which the agent knows it.
 *
 *     consumers/IDENTITY/CONSUMER.token     owner: the consumer, mode 0600
 *     consumers/IDENTITY/CONSUMER.sha256    a line of sha256sum(1); without it the token is worth nothing
 */

import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { formatRecord, RECORD_SUFFIX, TOKEN_SUFFIX } from '../../core/endpoints/consumer.js'
import { HoldfastError } from '../../core/errors.js'
import { findPathRisks, formatPathRisk } from '../../core/path-trust.js'
import { codeOf, isMissing } from '../disk.js'

/** A consumer of an identity, and where its files are. */
export interface ConsumerFiles {
  readonly identity: string
  readonly name: string
  /** Absolute path of the token's file, which may have been taken away. */
  readonly tokenFile: string
  readonly recordFile: string
}

/** Numeric ids of who shall own a file. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** Folders of consumers that belong to configuration files. */
export function listConsumerFolders(configFiles: readonly string[]): string[] {
  return configFiles.map((file) => join(dirname(file), 'consumers'))
}

/** Paths of the files of a consumer, whether they are there or not. */
export function locateConsumer(folder: string, identity: string, name: string): ConsumerFiles {
  const path = join(folder, identity, name)
  return { identity, name, tokenFile: `${path}${TOKEN_SUFFIX}`, recordFile: `${path}${RECORD_SUFFIX}` }
}

/**
 * Lays the two files of a new consumer. The token is worth nothing before its record is there as a whole.
 * @param options.owner of the token's file, if that is not this process's user
 * @throws HoldfastError USAGE if there is such a consumer already, CONFIG_UNSAFE if others could change it, OUTPUT_FAILED
 */
export function writeConsumer(
  { identity, name, tokenFile, recordFile }: ConsumerFiles,
  token: string,
  { uid, owner }: { uid: number; owner?: Owner | undefined },
): void {
  const exists = new HoldfastError(
    'USAGE',
    `${identity} has a consumer ${name} already: take it away first, or choose another name`,
  )
  try {
    // Before anything is made, since whoever can meddle would have root change the mode of what he puts there.
    verifyUnmeddled(dirname(recordFile), uid)
    // Other users' consumers have to get to their files.
    makeFolder(dirname(recordFile), uid === 0 ? 0o755 : 0o700)
    if (existsSync(recordFile)) throw exists
    createFile(tokenFile, token, 0o600, owner)
    const draft = `${recordFile}.new`
    rmSync(draft, { force: true })
    createFile(draft, formatRecord(name, token), 0o644)
    renameSync(draft, recordFile)
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    if (codeOf(cause) === 'EEXIST') throw exists
    throw failure('written', tokenFile, cause)
  }
}

/**
 * Takes a consumer away: first the record, then its token's file. False if there was neither.
 * @throws HoldfastError OUTPUT_FAILED
 */
export function removeConsumer({ tokenFile, recordFile }: ConsumerFiles): boolean {
  const present = [recordFile, tokenFile].filter((file) => lstatSync(file, { throwIfNoEntry: false }))
  for (const file of present) {
    try {
      rmSync(file)
    } catch (cause) {
      throw failure('taken away', file, cause)
    }
  }
  return present.length > 0
}

/**
 * All consumers of a folder, sorted; none if there is no such folder.
 * @throws HoldfastError CONFIG_UNREADABLE
 */
export function listConsumers(folder: string): ConsumerFiles[] {
  return listNames(folder).flatMap((identity) =>
    listRecords(join(folder, identity)).map((name) => locateConsumer(folder, identity, name)),
  )
}

/** Names of the consumers that have a record in the folder of an identity. @throws HoldfastError CONFIG_UNREADABLE */
export function listRecords(folder: string): string[] {
  return listNames(folder)
    .filter((name) => name.endsWith(RECORD_SUFFIX))
    .map((name) => name.slice(0, -RECORD_SUFFIX.length))
}

/** @throws HoldfastError CONFIG_UNSAFE if others than root and the user could put something into the folder */
export function verifyUnmeddled(folder: string, uid: number): void {
  const risks = findPathRisks(join(folder, 'entry'), uid, { lstatSync, readlinkSync })
  const risk = risks.find(({ isRootsChoice }) => !isRootsChoice)
  if (risk === undefined) return
  throw new HoldfastError('CONFIG_UNSAFE', `consumers in ${folder} do not count: ${formatPathRisk(risk)}`)
}

function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(path)
    chmodSync(path, mode) // whatever the umask
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return
    if (codeOf(error) !== 'ENOENT') throw error
    makeFolder(dirname(path), mode)
    makeFolder(path, mode)
  }
}

/** Makes a file that must not be there. It has its content, and is on disk, before another user owns it. */
function createFile(path: string, content: string, mode: number, owner?: Owner): void {
  const file = openSync(path, 'wx', 0o600)
  try {
    writeFileSync(file, content)
    chmodSync(path, mode)
    if (owner !== undefined) chownSync(path, owner.uid, owner.gid)
    fsyncSync(file)
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  } finally {
    closeSync(file)
  }
}

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch (cause) {
    if (isMissing(cause)) return []
    throw new HoldfastError('CONFIG_UNREADABLE', `${folder} cannot be read (${codeOf(cause)})`, { cause })
  }
}

function failure(done: string, path: string, cause: unknown): HoldfastError {
  const code = codeOf(cause)
  if (code === undefined) throw cause
  return new HoldfastError('OUTPUT_FAILED', `${path} cannot be ${done} (${code})`, { cause })
}
