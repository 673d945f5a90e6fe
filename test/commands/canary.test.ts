/**
 * Secrets come out where they must, and nowhere else: PINs, private keys, session credentials and passwords are
 * planted, and looked for in all that the program prints, also with --debug, in what it leaves on disk, and in the
 * command lines and environments of processes. The ways out that there are stand in the tests.
 */

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { quickStart } from '../../src/emulator/quick-start.js'
import { startEmulator } from '../../src/emulator/server.js'
import { certificatePem, createFileKey } from '../support/certificates.js'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { startHttpPeer, startProxyPeer } from '../support/peers.js'
import { type Given, PIN_PLACES, type PinEdge, withPinEdge } from '../support/pin-edge.js'
import { type ProgramResult, runHoldfast } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'

/** A secret that stands nowhere else on this machine; it needs no quotes and no percent-encoding. */
const plant = () => `Zq7-${randomUUID()}`

/** The secret as it is, and in the forms in which it might slip through. */
function forms(secret: string): string[] {
  const bytes = Buffer.from(secret)
  return [secret, bytes.toString('hex'), bytes.toString('base64'), bytes.toString('base64url')]
}

/** Asserts that none of the texts, named by their keys, has one of the secrets in it. */
function assertAbsent(texts: Readonly<Record<string, string>>, ...secrets: string[]): void {
  for (const [where, text] of Object.entries(texts)) {
    for (const form of secrets.flatMap(forms)) assert.ok(!text.includes(form), `a secret is in ${where}`)
  }
}

/** Content of all files below a folder. */
async function readAll(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
  return Object.fromEntries(
    await Promise.all(files.map(async (file) => [file, await readFile(file, 'latin1')])),
  )
}

/** `cmdline` or `environ` of the processes, as everybody or their owner can read them. */
async function readProcesses(kind: 'cmdline' | 'environ', pids: readonly (string | number)[]) {
  const read = async (pid: string | number) =>
    [`/proc/${pid}/${kind}`, await readFile(`/proc/${pid}/${kind}`, 'latin1').catch(() => '')] as const
  return Object.fromEntries(await Promise.all(pids.map(read)))
}

const allProcesses = async () => (await readdir('/proc')).filter((name) => /^\d+$/.test(name))

