/**
 * A place where an identity is to be enrolled: an empty token, an authority, an emulator that trusts it, a home folder
 * and a configuration file that holds another identity. Certificates are issued by OpenSSL.
 */

import 'reflect-metadata'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { quickStart } from '../../src/emulator/quick-start.js'
import { type Emulator, startEmulator } from '../../src/emulator/server.js'
import { type Authority, createAuthority } from './certificates.js'
import { type ProgramOptions, type ProgramResult, runHoldfast } from './program.js'
import { createSoftHsmToken } from './softhsm.js'
import type { TestToken } from './token.js'

/** The place, and how to work there. */
export interface Site {
  readonly token: TestToken
  readonly authority: Authority
  readonly emulator: Emulator
  readonly folder: string
  /** Path of the configuration file. */
  readonly config: string
  /** Environment of every run; the home folder stays. */
  readonly options: ProgramOptions
  /** `enroll edge` with all flags but those about the certificate, and these. */
  enroll(...more: string[]): string[]
  /** Flags that have OpenSSL issue certificates, in the name of the authority or another one. */
  issuedBy(authority?: Authority, days?: number): Promise<string[]>
  run(args: readonly string[], options?: ProgramOptions): Promise<ProgramResult>
  readConfig(): Promise<string>
  /** Labels of the private keys in the token, sorted. */
  keys(): Promise<string[]>
  /** Labels of the certificates in the token, sorted. */
  certificates(): Promise<string[]>
  /** A certificate in the token, by its id in hexadecimal. */
  readCertificate(id: string): Promise<x509.X509Certificate>
  dispose(): Promise<void>
}

/** What stands in the configuration file before. */
export const OTHER_IDENTITY = `# written by hand\n\n[identity.other] # stays\nregion   = "us-east-1"\n`

/** A new place; `dispose` takes away the token too. */
export async function createSite(given?: TestToken): Promise<Site> {
  const token = given ?? (await createSoftHsmToken())
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-site-'))
  const authority = await createAuthority()
  const emulator = await startEmulator({ tls: true })
  const roleArn = 'arn:aws:iam::111122223333:role/edge'
  const arns = quickStart(emulator, { caPem: authority.certificatePem, roleArn })
  const [config, caFile] = [join(folder, 'config.toml'), join(folder, 'emulator-ca.pem')]
  await writeFile(caFile, emulator.tlsCaPem ?? '')
  await writeFile(config, OTHER_IDENTITY, { mode: 0o600 })
  const options = { home: folder, env: { ...token.env, AWS_CA_BUNDLE: caFile } }
  const run: Site['run'] = (args, more = {}) => runHoldfast(args, { ...options, ...more })
  const labels = async (type: string) => {
    const said = await token.pkcs11Tool('--list-objects', '--type', type)
    return [...said.matchAll(/label: +(.*)/g)].map(([, label]) => label!).sort()
  }
  return {
    token,
    authority,
    emulator,
    folder,
    config,
    options,
    enroll: (...more) => [
      ...['enroll', 'edge', '--config', config],
      ...['--token', token.label, '--pkcs11-module', token.modulePath, '--pin-file', token.pinFile],
      ...['--trust-anchor-arn', arns.trustAnchorArn, '--profile-arn', arns.profileArn],
      ...['--role-arn', arns.roleArn, '--endpoint', emulator.url, ...more],
    ],
    issuedBy: (by = authority, days = 365) => createIssueCommand(folder, by, days),
    run,
    readConfig: () => readFile(config, 'utf8'),
    keys: () => labels('privkey'),
    certificates: () => labels('cert'),
    readCertificate: async (id) => {
      const file = join(folder, `read-${id}.der`)
      await token.pkcs11Tool('--read-object', '--type', 'cert', '--id', id, '--output-file', file)
      return new x509.X509Certificate(await readFile(file))
    },
    dispose: async () => {
      await emulator.close()
      await token.dispose()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function createIssueCommand(folder: string, by: Authority, days: number): Promise<string[]> {
  const own = await mkdtemp(join(folder, 'authority-'))
  const [ca, key, extensions] = [join(own, 'ca.pem'), join(own, 'ca.key'), join(own, 'extensions')]
  await writeFile(ca, by.certificatePem)
  await writeFile(key, by.privateKeyPem, { mode: 0o600 })
  await writeFile(extensions, 'basicConstraints = critical, CA:false\n')
  const command = `openssl x509 -req -days ${days} -CA ${ca} -CAkey ${key} -copy_extensions copyall -extfile ${extensions}`
  return ['--issue-command', command]
}
