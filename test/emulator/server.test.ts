/** The emulator on real loopback sockets: HTTP, HTTPS, faults, journal and state file. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HttpRequest } from '../../src/emulator/http-message.js'
import { quickStart } from '../../src/emulator/quick-start.js'
import { type Emulator, type EmulatorOptions, startEmulator } from '../../src/emulator/server.js'
import { type Identity, makeCa, makeLeaf } from './pki.js'
import { signedRequest } from './request-signer.js'

const ROLE = 'arn:aws:iam::111122223333:role/edge'

interface Received {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: { message?: string; credentialSet?: unknown[]; [name: string]: unknown }
}

/** Sends `request` as it is, over a connection of its own. */
function send(emulator: Emulator, request: HttpRequest, ca = emulator.tlsCaPem): Promise<Received> {
  const start = emulator.url.startsWith('https:') ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const outgoing = start(
      `${emulator.url}${request.path}${request.query === '' ? '' : `?${request.query}`}`,
      {
        method: request.method,
        agent: false,
        headers: Object.fromEntries([...request.headers].map(([name, values]) => [name, values.join()])),
        ca,
      },
      (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk) => chunks.push(chunk))
        incoming.on('end', () => {
          const body = JSON.parse(Buffer.concat(chunks).toString())
          resolve({ status: incoming.statusCode!, headers: incoming.headers, body })
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(request.body)
  })
}

function plainRequest(method: string, path: string, body?: unknown): HttpRequest {
  const headers = new Map([['content-type', ['application/json']]])
  return { method, path, query: '', headers, body: Buffer.from(JSON.stringify(body) ?? '') }
}

