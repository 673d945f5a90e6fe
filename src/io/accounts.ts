/**
 * Numbers of users and groups, from the files of this machine: what a directory service adds is not asked, and may be
 * given as a number.
 * @see passwd(5), group(5)
 */

import { readFileSync } from 'node:fs'

/** Number of a user; undefined if there is none of that name. */
export function findUserId(nameOrId: string): number | undefined {
  return findId('/etc/passwd', nameOrId)
}

/** Number of a group; undefined if there is none of that name. */
export function findGroupId(nameOrId: string): number | undefined {
  return findId('/etc/group', nameOrId)
}

/** In both files the name stands first, and the number third. */
function findId(file: string, nameOrId: string): number | undefined {
  if (/^\d{1,10}$/.test(nameOrId)) return Number(nameOrId)
  const lines = readFileSync(file, 'utf8').split('\n')
  const [, , id] = lines.map((line) => line.split(':')).find(([name]) => name === nameOrId) ?? []
  return id !== undefined && /^\d+$/.test(id) ? Number(id) : undefined
}
