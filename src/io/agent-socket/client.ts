/**
 * The client's side of the agent's sockets: which of them are to be trusted, and one request to one of them.
 */

import { lstatSync } from 'node:fs'
import { request as startRequest } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  AGENT_SOCKET,
  CONTROL_SOCKET,
  fitsSocketAddress,
  identitySocket,
} from '../../core/agent/agent-place.js'
import { type AgentPath, findNotice, MAX_REQUEST_BYTES } from '../../core/agent/agent-protocol.js'
import { HoldfastError } from '../../core/errors.js'
import { formatPrintable } from '../../core/printable.js'
import { type FolderOwners, findSocketFolderFault } from './folder.js'
import { listSocketNames } from './presence.js'

/** Where to look, and whom to trust. */
export interface SocketSearch extends FolderOwners {
  readonly folders: readonly string[]
  /** Of an identity: its own socket is looked for. Without a name, those of all. */
  readonly name?: string | undefined
  readonly warn: (text: string) => void
}

/** The sockets that may be asked, best first. One in a folder that is not to be trusted is warned of. */
export function findSockets({ folders, name, warn, ...owners }: SocketSearch): string[] {
  return folders.flatMap((folder) => {
    const names = [
      AGENT_SOCKET,
      CONTROL_SOCKET,
      ...(name === undefined ? listSocketNames(folder) : [identitySocket(name)]),
    ]
    const sockets = [...new Set(names)]
      .map((file) => join(folder, file))
      .filter((path) => fitsSocketAddress(path) && isSocket(path))
    if (sockets.length === 0) return []
    const fault = findSocketFolderFault(folder, owners)
    if (fault === undefined) return sockets
    warn(`the agent's socket ${formatPrintable(sockets[0]!)} is not asked: ${fault}`)
    return []
  })
}

function isSocket(path: string): boolean {
  try {
    return lstatSync(path).isSocket()
  } catch {
    return false
  }
}

/** One request to an agent. */
export interface AgentCall {
  readonly socket: string
  readonly path: AgentPath
  /** Absent for a `GET`. It is wiped when it has been sent. */
  readonly body?: Buffer | undefined
  readonly signal: AbortSignal
  readonly timeoutMs: number
  /** Is told what the agent has to say before it answers. */
  readonly notify?: ((notice: string) => void) | undefined
}

/** What came back. */
export interface AgentAnswer {
  readonly status: number
  readonly body: Buffer
}

/** How long, more or less, to wait where the queue before a socket is full: to those who do not stand still, Linux says so. */
const FULL_MS = 50
/** The agent has more to say than a client has to ask, but not without end. */
const MAX_ANSWER_BYTES = 64 * MAX_REQUEST_BYTES

/**
 * Asks the agent behind a socket.
 * @returns `absent` if nobody listens there, `denied` if this user may not ask
 * @throws HoldfastError AGENT_FAILED, or the reason of `signal`
 */
export async function callAgent(call: AgentCall): Promise<AgentAnswer | 'absent' | 'denied'> {
  const { socket, signal, timeoutMs } = call
  const failed = (why: string, cause?: unknown) =>
    new HoldfastError('AGENT_FAILED', `the agent at ${formatPrintable(socket)} ${why}`, { cause })
  const late = failed(`gave no answer within ${timeoutMs / 1000} s: look at its log, or restart it`)
  const startedMs = performance.now()
  try {
    for (;;) {
      const answer = await send(call, late).catch((cause: NodeJS.ErrnoException) => {
        if (signal.aborted) throw signal.reason
        if (cause instanceof HoldfastError) throw cause
        const { code, message } = cause
        if (code === 'ECONNREFUSED' || code === 'ENOENT') return 'absent'
        if (code === 'EACCES' || code === 'EPERM') return 'denied'
        if (code === 'EAGAIN' && performance.now() - startedMs < timeoutMs) return 'full'
        throw failed(`broke the connection (${code ?? message}): look at its log`, cause)
      })
      if (answer !== 'full') return answer
      await delay(FULL_MS * (0.5 + Math.random()), undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  } finally {
    call.body?.fill(0)
  }
}

function send(
  { socket, path, body, signal, timeoutMs, notify }: AgentCall,
  late: HoldfastError,
): Promise<AgentAnswer> {
  return new Promise((resolve, reject) => {
    const request = startRequest({
      socketPath: socket,
      path,
      method: body === undefined ? 'GET' : 'POST',
      headers: body === undefined ? {} : { 'content-length': body.length },
      agent: false,
      signal,
    })
    const timer = setTimeout(() => request.destroy(late), timeoutMs)
    request.once('close', () => clearTimeout(timer))
    request.once('error', reject)
    request.on('information', ({ headers }) => {
      const notice = findNotice(headers.link)
      if (notice !== undefined) notify?.(notice)
    })
    request.once('response', (response) => {
      const chunks: Buffer[] = []
      let length = 0
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        length += chunk.length
        if (length > MAX_ANSWER_BYTES) request.destroy(new Error('its answer is too long'))
      })
      response.once('error', reject)
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }))
    })
    request.end(body)
  })
}