describe('startEmulator', () => {
  let ca: Identity
  let leaf: Identity
  let folder: string
  const running: Emulator[] = []

  before(async () => {
    ca = await makeCa()
    leaf = await makeLeaf(ca)
    folder = mkdtempSync(join(tmpdir(), 'emulator-'))
  })
  after(() => rmSync(folder, { recursive: true }))
  afterEach(async () => {
    await Promise.all(running.splice(0).map((emulator) => emulator.close()))
  })

  async function start(options?: EmulatorOptions) {
    const emulator = await startEmulator(options)
    running.push(emulator)
    const arns = quickStart(emulator, { caPem: ca.pem, roleArn: ROLE })
    emulator.save()
    const session = () =>
      send(
        emulator,
        signedRequest(leaf, { host: new URL(emulator.url).host, body: arns, date: emulator.now() }),
      )
    return { emulator, arns, session }
  }

  it('gives a session over HTTP', async () => {
    const { emulator, session } = await start()
    assert.match(emulator.url, /^http:\/\/127\.0\.0\.1:\d+$/)
    assert.equal((await session()).status, 201)
  })

  it('gives a session over HTTPS to a client that trusts its CA', async () => {
    const { emulator, session } = await start({ tls: true })
    assert.match(emulator.url, /^https:\/\/127\.0\.0\.1:\d+$/)
    assert.equal((await session()).status, 201)
  })

  it('is not trusted over HTTPS by a client that trusts another CA', async () => {
    const { emulator, arns } = await start({ tls: true })
    const request = signedRequest(leaf, { host: new URL(emulator.url).host, body: arns })
    await assert.rejects(send(emulator, request, ca.pem), {
      code: /UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET/,
    })
  })

  it('names a request id, the error type and the reason in the headers of a refusal', async () => {
    const { emulator, arns } = await start()
    const { status, headers, body } = await send(
      emulator,
      signedRequest(leaf, { body: arns, host: 'elsewhere' }),
    )
    assert.equal(status, 201, 'the host is whatever was sent and signed')
    const bent = signedRequest(leaf, { body: arns, serial: '5' })
    const refused = await send(emulator, bent)
    assert.equal(refused.status, 403)
    assert.deepEqual(refused.body, { message: 'Invalid signature' })
    assert.equal(refused.headers['x-amzn-errortype'], 'AccessDeniedException')
    assert.match(String(refused.headers['x-amzn-requestid']), /^[0-9a-f-]{36}$/)
    assert.match(String(refused.headers['x-emulator-reason']), /serial number/)
    assert.ok(body.credentialSet && headers['x-emulator-reason'] === undefined)
  })

  it('keeps the headers of a refusal small and plain, whatever was sent', async () => {
    const { emulator } = await start()
    const body = { name: `\u2603\n${'x'.repeat(100_000)}`, roleArns: [] }
    const { status, headers } = await send(emulator, plainRequest('POST', '/profiles', body))
    assert.equal(status, 400)
    assert.match(String(headers['x-emulator-reason']), /^[\x20-\x7e]{500}$/)
  })

  it('tells the time of its own clock', async () => {
    const now = new Date('2026-11-01T12:00:00Z')
    const { emulator } = await start({ now: () => now })
    const reply = await send(emulator, plainRequest('GET', '/profiles'))
    assert.equal(reply.headers.date, now.toUTCString())
  })

  it('journals what it answered and counts connections', async () => {
    const { emulator, session } = await start()
    await session()
    await send(emulator, plainRequest('POST', '/nothing', {}))
    assert.deepEqual(
      emulator.journal.map(({ requestId, ...entry }) => entry),
      [
        { method: 'POST', path: '/sessions', status: 201 },
        {
          method: 'POST',
          path: '/nothing',
          status: 404,
          errorType: 'UnknownOperationException',
          reason: 'there is no POST /nothing',
        },
      ],
    )
    assert.equal(emulator.connections, 2)
  })

  it('refuses a body of more than a mebibyte', async () => {
    const { emulator } = await start()
    const reply = await send(emulator, {
      ...plainRequest('POST', '/profiles', {}),
      body: Buffer.alloc(1024 * 1024 + 1),
    })
    assert.equal(reply.status, 413)
  })

  it('injects faults in their order and number, then answers again', async () => {
    const { emulator, session } = await start()
    emulator.faults.failNext('throttle', 2)
    emulator.faults.failNext('unavailable')
    emulator.faults.failNext('error')
    emulator.faults.failNext('drop')
    const statuses: (number | string)[] = []
    for (let turn = 0; turn < 6; turn += 1) {
      statuses.push(
        await session().then(
          ({ status }) => status,
          (error) => error.code,
        ),
      )
    }
    assert.deepEqual(statuses, [429, 429, 503, 500, 'ECONNRESET', 201])
    assert.equal(emulator.journal[0]!.errorType, 'ThrottlingException')
  })

  it('takes faults over the wire, and spares everything but sessions', async () => {
    const { emulator, session } = await start()
    await send(
      emulator,
      plainRequest('PUT', '/_emulator/faults', { latencyMs: 1, failNext: [{ kind: 'throttle', count: 9 }] }),
    )
    assert.equal((await send(emulator, plainRequest('GET', '/profiles'))).status, 200)
    assert.equal((await session()).status, 429)
    await send(emulator, plainRequest('PUT', '/_emulator/faults', {}))
    assert.equal((await session()).status, 201)
  })

  it('refuses a fault it does not know', async () => {
    const { emulator } = await start()
    const reply = await send(
      emulator,
      plainRequest('PUT', '/_emulator/faults', { failNext: [{ kind: 'rain' }] }),
    )
    assert.equal(reply.status, 400)
  })

  it('closes while a delayed answer is pending', async () => {
    const { emulator, session } = await start()
    emulator.faults.latencyMs = 600_000
    const pending = assert.rejects(session(), { code: 'ECONNRESET' })
    while (emulator.connections === 0) await new Promise(setImmediate)
    await emulator.close()
    await pending
  })

  it('keeps its state in a file, and adds nothing when it starts again with the same identity', async () => {
    const stateFile = join(folder, 'state.json')
    const first = await start({ stateFile })
    assert.equal((await first.session()).status, 201)
    await first.emulator.close()
    const second = await start({ stateFile })
    assert.deepEqual(second.arns, first.arns)
    assert.deepEqual(second.emulator.state, JSON.parse(readFileSync(stateFile, 'utf8')))
    assert.equal(second.emulator.state.subjects.length, 1)
    assert.equal((await second.session()).status, 201)
  })

  it('refuses a state file of another region, or of something else', async () => {
    const stateFile = join(folder, 'other.json')
    await start({ stateFile })
    await assert.rejects(startEmulator({ stateFile, region: 'eu-west-1' }), { type: 'ValidationException' })
    writeFileSync(stateFile, '{"version":1}')
    await assert.rejects(startEmulator({ stateFile }), { type: 'ValidationException' })
    writeFileSync(stateFile, '{')
    await assert.rejects(startEmulator({ stateFile }), { type: 'ValidationException' })
  })

  it('refuses a region or an account that cannot be', async () => {
    await assert.rejects(startEmulator({ region: 'nowhere' }), { type: 'ValidationException' })
    await assert.rejects(startEmulator({ account: '1' }), { type: 'ValidationException' })
  })
})
