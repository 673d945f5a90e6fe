/**
 * The folder of cached credentials: in memory, in the hands of this user alone, gone with the machine or the login. What
 * is in its files is core/agent/cache-entry; what somebody else could have written is not believed.
 * @see https://specifications.freedesktop.org/basedir-spec/latest/ (XDG_RUNTIME_DIR)
 */

import { randomBytes } from 'node:crypto'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { findCacheFolder } from '../core/agent/agent-place.js'
import { findPathRisks, formatPathRisk } from '../core/path-trust.js'
import { formatPrintable } from '../core/printable.js'
import { readPlainFile } from './disk.js'

/** Magic numbers of the file systems that are in memory: tmpfs and ramfs. @see statfs(2) */
const IN_MEMORY = [0x01021994, 0x858458f6]

const MAX_ENTRY_BYTES = 64 * 1024

/** No session lasts longer. */
const MAX_AGE_MS = 12 * 60 * 60 * 1000

/** A place for entries, or why there is none. */
export type CacheFolder = { readonly path: string } | { readonly obstacle: string }

/** The folder of this user, made where it is missing. */
export function openCacheFolder(env: Readonly<Record<string, string | undefined>>, uid: number): CacheFolder {
  const path = findCacheFolder(env)
  if (path === undefined) return { obstacle: 'XDG_RUNTIME_DIR names no folder for it' }
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    const risk = findPathRisks(join(path, 'entry'), uid, { lstatSync, readlinkSync })[0]
    if (risk !== undefined) return { obstacle: formatPathRisk(risk) }
    const { uid: owner, mode } = lstatSync(path)
    const shown = formatPrintable(path)
    if (owner !== uid) return { obstacle: `${shown} belongs to uid ${owner}` }
    if ((mode & 0o077) !== 0) return { obstacle: `${shown} is open to others: chmod go= ${shown}` }
    if (!IN_MEMORY.includes(statfsSync(path).type)) {
      return { obstacle: `${shown} is on a disk: let XDG_RUNTIME_DIR name a folder in memory (tmpfs)` }
    }
    return { path }
  } catch (error) {
    return { obstacle: describeFault(error) }
  }
}

/** The text of an entry; undefined if there is none, or not of this user alone. */
export function readEntry(path: string, uid: number): string | undefined {
  try {
    const file = readPlainFile(path, MAX_ENTRY_BYTES)
    return file?.uid === uid && (file.mode & 0o077) === 0 ? file.bytes.toString('utf8') : undefined
  } catch {
    return undefined
  }
}

/**
 * Puts an entry in the place of another, never half of it, and clears away those that nobody has renewed.
 * @throws Error of the file system
 */
export function writeEntry(folder: string, name: string, text: string): void {
  const temporary = join(folder, `${name}.${randomBytes(6).toString('hex')}`)
  try {
    writeFileSync(temporary, text, { flag: 'wx', mode: 0o600 })
    renameSync(temporary, join(folder, name))
  } finally {
    rmSync(temporary, { force: true })
  }
  for (const other of readdirSync(folder)) {
    const path = join(folder, other)
    const written = lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY
    if (Date.now() - written > MAX_AGE_MS) rmSync(path, { recursive: true, force: true })
  }
}

/** What to say of an error of the file system. */
export function describeFault(error: unknown): string {
  return formatPrintable((error as Error).message)
}
