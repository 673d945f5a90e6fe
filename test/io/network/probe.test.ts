import assert from 'node:assert/strict'
import { HoldfastError } from '../../../src/core/errors.js'
import { startEmulator } from '../../../src/emulator/server.js'
import { probeRolesAnywhere } from '../../../src/io/network/probe.js'
import { type Peer, startBytesPeer, startHttpPeer, startProxyPeer } from '../../support/peers.js'

describe('probeRolesAnywhere', () => {
  const peers: Peer[] = []
  afterEach(async () => {
    for (const peer of peers.splice(0)) await peer.close()
  })
  const open = async <T extends Peer>(peer: Promise<T>): Promise<T> => {
    const opened = await peer
    peers.push(opened)
    return opened
  }
  const probe = (
    url: string,
    options: {
      env?: Record<string, string>
      timeoutMs?: number
      verifyTls?: boolean
      signal?: AbortSignal
    } = {},
  ) => {
    const { env = {}, verifyTls, signal = new AbortController().signal } = options
    const now = () => new Date()
    return probeRolesAnywhere({ endpoint: new URL(url), env, verifyTls, now }, { signal })
  }
  const done = ({ steps }: Awaited<ReturnType<typeof probe>>) => steps.map((step) => step.done)

  it('tells each step, the issuer of the TLS certificate, and the answer', async () => {
    const emulator = await startEmulator({ tls: true })
    try {
      const found = await probe(emulator.url.replace('127.0.0.1', 'localhost'), { verifyTls: false })
      assert.deepEqual([...new Set(done(found))], ['looked up', 'connected', 'secured'])
      const secured = found.steps.find((step) => step.done === 'secured')
      assert.match(secured?.issuer.commonName ?? '', /^holdfast emulator TLS CA/)
      assert.match(secured?.protocol ?? '', /^TLSv1\.[23]$/)
      assert.ok(Number.isFinite(Date.parse(found.reply?.headers.date ?? '')))
      assert.equal(emulator.journal.length, 1)
      assert.equal(emulator.journal[0]?.method, 'HEAD')
    } finally {
      await emulator.close()
    }
  })

  it('tells how far it came before a fault', async () => {
    const { port } = await open(startHttpPeer((_, reply) => reply.end()))
    const found = await probe(`https://127.0.0.1:${port}`)
    assert.deepEqual(done(found), ['connected'])
    assert.equal(found.fault?.code, 'TLS_FAILED')
    assert.equal(found.reply, undefined)
  })

  it('goes through the tunnel of a proxy', async () => {
    const emulator = await startEmulator({ tls: true })
    const proxy = await open(startProxyPeer(emulator.port))
    const found = await probe('https://rolesanywhere.test', {
      env: { HTTPS_PROXY: `127.0.0.1:${proxy.port}` },
      verifyTls: false,
    })
    await emulator.close()
    assert.deepEqual(done(found), ['connected', 'tunnelled', 'secured'])
    assert.deepEqual(
      proxy.asked.map(({ target }) => target),
      ['rolesanywhere.test:443'],
    )
  })

  it('ends when it is told to, with the reason', async () => {
    const peer = await open(startBytesPeer((socket) => socket.resume()))
    for (const code of ['INTERRUPTED', 'DEADLINE_EXCEEDED'] as const) {
      const end = new AbortController()
      const probing = probe(`http://127.0.0.1:${peer.port}`, { signal: end.signal })
      await peer.nextSocket()
      end.abort(new HoldfastError(code, 'enough'))
      assert.equal((await probing).fault?.code, code)
    }
  })
})
