/**
 * Finds the consumers of an identity for a program that goes on running: whoever was added or taken away since counts, or
 * no longer counts, at the next request. Whoever can write a folder of consumers decides who gets credentials, so one
 * that others could write has none.
 */

import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { IDENTITY_NAME } from '../../core/config.js'
import { type Consumer, findDigest, RECORD_SUFFIX } from '../../core/consumer.js'
import { HoldfastError } from '../../core/errors.js'
import { isMissing, listRecords, verifyUnmeddled } from './consumer-files.js'

/** A line of sha256sum(1) is shorter. */
const MAX_RECORD_BYTES = 1024
/** A folder's time ticks: a change so soon after another one may not show. */
const UNSETTLED_MS = 2000

/** The consumers of an identity, as they are now. */
export type ConsumerLookup = (identity: string) => readonly Consumer[]

/** How a lookup reads. */
export interface ConsumerLookupOptions {
  /** The user who, beside root, may own what is read. */
  readonly uid: number
  /** Told why something does not count; once, however often it is looked at. */
  readonly warn: (text: string) => void
}

/** A lookup in several folders of consumers. It reads the folder of an identity again only after it has changed. */
export function createConsumerLookup(
  folders: readonly string[],
  { uid, warn }: ConsumerLookupOptions,
): ConsumerLookup {
  const kept = new Map<string, { readonly changedNs: bigint; readonly consumers: readonly Consumer[] }>()
  const said = new Set<string>()
  const tolerate = <T>(read: () => readonly T[]): readonly T[] => {
    try {
      return read()
    } catch (error) {
      const { code, path, message } = error as NodeJS.ErrnoException
      const text = path === undefined ? message : `${path} cannot be read (${code})`
      if (!isMissing(error) && !said.has(text)) warn(text)
      said.add(text)
      return []
    }
  }
  const look = (folder: string): readonly Consumer[] => {
    const { ctimeNs } = statSync(folder, { bigint: true })
    const found = kept.get(folder)
    if (found?.changedNs === ctimeNs) return found.consumers
    verifyUnmeddled(folder, uid)
    const consumers = listRecords(folder).flatMap((name) => tolerate(() => readConsumer(folder, name, uid)))
    if (Date.now() - Number(ctimeNs / 1_000_000n) > UNSETTLED_MS) {
      kept.set(folder, { changedNs: ctimeNs, consumers })
    }
    return consumers
  }
  return (identity) => {
    if (!IDENTITY_NAME.test(identity)) return []
    return folders.flatMap((folder) => tolerate(() => look(join(folder, identity))))
  }
}

function readConsumer(folder: string, name: string, uid: number): Consumer[] {
  const path = join(folder, `${name}${RECORD_SUFFIX}`)
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const { mode, uid: owner, size } = fstatSync(file)
    const isPlain = (mode & constants.S_IFMT) === constants.S_IFREG && size <= MAX_RECORD_BYTES
    if (!isPlain || (owner !== 0 && owner !== uid) || (mode & 0o022) !== 0) {
      throw new HoldfastError(
        'CONFIG_UNSAFE',
        `${path} does not count: it must be a small file of root's or this user's that nobody else can write`,
      )
    }
    const digest = findDigest(readFileSync(file, 'latin1'))
    if (digest === undefined) {
      throw new HoldfastError('CONFIG_INVALID', `${path} does not count: it is not one line of sha256sum`)
    }
    return [{ name, digest }]
  } finally {
    closeSync(file)
  }
}
