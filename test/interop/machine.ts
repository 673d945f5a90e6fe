/**
 * A user's machine for the judges: a token and an openssl key file, Roles Anywhere behind a relay, S3 and STS,
 * `holdfast` on PATH, and AWS files of its own. Nothing of the environment of the tests is in its.
 */

import { execFile } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type QuickStartArns, quickStart } from '../../src/emulator/quick-start.js'
import { type AwsServices, type KnownSession, startAwsServices } from '../support/aws-services.js'
import { run } from '../support/command.js'
import { createEdge, type Edge } from '../support/edge.js'
import { createSoftHsmToken } from '../support/softhsm.js'
import { startTap } from '../support/tap.js'

const ROOT = resolve(import.meta.dirname, '../..')

/** Credentials as Roles Anywhere gave them out. */
export interface IssuedSession extends KnownSession {
  /** `2026-01-02T03:04:05Z` */
  readonly expiration: string
}

/** What a program of the user's said, and how it ended. */
export interface Outcome {
  readonly stdout: string
  readonly stderr: string
  readonly status: number
}

/** The machine. */
export interface Machine {
  /** Its token's label, and so the URI, is full of what shells and URIs mind. */
  readonly edge: Edge
  readonly uri: string
  readonly arns: QuickStartArns
  /** Files that openssl made for a workload, and the ARNs for them. */
  readonly workload: {
    readonly certificate: string
    readonly privateKey: string
    /** Of a key whose certificate an intermediate issued; `fullChain` has that one too. */
    readonly chained: {
      readonly certificate: string
      readonly fullChain: string
      readonly privateKey: string
    }
    readonly arns: QuickStartArns
  }
  readonly services: AwsServices
  /** In the order in which they were given out. */
  sessions(): IssuedSession[]
  /** A path in the user's home. */
  path(name: string): string
  /** Runs a program as the user. */
  execute(words: readonly string[]): Promise<Outcome>
  /** Appends to the AWS config file. */
  writeConfig(text: string): Promise<void>
  dispose(): Promise<void>
}

/** Sets the machine up. */
export async function createMachine(): Promise<Machine> {
  const token = await createSoftHsmToken({ label: 'edge 7; 100%? a&b' })
  const edge = await createEdge({ token, tls: false })
  const tap = await startTap(edge.emulator.port)
  const sessions = () => tap.exchanges().flatMap(({ reply }) => findSession(reply.toString()))
  const services = await startAwsServices(sessions)

  const home = await mkdtemp(join(tmpdir(), 'holdfast-user-'))
  const path = (name: string) => join(home, name)
  await mkdir(path('bin'))
  await mkdir(path('.aws'))
  await symlink(join(ROOT, 'dist/bin.cjs'), path('bin/holdfast'))
  const env = {
    ...edge.env,
    PATH: `${path('bin')}:${dirname(process.execPath)}:/usr/bin:/bin`,
    HOME: home,
    XDG_STATE_HOME: path('state'),
    AWS_CONFIG_FILE: path('.aws/config'),
    AWS_SHARED_CREDENTIALS_FILE: path('.aws/credentials'),
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_ENDPOINT_URL_ROLESANYWHERE: tap.url,
  }
  const { trustAnchorArn, profileArn, roleArn } = argumentsOf(edge)
  return {
    edge,
    uri: `${edge.uri.replace('pkcs11:', 'pkcs11:manufacturer=SoftHSM%20project;object=edge;')}&x-note=a%3Bb`,
    arns: { trustAnchorArn, profileArn, roleArn },
    workload: await createWorkload(home, edge),
    services,
    sessions,
    path,
    execute: ([command, ...args]) =>
      new Promise((done) => {
        // In the project's folder, so that Node finds its packages.
        const options = { env, cwd: ROOT, timeout: 60_000 }
        execFile(command!, args, options, (error, stdout, stderr) =>
          done({ stdout, stderr, status: error === null ? 0 : Number(error.code ?? 255) }),
        ).stdin!.end()
      }),
    writeConfig: (text) => appendFile(env.AWS_CONFIG_FILE, text),
    dispose: async () => {
      await services.close()
      await tap.close()
      await edge.dispose()
      await rm(home, { recursive: true, force: true })
    },
  }
}

function argumentsOf({ args }: Edge): QuickStartArns {
  const of = (flag: string) => args[args.indexOf(flag) + 1]!
  return {
    trustAnchorArn: of('--trust-anchor-arn'),
    profileArn: of('--profile-arn'),
    roleArn: of('--role-arn'),
  }
}

function findSession(reply: string): IssuedSession[] {
  if (!reply.startsWith('HTTP/1.1 201 ')) return []
  const { credentialSet } = JSON.parse(reply.slice(reply.indexOf('\r\n\r\n')))
  return [credentialSet[0].credentials]
}

/** As the usual instructions make them: a CA, client certificates and an intermediate, all with openssl. */
async function createWorkload(home: string, { emulator }: Edge): Promise<Machine['workload']> {
  const path = (name: string) => join(home, name)
  const request = (name: string) => {
    return ['req', '-newkey', 'rsa:2048', '-nodes', '-keyout', path(`${name}.key`), '-subj', `/CN=${name}`]
  }
  const issue = async (name: string, issuer: string, extensions: string) => {
    await writeFile(path(`${name}.ext`), extensions)
    await run('openssl', [...request(name), '-out', path(`${name}.csr`)])
    const by = [
      '-CA',
      path(`${issuer}.pem`),
      '-CAkey',
      path(`${issuer}.key`),
      '-CAcreateserial',
      '-days',
      '1',
    ]
    const files = ['-in', path(`${name}.csr`), '-extfile', path(`${name}.ext`), '-out', path(`${name}.pem`)]
    await run('openssl', ['x509', '-req', ...files, ...by])
  }
  const authority = 'keyUsage=critical,keyCertSign,cRLSign'
  const client = 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n'
  const ca = ['-x509', '-days', '1', '-addext', authority, '-out', path('ca.pem')]
  await run('openssl', [...request('ca'), ...ca])
  await issue('client', 'ca', client)
  await issue('issuing', 'ca', `basicConstraints=critical,CA:TRUE\n${authority}\n`)
  await issue('chained', 'issuing', client)
  const read = (name: string) => readFile(path(name), 'utf8')
  await writeFile(path('fullchain.pem'), (await read('chained.pem')) + (await read('issuing.pem')))
  const roleArn = 'arn:aws:iam::111122223333:role/edge-workload'
  return {
    certificate: path('client.pem'),
    privateKey: path('client.key'),
    chained: {
      certificate: path('chained.pem'),
      fullChain: path('fullchain.pem'),
      privateKey: path('chained.key'),
    },
    arns: quickStart(emulator, { caPem: await read('ca.pem'), roleArn }),
  }
}
