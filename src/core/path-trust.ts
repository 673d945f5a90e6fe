/**
 * Who beside the user and root can change what a path leads to: whoever owns or can write a folder on the way to the
 * file, or a link. The walk goes as the kernel does it, each link followed where it stands, so both the name that was
 * given and the real one are looked at. The file itself is judged by whoever reads it; access control lists are left out.
 * @see path_resolution(7)
 */

import { dirname, join, resolve } from 'node:path'
import { formatPrintable } from './printable.js'

/** What the walk asks the file system, which whoever calls has at hand: `node:fs` is one. */
export interface PathFacts {
  lstatSync(path: string, options: { throwIfNoEntry: false }): EntryFacts | undefined
  readlinkSync(path: string): string
}

interface EntryFacts {
  readonly uid: number
  readonly gid: number
  readonly mode: number
  isSymbolicLink(): boolean
}

/** One folder or link on the way that is in the hands of others. */
export interface PathRisk {
  readonly path: string
  /** Its owner; or everyone or a group, who can write it. */
  readonly by: 'owner' | 'everyone' | 'group'
  /** Of the owner or the group. */
  readonly id: number
  /** True for a group to which root has given its folder, as Debian gives /usr/local to `staff`. */
  readonly isRootsChoice: boolean
}

/** S_ISVTX: in such a folder only the owner of an entry can replace it. */
const STICKY = 0o1000
/** As in the kernel. */
const MAX_LINKS = 40

/**
 * The users who may own what is used: root, `uid`, and the owner of the system's own folders. In a user namespace that
 * owner is shown as nobody; whoever it is, all programs are in his hands.
 */
export function findTrustedOwners(uid: number, facts: PathFacts): ReadonlySet<number> {
  const system = ['/', '/usr'].map((folder) => facts.lstatSync(folder, { throwIfNoEntry: false })?.uid ?? 0)
  return new Set([0, uid, ...system])
}

/** False for root's group, and for one with the number of `uid`, as the group has that a user is alone in. */
export function isGroupOfOthers(gid: number, uid: number): boolean {
  return gid !== 0 && gid !== uid
}

/**
 * All risks on the way to `path`, in the order of the walk, which ends where nothing is. */
export function findPathRisks(path: string, uid: number, facts: PathFacts): PathRisk[] {
  const trusted = findTrustedOwners(uid, facts)
  const look = (entry: string) => facts.lstatSync(entry, { throwIfNoEntry: false })
  const risks = new Map<string, PathRisk>()
  const add = (entry: string, by: PathRisk['by'], id: number, isRootsChoice = false) => {
    if (!risks.has(entry)) risks.set(entry, { path: entry, by, id, isRootsChoice })
  }
  const judgeFolder = (folder: string, { uid: owner, gid, mode }: EntryFacts) => {
    if (!trusted.has(owner)) add(folder, 'owner', owner)
    if ((mode & STICKY) !== 0) return
    if ((mode & 0o002) !== 0) add(folder, 'everyone', 0)
    if ((mode & 0o020) !== 0 && isGroupOfOthers(gid, uid)) add(folder, 'group', gid, owner === 0)
  }
  let folder = '/'
  let folderFacts = look(folder)
  const names = resolve(path).split('/')
  for (let links = 0; names.length > 0 && folderFacts !== undefined; ) {
    const name = names.shift()!
    if (name === '' || name === '.') continue
    judgeFolder(folder, folderFacts)
    const entry = name === '..' ? dirname(folder) : join(folder, name)
    const entryFacts = look(entry)
    if (entryFacts === undefined) break
    const isLink = entryFacts.isSymbolicLink()
    const isOwnersToReplace = isLink || (folderFacts.mode & STICKY) !== 0
    if (name !== '..' && isOwnersToReplace && !trusted.has(entryFacts.uid))
      add(entry, 'owner', entryFacts.uid)
    if (isLink) {
      if (++links > MAX_LINKS) break // what opens the file says so
      const target = facts.readlinkSync(entry)
      names.unshift(...target.split('/'))
      if (!target.startsWith('/')) continue
      folder = '/'
      folderFacts = look(folder)
    } else {
      folder = entry
      folderFacts = entryFacts
    }
  }
  return [...risks.values()]
}

/** What the risk is and how it is mended, to stand after a colon. */
export function formatPathRisk({ path, by, id }: PathRisk): string {
  const shown = formatPrintable(path)
  if (by === 'owner')
    return `${shown} belongs to uid ${id}, who can put something else there: chown it to root`
  if (by === 'group') return `group ${id} can replace what is in folder ${shown}: chmod g-w ${shown}`
  return `everyone can replace what is in folder ${shown}: chmod o-w ${shown}`
}
