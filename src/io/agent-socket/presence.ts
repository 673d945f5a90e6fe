/**
 * Whether there may be an agent, as cheaply as it can be told: without one, its part of the program need not be loaded,
 * and the token child is started at once.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { AGENT_SOCKET, CONTROL_SOCKET, listAgentFolders } from '../../core/agent/agent-place.js'

/**
 * False only if no agent can be asked.
 * @param folder that of the sockets, if one was named
 */
export function mayHaveAgent(env: Readonly<Record<string, string | undefined>>, folder?: string): boolean {
  return listAgentFolders(env, folder).some((path) =>
    [AGENT_SOCKET, CONTROL_SOCKET].some((socket) => existsSync(join(path, socket))),
  )
}
