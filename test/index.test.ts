/**
 * The library as it is built, in the hands of the AWS SDK for JavaScript, of a signer of the user's own, and of
 * programs and compilers that know nothing else of it.
 */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createPrivateKey, sign } from 'node:crypto'
import { access, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ListBucketsCommand, S3Client } from '@aws-sdk/client-s3'
import { build as esbuild } from 'esbuild'
import { quickStart } from '../src/emulator/quick-start.js'
import { type Emulator, startEmulator } from '../src/emulator/server.js'
import type { CredentialProvider, Credentials, RolesAnywhereOptions, Signer } from '../src/index.js'
import { startAwsServices } from './support/aws-services.js'
import { type Authority, createAuthority, createFileKey } from './support/certificates.js'
import { run } from './support/command.js'
import { createEdge, type Edge } from './support/edge.js'
import { type Peer, startBytesPeer, startHttpPeer } from './support/peers.js'
import { runHoldfast } from './support/program.js'

const ROOT = resolve(import.meta.dirname, '..')
const MINUTE = 60_000

type Library = typeof import('../src/index.js')
let library: Library
before(async () => {
  library = await import(join(ROOT, 'dist/index.js'))
})

/** A service that trusts an authority, and a signer of the user's own with a certificate of it. */
interface Service {
  readonly emulator: Emulator
  readonly authority: Authority
  readonly signer: Signer
  /** All that `fromRolesAnywhere` needs. */
  readonly options: RolesAnywhereOptions
}

async function withService(use: (service: Service) => Promise<void>, now = () => new Date()): Promise<void> {
  const authority = await createAuthority()
  const emulator = await startEmulator({ now })
  const roleArn = 'arn:aws:iam::111122223333:role/edge'
  const arns = quickStart(emulator, { caPem: authority.certificatePem, roleArn, durationSeconds: 900 })
  const signer = await createSigner(authority)
  const warn = (text: string) => assert.fail(text)
  const options = { ...arns, signer, endpoint: emulator.url, env: {}, onWarning: warn, now }
  try {
    await use({ emulator, authority, signer, options })
  } finally {
    await emulator.close()
  }
}

async function createSigner(issuer: Authority, algorithm: 'P-256' | 'RSA-2048' = 'P-256'): Promise<Signer> {
  const { publicKey, privateKeyPem } = await createFileKey(algorithm)
  const key = createPrivateKey(privateKeyPem)
  return {
    certificate: await issuer.issue(publicKey),
    chain: [],
    algorithm: algorithm === 'P-256' ? 'AWS4-X509-ECDSA-SHA256' : 'AWS4-X509-RSA-SHA256',
    sign: async (message) => sign('sha256', message, key),
  }
}

async function withPeer(starting: Promise<Peer>, use: (port: number) => Promise<void>): Promise<void> {
  const peer = await starting
  try {
    await use(peer.port)
  } finally {
    await peer.close()
  }
}

/** The token's options, from the edge's flags. */
function tokenOptions(edge: Edge): RolesAnywhereOptions {
  const value = (flag: string) => edge.args[edge.args.indexOf(flag) + 1]!
  return {
    pkcs11Uri: edge.uri,
    pkcs11Module: edge.token.modulePath,
    trustAnchorArn: value('--trust-anchor-arn'),
    profileArn: value('--profile-arn'),
    roleArn: value('--role-arn'),
    endpoint: edge.emulator.url,
    stateDir: join(edge.token.directory, 'state'),
    env: edge.env,
  }
}

