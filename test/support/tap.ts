/**
 * A relay on a port of its own in front of a server on this machine, which keeps what passes, byte for byte.
 */

import { connect } from 'node:net'
import { type Peer, startBytesPeer } from './peers.js'

/** What went over one connection until now. */
export interface Exchange {
  readonly request: Buffer
  readonly reply: Buffer
}

/** A running relay. */
export interface Tap extends Peer {
  readonly url: string
  /** One for each connection, in their order. */
  exchanges(): Exchange[]
}

/** Relays each connection to `targetPort`. */
export async function startTap(targetPort: number): Promise<Tap> {
  const connections: { request: Buffer[]; reply: Buffer[] }[] = []
  const peer = await startBytesPeer((client) => {
    const server = connect(targetPort, '127.0.0.1')
    const kept = { request: [] as Buffer[], reply: [] as Buffer[] }
    connections.push(kept)
    client.on('data', (chunk) => kept.request.push(chunk as Buffer)).pipe(server)
    server.on('data', (chunk) => kept.reply.push(chunk)).pipe(client)
    client.on('close', () => server.destroy())
    server.on('error', () => client.destroy())
  })
  return {
    ...peer,
    url: `http://127.0.0.1:${peer.port}`,
    exchanges: () =>
      connections.map(({ request, reply }) => ({
        request: Buffer.concat(request),
        reply: Buffer.concat(reply),
      })),
  }
}
