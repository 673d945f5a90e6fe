/**
 * The sockets of the agent, kept as the configuration wants them: one that somebody has taken away is opened again, one
 * for an identity that is gone is closed. A user's agent has one socket; a system agent has one for itself, and one for
 * each identity, which its `socket-group` may use.
 */

import { join } from 'node:path'
import { AGENT_SOCKET, CONTROL_SOCKET, identitySocket, isControlSocket } from '../core/agent/agent-place.js'
import { MAX_REQUEST_BYTES } from '../core/agent/agent-protocol.js'
import type { ServedIdentity } from '../core/config/config.js'
import type { HttpHandler } from '../core/endpoints/http-message.js'
import { HoldfastError } from '../core/errors.js'
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

  /** Whom each socket is for, by its path; undefined for the agent's own. */
  const listWanted = (): Map<string, string | undefined> => {
    const wanted = new Map<string, string | undefined>()
    wanted.set(join(folder, isSystem ? CONTROL_SOCKET : AGENT_SOCKET), undefined)
    for (const name of isSystem ? identities().keys() : []) {
      const path = join(folder, identitySocket(name))
      if (isControlSocket(path)) throw unservable(name)
      wanted.set(path, name)
    }
    return wanted
  }

  const open = async (path: string, only: string | undefined) => {
    const group = only === undefined ? undefined : findGroup(only, identities().get(only))
    const former = servers.get(path)
    if (former?.isInPlace() && former.group === group) return
    servers.delete(path)
    await former?.close()
    const server = await listenOnSocket({
      path,
      group,
      maxBodyBytes: MAX_REQUEST_BYTES,
      answer: createHandler(path, only),
      onError: (error) => onError(path, error),
    })
    servers.set(path, server)
  }

  return {
    get places() {
      return [...servers.keys()]
    },
    async update() {
      const wanted = listWanted()
      for (const [path, server] of servers) {
        if (wanted.has(path)) continue
        servers.delete(path)
        await server.close()
      }
      // What is wrong with one is no reason for the others to stay closed.
      const faults: unknown[] = []
      for (const [path, only] of wanted) await open(path, only).catch((error) => faults.push(error))
      if (faults.length > 0) throw faults[0]
    },
    async close() {
      await Promise.all([...servers.values()].map((server) => server.close()))
      servers.clear()
    },
  }
}

function findGroup(name: string, identity: ServedIdentity | undefined): number | undefined {
  const { socketGroup } = identity ?? {}
  if (socketGroup === undefined) return undefined
  const id = findGroupId(socketGroup)
  if (id !== undefined) return id
  throw new HoldfastError(
    'CONFIG_INVALID',
    `identity ${name} has the socket-group ${JSON.stringify(socketGroup)}, and /etc/group has none of that name: create it, or give its number`,
  )
}

function unservable(name: string): HoldfastError {
  return new HoldfastError(
    'CONFIG_INVALID',
    `${name}.sock is a socket of the agent's own: give the identity ${name} another name`,
  )
}
