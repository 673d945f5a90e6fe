/**
 * Who owns the other end of a loopback TCP connection, from the kernel's tables of sockets. Only a row that is certain
 * counts: this connection's four numbers, established, with a socket that a process still has open. Once the client has
 * closed, its row says uid 0, whoever it was.
 * @see https://docs.kernel.org/networking/proc_net_tcp.html
 */

import { isIPv4 } from 'node:net'

/** One end of a connection. */
export interface SocketAddress {
  readonly address: string
  readonly port: number
}

/** Both ends of a connection. */
export interface Connection {
  readonly client: SocketAddress
  readonly server: SocketAddress
}

/** TCP_ESTABLISHED */
const ESTABLISHED = '01'

/**
 * User id of the client's socket, or undefined if no row tells for certain.
 * @param tables texts of /proc/net/tcp and tcp6; a client with an IPv6 socket for an IPv4 address is in the latter only
 * @param endianness of this machine, since the kernel prints words as they lie in memory
 */
export function findClientUid(
  tables: readonly string[],
  { client, server }: Connection,
  endianness: 'LE' | 'BE',
): number | undefined {
  if (!isIPv4(client.address) || !isIPv4(server.address)) return undefined
  const mapped = formatWord([0, 0, 0xff, 0xff], endianness)
  const rows = ['', `${'0'.repeat(16)}${mapped}`].flatMap((prefix) => {
    const format = ({ address, port }: SocketAddress) => {
      const word = formatWord(address.split('.').map(Number), endianness)
      return `${prefix}${word}:${formatHex(port, 4)}`
    }
    const start = ` ${format(client)} ${format(server)} ${ESTABLISHED} `
    return tables.flatMap((table) => findRows(table, start))
  })
  // The kernel may print a row twice while others come and go.
  const owners = new Set(rows.map(findOwner))
  const [owner] = owners
  return owners.size === 1 ? owner : undefined
}

/** After the state stand queues, timer, retransmissions, uid, timeout and inode. */
function findOwner(row: string): number | undefined {
  const [, , , uid, , inode] = row.split(/\s+/)
  return /^\d+$/.test(uid ?? '') && /^[1-9]\d*$/.test(inode ?? '') ? Number(uid) : undefined
}

/** What follows `start` in each line that has it. */
function findRows(table: string, start: string): string[] {
  return table
    .split(start)
    .slice(1)
    .map((rest) => rest.split('\n', 1)[0]!)
}

function formatWord(bytes: readonly number[], endianness: 'LE' | 'BE'): string {
  const ordered = endianness === 'LE' ? [...bytes].reverse() : bytes
  return ordered.map((byte) => formatHex(byte, 2)).join('')
}

function formatHex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}
