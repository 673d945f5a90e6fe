/** The server of the endpoints over real sockets, with neighbours that mean no good. */

import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { HttpRequest } from '../../src/core/endpoints/http-message.js'
import {
  type EndpointServer,
  type EndpointServerOptions,
  startEndpointServer,
} from '../../src/io/endpoint-server.js'

interface TestServer extends EndpointServer {
  readonly requests: HttpRequest[]
  readonly faults: unknown[]
}

/** A server that answers everything with `ok`, unless it is told otherwise, for as long as `use` takes. */
async function withServer(
  use: (server: TestServer) => Promise<void>,
  answer?: EndpointServerOptions['answer'],
): Promise<void> {
  const requests: HttpRequest[] = []
  const faults: unknown[] = []
  const server = await startEndpointServer({
    listen: { host: '127.0.0.1', port: 0 },
    onFault: (error) => faults.push(error),
    answer: async (received, options) => {
      requests.push(received)
      return answer === undefined ? { status: 200, body: 'ok' } : answer(received, options)
    },
  })
  try {
    await use({ ...server, requests, faults })
    assert.equal((await ask(server.port)).status, answer === undefined ? 200 : 500)
  } finally {
    await server.close()
  }
}

/** One request over a connection of its own. */
async function ask(port: number, headers: Record<string, string> = {}, method = 'GET') {
  const sent = request({ host: '127.0.0.1', port, method, path: '/a?b', headers, agent: false }).end()
  const [reply] = await once(sent, 'response')
  return { status: reply.statusCode as number, headers: reply.headers, body: String(await buffer(reply)) }
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** The end of a connection, however it ends. */
function closeOf(socket: Socket): Promise<void> {
  return new Promise((done) => socket.once('close', () => done()))
}

/** All that comes over a connection on which `bytes` were sent, until the server closes it. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = await open(port)
  socket.write(bytes)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  await closeOf(socket)
  return text
}

describe('startEndpointServer', function () {
  this.timeout(60_000)

  it('hands requests on as they came, and replies back', () =>
    withServer(async ({ port, requests }) => {
      const reply = await ask(port, { authorization: 'x', 'x-a': 'b' })
      assert.equal(reply.body, 'ok')
      assert.equal(reply.headers['content-length'], '2')
      const { method, target, headers } = requests[0]!
      assert.deepEqual([method, target, headers.authorization, headers['x-a']], ['GET', '/a?b', 'x', 'b'])
    }))

  it('shows a header that was sent twice', () =>
    withServer(async ({ port, requests }) => {
      await exchange(
        port,
        'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: c\r\nAuthorization: d\r\nConnection: close\r\n\r\n',
      )
      const [{ headers }] = requests as [HttpRequest]
      assert.deepEqual([headers.host, headers.authorization], ['a, b', 'c, d'])
    }))

  it('keeps a connection that was answered, and none over which something was refused', async () => {
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
    await withServer(async ({ port, requests }) => {
      const socket = await open(port)
      for (const path of ['/1', '/2']) {
        socket.write(get(path))
        await once(socket, 'data')
      }
      socket.destroy()
      assert.equal(requests.length, 2)
    })
    const server = await startEndpointServer({
      listen: { host: '127.0.0.1', port: 0 },
      onFault: (error) => assert.fail(String(error)),
      answer: async () => ({ status: 403, body: '' }),
    })
    try {
      assert.match(await exchange(server.port, get('/1')), /^HTTP\/1.1 403/)
    } finally {
      await server.close()
    }
  })

  it('works on one request of a connection at a time, and ends one that sends more', async () => {
    const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
    await withServer(async ({ port, requests }) => {
      await exchange(port, get.repeat(1000))
      assert.equal(requests.length, 1)
      const socket = await open(port)
      socket.setNoDelay().write(`${get.repeat(1)}${get.slice(0, -1)}`)
      socket.write(`\n${get}`)
      await closeOf(socket)
      assert.ok(requests.length <= 3)
    })
  })

  it('ends a connection whose client does not read the reply', () =>
    withServer(
      async ({ port }) => {
        const accepted = new Promise<Socket>((done) => {
          channel('net.server.socket').subscribe((message) => done((message as { socket: Socket }).socket))
        })
        const socket = await open(port)
        socket.pause().write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        await closeOf(await accepted)
        socket.destroy()
      },
      async () => ({ status: 500, body: 'x'.repeat(64 * 1024 * 1024) }),
    ))

  it('says 500 to what could not be answered, tells of it, and goes on', () =>
    withServer(
      async ({ port, faults }) => {
        assert.equal((await ask(port)).status, 500)
        assert.match(String(faults[0]), /bug/)
      },
      async () => {
        throw new Error('bug')
      },
    ))

  it('tells the answer that the client has gone', async () => {
    const server = await startEndpointServer({
      listen: { host: '127.0.0.1', port: 0 },
      onFault: (error) => assert.fail(String(error)),
      answer: async (_, { signal }) => {
        socket.destroy()
        await once(signal, 'abort')
        throw new Error('nobody is there to be told')
      },
    })
    const socket = await open(server.port)
    const closed = closeOf(socket)
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await closed
    await server.close()
  })

  for (const [title, bytes] of [
    ['headers of 20 KiB', `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['10,000 headers', `GET / HTTP/1.1\r\nHost: a\r\n${'A: b\r\n'.repeat(10_000)}\r\n`],
    ['an endless request line', `GET /${'a'.repeat(100_000)}`],
    ['no HTTP', '\u0016\u0003\u0001\u0002\u0000'],
    ['a chunk of no length', 'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ['two lengths', 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    [
      'a length and chunks',
      'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a header with a line end', 'GET / HTTP/1.1\r\nHost: a\r\nX\n-A: b\r\n\r\n'],
    ['a CONNECT', 'CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n'],
  ] as const) {
    it(`hands on nothing of a request with ${title}`, () =>
      withServer(async ({ port, requests }) => {
        const text = await exchange(port, bytes)
        assert.doesNotMatch(text, /200 OK/)
        assert.deepEqual(requests, [])
      }))
  }

  it('reads no body', () =>
    withServer(async ({ port, requests }) => {
      const length = 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nabc'
      assert.match(await exchange(port, length), /^HTTP\/1.1 413 /)
      const chunked = 'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'
      assert.match(await exchange(port, chunked), /^HTTP\/1.1 413 /)
      assert.deepEqual(requests, [])
      assert.equal((await ask(port, { 'content-length': '0' }, 'PUT')).status, 200)
    }))

  it('ends a connection that says nothing, or too little at a time', () =>
    withServer(async ({ port, requests }) => {
      const silent = await open(port)
      const slow = await open(port)
      const timer = setInterval(() => slow.write('X-A: b\r\n'), 200)
      slow.write('GET / HTTP/1.1\r\nHost: a\r\n')
      const texts: string[] = []
      for (const socket of [silent, slow]) socket.on('data', (chunk) => texts.push(String(chunk)))
      await Promise.all([closeOf(silent), closeOf(slow)])
      clearInterval(timer)
      assert.deepEqual([texts, requests], [[], []])
    }))

  it('answers the others while 1,000 connections say nothing', () =>
    withServer(async ({ port }) => {
      const idle: Socket[] = []
      for (let count = 0; count < 1000; count++) idle.push(await open(port))
      assert.equal((await ask(port)).status, 200)
      for (const socket of idle) socket.destroy()
    }))

  it('survives a port scan: connections that are reset before they are accepted', () =>
    withServer(async ({ port }) => {
      await Promise.all(
        Array.from({ length: 500 }, async () => {
          const socket = connect(port, '127.0.0.1')
          socket.on('error', () => undefined)
          await once(socket, 'connect')
          socket.resetAndDestroy()
        }),
      )
    }))

  it('refuses a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const starting = startEndpointServer({
      listen: { host: '127.0.0.1', port },
      onFault: (error) => assert.fail(String(error)),
      answer: async () => ({ status: 200, body: '' }),
    })
    await assert.rejects(starting, { code: 'NETWORK_FAILED', message: /another program listens/ })
    other.close()
  })
})
