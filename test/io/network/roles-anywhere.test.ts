import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import type { ServerOptions } from 'node:https'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls, { type TLSSocket } from 'node:tls'
import { inspect } from 'node:util'
import { after, afterEach, before, describe, it } from 'mocha'
import { HoldfastError } from '../../../src/core/errors.js'
import { connectRolesAnywhere, type RolesAnywhereOptions } from '../../../src/io/network/roles-anywhere.js'
import { type Authority, certificatePem, createAuthority, createFileKey } from '../../support/certificates.js'
import {
  ended,
  type Peer,
  startBytesPeer,
  startHttpPeer,
  startHttpsPeer,
  startProxyPeer,
} from '../../support/peers.js'

const NOW = new Date('2026-01-02T03:04:05Z')
const REQUEST = {
  headers: {
    'content-type': 'application/json',
    host: 'rolesanywhere.test:8443',
    'x-amz-date': '20260102T030405Z',
    'x-amz-x509': 'canary-certificate',
    authorization: 'AWS4-X509-ECDSA-SHA256 canary-signature',
  },
  body: Buffer.from('{"canary":"ö"}'),
}
const never = new AbortController().signal

describe('connectRolesAnywhere', () => {
  const peers: Peer[] = []
  let waits: number[] = []
  let lines: string[] = []
  afterEach(async () => {
    await Promise.all(peers.splice(0).map((peer) => peer.close()))
    waits = []
    lines = []
  })

  async function running<T extends Peer>(starting: Promise<T>): Promise<T> {
    const peer = await starting
    peers.push(peer)
    return peer
  }

  function open(endpoint: string, more: Partial<RolesAnywhereOptions> = {}, signal = never) {
    return connectRolesAnywhere(
      {
        endpoint: new URL(endpoint),
        env: {},
        now: () => NOW,
        random: () => 0.5,
        sleep: async (milliseconds) => waits.push(milliseconds),
        debug: (line) => lines.push(line),
        ...more,
      },
      { signal },
    )
  }

  async function post(endpoint: string, more: Partial<RolesAnywhereOptions> = {}, signal = never) {
    const connection = await open(endpoint, more, signal)
    return connection.send(REQUEST, { signal })
  }

  const http = ({ port }: Peer) => `http://127.0.0.1:${port}`
  const https = ({ port }: Peer, host = '127.0.0.1') => `https://${host}:${port}`
  const answer201: RequestListener = (_, response) => response.writeHead(201).end('{}')

  /** Answers each request with the next of `replies`; '' drops the connection. Keeps the bytes it was sent. */
  async function startScript(replies: readonly string[]) {
    const requests: string[] = []
    const peer = await running(
      startBytesPeer((socket) => {
        let text = ''
        socket.setEncoding('utf8').on('data', (data: string) => {
          text += data
          if (!text.endsWith(REQUEST.body.toString())) return
          const reply = replies[requests.length]
          requests.push(text)
          if (reply) socket.end(reply)
          else socket.resetAndDestroy()
        })
      }),
    )
    return { ...peer, requests }
  }
  const reply = (status: number) => `HTTP/1.1 ${status} x\r\nContent-Length: 2\r\n\r\n{}`

  describe('request and answer', () => {
    it('sends the signed headers and the body byte for byte, to /sessions', async () => {
      const peer = await startScript([reply(201)])
      await post(http(peer))
      assert.deepEqual(peer.requests, [
        [
          'POST /sessions HTTP/1.1',
          ...Object.entries(REQUEST.headers).map(([name, value]) => `${name}: ${value}`),
          'content-length: 15',
          'Connection: close',
          '',
          '{"canary":"ö"}',
        ].join('\r\n'),
      ])
    })

    it('returns status, headers and body whatever they are', async () => {
      const text = 'HTTP/1.1 403 No\r\nX-Amzn-RequestId: r1\r\nA: 1\r\na: 2\r\nSet-Cookie: c\r\n\r\nwords'
      const { status, headers, body } = await post(http(await startScript([text])))
      assert.deepEqual(
        { status, headers, body: Buffer.from(body).toString() },
        { status: 403, headers: { 'x-amzn-requestid': 'r1', a: '1, 2', 'set-cookie': 'c' }, body: 'words' },
      )
      assert.deepEqual(waits, [])
    })

    it('does not follow a redirect', async () => {
      const other = await running(startHttpPeer(answer201))
      const location = `Location: ${http(other)}\r\nContent-Length: 0`
      const { status, headers } = await post(
        http(await startScript([`HTTP/1.1 307 x\r\n${location}\r\n\r\n`])),
      )
      assert.deepEqual({ status, location: headers.location }, { status: 307, location: http(other) })
      assert.equal(other.sockets.length, 0)
    })

    it('accepts 1 MiB and no byte more, however it comes', async () => {
      const send = (length: number) =>
        post(http(peers.at(-1)!)).then(({ body }) => assert.equal(body.length, length))
      let length = 1024 * 1024
      await running(startHttpPeer((_, response) => response.end(Buffer.alloc(length))))
      await send(length)
      length++
      await assert.rejects(send(length), { code: 'REPLY_INVALID', message: /longer than 1 MiB/ })
    })

    it('ends an endless answer', async () => {
      const peer = await running(
        startHttpPeer((_, response) => {
          const more = () => response.write(Buffer.alloc(65536), (error) => error || more())
          more()
        }),
      )
      await assert.rejects(post(http(peer)), { code: 'REPLY_INVALID' })
      await ended(peer.sockets[0]!)
    })

    for (const [what, text] of [
      ['garbage', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
      ['headers without end', `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(20_000)}`],
      ['a wrong chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ] as const) {
      it(`refuses ${what}`, async () => {
        await assert.rejects(post(http(await startScript([text]))), {
          code: 'REPLY_INVALID',
          message: /HTTP\/1\.1/,
        })
        assert.deepEqual(waits, [])
      })
    }

    it('says nothing secret in its debug lines', async () => {
      await post(http(await startScript([reply(503), '', reply(201)])))
      assert.doesNotMatch(lines.join('\n'), /canary/)
      assert.match(lines[0]!, /^connected to 127\.0\.0\.1:\d+ in \d+ ms$/)
      assert.match(lines[1]!, /^answer 503 after \d+ ms, request id none$/)
      assert.match(lines[2]!, /^try 1 of 3: the service is busy; again in 250 ms$/)
    })
  })

  describe('time of the connection', () => {
    it('connects before there is a request, and uses that connection for it', async () => {
      const peer = await running(startHttpPeer(answer201))
      const connection = await open(http(peer))
      assert.equal(peer.sockets.length, 1)
      assert.equal((await connection.send(REQUEST, { signal: never })).status, 201)
      assert.equal(peer.sockets.length, 1)
    })

    it('keeps a failure until it is awaited', async () => {
      const unhandled: unknown[] = []
      const note = (reason: unknown) => unhandled.push(reason)
      process.on('unhandledRejection', note)
      const connecting = open('https://rolesanywhere.test', { env: { HTTPS_PROXY: 'socks5://p.example' } })
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
      process.off('unhandledRejection', note)
      await assert.rejects(connecting, { code: 'USAGE' })
      assert.deepEqual(unhandled, [])
    })

    for (const end of ['end', 'resetAndDestroy'] as const) {
      it(`connects anew if the server has ended the connection meanwhile (${end})`, async () => {
        const peer = await running(startHttpPeer(answer201))
        const connection = await open(http(peer))
        const [idle] = peer.sockets
        idle![end]()
        await ended(idle!)
        // Once another connection is answered, the end of this one has arrived.
        await post(http(peer))
        assert.equal((await connection.send(REQUEST, { signal: never })).status, 201)
        assert.equal(peer.sockets.length, 3)
        assert.deepEqual(waits, [])
      })
    }

    it('does not take what came before the request for its answer', async () => {
      let count = 0
      const peer = await running(
        startBytesPeer((socket) => {
          if (++count === 1) socket.write('HTTP/1.1 408 Request Timeout\r\n\r\n')
          else socket.once('data', () => socket.end(reply(201)))
        }),
      )
      const connection = await open(http(peer))
      // Once another connection is answered, the bytes of this one have arrived.
      await post(http(await running(startHttpPeer(answer201))))
      assert.equal((await connection.send(REQUEST, { signal: never })).status, 201)
    })

    it('ends the connection on close, on abort, and after the answer', async () => {
      const peer = await running(startHttpPeer(answer201))
      const last = () => ended(peer.sockets.at(-1)!)
      const closing = await open(http(peer))
      closing.close()
      await last()
      closing.close()
      const controller = new AbortController()
      await open(http(peer), {}, controller.signal)
      controller.abort()
      await last()
      const sending = await open(http(peer))
      await sending.send(REQUEST, { signal: never })
      await last()
    })

    it('leaves nothing behind on the signal', async () => {
      const peer = await running(startHttpPeer(answer201))
      const { signal } = new AbortController()
      const sending = await open(http(peer), {}, signal)
      await sending.send(REQUEST, { signal })
      const closing = await open(http(peer), {}, signal)
      closing.close()
      assert.deepEqual(getEventListeners(signal, 'abort'), [])
    })
  })

  describe('tries', () => {
    it('repeats the same bytes after dropped connections', async () => {
      const peer = await startScript(['', '', reply(201)])
      assert.equal((await post(http(peer))).status, 201)
      assert.equal(peer.requests.length, 3)
      assert.equal(new Set(peer.requests).size, 1)
      assert.deepEqual(waits, [250, 500])
    })

    it('repeats the same bytes after 429 and 503', async () => {
      const peer = await startScript([reply(429), reply(503), reply(201)])
      assert.equal((await post(http(peer))).status, 201)
      assert.equal(new Set(peer.requests).size, 1)
    })

    it('repeats after an answer that breaks off', async () => {
      const peer = await startScript(['HTTP/1.1 201 x\r\nContent-Length: 9\r\n\r\n{}', reply(201)])
      assert.equal((await post(http(peer))).status, 201)
      assert.equal(peer.requests.length, 2)
    })

    it('tries three times and then returns the last answer or throws the last fault', async () => {
      const busy = await startScript([reply(500), '', reply(503), reply(201)])
      assert.equal((await post(http(busy))).status, 503)
      const broken = await startScript([reply(500), reply(500), '', reply(201)])
      await assert.rejects(post(http(broken)), { code: 'NETWORK_FAILED', message: /^127\.0\.0\.1:\d+ broke/ })
      assert.equal(busy.requests.length + broken.requests.length, 6)
    })

    it('waits a random part of a time that doubles', async () => {
      await post(http(await startScript(['', '', reply(201)])), { random: () => 0 })
      await post(http(await startScript(['', '', reply(201)])), { random: () => 0.999 })
      assert.deepEqual(waits, [0, 0, 499, 999])
    })

    it('does not repeat after a refusal', async () => {
      for (const status of [400, 403, 404]) {
        const peer = await startScript([reply(status), reply(201)])
        assert.equal((await post(http(peer))).status, status)
      }
      assert.deepEqual(waits, [])
    })

    it('does not repeat a request whose signature is too old', async () => {
      const at = (text: string) => ({ now: () => new Date(text) })
      const young = await startScript(['', reply(201)])
      assert.equal((await post(http(young), at('2026-01-02T03:08:00Z'))).status, 201)
      const old = await startScript(['', reply(201)])
      await assert.rejects(post(http(old), at('2026-01-02T03:08:10Z')), { code: 'NETWORK_FAILED' })
    })

    it('gives the last fault if the time is up before the next try', async () => {
      const controller = new AbortController()
      const sleep = async () => controller.abort()
      const dropping = http(await startScript(['', reply(201)]))
      await assert.rejects(post(dropping, { sleep }, controller.signal), { code: 'NETWORK_FAILED' })
    })

    it('names a port that nobody listens on', async () => {
      const peer = await startBytesPeer(() => {})
      await peer.close()
      await assert.rejects(open(http(peer)), {
        code: 'NETWORK_FAILED',
        message: `127.0.0.1:${peer.port} refuses connections; check that it is running and that the port is right (ECONNREFUSED)`,
      })
      assert.deepEqual(waits, [250, 500])
    })
  })

  describe('deadline', () => {
    const passed = (doing: RegExp) => ({ code: 'DEADLINE_EXCEEDED', message: doing })

    it('ends a connect that nobody answers', async () => {
      // A stopped process whose queue of two is full: the kernel drops what else knocks.
      const script =
        "require('net').createServer().listen({port:0,host:'127.0.0.1',backlog:1},function(){console.log(this.address().port)})"
      const child = spawn(process.execPath, ['-e', script])
      const fillers: Socket[] = []
      try {
        const port = Number(await once(child.stdout, 'data'))
        child.kill('SIGSTOP')
        for (let count = 0; count < 2; count++) fillers.push(connect(port, '127.0.0.1'))
        await Promise.all(fillers.map((socket) => once(socket, 'connect')))
        const signal = AbortSignal.timeout(200)
        await assert.rejects(
          open(`http://127.0.0.1:${port}`, {}, signal),
          passed(/connecting \(127\.0\.0\.1:/),
        )
      } finally {
        for (const socket of fillers) socket.destroy()
        child.kill('SIGKILL')
      }
    })

    it('ends a handshake, a tunnel and an answer that do not come', async () => {
      const silent = await running(startBytesPeer(() => {}))
      const abortOnConnection = () => {
        const deadline = new AbortController()
        silent.nextSocket().then(() => setImmediate(() => deadline.abort()))
        return deadline.signal
      }
      await assert.rejects(open(https(silent), {}, abortOnConnection()), passed(/starting TLS/))
      const env = { HTTPS_PROXY: http(silent) }
      await assert.rejects(
        open('https://rolesanywhere.test', { env }, abortOnConnection()),
        passed(/for a tunnel \(127/),
      )
      await assert.rejects(post(http(silent), {}, abortOnConnection()), passed(/waiting for the answer/))
    })

    it('ends an answer that drips', async () => {
      const deadline = new AbortController()
      const peer = await running(
        startHttpPeer((_, response) => {
          let count = 0
          const drip = () =>
            ++count === 20 ? deadline.abort() : response.write('x', () => setImmediate(drip))
          drip()
        }),
      )
      await assert.rejects(post(http(peer), {}, deadline.signal), passed(/waiting for the answer/))
      await ended(peer.sockets[0]!)
    })

    it('has passed already', async () => {
      await assert.rejects(open('http://127.0.0.1:1', {}, AbortSignal.abort()), passed(/connecting/))
    })

    it('passes on why the caller gave up, if that was not the time', async () => {
      const reason = new HoldfastError('INTERRUPTED', 'the user pressed ^C')
      await assert.rejects(open('http://127.0.0.1:1', {}, AbortSignal.abort(reason)), { code: 'INTERRUPTED' })
    })
  })

  describe('TLS', () => {
    let directory: string
    let authority: Authority
    let server: { cert: string; key: string }
    let env: { AWS_CA_BUNDLE: string }
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'holdfast-tls-'))
      authority = await createAuthority()
      server = await authority.issueServer()
      env = { AWS_CA_BUNDLE: join(directory, 'ca.pem') }
      await writeFile(env.AWS_CA_BUNDLE, authority.certificatePem)
    })
    after(() => rm(directory, { recursive: true, force: true }))

    const start = (options: ServerOptions = {}, listener: RequestListener = answer201) =>
      running(startHttpsPeer({ ...server, ...options }, listener))

    async function issue(options: { notBefore?: Date; notAfter?: Date; name?: string }) {
      const { name = '127.0.0.1', ...dates } = options
      const key = await createFileKey('P-256')
      const type = /^\d/.test(name) ? 'ip' : 'dns'
      const der = await authority.issue(key.publicKey, { ...dates, subjectAltNames: [{ type, value: name }] })
      return { cert: certificatePem(der), key: key.privateKeyPem }
    }

    it('trusts the CAs in AWS_CA_BUNDLE', async () => {
      assert.equal((await post(https(await start()), { env })).status, 201)
    })

    it('ends TCP with TLS', async () => {
      const peer = await start()
      const connection = await open(https(peer), { env })
      connection.close()
      await ended(peer.sockets[0]!)
    })

    it('trusts the second CA of a bundle too', async () => {
      const bundle = join(directory, 'two.pem')
      await writeFile(bundle, (await createAuthority('Other')).certificatePem + authority.certificatePem)
      assert.equal((await post(https(await start()), { env: { AWS_CA_BUNDLE: bundle } })).status, 201)
    })

    it('refuses a CA that is not trusted, and says how to trust it', async () => {
      const peer = await start()
      await assert.rejects(post(https(peer)), {
        code: 'TLS_FAILED',
        message: /not one that Node trusts.*AWS_CA_BUNDLE/,
      })
      const other = join(directory, 'other.pem')
      await writeFile(other, (await createAuthority('Other')).certificatePem)
      await assert.rejects(post(https(peer), { env: { AWS_CA_BUNDLE: other } }), {
        code: 'TLS_FAILED',
        message: /not in the bundle .*other\.pem/,
      })
      assert.deepEqual(waits, [])
    })

    it('refuses a bundle that is missing or holds no certificate', async () => {
      const missing = { AWS_CA_BUNDLE: join(directory, 'missing.pem') }
      await assert.rejects(open('https://127.0.0.1:1', { env: missing }), {
        code: 'FILE_UNREADABLE',
        message: /ENOENT/,
      })
      const empty = { AWS_CA_BUNDLE: join(directory, 'empty.pem') }
      await writeFile(empty.AWS_CA_BUNDLE, 'words')
      await assert.rejects(open('https://127.0.0.1:1', { env: empty }), {
        code: 'FILE_UNREADABLE',
        message: /no PEM/,
      })
    })

    it('accepts any certificate only if told to', async () => {
      const peer = await start(await issue({ name: 'another.test' }))
      assert.equal((await post(https(peer), { verifyTls: false })).status, 201)
      await assert.rejects(post(https(peer), { verifyTls: true }), { code: 'TLS_FAILED' })
    })

    it('is not talked out of verification by NODE_TLS_REJECT_UNAUTHORIZED', async () => {
      const former = process.env.NODE_TLS_REJECT_UNAUTHORIZED
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
      try {
        await assert.rejects(post(https(await start())), { code: 'TLS_FAILED' })
      } finally {
        if (former === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
        else process.env.NODE_TLS_REJECT_UNAUTHORIZED = former
      }
    })

    it('refuses a certificate for another host', async () => {
      const peer = await start(await issue({ name: 'another.test' }))
      await assert.rejects(post(https(peer, 'localhost'), { env }), {
        code: 'TLS_FAILED',
        message: /another host: .*another\.test/,
      })
    })

    it('refuses an expired certificate, and shows the clock', async () => {
      const peer = await start(await issue({ notBefore: new Date(0), notAfter: new Date('2020-01-01') }))
      await assert.rejects(post(https(peer), { env }), {
        code: 'TLS_FAILED',
        message: /has expired, and this machine's clock says 2026-01-02T03:04:05\.000Z/,
      })
    })

    it('blames the clock for a certificate that is not valid yet', async () => {
      const peer = await start(await issue({ notBefore: new Date(Date.now() + 86_400_000) }))
      await assert.rejects(post(https(peer), { env }), {
        code: 'CLOCK_WRONG',
        message: /not valid yet.*set the clock/,
      })
    })

    it('blames a clock that is before the build', async () => {
      const peer = await start()
      const buildDate = new Date(NOW.getTime() + 1)
      await assert.rejects(post(https(peer), { buildDate }), {
        code: 'CLOCK_WRONG',
        message: /before this program was built/,
      })
      await assert.rejects(post(https(peer), { buildDate: NOW }), { code: 'TLS_FAILED' })
    })

    it('speaks TLS 1.2 and later only', async () => {
      const seen = await start({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
      assert.equal((await post(https(seen), { env })).status, 201)
      const weak = 'DEFAULT@SECLEVEL=0'
      const old = await start({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: weak })
      // What the command line of Node may say, so that only our own floor is left.
      const { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS } = tls
      Object.assign(tls, { DEFAULT_MIN_VERSION: 'TLSv1', DEFAULT_CIPHERS: weak })
      try {
        const refused = { code: 'TLS_FAILED', message: /TLS 1\.2 or later/ }
        await assert.rejects(post(https(old), { env }), refused)
      } finally {
        Object.assign(tls, { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS })
      }
    })

    it('explains a server without TLS', async () => {
      await assert.rejects(post(https(await running(startHttpPeer(answer201)))), { code: 'TLS_FAILED' })
    })

    it('sends a server name for a name, and none for an address; and no client certificate', async () => {
      const seen: unknown[] = []
      const peer = await start({ requestCert: true, rejectUnauthorized: false }, (request, response) => {
        const socket = request.socket as TLSSocket & { servername?: unknown }
        seen.push(socket.servername || 'none', Object.keys(socket.getPeerCertificate()).length)
        response.end()
      })
      await post(https(peer, 'localhost'), { env })
      await post(https(peer), { env })
      assert.deepEqual(seen, ['localhost', 0, 'none', 0])
    })

    describe('through a proxy', () => {
      const endpoint = 'https://rolesanywhere.test'
      const startService = async () => start(await issue({ name: 'rolesanywhere.test' }))

      it('opens a tunnel, and TLS through it, before there is a request', async () => {
        const service = await startService()
        const proxy = await running(startProxyPeer(service.port))
        const connection = await open(endpoint, { env: { ...env, HTTPS_PROXY: http(proxy) } })
        assert.deepEqual(proxy.asked, [{ target: 'rolesanywhere.test:443', authorization: undefined }])
        assert.equal(service.sockets.length, 1)
        assert.equal((await connection.send(REQUEST, { signal: never })).status, 201)
        assert.equal(proxy.sockets.length, 1)
        await ended(proxy.sockets[0]!)
        assert.match(lines[0]!, /through the proxy 127\.0\.0\.1:\d+ in/)
      })

      it('logs in at the proxy', async () => {
        const proxy = await running(startProxyPeer((await startService()).port))
        const HTTPS_PROXY = `http://me:canary@127.0.0.1:${proxy.port}`
        await post(`${endpoint}:8443`, { env: { ...env, HTTPS_PROXY } })
        const authorization = `Basic ${Buffer.from('me:canary').toString('base64')}`
        assert.deepEqual(proxy.asked, [{ target: 'rolesanywhere.test:8443', authorization }])
        assert.doesNotMatch(lines.join('\n'), /canary/)
      })

      it('speaks TLS with a proxy that is named with https', async () => {
        const proxy = await running(startProxyPeer((await startService()).port, { tls: server }))
        assert.equal((await post(endpoint, { env: { ...env, HTTPS_PROXY: https(proxy) } })).status, 201)
        await assert.rejects(post(endpoint, { env: { HTTPS_PROXY: https(proxy) } }), {
          code: 'TLS_FAILED',
          message: new RegExp(`127\\.0\\.0\\.1:${proxy.port}`),
        })
      })

      it('verifies the endpoint through the tunnel too', async () => {
        const proxy = await running(startProxyPeer((await start()).port))
        await assert.rejects(post(endpoint, { env: { ...env, HTTPS_PROXY: http(proxy) } }), {
          code: 'TLS_FAILED',
          message: /rolesanywhere\.test:443 is for another host/,
        })
      })

      it('verifies that the certificate is for the address of the endpoint, not for that of the proxy', async () => {
        const right = await running(startProxyPeer((await start(await issue({ name: '10.1.2.3' }))).port))
        const postThrough = (proxy: Peer) =>
          post('https://10.1.2.3', { env: { ...env, HTTPS_PROXY: http(proxy) } })
        assert.equal((await postThrough(right)).status, 201)
        const wrong = await running(startProxyPeer((await start()).port))
        await assert.rejects(postThrough(wrong), {
          code: 'TLS_FAILED',
          message: /10\.1\.2\.3:443 is for another host/,
        })
      })

      for (const status of [403, 407, 502]) {
        it(`names the proxy and its answer ${status}, and no credentials`, async () => {
          const proxy = await running(startProxyPeer(1, { status }))
          const HTTPS_PROXY = `http://me:canary@127.0.0.1:${proxy.port}`
          await assert.rejects(open(endpoint, { env: { HTTPS_PROXY } }), (error: unknown) => {
            assert(error instanceof HoldfastError)
            assert.equal(error.code, 'PROXY_FAILED')
            assert.match(
              error.message,
              new RegExp(`proxy 127\\.0\\.0\\.1:${proxy.port} answered ${status} .*tunnel`),
            )
            assert.equal(/wants a user name/.test(error.message), status === 407)
            assert.doesNotMatch(inspect(error, { depth: 9 }), /canary|bWU6/)
            return true
          })
          assert.deepEqual(waits, [])
        })
      }

      it('names a proxy that is not there, or not one', async () => {
        const gone = await startBytesPeer(() => {})
        await gone.close()
        await assert.rejects(open(endpoint, { env: { HTTPS_PROXY: http(gone) } }), {
          code: 'NETWORK_FAILED',
          message: new RegExp(`127\\.0\\.0\\.1:${gone.port} refuses`),
        })
        const ssh = await running(startBytesPeer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')))
        await assert.rejects(open(endpoint, { env: { HTTPS_PROXY: http(ssh) } }), {
          code: 'PROXY_FAILED',
          message: new RegExp(`proxy 127\\.0\\.0\\.1:${ssh.port} is not HTTP`),
        })
      })

      it('is left out for a loopback endpoint', async () => {
        const proxy = await running(startProxyPeer(1))
        const all = { ...env, HTTPS_PROXY: http(proxy), HTTP_PROXY: http(proxy) }
        assert.equal((await post(https(await start()), { env: all })).status, 201)
        assert.equal((await post(http(await running(startHttpPeer(answer201))), { env: all })).status, 201)
        assert.equal(proxy.sockets.length, 0)
      })
    })
  })
})