describe('fromRolesAnywhere', () => {
  let edge: Edge
  before(async () => {
    edge = await createEdge()
  })
  after(() => edge.dispose())

  it('makes a session at each call', async () => {
    const provider = library.fromRolesAnywhere(tokenOptions(edge))
    assert.equal(edge.emulator.journal.length, 0)
    const [first, second] = [await provider(), await provider()]
    assert.match(first.accessKeyId, /^ASIA/)
    assert.notEqual(first.accessKeyId, second.accessKeyId)
    assert.equal(first.accountId, '111122223333')
    assert.ok(first.expiration.getTime() > Date.now() + 59 * MINUTE)
    assert.equal(edge.emulator.journal.length, 2)
  })

  describe('with an AWS client', () => {
    /** Runs with an S3 client, and gives what its provider gave. */
    async function withClient(
      provider: CredentialProvider,
      use: (listBuckets: () => Promise<unknown>) => Promise<void>,
    ): Promise<Credentials[]> {
      const sessions: Credentials[] = []
      const services = await startAwsServices(() => sessions)
      const credentials: CredentialProvider = async () => {
        sessions.push(await provider())
        return sessions.at(-1)!
      }
      const client = new S3Client({ region: 'us-east-1', endpoint: services.url, credentials })
      try {
        await use(() => client.send(new ListBucketsCommand({})))
      } finally {
        client.destroy()
        await services.close()
      }
      return sessions
    }

    it('is called once for many requests', () =>
      withService(async ({ emulator, options }) => {
        const sessions = await withClient(library.fromRolesAnywhere(options), async (listBuckets) => {
          await Promise.all([listBuckets(), listBuckets(), listBuckets()])
          await listBuckets()
        })
        assert.equal(sessions.length, 1)
        assert.equal(emulator.journal.length, 1)
      }))

    it('is called again when a session is about to end', () =>
      withService(
        async ({ emulator, options }) => {
          // Not as it is built, since it would know that this clock is wrong.
          const { fromRolesAnywhere } = await import('../src/index.js')
          await withClient(fromRolesAnywhere(options), async (listBuckets) => {
            await listBuckets()
            const count = emulator.journal.length
            await listBuckets()
            assert.ok(emulator.journal.length > count)
          })
        },
        // Sessions last fifteen minutes, and a client wants five minutes more than now.
        () => new Date(Date.now() - 12 * MINUTE),
      ))

    it('fails its requests with the code', () =>
      withService(async ({ options }) => {
        const provider = library.fromRolesAnywhere({ ...options, roleSessionName: 'me' })
        await withClient(provider, (listBuckets) =>
          assert.rejects(listBuckets, { name: 'HoldfastError', code: 'REFUSED_SESSION_NAME' }),
        )
      }))
  })

  describe('with a signer of the user’s own', () => {
    it('uses its key, whatever kind it is', () =>
      withService(async ({ authority, options }) => {
        const signer = await createSigner(authority, 'RSA-2048')
        const { accessKeyId } = await library.fromRolesAnywhere({ ...options, signer })()
        assert.match(accessKeyId, /^ASIA/)
      }))

    it('sends the chain that it brings', () =>
      withService(async ({ authority, options }) => {
        const issuing = await authority.intermediate('Issuing')
        const signer = await createSigner(issuing)
        const alone = library.fromRolesAnywhere({ ...options, signer })
        await assert.rejects(alone, { code: 'REFUSED_UNTRUSTED_CERTIFICATE' })
        const chain = [issuing.certificate]
        await library.fromRolesAnywhere({ ...options, signer: { ...signer, chain } })()
      }))

    it('sends nothing that its certificate does not verify', () =>
      withService(async ({ emulator, authority, signer, options }) => {
        const { certificate } = await createSigner(authority)
        const provider = library.fromRolesAnywhere({ ...options, signer: { ...signer, certificate } })
        await assert.rejects(provider, { code: 'SIGNATURE_INVALID' })
        assert.equal(emulator.journal.length, 0)
      }))

    it('passes on what it throws', () =>
      withService(async ({ signer, options }) => {
        const error = new Error('the vault is closed')
        const closed = { ...signer, sign: () => Promise.reject(error) }
        await assert.rejects(library.fromRolesAnywhere({ ...options, signer: closed }), error)
      }))
  })

  describe('when it fails', () => {
    it('throws at once what is wrong with its options', () =>
      withService(async ({ options }) => {
        const { signer: _, ...keyless } = options
        for (const [wrong, code] of [
          [{ roleArn: undefined as never }, 'USAGE'],
          [{ roleArn: options.profileArn }, 'ARN_INVALID'],
          [{ endpoint: 'ftp://host' }, 'USAGE'],
        ] as const) {
          assert.throws(() => library.fromRolesAnywhere({ ...options, ...wrong }), { code })
        }
        assert.throws(() => library.fromRolesAnywhere(keyless), { code: 'USAGE' })
        const pkcs11Uri = 'pkcs11:token'
        assert.throws(() => library.fromRolesAnywhere({ ...keyless, pkcs11Uri }), { code: 'URI_INVALID' })
      }))

    it('rejects with an error of its own class, a code and an exit status', async () => {
      const pkcs11Uri = 'pkcs11:token=nowhere;id=%01'
      const provider = library.fromRolesAnywhere({ ...tokenOptions(edge), pkcs11Uri })
      const error = await provider().catch((reason: unknown) => reason)
      assert.ok(error instanceof library.HoldfastError)
      assert.equal(error.code, 'TOKEN_NOT_FOUND')
      assert.equal(error.exitStatus, 3)
    })

    it('hands warnings to whoever wants them, without the PIN', async () => {
      const warnings: string[] = []
      const options = tokenOptions(edge)
      const pkcs11Uri = edge.uri.replace(/\?.*/, `?pin-value=${edge.token.pin}`)
      const onWarning = (text: string) => warnings.push(text)
      await library.fromRolesAnywhere({ ...options, pkcs11Uri, onWarning })()
      assert.equal(warnings.length, 1)
      assert.match(warnings[0]!, /pin-value/)
      assert.ok(!warnings[0]!.includes(edge.token.pin))
    })
  })

  describe('when its signal is aborted', () => {
    const reason = new Error('enough')
    const interrupted = { code: 'INTERRUPTED', cause: reason }

    it('does nothing more', () =>
      withService(async ({ emulator, options }) => {
        const provider = library.fromRolesAnywhere({ ...options, signal: AbortSignal.abort(reason) })
        await assert.rejects(provider, interrupted)
        assert.equal(emulator.connections, 0)
      }))

    it('waits for no answer', () =>
      withService(async ({ options }) => {
        const controller = new AbortController()
        await withPeer(
          startHttpPeer(() => controller.abort(reason)),
          async (port) => {
            const endpoint = `http://127.0.0.1:${port}`
            const provider = library.fromRolesAnywhere({ ...options, endpoint, signal: controller.signal })
            await assert.rejects(provider, interrupted)
          },
        )
      }))

    it('waits for no token', async () => {
      const controller = new AbortController()
      await withPeer(
        startBytesPeer(() => controller.abort(reason)),
        async (port) => {
          const endpoint = `https://127.0.0.1:${port}`
          const options = { ...tokenOptions(edge), endpoint, signal: controller.signal }
          await assert.rejects(library.fromRolesAnywhere(options), interrupted)
        },
      )
    })

    it('tells a signer so', () =>
      withService(async ({ signer, options }) => {
        const controller = new AbortController()
        const slow: Signer = {
          ...signer,
          sign: (_, { signal }) =>
            new Promise((_resolve, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason))
              controller.abort(reason)
            }),
        }
        const provider = library.fromRolesAnywhere({ ...options, signer: slow, signal: controller.signal })
        await assert.rejects(provider, interrupted)
      }))
  })
})

