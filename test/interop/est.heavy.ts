/**
 * EST: the client against GlobalSign's server, built from its Go module.
 * @see https://github.com/globalsign/est
 */

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type EstOperation, parseEstUrl, readEstReply } from '../../src/core/enroll/est.js'
import { askEstServer, type EstClientOptions } from '../../src/io/network/est.js'
import {
  type Authority,
  certificatePem,
  createAuthority,
  createFileKey,
  type FileKey,
} from '../support/certificates.js'
import { run } from '../support/command.js'
import { startBytesPeer } from '../support/peers.js'

const MODULE = 'github.com/globalsign/est'
const VERSION = 'v1.0.6'

describe("GlobalSign's EST server", () => {
  let folder: string
  let authority: Authority
  let key: FileKey
  let server: ChildProcess | undefined
  let url: string
  before(async function () {
    this.timeout(300_000)
    folder = await mkdtemp(join(tmpdir(), 'holdfast-est-'))
    const program = await buildServer(folder)
    authority = await createAuthority()
    key = await createFileKey('P-256')
    const address = await findFreeAddress()
    const config = await writeConfig(folder, authority, address)
    server = spawn(program, ['-config', config], { stdio: 'ignore' })
    url = `https://${address}`
    await answering(address)
  })
  after(async () => {
    if (server?.kill()) await once(server, 'exit')
    // Go makes the folders of its module cache read-only.
    await run('chmod', ['-R', 'u+w', folder])
    await rm(folder, { recursive: true, force: true })
  })

  async function ask(
    operation: EstOperation,
    subject = '/CN=edge-1',
    label = '',
    more: Partial<EstClientOptions> = {},
  ) {
    const options = {
      url: parseEstUrl(label === '' ? url : `${url}/.well-known/est/${label}`),
      ca: authority.certificatePem,
      env: {},
      now: () => new Date(),
      ...more,
    }
    const csr = operation === 'cacerts' ? undefined : makeRequest(key, subject)
    const reply = await askEstServer({ operation, csr }, options, { signal: AbortSignal.timeout(30_000) })
    return readEstReply(reply, { server: 'GlobalSign', operation, now: new Date() })
  }

  it('gives the certificates of its CA', async () => {
    const answer = await ask('cacerts')
    assert.ok(answer.kind === 'issued')
    assert.deepEqual(Buffer.from(answer.certificates[0]!.der), Buffer.from(authority.certificate))
  })

  it('enrols, and renews for whom shows that certificate', async () => {
    const first = await ask('simpleenroll')
    assert.ok(first.kind === 'issued')
    const certificate = first.certificates[0]!
    assert.deepEqual(Buffer.from(certificate.publicKeyInfo), Buffer.from(key.publicKey))
    const clientCertificate = { certificate: certificatePem(certificate.der), key: key.privateKeyPem }
    const second = await ask('simplereenroll', '/CN=edge-1', '', { clientCertificate })
    assert.equal(second.kind, 'issued')
    await assert.rejects(ask('simplereenroll'), { code: 'ISSUER_REFUSED', message: /403/ })
  })

  it('makes wait, refuses and breaks in words that are passed on', async () => {
    const label = 'triggererrors'
    assert.deepEqual(await ask('simpleenroll', '/CN=Trigger Error Deferred', label), {
      kind: 'pending',
      retryAfterSeconds: 600,
    })
    await assert.rejects(ask('simpleenroll', '/CN=Trigger Error Forbidden', label), {
      code: 'ISSUER_REFUSED',
      message: /triggered forbidden response/,
    })
    await assert.rejects(ask('simpleenroll', '/CN=Trigger Error Unknown', label), {
      code: 'SERVICE_UNAVAILABLE',
    })
  })
})

async function buildServer(folder: string): Promise<string> {
  const env = { GOPATH: join(folder, 'go'), GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' }
  await writeFile(join(folder, 'go.mod'), `module judge\n\ngo 1.17\n\nrequire ${MODULE} ${VERSION}\n`)
  await run(
    'sh',
    ['-c', 'cd "$1" && go build -o estserver "$2"', 'sh', folder, `${MODULE}/cmd/estserver`],
    env,
    280_000,
  )
  return join(folder, 'estserver')
}

async function writeConfig(folder: string, authority: Authority, address: string): Promise<string> {
  const write = async (name: string, text: string) => {
    await writeFile(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  const tls = await authority.issueServer()
  const ca = await write('ca.pem', authority.certificatePem)
  const config = {
    mock_ca: { certificates: ca, private_key: await write('ca.key', authority.privateKeyPem) },
    tls: {
      listen_address: address,
      certificates: await write('tls.pem', tls.cert),
      private_key: await write('tls.key', tls.key),
      client_cas: [ca],
    },
    allowed_hosts: ['127.0.0.1'],
    rate_limit: 0,
    timeout: 30,
  }
  return write('config.json', JSON.stringify(config))
}

async function findFreeAddress(): Promise<string> {
  const peer = await startBytesPeer(() => {})
  await peer.close()
  return `127.0.0.1:${peer.port}`
}

/** Waits until somebody listens there: the server says only that it is about to. */
async function answering(address: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const socket = connect(Number(address.split(':')[1]), '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    await delay(100)
  }
  throw new Error(`nobody answers at ${address}`)
}

function makeRequest({ privateKeyPem }: FileKey, subject: string): Uint8Array {
  // OpenSSL opens it by its name, which takes a pipe, where Node gives a socket.
  const command = `cat | openssl req -new -key /dev/stdin -subj '${subject}' -outform DER`
  return new Uint8Array(execFileSync('sh', ['-c', command], { input: privateKeyPem }))
}
