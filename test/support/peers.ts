/**
 * Servers on the loopback interface that behave as a test wants: at the level of bytes, of TLS, and of an
 * HTTP proxy. Each takes a port of its own and ends with all its connections.
 */

import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A running server. */
export interface Peer {
  readonly port: number
  /** Connections so far, in their order; those that have ended too. */
  readonly sockets: readonly Socket[]
  /** Waits for the next connection. */
  nextSocket(): Promise<Socket>
  close(): Promise<void>
}

/** Starts a server on 127.0.0.1. */
export async function startPeer(server: Server): Promise<Peer> {
  const sockets: Socket[] = []
  server.on('connection', (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    nextSocket: async () => (await once(server, 'connection'))[0],
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Waits until the socket has ended, in whatever way. */
export async function ended(socket: Socket): Promise<void> {
  if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve))
}

/** A TCP server that knows no protocol. */
export function startBytesPeer(onConnection: (socket: Socket) => void): Promise<Peer> {
  return startPeer(createServer(onConnection))
}

/** An HTTP server. */
export function startHttpPeer(listener: RequestListener): Promise<Peer> {
  return startPeer(createHttpServer(listener))
}

/** An HTTPS server. */
export function startHttpsPeer(options: ServerOptions, listener: RequestListener): Promise<Peer> {
  return startPeer(createHttpsServer(options, listener))
}

/** What a proxy was asked, and with which credentials. */
export interface TunnelRequest {
  readonly target: string
  readonly authorization: string | undefined
}

/**
 * An HTTP proxy that leads every tunnel to `targetPort` on this machine, whatever was asked for, or
 * answers with another status. With `tls` the proxy itself speaks HTTPS.
 */
export async function startProxyPeer(
  targetPort: number,
  { status = 200, tls }: { status?: number; tls?: ServerOptions } = {},
): Promise<Peer & { readonly asked: readonly TunnelRequest[] }> {
  const asked: TunnelRequest[] = []
  const server = tls ? createHttpsServer(tls) : createHttpServer()
  server.on('connect', (request, client) => {
    asked.push({ target: request.url!, authorization: request.headers['proxy-authorization'] })
    client.on('error', () => {})
    if (status !== 200) {
      client.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    const upstream = connect(targetPort, '127.0.0.1')
    upstream.on('error', () => client.destroy())
    upstream.on('close', () => client.destroy())
    client.on('close', () => upstream.destroy())
    client.write('HTTP/1.1 200 Connection established\r\n\r\n')
    client.pipe(upstream).pipe(client)
  })
  const peer = await startPeer(server)
  return { ...peer, asked }
}
