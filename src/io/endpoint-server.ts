/**
 * An HTTP server for the agent's endpoints: from sockets to plain requests, and back. It is made for neighbours that mean
 * no good: all it reads has limits and deadlines, and nothing that a client does ends it. What is answered, core/ decides;
 * it logs nothing.
 * @see https://nodejs.org/api/http.html
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { HttpReply, HttpRequest } from '../core/endpoints/http-message.js'
import type { Connection } from '../core/endpoints/socket-table.js'
import { HoldfastError } from '../core/errors.js'
import { limitClients } from './client-limits.js'

const MAX_HEADER_BYTES = 8192
/** For a whole request, and then again for the next one on the same connection. */
const REQUEST_TIMEOUT_MS = 5000

/** Who sends requests: one after the other, over one connection. */
export interface Client {
  readonly connection: Connection
  /** Aborted when the connection has ended. */
  readonly signal: AbortSignal
}

/** What a server needs. */
export interface EndpointServerOptions {
  /** Where to listen: an address and a port, 0 for a free one, or a socket that is already open. */
  readonly listen: { readonly host: string; readonly port: number } | { readonly fd: number }
  /**
   * Answers one request. All requests over one connection come with the same `client`. What it throws becomes a 500.
   */
  readonly answer: (request: HttpRequest, client: Client) => Promise<HttpReply>
  /** Told what `answer` threw. */
  readonly onFault: (error: unknown) => void
}

/** A server that is listening. */
export interface EndpointServer {
  readonly address: string
  readonly port: number
  /** Closes all connections. */
  close(): Promise<void>
}

/**
 * Starts to listen.
 * @throws HoldfastError NETWORK_FAILED if that is not possible
 */
export async function startEndpointServer(options: EndpointServerOptions): Promise<EndpointServer> {
  const limits = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: 1000,
    // Two Host headers must not look like one.
    joinDuplicateHeaders: true,
  }
  const server = createServer(limits)
  // Also for a client that does not read its reply.
  server.timeout = REQUEST_TIMEOUT_MS
  const admit = limitClients(server)
  const clients = new WeakMap<Socket, Client>()
  server.on('connection', (socket: Socket) => {
    const gone = new AbortController()
    clients.set(socket, { connection: describe(socket), signal: gone.signal })
    socket.on('close', () => gone.abort())
  })
  server.on('request', (incoming, outgoing) => {
    if (admit(incoming, outgoing))
      void answerIncoming(incoming, outgoing, clients.get(incoming.socket)!, options)
  })
  // Not HTTP, too large, too slow or broken off: there is nobody to be told.
  server.on('clientError', (_, socket: Socket) => socket.destroy())
  await listen(server, options.listen)
  // A connection that is gone before it is accepted, or too many open files: the next one may be well.
  server.on('error', options.onFault)
  const { address, port } = server.address() as AddressInfo
  return {
    address,
    port,
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

async function answerIncoming(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  client: Client,
  { answer, onFault }: EndpointServerOptions,
): Promise<void> {
  // It would be raised where nobody listens.
  outgoing.on('error', () => undefined)
  try {
    if (hasBody(incoming)) return send(outgoing, { status: 413, body: '' })
    send(outgoing, await answer(toRequest(incoming), client))
  } catch (error) {
    if (!client.signal.aborted) onFault(error)
    send(outgoing, { status: 500, body: '' })
  }
}

function describe({ remoteAddress, remotePort, localAddress, localPort }: Socket): Connection {
  return {
    client: { address: remoteAddress ?? '', port: remotePort ?? 0 },
    server: { address: localAddress ?? '', port: localPort ?? 0 },
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0
}

function toRequest({ method = '', url = '', headers }: IncomingMessage): HttpRequest {
  return { method, target: url, headers, body: new Uint8Array() }
}

/** A connection over which something was refused is not used again. */
function send(outgoing: ServerResponse, { status, headers, body }: HttpReply): void {
  if (outgoing.headersSent || outgoing.destroyed) return
  outgoing.writeHead(status, {
    ...headers,
    'content-length': Buffer.byteLength(body),
    ...(status < 400 ? {} : { connection: 'close' }),
  })
  outgoing.end(body)
}

function listen(server: Server, place: EndpointServerOptions['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException) => {
      const where = 'fd' in place ? `socket ${place.fd}` : `${place.host}:${place.port}`
      const hint = cause.code === 'EADDRINUSE' ? ': another program listens there' : ` (${cause.code})`
      reject(new HoldfastError('NETWORK_FAILED', `cannot listen at ${where}${hint}`, { cause }))
    }
    server.once('error', fail)
    server.listen('fd' in place ? { fd: place.fd } : { ...place, exclusive: true }, () => {
      server.off('error', fail)
      resolve()
    })
  })
}
