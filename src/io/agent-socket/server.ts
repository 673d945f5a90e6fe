/**
 * HTTP on unix sockets. Who may connect is decided by the kernel, from the modes of the socket and its folder; the socket
 * has its mode before anybody can connect. What a sudden end has left is replaced, what still answers is not.
 * @see unix(7)
 */

import { chmodSync, chownSync, lstatSync, unlinkSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { umask } from 'node:process'
import { fitsSocketAddress } from '../../core/agent-place.js'
import { HoldfastError } from '../../core/errors.js'
import type { HttpHandler, HttpReply } from '../../core/http-message.js'
import { formatPrintable } from '../../core/printable.js'

/** One socket, and who may use it. */
export interface UnixServerOptions {
  readonly path: string
  /** Number of the group that may use it beside its owner; without one nobody else may. */
  readonly group?: number | undefined
  readonly maxBodyBytes: number
  readonly answer: HttpHandler
  /** Is told of a failure to answer that is a bug. */
  readonly onError: (error: unknown) => void
}

/** A socket that is open. */
export interface UnixServer {
  readonly path: string
  readonly group: number | undefined
  /** True while the path leads to this very socket. */
  isInPlace(): boolean
  /** Ends it, with all that is under way, and takes the socket away. */
  close(): Promise<void>
}

/** How long a client may take to send a request, in milliseconds. */
const REQUEST_LIMIT_MS = 10_000
/** How many may be connected at a time. */
const MAX_CONNECTIONS = 1000

/**
 * Opens a socket.
 * @throws HoldfastError AGENT_RUNNING if somebody answers there already, SOCKET_UNUSABLE
 */
export async function listenOnSocket(options: UnixServerOptions): Promise<UnixServer> {
  const { path, group } = options
  if (!fitsSocketAddress(path)) throw unusable(path, new Error('the path is longer than 107 bytes'))
  await removeStale(path)
  const server = createServer(
    { connectionsCheckingInterval: 1000 },
    (request, response) => void respond(request, response, options),
  )
  server.maxConnections = MAX_CONNECTIONS
  server.headersTimeout = REQUEST_LIMIT_MS
  server.requestTimeout = REQUEST_LIMIT_MS
  server.keepAliveTimeout = 1
  const listening = new Promise<void>((resolve, reject) => {
    server.once('listening', resolve).once('error', reject)
  })
  // The socket is made by this call, and with these rights.
  const former = umask(0o177)
  try {
    server.listen(path)
  } finally {
    umask(former)
  }
  try {
    await listening
    if (group !== undefined) {
      chownSync(path, -1, group)
      chmodSync(path, 0o660)
    }
  } catch (cause) {
    server.close()
    if ((cause as NodeJS.ErrnoException).syscall === 'chown') throw foreignGroup(path, group!, cause)
    throw unusable(path, cause)
  }
  server.on('error', options.onError)
  const { ino, dev } = lstatSync(path)
  return {
    path,
    group,
    isInPlace() {
      const found = lstatSync(path, { throwIfNoEntry: false })
      return found?.ino === ino && found.dev === dev
    },
    close: () =>
      new Promise((resolve) => {
        // Closing takes away what is at the path, which may be another agent's by now.
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Only a socket is taken away, and only if nobody is behind it. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) {
    throw new HoldfastError(
      'SOCKET_UNUSABLE',
      `${formatPrintable(path)} is there and is no socket: remove it`,
    )
  }
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(undefined)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
  })
  if (code === undefined) {
    throw new HoldfastError(
      'AGENT_RUNNING',
      `an agent is running already: it answers at ${formatPrintable(path)}`,
    )
  }
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT') {
    throw new HoldfastError('SOCKET_UNUSABLE', `${formatPrintable(path)} cannot be used (${code})`)
  }
  try {
    unlinkSync(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw unusable(path, cause)
  }
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  { answer, maxBodyBytes, onError }: UnixServerOptions,
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort(new HoldfastError('INTERRUPTED', 'whoever asked has gone')))
  try {
    const { method = '', url: target = '', headers } = request
    const body = await readBody(request, maxBodyBytes)
    if (body === undefined) return send(response, { status: 413, body: '' })
    send(response, await answer({ method, target, headers, body }, { signal: gone.signal }))
  } catch (error) {
    if (gone.signal.aborted) return
    onError(error)
    send(response, { status: 500, body: '' })
  }
}

/** Undefined if it is too long. */
async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    chunks.push(chunk)
    length += chunk.length
    if (length > maxBytes) return undefined
  }
  const body = Buffer.concat(chunks)
  for (const chunk of chunks) chunk.fill(0)
  return body
}

function send(response: ServerResponse, { status, headers, body }: HttpReply): void {
  response.writeHead(status, {
    'cache-control': 'no-store',
    connection: 'close',
    'content-length': Buffer.byteLength(body),
    ...headers,
  })
  response.end(body)
}

function foreignGroup(path: string, group: number, cause: unknown): HoldfastError {
  return new HoldfastError(
    'SOCKET_UNUSABLE',
    `${formatPrintable(path)} cannot be given to its socket-group ${group}: make the user that the agent runs as a member of it`,
    { cause },
  )
}

function unusable(path: string, cause: unknown): HoldfastError {
  const { code, message } = cause as NodeJS.ErrnoException
  return new HoldfastError(
    'SOCKET_UNUSABLE',
    `no socket can be made at ${formatPrintable(path)}: ${code ?? message}`,
    {
      cause,
    },
  )
}
