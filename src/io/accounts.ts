/**
 * Numbers of users and groups. What programs need at once comes from the files of this machine; what a directory service adds
 * is asked for only where somebody has named an account on the command line.
 * @see passwd(5), group(5), id(1)
 */

import { execFile } from 'node:child_process'
import { HoldfastError } from '../core/errors.js'
import { readTextIfAny } from './disk.js'

/** Number of a user; undefined if the files have none of that name. */
export function findUserId(nameOrId: string): number | undefined {
  return findId('/etc/passwd', nameOrId)
}

/** Number of a group; undefined if the files have none of that name. */
export function findGroupId(nameOrId: string): number | undefined {
  return findId('/etc/group', nameOrId)
}

/** In both files the name stands first, and the number third. */
function findId(file: string, nameOrId: string): number | undefined {
  if (/^\d{1,10}$/.test(nameOrId)) return Number(nameOrId)
  // A container may have no such file, and no users but by number.
  const lines = readTextIfAny(file).split('\n')
  const [, , id] = lines.map((line) => line.split(':')).find(([name]) => name === nameOrId) ?? []
  return id !== undefined && /^\d+$/.test(id) ? Number(id) : undefined
}

/**
 * Numbers of a user and of its group, wherever the system's users are kept.
 * @param user name, or number; a number needs no account, since users of containers have none
 * @throws HoldfastError USAGE if there is no such user
 */
export async function findAccount(user: string): Promise<{ readonly uid: number; readonly gid: number }> {
  const ask = (what: string) =>
    new Promise<number | undefined>((done) =>
      execFile('/usr/bin/id', [what, '--', user], (error, stdout) =>
        done(error ? undefined : Number(stdout)),
      ),
    )
  const [uid, gid] = [await ask('-u'), await ask('-g')]
  if (uid !== undefined && gid !== undefined) return { uid, gid }
  if (/^\d{1,9}$/.test(user)) return { uid: Number(user), gid: Number(user) }
  throw new HoldfastError(
    'USAGE',
    `there is no user ${JSON.stringify(user)} on this machine: name it by its number`,
  )
}
