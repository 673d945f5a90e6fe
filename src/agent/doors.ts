/**
 * The sockets of the agent, kept as the configuration wants them: one that somebody has taken away is opened again, one
 * for an identity that is gone is closed. A user's agent has one socket; a system agent has one for itself, and one for
 * each identity, which its `socket-group` may use.
 */

import { join } from 'node:path'
import { AGENT_SOCKET, CONTROL_SOCKET, identitySocket } from '../core/agent-place.js'
import { MAX_REQUEST_BYTES } from '../core/agent-protocol.js'
import type { ServedIdentity } from '../core/config.js'
import { HoldfastError } from '../core/errors.js'
import type { HttpHandler } from '../core/http-message.js'
import { findGroupId } from '../io/accounts.js'
import { listenOnSocket, type UnixServer } from '../io/agent-socket/server.js'

/** Where the sockets are, and what is behind them. */
export interface DoorsParts {
  readonly folder: string
  readonly isSystem: boolean
  readonly identities: () => ReadonlyMap<string, ServedIdentity>
  /** What answers at a socket; `only` is the identity that it is for. */
  readonly createHandler: (place: string, only: string | undefined) => HttpHandler
  readonly onError: (place: string, error: unknown) => void
}

/** The sockets. */
export interface Doors {
  readonly places: readonly string[]
  /**
   * Opens what is missing, and closes what nobody wants any more.
   * @throws HoldfastError AGENT_RUNNING if another agent has taken over, SOCKET_UNUSABLE, CONFIG_INVALID
   */
  update(): Promise<void>
  close(): Promise<void>
}

/** No sockets yet: `update` opens them. */
export function createDoors(parts: DoorsParts): Doors {
  const { folder, isSystem, identities, createHandler, onError } = parts
  const servers = new Map<string, UnixServer>()

  const listWanted = () => {
    const own = { file: isSystem ? CONTROL_SOCKET : AGENT_SOCKET, only: undefined, group: undefined }
    if (!isSystem) return [own]
    return [
      own,
      ...[...identities()].map(([name, { socketGroup }]) => {
        const file = identitySocket(name)
        if (file === AGENT_SOCKET || file === CONTROL_SOCKET) throw unservable(name)
        return {
          file,
          only: name,
          group: socketGroup === undefined ? undefined : readGroup(name, socketGroup),
        }
      }),
    ]
  }

  return {
    get places() {
      return [...servers.keys()]
    },
    async update() {
      const wanted = new Map(listWanted().map(({ file, ...door }) => [join(folder, file), door]))
      for (const [path, server] of servers) {
        if (wanted.has(path) && server.isInPlace() && server.group === wanted.get(path)?.group) continue
        servers.delete(path)
        await server.close()
      }
      for (const [path, { only, group }] of wanted) {
        if (servers.has(path)) continue
        const server = await listenOnSocket({
          path,
          group,
          maxBodyBytes: MAX_REQUEST_BYTES,
          answer: createHandler(path, only),
          onError: (error) => onError(path, error),
        })
        servers.set(path, server)
      }
    },
    async close() {
      await Promise.all([...servers.values()].map((server) => server.close()))
      servers.clear()
    },
  }
}

function readGroup(name: string, group: string): number {
  const id = findGroupId(group)
  if (id !== undefined) return id
  throw new HoldfastError(
    'CONFIG_INVALID',
    `identity ${name} has the socket-group ${JSON.stringify(group)}, and /etc/group has none of that name: create it, or give its number`,
  )
}

function unservable(name: string): HoldfastError {
  return new HoldfastError(
    'CONFIG_INVALID',
    `a system agent has a socket of its own named ${name}.sock: give the identity ${name} another name`,
  )
}
