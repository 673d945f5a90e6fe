/**
 * Asks Linux which user owns the other end of a loopback TCP connection. Node has no call for that, /proc has.
 * @see https://man7.org/linux/man-pages/man5/proc_pid_net.5.html
 */

import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { endianness } from 'node:os'
import { HoldfastError } from '../core/errors.js'
import { type Connection, findClientUid } from '../core/socket-table.js'

const FOLDER = '/proc/self/net'

/** User id of the client of a connection as the kernel has it; undefined if that is not certain. */
export async function findPeerUid(connection: Connection, folder = FOLDER): Promise<number | undefined> {
  // The kernel may leave out a row while others come and go, so one look more.
  return (await lookUp(connection, folder)) ?? (await lookUp(connection, folder))
}

async function lookUp(connection: Connection, folder: string): Promise<number | undefined> {
  // Without IPv6 there is no second table.
  const read = (name: string) => readFile(`${folder}/${name}`, 'latin1').catch(() => '')
  return findClientUid(await Promise.all(['tcp', 'tcp6'].map(read)), connection, endianness())
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