describe('a PIN', () => {
  /** What is looked at in each place: a run that succeeds, one while it holds the PIN, one with a wrong PIN. */
  async function assertKept(edge: PinEdge, lay: (pin: string) => Promise<Given>, ownEnviron = false) {
    const wrong = plant()
    const { pin } = edge.token
    const debug = async (given: Given): Promise<Given> => ({
      ...given,
      flags: { ...given.flags, '--debug': 'true' },
    })

    await assertKeptInProcess(edge, await debug(await lay(pin)), ownEnviron)
    const good = await edge.run(await debug(await lay(pin)))
    assertCredentials(good, /debug: /)
    const given = await debug(await lay(wrong))
    const refused = await edge.run(given)
    assertFailure(refused, 'PIN_INCORRECT', 3)
    const again = await edge.run(given)
    assertFailure(again, 'PIN_REFUSED_BEFORE', 3)
    const outputs = [good, refused, again].map(({ stdout, stderr }) => stdout + stderr).join()
    assertAbsent({ outputs, ...(await readAll(edge.home)) }, pin, wrong)
  }

  async function assertKeptInProcess(edge: PinEdge, given: Given, ownEnviron: boolean): Promise<void> {
    const { pin } = edge.token
    const { args, hungProcess, ...options } = await edge.prepare({ ...given, faults: 'C_Sign=hang' })
    let program: number | undefined
    const result = runHoldfast(args, {
      ...options,
      started: (child) => {
        program = child.pid
      },
    })
    const child = await hungProcess(result)
    try {
      assertAbsent(await readProcesses('cmdline', await allProcesses()), pin)
      // The program's own environment holds HOLDFAST_PIN for as long as it runs: no process can take that back.
      assertAbsent(await readProcesses('environ', ownEnviron ? [child] : [child, program!]), pin)
    } finally {
      process.kill(program!, 'SIGTERM')
    }
    const { stdout, stderr } = await result
    assertAbsent({ stdout, stderr }, pin)
  }

  for (const { place, lay } of PIN_PLACES) {
    it(`in ${place} comes out nowhere but at the token`, async () => {
      const token = await createSoftHsmToken({ pin: plant() })
      await withPinEdge({ token }, (edge) =>
        assertKept(edge, (pin) => lay(edge, pin), place === 'HOLDFAST_PIN'),
      )
    })
  }

  it('in a config file comes out nowhere but at the token', async () => {
    const token = await createSoftHsmToken({ pin: plant() })
    await withPinEdge({ token }, async (edge) => {
      const file = join(token.directory, 'config.toml')
      const run = async (uri: string) => {
        const settings = credentialProcess(edge, { '--pkcs11-uri': uri }).slice(1)
        const lines = settings.flatMap((flag, index) =>
          index % 2 === 0 ? [`${flag.slice(2)} = ${JSON.stringify(settings[index + 1])}`] : [],
        )
        await writeFile(file, ['[identity.edge]', ...lines, ''].join('\n'), { mode: 0o600 })
        const { home, env } = edge
        return runHoldfast(['credential-process', 'edge', '--config', file, '--debug'], { home, env })
      }
      const good = await run(`${edge.bareUri}?pin-value=${token.pin}`)
      assertCredentials(good, /debug: /)
      const broken = await run(`${edge.bareUri}?pin-value=${token.pin}%`)
      assertFailure(broken, 'CONFIG_INVALID', 2)
      const outputs = [good, broken].map(({ stdout, stderr }) => stdout + stderr).join()
      assertAbsent({ outputs, ...(await readAll(edge.home)) }, token.pin)
    })
  })

  it('in a URI that is mistyped is not repeated', async () => {
    const pin = plant()
    const uris = [
      `pkcs11:token=a?pin-value=${pin}%`,
      `pkcs11:token=a?pin-value=${pin}#`,
      `pkcs11:token=a;pin-value=${pin}`,
      `pkcs11:token=a?pin-valu=${pin}`,
      `pkcs11:token=a&pin-value=${pin}`,
      `pkcs11:token=a?PIN-VALUE=${pin}`,
      `pkcs11:token=a?pin-source=|echo ${pin}`,
      `pkcs12:token=a?pin-value=${pin}`,
    ]
    const lines = [
      ...uris.map((uri) => ['--pkcs11-uri', uri]),
      ...[['--certificate'], ['--unknown'], []].map((words) => [...words, uris[3]!]),
    ]
    for (const words of lines) {
      const { stdout, stderr, status } = await runHoldfast(['credential-process', ...words, '--debug'])
      assertAbsent({ [`the answer to ${words}`]: stdout + stderr }, pin)
      assert.equal(status, 2)
    }
  })

  it('that a module prints is shown with --debug only', async () => {
    const token = await createSoftHsmToken({ pin: plant() })
    await withPinEdge({ token }, async (edge) => {
      // Without a file to write to, pkcs11-spy prints all that it sees on stderr.
      const env = { PKCS11SPY_OUTPUT: undefined }
      const quiet = await edge.run({ env })
      assertCredentials(quiet)
      const loud = await edge.run({ env, flags: { '--debug': 'true' } })
      // It shows sixteen bytes a line.
      assertCredentials(loud, new RegExp(token.pin.slice(0, 16)))
    })
  })
})

describe('credentials of the environment', () => {
  it('are kept from the module', async () => {
    const secret = plant()
    await withPinEdge({}, async (edge) => {
      const names = [
        'HOLDFAST_PIN',
        'AWS_SECRET_ACCESS_KEY',
        'AWS_SESSION_TOKEN',
        'AWS_CONTAINER_AUTHORIZATION_TOKEN',
      ]
      const env = Object.fromEntries(names.map((name) => [name, secret]))
      const { args, hungProcess, ...options } = await edge.prepare({ env, faults: 'C_Initialize=hang' })
      const result = runHoldfast([...args, '--token-timeout', '3'], options)
      const child = await hungProcess(result)
      assertAbsent(await readProcesses('environ', [child]), secret)
      assertFailure(await result, 'TOKEN_TIMEOUT', 3)
    })
  })
})