describe('a program that uses the library', () => {
  let edge: Edge
  before(async () => {
    edge = await createEdge()
  })
  after(() => edge.dispose())

  /** Runs a program that gets credentials once and falls off its end; killed, it gives no status. */
  function runProgram(
    options: RolesAnywhereOptions,
  ): Promise<{ status: unknown; stdout: string; stderr: string }> {
    const { env, ...rest } = options
    const code = `
      import { fromRolesAnywhere } from 'holdfast'
      const provider = fromRolesAnywhere(JSON.parse(process.argv[1]))
      console.log(await provider().then(({ accessKeyId }) => accessKeyId, ({ code }) => code))`
    const args = ['--input-type=module', '--eval', code, '--', JSON.stringify(rest)]
    return new Promise((done) => {
      execFile(
        process.execPath,
        args,
        { cwd: ROOT, env: { ...env }, timeout: 15_000 },
        (error, stdout, stderr) => done({ status: error === null ? 0 : error.code, stdout, stderr }),
      )
    })
  }

  it('ends when it has its credentials', async () => {
    const { status, stdout, stderr } = await runProgram(tokenOptions(edge))
    assert.equal(stderr, '')
    assert.match(stdout, /^ASIA\w+\n$/)
    assert.equal(status, 0)
  })

  it('ends when the token fails, though the service has not answered yet', async () => {
    await withPeer(
      startBytesPeer(() => {}),
      async (port) => {
        const endpoint = `https://127.0.0.1:${port}`
        const pkcs11Uri = 'pkcs11:token=nowhere;id=%01'
        const { status, stdout, stderr } = await runProgram({ ...tokenOptions(edge), endpoint, pkcs11Uri })
        assert.equal(stderr, '')
        assert.equal(stdout, 'TOKEN_NOT_FOUND\n')
        assert.equal(status, 0)
      },
    )
  })

  it('ends when the service fails', async () => {
    const { status, stdout } = await runProgram({ ...tokenOptions(edge), roleSessionName: 'me' })
    assert.equal(stdout, 'REFUSED_SESSION_NAME\n')
    assert.equal(status, 0)
  })
})

