/** The agent's server on a unix socket: its mode, what it replaces, and requests that are none. */

import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { HttpHandler } from '../../../src/core/endpoints/http-message.js'
import { type AgentAnswer, callAgent } from '../../../src/io/agent-socket/client.js'
import { listenOnSocket, type UnixServer } from '../../../src/io/agent-socket/server.js'
import { askSocket } from '../../support/agent-edge.js'
import { settle } from '../../support/fake-clock.js'

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

  it('opens it for one of those that start together, which can then be reached', async () => {
    const answer: HttpHandler = async () => ({ status: 200, body: '' })
    const open = () =>
      listenOnSocket({ path, maxBodyBytes: 100, answer, onError: (error) => faults.push(error) })
    for (let round = 0; round < 10; round++) {
      const results = await Promise.allSettled([open(), open(), open()])
      const servers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []))
      assert.deepEqual([servers.length, refused], [1, ['AGENT_RUNNING', 'AGENT_RUNNING']])
      assert.equal((await askSocket(path, '/')).status, 200)
      await servers[0]!.close()
    }
    assert.deepEqual(readdirSync(folder), [])
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

  for (const [title, pieces] of [
    ['a header', ['POST / HTTP/1.1\r\nhost: x\r\ncontent-', 'length: 5\r\n\r\nab', 'cde']],
    ['the end of the headers', ['POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r', '\nab', 'cde']],
    ['the body', ['POST / HTTP/1.1\r\nhost: x\r\nContent-Length:5\r\n\r\n', 'a', 'bcd', 'e']],
  ] as const) {
    it(`takes a request that arrives in pieces: ${title}`, async () => {
      await listen(async ({ body }) => ({ status: 200, body: String(Buffer.from(body)) }))
      const socket = createConnection(path)
      for (const piece of pieces) {
        socket.write(piece)
        await settle()
      }
      assert.match(await text(socket), /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nabcde$/)
    })
  }

  describe('works on one request of a connection', () => {
    const get = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'
    const post = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc'
    for (const [title, pieces] of [
      ['where many come at once', [get.repeat(1000)]],
      ['where many come at once with bodies', [post.repeat(1000)]],
      ['where another one comes while it is in work', [get, get]],
    ] as const) {
      it(`${title}, and ends it`, async () => {
        let asked = 0
        await listen(async (_, { signal }) => {
          asked += 1
          await once(signal, 'abort')
          return { status: 200, body: '' }
        })
        const socket = createConnection(path)
        for (const piece of pieces) {
          socket.write(piece)
          await settle()
        }
        assert.doesNotMatch(await text(socket), /200 OK/)
        assert.equal(asked, 1)
      })
    }
  })

  it('lets nothing into a connection behind headers whose end came in pieces', async () => {
    await listen()
    const started: unknown[] = []
    const note = (message: unknown) => started.push(message)
    subscribe('http.server.request.start', note)
    try {
      const socket = createConnection(path)
      const body = `${'x'.repeat(96)}\r\n\r\n`
      const more = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(100)
      for (const piece of [
        'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r',
        '\n',
        `${body}${more}`,
      ]) {
        socket.write(piece)
        await settle()
      }
      await text(socket)
      assert.equal(started.length, 1)
    } finally {
      unsubscribe('http.server.request.start', note)
    }
  })

  it('answers whoever comes after 1,500 connections that say nothing', async () => {
    await listen()
    const idle: Socket[] = []
    while (idle.length < 1500) {
      const socket = createConnection(path).on('error', () => undefined)
      await once(socket, 'connect')
      idle.push(socket)
    }
    assert.equal((await askSocket(path, '/')).status, 200)
    for (const socket of idle) socket.destroy()
  })

  it('answers clients of its own of which more come at once than can stand in the queue before a socket', async () => {
    await listen()
    const call = () =>
      callAgent({ socket: path, path: '/status', signal: new AbortController().signal, timeoutMs: 30_000 })
    const answers = await Promise.all(Array.from({ length: 700 }, call))
    for (const answer of answers) assert.equal((answer as AgentAnswer).status, 200)
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
