/**
 * Finds the consumers of an identity for a program that goes on running: whoever was added or taken away since counts, or
 * no longer counts, at the next request. Whoever can write a folder of consumers decides who gets credentials, so one
 * that others could write has none.
 */

import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { IDENTITY_NAME } from '../../core/config/config.js'
import { type Consumer, findDigest, RECORD_SUFFIX } from '../../core/endpoints/consumer.js'
import { HoldfastError } from '../../core/errors.js'
import { isMissing, readPlainFile } from '../disk.js'
import { listRecords, verifyUnmeddled } from './consumer-files.js'

/** A line of sha256sum(1) is shorter. */
const MAX_RECORD_BYTES = 1024
/** The time of a change ticks: one so soon after another may not show. */
const UNSETTLED_MS = 2000

/** The consumers of an identity, as they are now. */
export type ConsumerLookup = (identity: string) => readonly Consumer[]

/** How a lookup reads. */
export interface ConsumerLookupOptions {
  /** The user who, beside root, may own what is read. */
  readonly uid: number
  readonly now: () => Date
  /** Told why something does not count; once, however often it is looked at. */
  readonly warn: (text: string) => void
}

/** A lookup in several folders of consumers. It reads that of an identity again only after something in it has changed. */
export function createConsumerLookup(
  folders: readonly string[],
  { uid, now, warn }: ConsumerLookupOptions,
): ConsumerLookup {
  const kept = new Map<string, { readonly changes: Changes; readonly consumers: readonly Consumer[] }>()
  const said = new Set<string>()
  let faults = 0
  const tolerate = <T>(read: () => readonly T[]): readonly T[] => {
    try {
      return read()
    } catch (error) {
      faults++
      const { code, path, message } = error as NodeJS.ErrnoException
      const text = path === undefined ? message : `${path} cannot be read (${code})`
      if (!isMissing(error) && !said.has(text)) warn(text)
      said.add(text)
      return []
    }
  }
  const look = (folder: string): readonly Consumer[] => {
    const found = kept.get(folder)
    if (found !== undefined && isDeepStrictEqual(readChanges([...found.changes.keys()]), found.changes)) {
      return found.consumers
    }
    kept.delete(folder)
    verifyUnmeddled(folder, uid)
    const names = listRecords(folder)
    const changes = readChanges([folder, ...names.map((name) => locateRecord(folder, name))])
    const faultsBefore = faults
    const consumers = names.flatMap((name) => tolerate(() => readConsumer(folder, name, uid)))
    const isSettled = [...changes.values()].every((changedMs) => now().getTime() - changedMs > UNSETTLED_MS)
    // What could not be read may be well the next time.
    if (isSettled && faults === faultsBefore) kept.set(folder, { changes, consumers })
    return consumers
  }
  return (identity) => {
    if (!IDENTITY_NAME.test(identity)) return []
    return folders.flatMap((folder) => tolerate(() => look(join(folder, identity))))
  }
}

/** By path, when it was changed last, in milliseconds since 1970; NaN if it is not there. */
type Changes = ReadonlyMap<string, number>

function readChanges(paths: readonly string[]): Changes {
  return new Map(
    paths.map((path) => [path, lstatSync(path, { throwIfNoEntry: false })?.ctimeMs ?? Number.NaN]),
  )
}

function locateRecord(folder: string, name: string): string {
  return join(folder, `${name}${RECORD_SUFFIX}`)
}

function readConsumer(folder: string, name: string, uid: number): Consumer[] {
  const path = locateRecord(folder, name)
  const file = readPlainFile(path, MAX_RECORD_BYTES)
  if (file === undefined || (file.uid !== 0 && file.uid !== uid) || (file.mode & 0o022) !== 0) {
    throw new HoldfastError(
      'CONFIG_UNSAFE',
      `${path} does not count: it must be a small file of root's or this user's that nobody else can write`,
    )
  }
  const digest = findDigest(file.bytes.toString('latin1'))
  if (digest === undefined) {
    throw new HoldfastError('CONFIG_INVALID', `${path} does not count: it is not one line of sha256sum`)
  }
  return [{ name, digest }]
}
