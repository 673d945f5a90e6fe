/**
 * Who owns the other end of a loopback TCP connection, from the kernel's tables of sockets. Only a row that is certain
 * counts: this connection's four numbers, established, with a socket that a process still has open. Once the client has
 * closed, its row says uid 0, whoever it was.
 * @see https://docs.kernel.org/networking/proc_net_tcp.html
 */

import { isIPv4, isIPv6 } from 'node:net'

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

/** How an IPv4 address begins as one of IPv6. @see RFC 4291, section 2.5.5.2 */
const MAPPED: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

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
  const [from, to] = [findBytes(client.address), findBytes(server.address)]
  if (from === undefined || from.length !== to?.length) return undefined
  const rows = (from.length === 4 ? [[], MAPPED] : [[]]).flatMap((prefix) => {
    const format = (address: readonly number[], port: number) =>
      `${formatWords([...prefix, ...address], endianness)}:${formatHex(port, 4)}`
    const start = ` ${format(from, client.port)} ${format(to, server.port)} ${ESTABLISHED} `
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

/** The 4 or 16 bytes of an address; undefined for one that is valid on one link only, or is none. */
function findBytes(address: string): number[] | undefined {
  if (isIPv4(address)) return address.split('.').map(Number)
  if (!isIPv6(address) || address.includes('%')) return undefined
  const [head, tail] = address.split('::').map((half) => half.split(':').flatMap(toBytes)) as [
    number[],
    number[]?,
  ]
  const bytes = [
    ...head,
    ...Array<number>(tail === undefined ? 0 : 16 - head.length - tail.length).fill(0),
    ...(tail ?? []),
  ]
  return MAPPED.every((byte, index) => byte === bytes[index]) ? bytes.slice(MAPPED.length) : bytes
}

/** Bytes of what stands between colons. */
function toBytes(group: string): number[] {
  if (group === '') return []
  if (isIPv4(group)) return group.split('.').map(Number)
  const value = Number.parseInt(group, 16)
  return [value >> 8, value & 0xff]
}

function formatWords(bytes: readonly number[], endianness: 'LE' | 'BE'): string {
  const orderOf = (index: number) => (endianness === 'LE' ? index ^ 3 : index)
  return bytes.map((_, index) => formatHex(bytes[orderOf(index)]!, 2)).join('')
}

function formatHex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}