describe('a program that the library is bundled into', () => {
  let edge: Edge
  let directory: string
  /** What a stranger's package of that name, in a folder above, would write. */
  let marker: string
  before(async () => {
    edge = await createEdge()
    directory = await mkdtemp(join(tmpdir(), 'holdfast-bundle-'))
    marker = join(directory, 'marker')
    const stranger = join(directory, 'node_modules/holdfast')
    await mkdir(stranger, { recursive: true })
    await writeFile(
      join(stranger, 'package.json'),
      '{"name":"holdfast","exports":{"./token-child":"./child.cjs","./package.json":"./package.json"}}',
    )
    await writeFile(join(stranger, 'child.cjs'), `require('fs').writeFileSync(${JSON.stringify(marker)}, '')`)
  })
  after(async () => {
    await rm(directory, { recursive: true })
    await edge.dispose()
  })

  /** Bundles a program that says what came of one use of the token, and runs it. */
  async function bundle(name: string, format: 'esm' | 'cjs'): Promise<() => Promise<string>> {
    const outfile = join(directory, name, format === 'esm' ? 'program.mjs' : 'program.cjs')
    const { env, ...options } = tokenOptions(edge)
    const contents = `
      import { fromRolesAnywhere } from '${ROOT}/dist/index.js'
      const provider = fromRolesAnywhere(${JSON.stringify(options)})
      provider().then(({ accessKeyId }) => accessKeyId, ({ code, message }) => code + ': ' + message).then(console.log)`
    const stdin = { contents, resolveDir: ROOT }
    await esbuild({ stdin, outfile, format, bundle: true, platform: 'node', logLevel: 'silent' })
    return () => run(process.execPath, [outfile], env)
  }

  it('says what is missing, and runs no stranger’s file', async () => {
    for (const format of ['esm', 'cjs'] as const) {
      const program = await bundle(format, format)
      assert.match(await program(), /^ADDON_MISSING: .*copy token-child\.cjs/)
    }
    await assert.rejects(access(marker), { code: 'ENOENT' })
  })

  it('gets credentials with the child and the addon beside it', async () => {
    const program = await bundle('whole', 'esm')
    for (const file of ['token-child.cjs', `pkcs11-${process.platform}-${process.arch}.node`]) {
      await cp(join(ROOT, 'dist', file), join(directory, 'whole', file))
    }
    assert.match(await program(), /^ASIA/)
    await assert.rejects(access(marker), { code: 'ENOENT' })
  })

  it('does so from a copy of dist that is no package', async () => {
    await cp(join(ROOT, 'dist'), join(directory, 'copy'), { recursive: true })
    const args = ['credential-process', ...edge.args]
    const { stdout } = await runHoldfast(args, { program: join(directory, 'copy/bin.cjs'), env: edge.env })
    assert.match(stdout, /ASIA/)
    await assert.rejects(access(marker), { code: 'ENOENT' })
  })
})

