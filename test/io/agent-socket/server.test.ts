/** The agent's server on a unix socket: its mode, what it replaces, and requests that are none. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HttpHandler } from '../../../src/core/endpoints/http-message.js'
import { listenOnSocket, type UnixServer } from '../../../src/io/agent-socket/server.js'
import { askSocket } from '../../support/agent-edge.js'

describe('listenOnSocket', () => {
  let folder: string
  let path: string
  let server: UnixServer | undefined
  const faults: unknown[] = []
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-server-'))
    path = join(folder, 'x.sock')
    faults.length = 0
  })
  afterEach(async () => {
    await server?.close()
    server = undefined
    rmSync(folder, { recursive: true })
  })

  const listen = async (
    answer: HttpHandler = async ({ body }) => ({ status: 200, body: String(body.length) }),
  ) => {
    server = await listenOnSocket({ path, maxBodyBytes: 100, answer, onError: (error) => faults.push(error) })
    return server
  }

  it('opens a socket for its user alone, whatever the umask is', async () => {
    const former = process.umask(0)
    try {
      await listen()
    } finally {
      assert.equal(process.umask(former), 0)
    }
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.deepEqual(await askSocket(path, '/', { method: 'POST', body: 'abc' }), { status: 200, body: '3' })
  })

  it('takes it away at the end, and knows when somebody else has', async () => {
    const { isInPlace, close } = await listen()
    assert.equal(isInPlace(), true)
    rmSync(path)
    assert.equal(isInPlace(), false)
    writeFileSync(path, '')
    assert.equal(isInPlace(), false)
    await close()
    server = undefined
  })

  it('leaves the socket that another agent has put there since', async () => {
    const former = await listen()
    rmSync(path)
    const other = await listen()
    await former.close()
    assert.equal(other.isInPlace(), true)
    assert.equal((await askSocket(path, '/')).status, 200)
  })

  it('takes the place of a socket that nobody answers at', async () => {
    const left = createServer()
    await once(left.listen(path), 'listening')
    // What a killed process leaves: the name, and nobody behind it.
    const kept = join(folder, 'kept')
    const { linkSync, renameSync } = await import('node:fs')
    linkSync(path, kept)
    await new Promise((closed) => left.close(closed))
    renameSync(kept, path)
    assert.ok(existsSync(path))
    await listen()
    assert.equal((await askSocket(path, '/')).status, 200)
  })

  it('leaves one that answers, and what is no socket', async () => {
    const other = createServer()
    await once(other.listen(path), 'listening')
    await assert.rejects(listen(), { code: 'AGENT_RUNNING' })
    await new Promise((closed) => other.close(closed))
    writeFileSync(path, 'mine')
    await assert.rejects(listen(), { code: 'SOCKET_UNUSABLE' })
    assert.equal(statSync(path).size, 4)
  })

  it('says where no socket can be', async () => {
    path = join(folder, 'no/such/folder.sock')
    await assert.rejects(listen(), { code: 'SOCKET_UNUSABLE' })
    path = join(folder, 'x'.repeat(200))
    await assert.rejects(listen(), { code: 'SOCKET_UNUSABLE' })
  })

  it('refuses a body that is too long, and what is no HTTP', async () => {
    await listen()
    assert.equal((await askSocket(path, '/', { method: 'POST', body: 'x'.repeat(101) })).status, 413)
    const socket = createConnection(path)
    socket.end('nonsense\r\n\r\n')
    const [answer] = await once(socket, 'data')
    assert.match(String(answer), /^HTTP\/1\.1 400 /)
    assert.equal((await askSocket(path, '/')).status, 200)
  })

  it('says nothing of a bug to whoever asks', async () => {
    await listen(async () => {
      throw new Error('secret')
    })
    assert.deepEqual(await askSocket(path, '/'), { status: 500, body: '' })
    assert.match(String(faults[0]), /secret/)
  })

  it('tells whoever answers that the client has gone', async () => {
    let gone: (() => void) | undefined
    const ended = new Promise<void>((done) => {
      gone = done
    })
    await listen(async (_, { signal }) => {
      socket.destroy()
      await once(signal, 'abort')
      gone!()
      return { status: 200, body: '' }
    })
    const socket = createConnection(path)
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await ended
    assert.deepEqual(faults, [])
  })
})
