/**
 * What the clients of a small HTTP server may take of it. They may mean no good: one that fills the server with connections, or
 * a connection with requests, must not keep out those who have something to say. Deadlines are the servers' own.
 * @see https://nodejs.org/api/http.html
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Connections in all; more are closed at once. */
const MAX_CONNECTIONS = 1024
/** Those without a request in work. It is Linux's queue before a server: of so many that come at once, each is heard. */
const MAX_WAITING = 512

const END_OF_HEADERS = '\r\n\r\n'
const CONTENT_LENGTH = /\r\ncontent-length:[ \t]*(\d+)/i

/**
 * Sets the limits.
 * @returns false if a request is not to be answered, because its connection has another one in work; it is closed then
 */
export function limitClients(
  server: Server,
): (incoming: IncomingMessage, outgoing: ServerResponse) => boolean {
  server.maxConnections = MAX_CONNECTIONS
  const waiting = letNewConnectionsWin(server)
  server.on('connection', refusePipelining)
  return ({ socket }, outgoing) => {
    if (!waiting.delete(socket)) {
      socket.destroy()
      return false
    }
    outgoing.on('close', () => {
      if (!socket.destroyed) waiting.add(socket)
    })
    return true
  }
}

/** The connections that wait for a request. Where there are too many, the one that has waited longest is closed. */
function letNewConnectionsWin(server: Server): Set<Socket> {
  const waiting = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    const [oldest] = waiting
    if (oldest !== undefined && waiting.size >= MAX_WAITING) {
      waiting.delete(oldest)
      oldest.destroy()
    }
    waiting.add(socket)
    socket.on('close', () => waiting.delete(socket))
  })
  return waiting
}

/**
 * No client sends a request before the last one is answered. Node would make all requests that arrive together into objects
 * before it looks at anybody else, thousands of each connection, so what follows the first one is made unreadable.
 */
function refusePipelining(socket: Socket): void {
  let head = ''
  /** Bytes of the request that are still to come, once its headers are there. */
  let left = 0
  socket.prependListener('data', (chunk: Buffer) => {
    if (left === 0) {
      const end = findEndOfHeaders(head, chunk)
      // The body may hold a PIN, which must not become a part of a text.
      head += chunk.toString('latin1', 0, end ?? chunk.length)
      // The parser sees to it that this does not go on for ever.
      if (end === undefined) return
      left = end + Number(CONTENT_LENGTH.exec(head)?.[1] ?? 0)
      head = ''
    }
    chunk.fill(0, left)
    left = Math.max(0, left - chunk.length)
  })
  // Only with a listener of this kind does Node show what arrives. It comes after the parser, which has copied what it needs
  // by then; without it a PIN would stay in a buffer of the parser's own.
  socket.on('data', (chunk: Buffer) => chunk.fill(0))
}

/** Where in `chunk` the headers end that began with `head`; their end may lie across both. */
function findEndOfHeaders(head: string, chunk: Buffer): number | undefined {
  const seam = head.slice(1 - END_OF_HEADERS.length)
  const across = (seam + chunk.toString('latin1', 0, END_OF_HEADERS.length - 1)).indexOf(END_OF_HEADERS)
  if (across !== -1) return across + END_OF_HEADERS.length - seam.length
  const within = chunk.indexOf(END_OF_HEADERS)
  return within === -1 ? undefined : within + END_OF_HEADERS.length
}
