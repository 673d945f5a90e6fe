/**
 * The AWS config and credentials files of this user: where they are, their text, and a replacement that is
 * never seen half written. What is in them is core/ini and core/aws-config.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html
 */

import { isUtf8 } from 'node:buffer'
import { randomBytes } from 'node:crypto'
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
import { findPathRisks } from '../core/path-trust.js'

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

/**
 * Replaces the file by one with this text: written beside it, synced, and renamed over it, with the former
 * owner and mode. A link stays, its target is replaced. A new file gets mode 0600, a new folder 0700.
 * @param uid effective user: nothing is written where a folder, link or file belongs to another one but root, as with
 *   `sudo`, where the home may still be that of a user
 * @throws HoldfastError OUTPUT_FAILED; the former file is then untouched
 */
export async function replaceAwsFile(path: string, text: string, uid: number): Promise<void> {
  try {
    const risks = findPathRisks(path, uid, { lstatSync, readlinkSync })
    const risk = risks.find(({ by }) => by === 'owner')
    if (risk !== undefined) throw strangers(path, risk.path, risk.id)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const target = await followLink(path)
    const temporary = `${target}.${randomBytes(6).toString('hex')}`
    try {
      const former = await stat(target).catch(ignoreMissing)
      if (former !== undefined && former.uid !== uid && former.uid !== 0) {
        throw strangers(path, target, former.uid)
      }
      await writeSynced(temporary, text, former)
      await rename(temporary, target)
    } catch (error) {
      await unlink(temporary).catch(ignoreMissing)
      throw error
    }
    await syncFolder(dirname(target))
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    throw new HoldfastError('OUTPUT_FAILED', `${path} cannot be written: ${code ?? message}`, { cause })
  }
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
  former: { readonly uid: number; readonly gid: number; readonly mode: number } | undefined,
): Promise<void> {
  let file: FileHandle | undefined
  try {
    file = await open(path, 'wx', 0o600)
    await file.writeFile(text)
    if (former !== undefined) {
      const { uid, gid } = await file.stat()
      if (uid !== former.uid || gid !== former.gid) await file.chown(former.uid, former.gid)
      await file.chmod(former.mode & 0o777)
    }
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