describe('the types of the library', () => {
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-types-'))
    const home = join(directory, 'node_modules/holdfast')
    await mkdir(home, { recursive: true })
    await cp(join(ROOT, 'package.json'), join(home, 'package.json'))
    await cp(join(ROOT, 'dist'), join(home, 'dist'), { recursive: true })
    await writeFile(join(directory, 'package.json'), '{"type":"module"}')
  })
  after(() => rm(directory, { recursive: true, force: true }))

  /** Checks a program in a project that has nothing but the library, and Node's types if they are wanted. */
  async function check(program: string, settings: object): Promise<string> {
    await writeFile(join(directory, 'program.ts'), program)
    const compilerOptions = {
      ...{ noEmit: true, strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
      ...{ noPropertyAccessFromIndexSignature: true, isolatedModules: true, verbatimModuleSyntax: true },
      ...{ target: 'es2023', lib: ['es2023'], types: [], skipLibCheck: false },
      ...settings,
    }
    await writeFile(
      join(directory, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['program.ts'] }),
    )
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
    return run(process.execPath, [compiler, '-p', directory])
  }

  const NODE_TYPES = { types: ['node'], typeRoots: [join(ROOT, 'node_modules/@types')] }
  const projects: [name: string, settings: object][] = [
    ['of Node', { module: 'nodenext', ...NODE_TYPES }],
    ['of Node without its types', { module: 'nodenext', lib: ['es2023', 'dom'] }],
    ['for a bundler', { module: 'esnext', moduleResolution: 'bundler', lib: ['es2023', 'dom'] }],
  ]
  for (const [name, settings] of projects) {
    it(`are right in a strict project ${name}`, async () => {
      assert.equal(await check(PROGRAM, settings), '')
    })
  }

  it('refuse a program without a role, and a signer with an unknown algorithm', async () => {
    const program = (text: string) => `import { fromRolesAnywhere, type Signer } from 'holdfast'\n${text}\n`
    const arns = "trustAnchorArn: '', profileArn: ''"
    const settings = { module: 'nodenext', lib: ['es2023', 'dom'] }
    await assert.rejects(check(program(`fromRolesAnywhere({ ${arns} })`), settings), /roleArn/)
    const algorithm = "export const algorithm: Signer['algorithm'] = 'AWS4-HMAC-SHA256'"
    await assert.rejects(check(program(algorithm), settings), /SigningAlgorithm/)
  })
})

/** A user's program that uses all that the library exports. */
const PROGRAM = `
import {
  type CredentialProvider,
  type Credentials,
  type ErrorCode,
  fromRolesAnywhere,
  HoldfastError,
  type Identity,
  type RolesAnywhereOptions,
  type Signer,
  type SigningAlgorithm,
} from 'holdfast'

const algorithm: SigningAlgorithm = 'AWS4-X509-ECDSA-SHA256'
export const signer: Signer = {
  certificate: new Uint8Array(),
  chain: [],
  algorithm,
  sign: async (message, { signal }) => (signal.aborted ? message : new Uint8Array()),
}
const identity: Identity = { pkcs11Uri: 'pkcs11:token=edge', sessionDuration: 900 }
export function provide(given: { signal: AbortSignal | undefined; region: string | undefined }): CredentialProvider {
  const options: RolesAnywhereOptions = {
    ...identity,
    ...given,
    trustAnchorArn: 'a',
    profileArn: 'b',
    roleArn: 'c',
    onWarning: (text) => void text.length,
  }
  return fromRolesAnywhere(options)
}
export async function use(provider: CredentialProvider): Promise<ErrorCode | Date> {
  try {
    const { accessKeyId, expiration, accountId }: Credentials = await provider()
    return accessKeyId === accountId?.toString() ? 'USAGE' : expiration
  } catch (error) {
    if (error instanceof HoldfastError && error.exitStatus === 3) return error.code
    throw error
  }
}
`
