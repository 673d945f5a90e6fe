/** The EST client against a strict server, a server that misbehaves, and a proxy. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import type { RequestListener } from 'node:http'
import { type EstOperation, parseEstUrl, readEstReply } from '../../../src/core/enroll/est.js'
import { HoldfastError } from '../../../src/core/errors.js'
import { askEstServer, type EstClientOptions } from '../../../src/io/network/est.js'
import {
  type Authority,
  certificatePem,
  createAuthority,
  createFileKey,
  type FileKey,
} from '../../support/certificates.js'
import { type EstServer, type EstServerOptions, startEstServer } from '../../support/est-server.js'
import { ended, type Peer, startBytesPeer, startProxyPeer } from '../../support/peers.js'

const never = new AbortController().signal

describe('askEstServer', () => {
  let authority: Authority
  let key: FileKey
  let csr: Uint8Array
  const peers: Peer[] = []
  before(async () => {
    authority = await createAuthority()
    key = await createFileKey('P-256')
    csr = makeRequest(key, '/CN=edge-1')
  })
  afterEach(async () => {
    await Promise.all(peers.splice(0).map((peer) => peer.close()))
  })

  async function running<T extends Peer>(starting: Promise<T>): Promise<T> {
    const peer = await starting
    peers.push(peer)
    return peer
  }
  const start = (options: Partial<EstServerOptions> = {}) =>
    running(startEstServer({ authority, ...options }))

  async function ask(
    url: string,
    operation: EstOperation,
    more: Partial<EstClientOptions> = {},
    signal = never,
  ) {
    const options = {
      url: parseEstUrl(url),
      ca: authority.certificatePem,
      env: {},
      now: () => new Date(),
      ...more,
    }
    const reply = await askEstServer({ operation, csr: operation === 'cacerts' ? undefined : csr }, options, {
      signal,
    })
    return readEstReply(reply, { server: 'the server', operation, now: new Date() })
  }

  async function issuedBy(
    server: EstServer,
    ...rest: Parameters<typeof ask> extends [string, ...infer R] ? R : never
  ) {
    const answer = await ask(server.url, ...rest)
    assert.ok(answer.kind === 'issued')
    return answer.certificates.map(({ der }) => Buffer.from(der))
  }

  async function clientCertificate(by = authority) {
    const certificate = certificatePem(await by.issue(key.publicKey))
    return { certificate, key: key.privateKeyPem }
  }

  it('fetches the certificates of the CA', async () => {
    assert.deepEqual(await issuedBy(await start(), 'cacerts'), [Buffer.from(authority.certificate)])
  })

  it('enrols with a request that the server can verify', async () => {
    const server = await start()
    assert.deepEqual(await issuedBy(server, 'simpleenroll'), server.issued.map(Buffer.from))
    assert.deepEqual(server.asked, ['POST /.well-known/est/simpleenroll'])
  })

  it('renews for the names that it had', async () => {
    const server = await start()
    await issuedBy(server, 'simpleenroll')
    assert.equal((await issuedBy(server, 'simplereenroll')).length, 1)
  })

  it('asks below a label', async () => {
    const server = await start({ label: 'devices' })
    await ask(`${server.url}/.well-known/est/devices`, 'simpleenroll')
    await assert.rejects(ask(server.url, 'simpleenroll'), { code: 'ISSUER_REFUSED', message: /404/ })
  })

  it('sends user and password', async () => {
    const server = await start({ login: 'edge:pässword:x' })
    await ask(server.url, 'simpleenroll', { login: { user: 'edge', password: 'pässword:x' } })
    await assert.rejects(ask(server.url, 'simpleenroll', { login: { user: 'edge', password: 'canary' } }), {
      code: 'ISSUER_REFUSED',
      message: /"who are you\?".*--est-user(?!.*canary)/,
    })
  })

  it('shows a certificate in TLS', async () => {
    const server = await start({ clientCertificate: true })
    await ask(server.url, 'simpleenroll', { clientCertificate: await clientCertificate() })
    await assert.rejects(ask(server.url, 'simpleenroll'), {
      code: 'ISSUER_REFUSED',
      message: /no certificate/,
    })
    const stranger = await clientCertificate(await createAuthority('Stranger'))
    await assert.rejects(ask(server.url, 'simpleenroll', { clientCertificate: stranger }), {
      code: 'ISSUER_REFUSED',
    })
  })

  it('refuses a client certificate that is not its key’s', async () => {
    const pair = { ...(await clientCertificate()), key: (await createFileKey('P-256')).privateKeyPem }
    const server = await start()
    await assert.rejects(ask(server.url, 'cacerts', { clientCertificate: pair }), { code: 'KEY_MISMATCH' })
  })

  it('says when a person must approve first', async () => {
    const server = await start()
    server.instead.push((_, response) => response.writeHead(202, { 'Retry-After': '7' }).end('wait'))
    assert.deepEqual(await ask(server.url, 'simpleenroll'), { kind: 'pending', retryAfterSeconds: 7 })
  })

  it('trusts nobody but the named CA', async () => {
    const server = await start()
    const { certificatePem: other } = await createAuthority('Other')
    for (const [ca, message] of [
      [undefined, /is not one that Node trusts.* name .* in --est-ca/],
      [other, /is not in the bundle of --est-ca, which replaces the usual ones/],
    ] as const) {
      await assert.rejects(ask(server.url, 'simpleenroll', { ca }), {
        code: 'TLS_FAILED',
        message,
      })
    }
    assert.deepEqual(server.asked, [])
  })

  it('is not talked out of verification by NODE_TLS_REJECT_UNAUTHORIZED', async () => {
    const server = await start()
    const former = process.env.NODE_TLS_REJECT_UNAUTHORIZED
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    try {
      await assert.rejects(ask(server.url, 'cacerts', { ca: undefined }), { code: 'TLS_FAILED' })
    } finally {
      if (former === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = former
    }
  })

  it('refuses a server of another name', async () => {
    const server = await start()
    await assert.rejects(ask(`https://127.0.0.2:${server.port}`, 'cacerts'), {
      code: /TLS_FAILED|NETWORK_FAILED/,
    })
    const elsewhere = await running(startProxyPeer(server.port))
    const env = { HTTPS_PROXY: `http://127.0.0.1:${elsewhere.port}` }
    await assert.rejects(ask('https://another.test', 'cacerts', { env }), {
      code: 'TLS_FAILED',
      message: /for another host/,
    })
  })

  it('goes through a proxy', async () => {
    const server = await start()
    const proxy = await running(startProxyPeer(server.port))
    const env = { HTTPS_PROXY: `http://user:secret@127.0.0.1:${proxy.port}` }
    const answer = await ask('https://ca.test:8443', 'simpleenroll', { env })
    assert.equal(answer.kind, 'issued')
    assert.deepEqual(proxy.asked, [
      { target: 'ca.test:8443', authorization: `Basic ${Buffer.from('user:secret').toString('base64')}` },
    ])
    await ended(proxy.sockets[0]!)
  })

  it('says what a proxy refuses', async () => {
    const proxy = await running(startProxyPeer(1, { status: 407 }))
    const env = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` }
    await assert.rejects(ask('https://ca.test', 'cacerts', { env }), { code: 'PROXY_FAILED', message: /407/ })
  })

  it('follows no redirect', async () => {
    const [server, other] = [await start(), await start()]
    server.instead.push((_, response) => response.writeHead(307, { Location: `${other.url}/` }).end())
    await assert.rejects(ask(server.url, 'simpleenroll'), { code: 'REPLY_INVALID', message: /not followed/ })
    assert.deepEqual(other.sockets.length, 0)
  })

  it('ends an endless answer', async () => {
    const server = await start()
    server.instead.push((_, response) => {
      const more = () => response.write(Buffer.alloc(65536), (error) => error || more())
      more()
    })
    await assert.rejects(ask(server.url, 'cacerts'), { code: 'REPLY_INVALID', message: /1 MiB/ })
    await ended(server.sockets[0]!)
  })

  const silent: RequestListener = () => {}
  const cut: RequestListener = (_, response) => {
    response.writeHead(200, { 'Content-Length': '10' }).write('x')
    response.socket?.destroySoon()
  }
  it('gives up when the time is up', async () => {
    const server = await start()
    const controller = new AbortController()
    server.instead.push(() => controller.abort(new HoldfastError('DEADLINE_EXCEEDED', 'late')), silent)
    await assert.rejects(ask(server.url, 'cacerts', {}, controller.signal), {
      code: 'DEADLINE_EXCEEDED',
      message: /while waiting for the answer \(127/,
    })
    await ended(server.sockets[0]!)
  })

  it('passes on why the caller gave up, if that was not the time', async () => {
    const signal = AbortSignal.abort(new HoldfastError('INTERRUPTED', '^C'))
    await assert.rejects(ask('https://127.0.0.1:1', 'cacerts', {}, signal), { code: 'INTERRUPTED' })
  })

  it('says when an answer is cut off', async () => {
    const server = await start()
    server.instead.push(cut)
    await assert.rejects(ask(server.url, 'cacerts'), { code: 'NETWORK_FAILED' })
  })

  it('says when nobody is there, or who is there speaks no TLS', async () => {
    await assert.rejects(ask('https://127.0.0.1:1', 'cacerts'), {
      code: 'NETWORK_FAILED',
      message: /127\.0\.0\.1:1/,
    })
    const words = await running(startBytesPeer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n')))
    await assert.rejects(ask(`https://127.0.0.1:${words.port}`, 'cacerts'), { code: 'TLS_FAILED' })
  })
})

function makeRequest({ privateKeyPem }: FileKey, subject: string): Uint8Array {
  // OpenSSL opens it by its name, which takes a pipe, where Node gives a socket.
  const command = `cat | openssl req -new -key /dev/stdin -subj ${subject} -outform DER`
  return new Uint8Array(execFileSync('sh', ['-c', command], { input: privateKeyPem }))
}
