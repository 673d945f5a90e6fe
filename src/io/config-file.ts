/**
 * Finds and reads the config files: the user's and the system's, or the one that was named. Whoever can write
 * one chooses which module is loaded and which program is asked for the PIN, so a file or folder that others
 * can write is refused. What is in a file is core/config/config.
 * @see https://specifications.freedesktop.org/basedir-spec/latest/
 */

import { isUtf8 } from 'node:buffer'
import { constants, lstatSync, readlinkSync } from 'node:fs'
import { type FileHandle, open, realpath } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { holdsPin, parseConfig, type ServedIdentity } from '../core/config/config.js'
import { HoldfastError } from '../core/errors.js'
import { findPathRisks, formatPathRisk, isGroupOfOthers } from '../core/path-trust.js'

const SYSTEM_FILE = '/etc/holdfast/config.toml'
const MAX_FILE_BYTES = 1024 * 1024

/** Decides which config files count. */
export interface ConfigFileOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Numeric id of the effective user. */
  readonly uid: number
  /** The one file to read, if one was named. */
  readonly configFile?: string | undefined
  readonly systemFile?: string | undefined
}

/**
 * Absolute paths of the files to look at, the one that wins first. For root that is only the system's: with
 * `sudo`, the home may still be that of a user.
 */
export function listConfigFiles(options: ConfigFileOptions): string[] {
  const { env, uid, configFile, systemFile = SYSTEM_FILE } = options
  if (configFile !== undefined) return [resolve(configFile)]
  if (uid === 0) return [systemFile]
  const xdg = env.XDG_CONFIG_HOME
  // The specification wants a relative path to be ignored.
  const folder = xdg !== undefined && isAbsolute(xdg) ? xdg : join(env.HOME || homedir(), '.config')
  return [join(folder, 'holdfast', 'config.toml'), systemFile]
}

/**
 * The identity of that name. The user's replaces the system's as a whole; a file behind the one where it was
 * found is not opened.
 * @throws HoldfastError CONFIG_NOT_FOUND, CONFIG_INVALID, CONFIG_UNSAFE, CONFIG_UNREADABLE
 */
export async function loadIdentity(name: string, options: ConfigFileOptions): Promise<ServedIdentity> {
  const files = listConfigFiles(options)
  const names = new Set<string>()
  const looked: string[] = []
  for (const file of files) {
    const identities = await readConfigFile(file, options.uid)
    const identity = identities?.get(name)
    if (identity !== undefined) return identity
    for (const other of identities?.keys() ?? []) names.add(other)
    looked.push(identities === undefined ? `${file} (there is no such file)` : file)
  }
  const known = names.size > 0 ? `there is ${[...names].sort().join(', ')}` : 'there is none at all'
  throw new HoldfastError(
    'CONFIG_NOT_FOUND',
    `no identity ${JSON.stringify(name)}: ${known}; looked at ${looked.join(' and ')}`,
  )
}

/**
 * The identity of that name and the file where it was found, which is the one that counts; undefined if there is none.
 * @throws HoldfastError CONFIG_INVALID, CONFIG_UNSAFE, CONFIG_UNREADABLE
 */
export async function findIdentity(
  name: string,
  options: ConfigFileOptions,
): Promise<{ readonly file: string; readonly identity: ServedIdentity } | undefined> {
  for (const file of listConfigFiles(options)) {
    const identity = (await readConfigFile(file, options.uid))?.get(name)
    if (identity !== undefined) return { file, identity }
  }
  return undefined
}

/**
 * All identities, by name: the user's, and those of the system that no identity of the user replaces.
 * @throws HoldfastError CONFIG_NOT_FOUND if there are none, CONFIG_INVALID, CONFIG_UNSAFE, CONFIG_UNREADABLE
 */
export async function loadIdentities(options: ConfigFileOptions): Promise<Map<string, ServedIdentity>> {
  const files = listConfigFiles(options)
  const identities = new Map<string, ServedIdentity>()
  for (const file of files) {
    for (const [name, identity] of (await readConfigFile(file, options.uid)) ?? []) {
      if (!identities.has(name)) identities.set(name, identity)
    }
  }
  if (identities.size > 0) return identities
  throw new HoldfastError('CONFIG_NOT_FOUND', `there is no identity; looked at ${files.join(' and ')}`)
}

/**
 * The identities of one file, or undefined if there is no such file.
 * @param uid the user who, beside root, may own the file
 * @throws HoldfastError CONFIG_INVALID, CONFIG_UNSAFE, CONFIG_UNREADABLE
 */
export async function readConfigFile(
  path: string,
  uid: number,
): Promise<Map<string, ServedIdentity> | undefined> {
  let file: FileHandle | undefined
  try {
    // O_NONBLOCK: opening a FIFO would wait for a writer for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const { mode, uid: owner, gid: group, size } = await file.stat()
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) {
      throw new HoldfastError('CONFIG_UNREADABLE', `${path} is not a regular file`)
    }
    verifyHands(path, { mode, owner, group, uid })
    // A link's folder and its target's: whoever may write either could swap the file, also a group that root has let in.
    const folders = [await realpath(dirname(path)), dirname(await realpath(path))]
    const risk = findPathRisks(path, uid, { lstatSync, readlinkSync }).find(
      (some) => !some.isRootsChoice || folders.includes(some.path),
    )
    if (risk !== undefined) {
      throw new HoldfastError('CONFIG_UNSAFE', `${path} is not read: ${formatPathRisk(risk)}`)
    }
    if (size > MAX_FILE_BYTES) throw new HoldfastError('CONFIG_UNREADABLE', `${path} is larger than 1 MiB`)
    const identities = parseConfig(decode(await file.readFile(), path), resolve(path))
    if ((mode & 0o004) !== 0 && [...identities.values()].some(holdsPin)) {
      throw new HoldfastError(
        'CONFIG_UNSAFE',
        `everybody can read ${path}, and it has a PIN in a pin-value: chmod 600 ${path}, or use pin-file`,
      )
    }
    return identities
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (code === undefined) throw cause
    throw new HoldfastError('CONFIG_UNREADABLE', `${path} cannot be read (${code})`, { cause })
  } finally {
    await file?.close()
  }
}

function verifyHands(path: string, file: { mode: number; owner: number; group: number; uid: number }): void {
  const { mode, owner, group, uid } = file
  if (owner !== 0 && owner !== uid) {
    throw new HoldfastError(
      'CONFIG_UNSAFE',
      `${path} belongs to user ${owner}, who could change the configuration: chown ${uid} ${path}`,
    )
  }
  const others = isGroupOfOthers(group, uid) ? 0o022 : 0o002
  if ((mode & others) === 0) return
  throw new HoldfastError(
    'CONFIG_UNSAFE',
    `others can write ${path} (mode ${(mode & 0o7777).toString(8)}) and so change the configuration: chmod go-w ${path}`,
  )
}

function decode(bytes: Buffer, path: string): string {
  const text = bytes.toString('utf8').replace(/^\u{feff}/u, '')
  if (isUtf8(bytes)) return text
  const before = text.slice(0, text.indexOf('\u{fffd}')).split('\n')
  throw new HoldfastError(
    'CONFIG_INVALID',
    `${path}:${before.length}:${before.at(-1)!.length + 1}: not UTF-8`,
  )
}
