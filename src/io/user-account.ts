/** Asks the system who a user is, wherever its users are kept. */

import { execFile } from 'node:child_process'
import { HoldfastError } from '../core/errors.js'

/**
 * Numeric ids of a user and of its group.
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
