/**
 * The AWS config and credentials files of this user: where they are, their text, and an edit that nobody sees half
 * done and that loses nobody else's. What is in them is core/aws-files/ini, core/aws-files/aws-config and core/aws-files/credentials-file.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html
 */

import { isUtf8 } from 'node:buffer'
import { lstatSync, readlinkSync } from 'node:fs'
import {
  type FileHandle,
  mkdir,
  open,
  readFile,
  readlink,
  realpath,
  rename,
  stat,
  unlink,
} from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { HoldfastError } from '../core/errors.js'
import { findPathRisks, formatPathRisk } from '../core/path-trust.js'

type Environment = Readonly<Record<string, string | undefined>>

/** Absolute path of the config file: `AWS_CONFIG_FILE`, or `~/.aws/config`. */
export function awsConfigPath(env: Environment): string {
  return locate(env, env.AWS_CONFIG_FILE, 'config')
}

/** Absolute path of the credentials file: `AWS_SHARED_CREDENTIALS_FILE`, or `~/.aws/credentials`. */
export function awsCredentialsPath(env: Environment): string {
  return locate(env, env.AWS_SHARED_CREDENTIALS_FILE, 'credentials')
}

function locate(env: Environment, named: string | undefined, name: string): string {
  const home = env.HOME || homedir()
  if (!named) return join(home, '.aws', name)
  return resolve(named.replace(/^~(?=\/)/, home))
}

/**
 * The text of such a file, its byte order mark included; empty if there is no file.
 * @throws HoldfastError CONFIG_UNREADABLE, CONFIG_INVALID if it is not UTF-8
 */
export async function readAwsFile(path: string): Promise<string> {
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return ''
    throw new HoldfastError('CONFIG_UNREADABLE', `${path} cannot be read (${code})`, { cause })
  }
  if (isUtf8(bytes)) return bytes.toString('utf8')
  throw new HoldfastError('CONFIG_INVALID', `${path} is not UTF-8, and was left as it is`)
}

/** True if every user may read the file. */
export async function isOpenToOthers(path: string): Promise<boolean> {
  const stats = await stat(path).catch(ignoreMissing)
  return stats !== undefined && (stats.mode & 0o004) !== 0
}

/** How a file is edited. */
export interface AwsFileEdit {
  /**
   * Effective user: nothing is written where a folder, link or file belongs to another one but root, as with `sudo`,
   * where the home may still be that of a user; nor where everyone can replace it.
   */
  readonly uid: number
  /** Runs `use` while no other Holdfast edits this file; `path` is for the lock. */
  readonly withLock: (path: string, use: () => Promise<void>) => Promise<void>
  /** Of a new file, whatever the umask; 0600 if not given. */
  readonly mode?: number
}

/** How often an edit begins again because another program has written the file meanwhile. */
const MAX_TURNS = 10

/**
 * Replaces the file by one with the text that `edit` makes of its text: written beside it, synced, and renamed over it,
 * with the former owner and mode, unless another program has written it meanwhile; then `edit` is asked again. A link
 * stays, its target is replaced. A new folder is open to others where a new file is. Where `edit` changes nothing, nothing
 * is written.
 * @throws HoldfastError CONFIG_UNREADABLE, CONFIG_INVALID as {@link readAwsFile}; OUTPUT_FAILED; what `edit` throws. The
 *   former file is then untouched
 */
export async function editAwsFile(
  path: string,
  edit: (text: string) => string,
  { uid, withLock, mode = 0o600 }: AwsFileEdit,
): Promise<void> {
  try {
    const risks = findPathRisks(path, uid, { lstatSync, readlinkSync })
    const risk = risks.find(({ by }) => by !== 'group')
    if (risk?.by === 'owner') throw strangers(path, risk.path, risk.id)
    if (risk !== undefined) {
      throw new HoldfastError('OUTPUT_FAILED', `${path} is not written: ${formatPathRisk(risk)}`)
    }
    await mkdir(dirname(path), { recursive: true, mode: (mode & 0o004) === 0 ? 0o700 : 0o755 })
    const target = await followLink(path)
    await withLock(`${target}.lock`, async () => {
      for (let turn = 0; turn < MAX_TURNS; turn++) {
        if (await editOnce(path, target, edit, { uid, mode })) return
      }
      throw new HoldfastError(
        'OUTPUT_FAILED',
        `${path} is not written: another program writes it all the time`,
      )
    })
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    throw new HoldfastError('OUTPUT_FAILED', `${path} cannot be written: ${explainFault(cause)}`, { cause })
  }
}

/** False if the file has changed meanwhile. */
async function editOnce(
  path: string,
  target: string,
  edit: (text: string) => string,
  { uid, mode }: { readonly uid: number; readonly mode: number },
): Promise<boolean> {
  const former = await stat(target).catch(ignoreMissing)
  if (former !== undefined && former.uid !== uid && former.uid !== 0)
    throw strangers(path, target, former.uid)
  if (former?.isFile() === false) {
    throw new HoldfastError('OUTPUT_FAILED', `${path} is not written: it is not a regular file`)
  }
  const text = await readAwsFile(target)
  const edited = edit(text)
  if (edited === text) return true
  // The lock is ours, so one that is there was left by a program that was killed.
  const temporary = `${target}.holdfast`
  await unlink(temporary).catch(ignoreMissing)
  try {
    await writeSynced(temporary, edited, mode, former)
    if ((await readAwsFile(target)) !== text) return false
    await rename(temporary, target)
  } finally {
    await unlink(temporary).catch(ignoreMissing)
  }
  await syncFolder(dirname(target))
  return true
}

function explainFault(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'EBUSY') return 'it is mounted alone, so it cannot be replaced: mount its folder instead'
  if (code === 'ENOSPC' || code === 'EDQUOT') return `no space is left (${code}); it is as it was`
  if (code === 'EROFS') return 'its file system is read-only'
  return code ?? message
}

function strangers(path: string, whose: string, owner: number): HoldfastError {
  return new HoldfastError(
    'OUTPUT_FAILED',
    `${path} is not written: ${whose} belongs to uid ${owner}; run this as that user, or with HOME set to your own`,
  )
}

/** Also where the target does not exist yet. */
async function followLink(path: string): Promise<string> {
  const target = await realpath(path).catch(ignoreMissing)
  if (target !== undefined) return target
  const link = await readlink(path).catch(ignoreMissing)
  return link === undefined ? path : resolve(dirname(path), link)
}

async function writeSynced(
  path: string,
  text: string,
  mode: number,
  former: { readonly uid: number; readonly gid: number; readonly mode: number } | undefined,
): Promise<void> {
  let file: FileHandle | undefined
  try {
    file = await open(path, 'wx', mode)
    await file.writeFile(text)
    if (former !== undefined) {
      const { uid, gid } = await file.stat()
      if (uid !== former.uid || gid !== former.gid) await file.chown(former.uid, former.gid)
    }
    await file.chmod((former?.mode ?? mode) & 0o777)
    await file.sync()
  } finally {
    await file?.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
