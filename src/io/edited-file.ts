/**
 * Text files that others edit too, and how they are changed: an edit is whole or not at all, and loses nobody else's.
 */

import { isUtf8 } from 'node:buffer'
import { constants, lstatSync, readlinkSync, type Stats } from 'node:fs'
import { type FileHandle, mkdir, open, readlink, realpath, rename, stat, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { HoldfastError } from '../core/errors.js'
import { findPathRisks, formatPathRisk } from '../core/path-trust.js'
import { syncFolder } from './disk.js'
import { withLock } from './lock.js'

/**
 * The text of a file, its byte order mark included; empty if there is no file.
 * @throws HoldfastError CONFIG_UNREADABLE, CONFIG_INVALID if it is not UTF-8
 */
export async function readTextFile(path: string): Promise<string> {
  let file: FileHandle | undefined
  let bytes: Buffer
  try {
    // O_NONBLOCK: opening a FIFO would wait for a writer for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    if (!(await file.stat()).isFile()) {
      throw new HoldfastError('CONFIG_UNREADABLE', `${path} is not a regular file`)
    }
    bytes = await file.readFile()
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return ''
    throw new HoldfastError('CONFIG_UNREADABLE', `${path} cannot be read (${code})`, { cause })
  } finally {
    await file?.close()
  }
  if (isUtf8(bytes)) return bytes.toString('utf8')
  throw new HoldfastError('CONFIG_INVALID', `${path} is not UTF-8, and was left as it is`)
}

/** How a file is edited. */
export interface FileEdit {
  /**
   * Effective user: nothing is written where a folder, link or file belongs to another one but root, as with `sudo`,
   * where the home may still be that of a user; nor where everyone can replace it.
   */
  readonly uid: number
  /** Ends waiting for another Holdfast that edits the file. */
  readonly signal: AbortSignal
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
 * @throws HoldfastError CONFIG_UNREADABLE, CONFIG_INVALID as {@link readTextFile}; OUTPUT_FAILED; what `edit` throws. The
 *   former file is then untouched
 */
export async function editFile(
  path: string,
  edit: (text: string) => string,
  { uid, signal, mode = 0o600 }: FileEdit,
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
    // Before a lock is put beside it, where others may have no business, as beside /dev/null.
    await lookAt(path, target, uid)
    await withLock(`${target}.lock`, signal, async () => {
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
  const former = await lookAt(path, target, uid)
  const text = await readTextFile(target)
  const edited = edit(text)
  if (edited === text) return true
  // The lock is ours, so one that is there was left by a program that was killed.
  const temporary = `${target}.holdfast`
  await unlink(temporary).catch(ignoreMissing)
  try {
    await writeLike(former, temporary, edited, mode)
    if ((await readTextFile(target)) !== text) return false
    await rename(temporary, target)
  } finally {
    await unlink(temporary).catch(ignoreMissing)
  }
  syncFolder(dirname(target))
  return true
}

/** What is at the target now; undefined if nothing is. @throws HoldfastError OUTPUT_FAILED for what is not to be replaced */
async function lookAt(path: string, target: string, uid: number): Promise<Stats | undefined> {
  const found = await stat(target).catch(ignoreMissing)
  if (found === undefined) return undefined
  if (found.uid !== uid && found.uid !== 0) throw strangers(path, target, found.uid)
  if (found.isFile()) return found
  throw new HoldfastError('OUTPUT_FAILED', `${path} is not written: it is not a regular file`)
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
  return link === undefined ? path : followLink(resolve(dirname(path), link))
}

/** Writes a new file, with owner and mode of the former one if there is one, and puts it on disk. */
async function writeLike(
  former: { readonly uid: number; readonly gid: number; readonly mode: number } | undefined,
  path: string,
  text: string,
  mode: number,
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

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
