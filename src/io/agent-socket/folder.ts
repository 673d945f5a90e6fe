/**
 * Whether a folder may hold the agent's sockets: only those who are trusted anyway can have put something there. A folder
 * that anybody can write has no place on the way, not even one with the sticky bit: whoever comes first to /tmp
 * chooses what is found there.
 */

import { chmodSync, lstatSync, mkdirSync, readlinkSync, realpathSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { HoldfastError } from '../../core/errors.js'
import { findPathRisks, findTrustedOwners, formatPathRisk } from '../../core/path-trust.js'
import { formatPrintable } from '../../core/printable.js'

/** Who may own a folder of sockets, beside root. */
export interface FolderOwners {
  /** This user. */
  readonly uid: number
  /** The user that a system agent runs as. */
  readonly agentUid?: number | undefined
}

/**
 * What speaks against a folder that is there, to stand after a colon; undefined if nothing does.
 */
export function findSocketFolderFault(folder: string, { uid, agentUid }: FolderOwners): string | undefined {
  const facts = { lstatSync, readlinkSync }
  const risks = findPathRisks(join(folder, '.'), uid, facts)
  const risk = risks.find(
    ({ by, id, isRootsChoice }) => !isRootsChoice && !(by === 'owner' && id === agentUid),
  )
  if (risk !== undefined) return formatPathRisk(risk)
  let real: string
  try {
    real = realpathSync(folder)
  } catch {
    return 'it is gone'
  }
  const { uid: owner, mode } = lstatSync(real)
  if (!findTrustedOwners(uid, facts).has(owner) && owner !== agentUid) {
    return `${formatPrintable(real)} belongs to uid ${owner}`
  }
  if ((mode & 0o022) !== 0)
    return `others can write ${formatPrintable(real)}: chmod go-w ${formatPrintable(real)}`
  const shared = [resolve(folder), real].flatMap(listParents).find((path) => {
    return ((lstatSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o002) !== 0 && !isLink(path)
  })
  return shared && `anybody can make folders in ${formatPrintable(shared)}: name one elsewhere`
}

/**
 * Makes the folder if it is not there, and sees to it that a client would trust it.
 * @param mode of a new folder
 * @throws HoldfastError SOCKET_UNUSABLE
 */
export function makeSocketFolder(folder: string, mode: number, uid: number): void {
  const path = resolve(folder)
  try {
    mkdirSync(path, { mode })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code !== 'EEXIST') {
      const what = `the folder ${formatPrintable(path)} for sockets cannot be made (${code})`
      throw new HoldfastError('SOCKET_UNUSABLE', `${what}: make it, or name another one with --agent-dir`, {
        cause,
      })
    }
  }
  const found = lstatSync(realpathSync(path))
  const isFolder = found.isDirectory()
  if (isFolder && found.uid === uid && (found.mode & ~mode & 0o777) !== 0) chmodSync(path, mode)
  const fault = isFolder ? findSocketFolderFault(path, { uid }) : 'it is no folder'
  if (fault === undefined) return
  throw new HoldfastError('SOCKET_UNUSABLE', `no socket is made in ${formatPrintable(path)}: ${fault}`)
}

function listParents(path: string): string[] {
  return path === '/' ? ['/'] : [dirname(path), ...listParents(dirname(path))]
}

function isLink(path: string): boolean {
  return lstatSync(path).isSymbolicLink()
}