describe('a key in a file, a session and a password', () => {
  let edge: Edge
  let files: Record<string, string>
  let keyLines: string[]
  before(async () => {
    edge = await createEdge({ token: await createSoftHsmToken(), tls: false })
    const key = await createFileKey('RSA-2048')
    keyLines = key.privateKeyPem.split('\n').filter((line) => line.length === 64)
    assert.ok(keyLines.length > 20)
    files = {
      '--certificate': await file('c.pem', certificatePem(await edge.authority.issue(key.publicKey))),
      '--private-key': await file('k.pem', key.privateKeyPem),
    }
  })
  after(() => edge.dispose())

  const file = async (name: string, content: string) => {
    const path = join(edge.token.directory, name)
    await writeFile(path, content, { mode: 0o600 })
    return path
  }

  /** Runs with --debug; gives what was printed, and all that was left in its home and its folder for temporary files. */
  async function run(changes: Record<string, string>, env: Record<string, string> = {}, node?: string) {
    const home = join(edge.token.directory, randomUUID())
    const temporary = join(home, 'tmp')
    await mkdir(temporary, { recursive: true })
    const none = { '--pkcs11-uri': undefined, '--pkcs11-module': undefined }
    const args = [...credentialProcess(edge, { ...none, ...files, ...changes }), '--debug']
    const result = await runHoldfast(args, {
      home,
      env: { ...edge.env, TMPDIR: temporary, ...env },
      ...(node === undefined ? {} : { node }),
    })
    return { ...result, left: await readAll(home) }
  }
  const printed = ({ stdout, stderr }: ProgramResult) => ({ stdout, stderr })

  it('keep to themselves when all is well: credentials are on stdout only', async () => {
    const result = await run({})
    assertCredentials(result, /debug: /)
    const { SecretAccessKey, SessionToken } = JSON.parse(result.stdout)
    assertAbsent({ stderr: result.stderr, ...result.left }, SecretAccessKey, SessionToken)
    assertAbsent({ ...printed(result), ...result.left }, ...keyLines)
  })

  it('keep to themselves when a key cannot be used', async () => {
    const pem = await readFile(files['--private-key']!, 'utf8')
    const bad = {
      '--private-key': await file('cut.pem', pem.slice(0, 900)),
      '--certificate': files['--private-key']!,
      '--intermediates': await file('both.pem', pem.replaceAll('PRIVATE KEY', 'CERTIFICATE')),
    }
    for (const [flag, path] of Object.entries(bad)) {
      const result = await run({ [flag]: path })
      assert.equal(result.status, 4)
      assertAbsent({ ...printed(result), ...result.left }, ...keyLines)
    }
  })

  it('keep to themselves when credentials cannot be handed over', async () => {
    const secret = plant()
    const body = JSON.stringify({
      credentialSet: [
        {
          credentials: {
            accessKeyId: 'ASIACANARY',
            secretAccessKey: secret,
            sessionToken: secret,
            expiration: new Date(Date.now() + 3_600_000).toISOString(),
          },
          roleArn: edge.args[edge.args.indexOf('--role-arn') + 1],
          assumedRoleUser: { arn: 'arn:aws:sts::111122223333:assumed-role/edge/1' },
        },
      ],
    })
    const peer = await startHttpPeer((_, reply) => reply.writeHead(201).end(body))
    const node = join(edge.token.directory, 'node-full')
    await writeFile(node, `#!/bin/sh\nexec ${process.execPath} "$@" >/dev/full\n`, { mode: 0o700 })
    try {
      const url = { '--endpoint': `http://127.0.0.1:${peer.port}` }
      assert.equal(JSON.parse((await run(url)).stdout).SecretAccessKey, secret)
      const result = await run(url, {}, node)
      assertFailure(result, 'OUTPUT_FAILED', 7)
      assertAbsent({ ...printed(result), ...result.left }, secret)
    } finally {
      await peer.close()
    }
  })

  it('keep to themselves on the way through a proxy', async () => {
    const password = plant()
    const host = 'rolesanywhere.test'
    const emulator = await startEmulator({ tls: true, tlsNames: [host] })
    const proxies = [
      await startProxyPeer(emulator.port),
      await startProxyPeer(emulator.port, { status: 407 }),
    ]
    try {
      const roleArn = 'arn:aws:iam::111122223333:role/edge'
      const arns = quickStart(emulator, { caPem: edge.authority.certificatePem, roleArn })
      const AWS_CA_BUNDLE = await file('ca.pem', emulator.tlsCaPem!)
      const results: ProgramResult[] = []
      for (const { port } of proxies) {
        const flags = {
          '--endpoint': `https://${host}`,
          '--trust-anchor-arn': arns.trustAnchorArn,
          '--profile-arn': arns.profileArn,
        }
        const HTTPS_PROXY = `http://user:${password}@127.0.0.1:${port}`
        results.push(await run(flags, { AWS_CA_BUNDLE, HTTPS_PROXY }))
      }
      const [good, refused] = results
      assertCredentials(good!, /through the proxy 127\.0\.0\.1:\d+/)
      assertFailure(refused!, 'PROXY_FAILED', 6)
      const authorization = `Basic ${Buffer.from(`user:${password}`).toString('base64')}`
      assert.deepEqual(
        proxies.map(({ asked }) => asked[0]?.authorization),
        [authorization, authorization],
      )
      for (const result of results) assertAbsent(printed(result), password, `user:${password}`)
    } finally {
      for (const proxy of proxies) await proxy.close()
      await emulator.close()
    }
  })
})
