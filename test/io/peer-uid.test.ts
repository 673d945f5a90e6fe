/** Real loopback connections, looked up in the tables of the kernel that runs the test. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Connection } from '../../src/core/endpoints/socket-table.js'
import { findPeerUid, verifyPeerUids } from '../../src/io/peer-uid.js'

/** A connection from `host` to a server on `address`, for as long as `use` takes. */
async function withConnection(
  host: string,
  address: string,
  use: (connection: Connection, client: Socket, accepted: Socket) => Promise<void>,
): Promise<void> {
  const server = createServer().listen(0, address)
  await once(server, 'listening')
  const client = connect((server.address() as { port: number }).port, host)
  const [accepted] = (await once(server, 'connection')) as [Socket]
  try {
    const at = (address = '', port = 0) => ({ address, port })
    await use(
      {
        client: at(accepted.remoteAddress, accepted.remotePort),
        server: at(accepted.localAddress, accepted.localPort),
      },
      client,
      accepted,
    )
  } finally {
    client.destroy()
    accepted.destroy()
    server.close()
  }
}

describe('findPeerUid', () => {
  it('finds the user of a client', () =>
    withConnection('127.0.0.1', '127.0.0.1', async (connection) => {
      assert.equal(await findPeerUid(connection), process.getuid!())
    }))

  it('finds the user of a client with an IPv6 socket', () =>
    withConnection('::ffff:127.0.0.1', '127.0.0.1', async (connection) => {
      assert.equal(await findPeerUid(connection), process.getuid!())
    }))

  it('finds the user of a client of IPv6, where there is such a thing', async () => {
    const finding = withConnection('::1', '::1', async (connection) => {
      assert.equal(await findPeerUid(connection), process.getuid!())
    })
    const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
    if (addresses.some(({ address }) => address === '::1')) await finding
    else await assert.rejects(finding, { code: 'EADDRNOTAVAIL' })
  })

  it('finds nobody once the client has closed', () =>
    withConnection('127.0.0.1', '127.0.0.1', async (connection, client, accepted) => {
      accepted.resume()
      const ended = once(accepted, 'end')
      client.end()
      await ended
      assert.equal(await findPeerUid(connection), undefined)
    }))

  it('finds nobody for a connection that is not there', () =>
    withConnection('127.0.0.1', '127.0.0.1', async ({ client, server }) => {
      assert.equal(await findPeerUid({ client: { ...client, address: '127.0.0.2' }, server }), undefined)
    }))
})

describe('verifyPeerUids', () => {
  it('is content with this Linux', () => verifyPeerUids())

  it('refuses a system without /proc', () => {
    assert.throws(() => verifyPeerUids('/nowhere'), { code: 'USAGE', message: /ENOENT/ })
  })
})
