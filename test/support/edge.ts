/**
 * A whole edge machine: a token with a key and its certificate, an emulator that trusts the certificate's
 * authority, and the command line that brings them together.
 */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { quickStart } from '../../src/emulator/quick-start.js'
import { type Emulator, startEmulator } from '../../src/emulator/server.js'
import {
  type Authority,
  type CertificateOptions,
  createAuthority,
  type KeyAlgorithm,
} from './certificates.js'
import { createDockerToken } from './docker.js'
import { createSoftHsmToken } from './softhsm.js'
import type { KeyOptions, TestToken } from './token.js'

/** What stands ready, and what a command needs to use it. */
export interface Edge {
  readonly token: TestToken
  readonly authority: Authority
  /** DER. */
  readonly certificate: Uint8Array
  readonly emulator: Emulator
  /** The URI of the key, with the PIN's file as `pin-source`. */
  readonly uri: string
  /** Flags for `credential-process` and every other command that takes an identity. */
  readonly args: readonly string[]
  /** Environment of the program: the module's, and the emulator's CA. */
  readonly env: Readonly<Record<string, string>>
  dispose(): Promise<void>
}

/**
 * The command line of `credential-process` with the edge's flags, of which some are changed, added, or (undefined)
 * left out.
 */
export function credentialProcess(
  edge: Edge,
  changes: Readonly<Record<string, string | undefined>> = {},
): string[] {
  const pairs = edge.args.flatMap((arg, index) => (index % 2 === 0 ? [[arg, edge.args[index + 1]]] : []))
  const flags: Record<string, string | undefined> = { ...Object.fromEntries(pairs), ...changes }
  return [
    'credential-process',
    ...Object.entries(flags).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value])),
  ]
}

/** How the machine differs from one with a P-256 key in the default token and an emulator over HTTPS. */
export interface EdgeOptions {
  token?: TestToken
  algorithm?: KeyAlgorithm
  key?: KeyOptions
  certificate?: CertificateOptions
  tls?: boolean
  /** The emulator's clock. */
  now?: () => Date
}

/** A new machine; `dispose` takes away the token too. */
export async function createEdge(options: EdgeOptions = {}): Promise<Edge> {
  const { algorithm = 'P-256', key = {}, tls = true, now } = options
  const token = options.token ?? (await createDefaultToken())
  const authority = await createAuthority()
  const certificate = await authority.issue(await token.generateKey(algorithm, key), options.certificate)
  await token.importCertificate(certificate, key)

  const emulator = await startEmulator({ tls, ...(now && { now }) })
  const roleArn = 'arn:aws:iam::111122223333:role/edge'
  const arns = quickStart(emulator, { caPem: authority.certificatePem, roleArn })
  const caFile = join(token.directory, 'emulator-ca.pem')
  await writeFile(caFile, emulator.tlsCaPem ?? '')

  const id = (key.id ?? '01').replace(/../g, '%$&')
  const uri = `pkcs11:token=${encodeURIComponent(token.label)};id=${id}?pin-source=file:${token.pinFile}`
  return {
    token,
    authority,
    certificate,
    emulator,
    uri,
    args: [
      ...['--pkcs11-uri', uri, '--pkcs11-module', token.modulePath],
      ...['--trust-anchor-arn', arns.trustAnchorArn, '--profile-arn', arns.profileArn],
      ...['--role-arn', arns.roleArn, '--endpoint', emulator.url],
    ],
    env: { ...token.env, ...(tls ? { AWS_CA_BUNDLE: caFile } : {}) },
    dispose: async () => {
      await emulator.close()
      await token.dispose()
    },
  }
}

/** The token of a test to which any will do: a SoftHSM of its own, or with HOLDFAST_TEST_TOKEN=docker the one in a container. */
function createDefaultToken(): Promise<TestToken> {
  const { HOLDFAST_TEST_TOKEN = 'softhsm' } = process.env
  if (HOLDFAST_TEST_TOKEN === 'docker') return createDockerToken()
  if (HOLDFAST_TEST_TOKEN === 'softhsm') return createSoftHsmToken()
  throw new Error(`HOLDFAST_TEST_TOKEN is softhsm or docker, not ${HOLDFAST_TEST_TOKEN}`)
}
