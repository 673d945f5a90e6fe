/**
 * Asks Linux which user owns the other end of a loopback TCP connection. Node has no call for that, /proc has.
 * @see https://man7.org/linux/man-pages/man5/proc_pid_net.5.html
 */

import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { endianness } from 'node:os'
import { shareReads } from '../core/endpoints/shared-read.js'
import { type Connection, findClientUid } from '../core/endpoints/socket-table.js'
import { HoldfastError } from '../core/errors.js'

const FOLDER = '/proc/self/net'

/** Where there are many sockets it takes the kernel a while, which whoever opens many connections must not multiply. */
const readTables = shareReads(() =>
  // Without IPv6 there is no second table.
  Promise.all(['tcp', 'tcp6'].map((name) => readFile(`${FOLDER}/${name}`, 'latin1').catch(() => ''))),
)

/** User id of the client of a connection as the kernel has it; undefined if that is not certain. */
export async function findPeerUid(connection: Connection): Promise<number | undefined> {
  // The kernel may leave out a row while others come and go, so one look more.
  return (await lookUp(connection)) ?? (await lookUp(connection))
}

async function lookUp(connection: Connection): Promise<number | undefined> {
  return findClientUid(await readTables(), connection, endianness())
}

/**
 * Makes sure that users can be told apart here.
 * @throws HoldfastError USAGE
 */
export function verifyPeerUids(folder = FOLDER): void {
  try {
    readFileSync(`${folder}/tcp`)
  } catch (cause) {
    throw new HoldfastError(
      'USAGE',
      `--allow-uid needs Linux and its /proc to tell users apart: ${folder}/tcp cannot be read (${(cause as NodeJS.ErrnoException).code})`,
      { cause },
    )
  }
}
