/**
 * Where the agent's sockets are. A user's agent has one, `agent.sock`, which only that user can reach. A system agent has
 * `control.sock` for its own user and root, and `NAME.sock` for each identity.
 * @see https://specifications.freedesktop.org/basedir-spec/latest/
 */

import { Buffer } from 'node:buffer'
import { basename, isAbsolute, join } from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/** Folder of the system agent's sockets. */
export const SYSTEM_AGENT_FOLDER = '/run/holdfast'

/** File names of sockets that are no identity's. */
export const AGENT_SOCKET = 'agent.sock'
export const CONTROL_SOCKET = 'control.sock'

/**
 * True if a socket can be at `path`. Of a longer one Node silently takes the beginning.
 * @see unix(7): sun_path has 108 bytes, of which the last is NUL
 */
export function fitsSocketAddress(path: string): boolean {
  return Buffer.byteLength(path) <= 107
}

/** True for a socket that does more than hand out the credentials of one identity. */
export function isControlSocket(path: string): boolean {
  return [AGENT_SOCKET, CONTROL_SOCKET].includes(basename(path))
}

/** File name of the socket of one identity. */
export function identitySocket(name: string): string {
  return `${name}.sock`
}

/** Folder of a user's agent; undefined without a runtime folder that could be meant. */
export function findUserAgentFolder(env: Environment): string | undefined {
  const folder = env.XDG_RUNTIME_DIR
  return folder !== undefined && isAbsolute(folder) ? join(folder, 'holdfast') : undefined
}

/** Folder of the credentials that all processes of a user share where there is no agent; undefined as above. */
export function findCacheFolder(env: Environment): string | undefined {
  const folder = findUserAgentFolder(env)
  return folder && join(folder, 'cache')
}

/** Folder of a system agent: the one that systemd has made for it (`RuntimeDirectory=`), or the usual one. */
export function findSystemAgentFolder(env: Environment): string {
  return env.RUNTIME_DIRECTORY?.split(':')[0] || SYSTEM_AGENT_FOLDER
}

/** Folders in which a client looks for sockets: the one that was named, else those of the user and of the system. */
export function listAgentFolders(env: Environment, named: string | undefined): string[] {
  if (named !== undefined) return [named]
  return [findUserAgentFolder(env), SYSTEM_AGENT_FOLDER].filter((folder) => folder !== undefined)
}
