/**
 * HTTP on unix sockets. Who may connect is decided by the kernel, from the modes of the socket and its folder; the socket
 * has its mode before it is where anybody looks. What a sudden end has left is replaced, what still answers is not.
 * @see unix(7)
 */

import { type BigIntStats, chmodSync, chownSync, lstatSync, renameSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { umask } from 'node:process'
import { fitsSocketAddress } from '../../core/agent/agent-place.js'
import { formatNotice } from '../../core/agent/agent-protocol.js'
import type { HttpHandler, HttpReply } from '../../core/endpoints/http-message.js'
import { HoldfastError } from '../../core/errors.js'
import { formatPrintable } from '../../core/printable.js'
import { limitClients } from '../client-limits.js'
import { withLock } from '../lock.js'
import { readStream } from '../stream.js'

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

/** How long agents that start together may wait for each other, in milliseconds. */
const TURN_LIMIT_MS = 10_000

/**
 * Opens a socket. Of agents that start together one after the other looks whether the place is free, and takes it.
 * @throws HoldfastError AGENT_RUNNING if somebody answers there already, SOCKET_UNUSABLE
 */
export async function listenOnSocket(options: UnixServerOptions): Promise<UnixServer> {
  const { path } = options
  try {
    return await withLock(`${path}.lock`, AbortSignal.timeout(TURN_LIMIT_MS), () => takePlace(options))
  } catch (cause) {
    throw cause instanceof HoldfastError ? cause : unusable(path, cause)
  }
}

async function takePlace(options: UnixServerOptions): Promise<UnixServer> {
  const { path, group } = options
  // Closing takes away what is at the path that was listened on, which at the final one may be another agent's by then.
  const draft = `${path}.new`
  if (!fitsSocketAddress(draft)) throw unusable(path, new Error('the path is longer than 103 bytes'))
  await verifyFree(path)
  const server = createServer({ connectionsCheckingInterval: 1000 })
  const admit = limitClients(server)
  server.on('request', (request, response) => {
    if (admit(request, response)) void respond(request, response, options)
  })
  server.headersTimeout = REQUEST_LIMIT_MS
  server.requestTimeout = REQUEST_LIMIT_MS
  server.keepAliveTimeout = 1
  const listening = new Promise<void>((resolve, reject) => {
    server.once('listening', resolve).once('error', reject)
  })
  let made: BigIntStats
  // The socket is made by the call to listen, and with these rights.
  const former = umask(0o177)
  try {
    rmSync(draft, { force: true })
    server.listen(draft)
  } finally {
    umask(former)
  }
  try {
    await listening
    if (group !== undefined) {
      chownSync(draft, -1, group)
      chmodSync(draft, 0o660)
    }
    made = lstatSync(draft, { bigint: true })
    renameSync(draft, path)
  } catch (cause) {
    server.close()
    throw (cause as NodeJS.ErrnoException).syscall === 'chown' ? foreignGroup(path, group!, cause) : cause
  }
  server.on('error', options.onError)
  const isInPlace = () => {
    const found = lstatSync(path, { throwIfNoEntry: false, bigint: true })
    return found?.ino === made.ino && found.dev === made.dev
  }
  return {
    path,
    group,
    isInPlace,
    close: () =>
      new Promise((resolve) => {
        if (isInPlace()) rmSync(path, { force: true })
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Only a socket is replaced, and only if nobody is behind it. */
async function verifyFree(path: string): Promise<void> {
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
    const body = await readStream(request, maxBodyBytes)
    if (body === undefined) return send(response, { status: 413, body: '' })
    const notify = (notice: string) => response.writeEarlyHints({ link: formatNotice(notice) })
    send(response, await answer({ method, target, headers, body }, { signal: gone.signal, notify }))
  } catch (error) {
    if (gone.signal.aborted) return
    onError(error)
    send(response, { status: 500, body: '' })
  }
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
