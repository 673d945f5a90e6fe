/**
 * Endpoints that cannot be reached, do not speak as they should, or answer nonsense: each is an error of status 6 in
 * time, and what a reply holds is never repeated. The built program against servers on the loopback interface.
 */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { ErrorCode } from '../../src/core/errors.js'
import { certificatePem, createFileKey } from '../support/certificates.js'
import { run } from '../support/command.js'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { type Peer, startBytesPeer, startHttpPeer, startHttpsPeer, startProxyPeer } from '../support/peers.js'
import { type ProgramResult, runHoldfast } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'

/** Stands where a reply, a URL or a file has a secret, and must not come out anywhere. */
const CANARY = 'Zq7-canary'

type Environment = Record<string, string | undefined>

describe('holdfast credential-process', () => {
  let edge: Edge
  let files: Record<string, string>
  const peers: Peer[] = []
  before(async () => {
    edge = await createEdge({ token: await createSoftHsmToken() })
    const key = await createFileKey('P-256')
    // A key in a file: no token has a say in how an endpoint is talked to.
    files = {
      '--certificate': await file('c.pem', certificatePem(await edge.authority.issue(key.publicKey))),
      '--private-key': await file('k.pem', key.privateKeyPem),
    }
  })
  after(async () => {
    for (const peer of peers) await peer.close()
    await edge.dispose()
  })

  const file = async (name: string, content: string) => {
    const path = join(edge.token.directory, name)
    await writeFile(path, content, { mode: 0o600 })
    return path
  }

  const open = async (peer: Promise<Peer>): Promise<number> => {
    peers.push(await peer)
    return (await peer).port
  }

  async function runAt(endpoint: string, changes: Record<string, string> = {}, env: Environment = {}) {
    const none = { '--pkcs11-uri': undefined, '--pkcs11-module': undefined }
    const args = credentialProcess(edge, { ...none, ...files, '--endpoint': endpoint, ...changes })
    const result = await runHoldfast(args, { env: { ...edge.env, ...env }, timeoutMs: 30_000 })
    assert.doesNotMatch(result.stdout + result.stderr, /canary/i)
    assert.ok(result.milliseconds < 20_000, `${result.milliseconds} ms`)
    return result
  }

  it('prints credentials at a good endpoint', async () => {
    assertCredentials(await runAt(edge.emulator.url))
  })

  describe('with an endpoint that cannot be reached', () => {
    it('says that nobody listens', async () => {
      const peer = await startBytesPeer(() => undefined)
      await peer.close()
      const result = await runAt(`http://127.0.0.1:${peer.port}`)
      assertFailure(result, 'NETWORK_FAILED', 6, /refuses connections/)
    })

    it('says that connections are dropped', async () => {
      const port = await open(startBytesPeer((socket) => socket.destroy()))
      assertFailure(
        await runAt(`http://127.0.0.1:${port}`),
        'NETWORK_FAILED',
        6,
        /broke the connection|hang up/,
      )
    })

    for (const scheme of ['http', 'https']) {
      it(`waits no longer than --timeout for one that says nothing (${scheme})`, async () => {
        const port = await open(startBytesPeer((socket) => socket.resume()))
        const result = await runAt(`${scheme}://127.0.0.1:${port}`, { '--timeout': '1' })
        assertFailure(result, 'DEADLINE_EXCEEDED', 6, /no answer within \d+ s \(--timeout\) while /)
      })
    }
  })

  describe('with TLS that is not to be trusted', () => {
    const DAY = 86_400_000
    const serve = async (options: object) => {
      const key = await createFileKey('P-256')
      const names = [{ type: 'ip' as const, value: '127.0.0.1' }]
      const certificate = await edge.authority.issue(key.publicKey, { subjectAltNames: names, ...options })
      const tls = { cert: certificatePem(certificate), key: key.privateKeyPem }
      return `https://127.0.0.1:${await open(startHttpsPeer(tls, (_, reply) => reply.end()))}`
    }
    const certificates: [title: string, options: object, code: ErrorCode, says: RegExp][] = [
      [
        'has expired',
        { notBefore: new Date(Date.now() - 9 * DAY), notAfter: new Date(Date.now() - DAY) },
        'TLS_FAILED',
        /has expired, and this machine's clock says/,
      ],
      [
        'is from the future',
        { notBefore: new Date(Date.now() + DAY) },
        'CLOCK_WRONG',
        /not valid yet.* set the clock/,
      ],
      [
        'is for another host',
        { subjectAltNames: [{ type: 'dns', value: 'a.test' }] },
        'TLS_FAILED',
        /another host/,
      ],
    ]
    for (const [title, options, code, says] of certificates) {
      it(`refuses a server whose certificate ${title}`, async () => {
        const bundle = await file('authority.pem', edge.authority.certificatePem)
        assertFailure(await runAt(await serve(options), {}, { AWS_CA_BUNDLE: bundle }), code, 6, says)
      })
    }

    it('refuses a server whose CA it does not know', async () => {
      const result = await runAt(edge.emulator.url, {}, { AWS_CA_BUNDLE: undefined })
      assertFailure(result, 'TLS_FAILED', 6, /not one that Node trusts.*AWS_CA_BUNDLE/)
    })

    it('refuses a server that speaks no TLS', async () => {
      const port = await open(startHttpPeer((_, reply) => reply.end()))
      assertFailure(await runAt(`https://127.0.0.1:${port}`), 'TLS_FAILED', 6, /must speak TLS 1\.2 or later/)
    })

    it('names a bad AWS_CA_BUNDLE', async () => {
      const fifo = join(edge.token.directory, 'fifo.pem')
      await run('mkfifo', [fifo])
      const bundles: [path: string, says: RegExp][] = [
        ['/nonexistent.pem', /cannot be read \(ENOENT\)/],
        [edge.token.directory, /is not a regular file/],
        [fifo, /is not a regular file/],
        ['/dev/zero', /is not a regular file/],
        [await file('words.pem', CANARY), /holds no PEM certificate/],
      ]
      for (const [path, says] of bundles) {
        const result = await runAt(edge.emulator.url, {}, { AWS_CA_BUNDLE: path })
        assertFailure(result, 'FILE_UNREADABLE', 4, says)
        assert.ok(result.stderr.includes(`AWS_CA_BUNDLE names ${path}`))
      }
    })
  })

  describe('with a proxy', () => {
    // Loopback hosts take no proxy, and a proxy looks up names by itself.
    const FAR = 'https://rolesanywhere.test'
    it('that is none, says so but not its password', async () => {
      for (const proxy of [`socks5://user:${CANARY}@127.0.0.1:1`, `::${CANARY}::`]) {
        assertFailure(await runAt(FAR, {}, { HTTPS_PROXY: proxy }), 'USAGE', 2, /HTTPS_PROXY must be/)
      }
    })

    it('that wants a password, says so', async () => {
      const port = await open(startProxyPeer(edge.emulator.port, { status: 407 }))
      const HTTPS_PROXY = `http://user:${CANARY}@127.0.0.1:${port}`
      const result = await runAt(FAR, { '--debug': 'true' }, { HTTPS_PROXY })
      assertFailure(result, 'PROXY_FAILED', 6, /answered 407.* wants a user name and password/)
    })

    it('that does not answer, waits no longer than --timeout', async () => {
      const port = await open(startBytesPeer((socket) => socket.resume()))
      const HTTPS_PROXY = `http://user:${CANARY}@127.0.0.1:${port}`
      const result = await runAt(FAR, { '--timeout': '1' }, { HTTPS_PROXY })
      assertFailure(result, 'DEADLINE_EXCEEDED', 6, /asking the proxy for a tunnel/)
    })
  })

  describe('with a bad answer', () => {
    const { roleArn, good } = {
      roleArn: () => edge.args[edge.args.indexOf('--role-arn') + 1],
      good: goodReply,
    }
    let answer: RequestListener
    let url: string
    let asked = 0
    before(async () => {
      url = `http://127.0.0.1:${await open(
        startHttpPeer((request, reply) => {
          asked++
          request.resume()
          answer(request, reply)
        }),
      )}`
    })
    const runWith = (
      listener: RequestListener,
      changes: Record<string, string> = {},
    ): Promise<ProgramResult> => {
      asked = 0
      answer = listener
      return runAt(url, { '--debug': 'true', ...changes })
    }
    const reply =
      (status: number, body: string, headers: Record<string, string> = {}): RequestListener =>
      (_, response) =>
        response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)

    /** A good reply, changed by `change`. */
    function goodReply(
      change: (set: Record<string, unknown>, credentials: Record<string, unknown>) => void,
    ): string {
      const credentials = {
        accessKeyId: 'ASIACANARY',
        secretAccessKey: CANARY,
        sessionToken: CANARY,
        expiration: new Date(Date.now() + 3_600_000).toISOString(),
      }
      const set = {
        credentials,
        roleArn: roleArn(),
        assumedRoleUser: { arn: 'arn:aws:sts::111122223333:assumed-role/edge/1', assumedRoleId: 'A:1' },
      }
      change(set, credentials)
      return JSON.stringify({ credentialSet: [set] })
    }

    it('would take that answer if it were good', async () => {
      answer = reply(
        201,
        good(() => undefined),
      )
      const args = credentialProcess(edge, {
        '--pkcs11-uri': undefined,
        '--pkcs11-module': undefined,
        ...files,
        '--endpoint': url,
      })
      const { status, stdout } = await runHoldfast(args, { env: edge.env })
      assert.equal(status, 0)
      assert.equal(JSON.parse(stdout).SecretAccessKey, CANARY)
    })

    const bodies: [title: string, body: () => string, says: RegExp][] = [
      ['no JSON', () => `<html>${CANARY}</html>`, /is not JSON/],
      ['half of the JSON', () => good(() => undefined).slice(0, -9), /is not JSON/],
      ['nothing', () => '', /is not JSON \(0 bytes\)/],
      ['a list', () => `["${CANARY}"]`, /not a JSON object/],
      ['no set', () => `{"credentials":"${CANARY}"}`, /no list "credentialSet"/],
      ['an empty set', () => '{"credentialSet":[]}', /"credentialSet" is empty/],
      ['a set of a wrong type', () => `{"credentialSet":["${CANARY}"]}`, /credentialSet\[0\] is not/],
      [
        'credentials for another role',
        () => good((set) => Object.assign(set, { roleArn: 'arn:aws:iam::1:role/x' })),
        /not for the role/,
      ],
      ['no credentials', () => good((set) => delete set.credentials), /credentials is not a JSON object/],
      ['no secret', () => good((_, own) => delete own.secretAccessKey), /secretAccessKey is missing/],
      [
        'a token of a wrong type',
        () => good((_, own) => Object.assign(own, { sessionToken: [CANARY] })),
        /sessionToken/,
      ],
      [
        'a token of two lines',
        () => good((_, own) => Object.assign(own, { sessionToken: `${CANARY}\n` })),
        /sessionToken/,
      ],
      [
        'no time',
        () => good((_, own) => Object.assign(own, { expiration: 'tomorrow' })),
        /expiration is not/,
      ],
      [
        'a time that is over',
        () => good((_, own) => Object.assign(own, { expiration: '2020-01-01T00:00:00Z' })),
        /expired/,
      ],
      [
        'another account',
        () =>
          good((set) =>
            Object.assign(set, { assumedRoleUser: { arn: 'arn:aws:sts::999999999999:assumed-role/x/y' } }),
          ),
        /another account/,
      ],
    ]
    for (const [title, body, says] of bodies) {
      it(`refuses one with ${title}, and does not repeat it`, async () => {
        assertFailure(await runWith(reply(201, body())), 'REPLY_INVALID', 6, says)
        assert.equal(asked, 1)
      })
    }

    it('refuses one without end', async () => {
      const endless: RequestListener = (_, response) => {
        const write = () => {
          while (!response.destroyed && response.write('"'.repeat(65536)));
        }
        response
          .writeHead(201)
          .on('drain', write)
          .on('error', () => undefined)
        write()
      }
      assertFailure(await runWith(endless), 'REPLY_INVALID', 6, /longer than 1 MiB/)
    })

    it('waits no longer than --timeout for one that drips', async () => {
      const drip = (_: IncomingMessage, response: ServerResponse) => {
        response.writeHead(201)
        const timer = setInterval(() => response.write(' '), 50)
        response.on('close', () => clearInterval(timer))
      }
      assertFailure(
        await runWith(drip, { '--timeout': '1' }),
        'DEADLINE_EXCEEDED',
        6,
        /waiting for the answer/,
      )
    })

    it('refuses one that is not HTTP', async () => {
      const port = await open(startBytesPeer((socket) => socket.end(`${CANARY}\r\n\r\n`)))
      assertFailure(await runAt(`http://127.0.0.1:${port}`), 'REPLY_INVALID', 6, /not HTTP/)
    })

    it('follows no redirect', async () => {
      const result = await runWith(reply(307, '', { location: edge.emulator.url }))
      assertFailure(result, 'REPLY_INVALID', 6, /307/)
      assert.equal(asked, 1)
    })

    const refusals: [status: number, body: string, code: ErrorCode, exit: number, tries: number][] = [
      [429, '{"message":"Rate exceeded"}', 'THROTTLED', 6, 3],
      [503, '{"message":"Service unavailable"}', 'SERVICE_UNAVAILABLE', 6, 3],
      [500, '<html>', 'SERVICE_UNAVAILABLE', 6, 3],
      [
        403,
        '{"message":"Untrusted signing certificate\\u001b[31m\\nholdfast: lies"}',
        'REFUSED_UNTRUSTED_CERTIFICATE',
        5,
        1,
      ],
      [400, '{"message":"wrong"}', 'REFUSED_REQUEST', 5, 1],
      [404, '{"message":"no such profile"}', 'REFUSED_NOT_FOUND', 5, 1],
    ]
    for (const [status, body, code, exit, tries] of refusals) {
      it(`gives up after ${tries} ${tries === 1 ? 'try' : 'tries'} if it is always ${status} ${body.slice(0, 20)}`, async () => {
        const result = await runWith(reply(status, body))
        assertFailure(result, code, exit, new RegExp(`the answer was ${status}`))
        assert.doesNotMatch(result.stderr, /the certificate the certificate/)
        assert.equal(asked, tries)
      })
    }
  })
})
