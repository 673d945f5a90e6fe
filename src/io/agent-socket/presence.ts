/**
 * Whether there may be an agent, as cheaply as it can be told: without one, its part of the program need not be loaded,
 * and the token child is started at once.
 */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  AGENT_SOCKET,
  CONTROL_SOCKET,
  identitySocket,
  listAgentFolders,
} from '../../core/agent/agent-place.js'

/** What is known of the agent that would be asked. */
export interface AgentSought {
  /** That of the sockets, if one was named. */
  readonly folder?: string | undefined
  /** Of the identity. Without a name, the socket of any will do. */
  readonly name?: string | undefined
}

/** False only if no agent can be asked. */
export function mayHaveAgent(
  env: Readonly<Record<string, string | undefined>>,
  { folder, name }: AgentSought = {},
): boolean {
  return listAgentFolders(env, folder).some((path) => {
    if (name === undefined) return listSocketNames(path).length > 0
    return [AGENT_SOCKET, CONTROL_SOCKET, identitySocket(name)].some((file) => existsSync(join(path, file)))
  })
}

/** Names in a folder that sockets of an agent may have; none where it cannot be read. */
export function listSocketNames(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.sock'))
      .sort()
  } catch {
    return []
  }
}
