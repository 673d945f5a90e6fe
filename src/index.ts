/**
 * The library: a credential provider for the AWS SDK for JavaScript v3, with the private key in a PKCS#11
 * token, in a file, or behind any {@link Signer}.
 *
 *     import { S3Client } from '@aws-sdk/client-s3'
 *     import { fromRolesAnywhere } from 'holdfast'
 *
 *     const client = new S3Client({
 *       region: 'eu-central-1',
 *       credentials: fromRolesAnywhere({
 *         pkcs11Uri: 'pkcs11:token=edge;id=%01?pin-source=file:/etc/holdfast/pin',
 *         trustAnchorArn: 'arn:aws:rolesanywhere:…',
 *         profileArn: 'arn:aws:rolesanywhere:…',
 *         roleArn: 'arn:aws:iam::…',
 *       }),
 *     })
 *
 * The SDK keeps what a provider gives until shortly before it expires; here nothing is kept, unless `cache` is true.
 */

import { BUILD_DATE } from './build.js'
import type { Identity } from './core/config/identity.js'
import type { CredentialProvider } from './core/credentials.js'
import { HoldfastError } from './core/errors.js'
import { type Signer, toSignerSource } from './core/signer.js'
import { createIdentityProvider } from './identity-provider.js'

export type { Identity } from './core/config/identity.js'
export type { CredentialProvider, Credentials } from './core/credentials.js'
export { type ErrorCode, HoldfastError } from './core/errors.js'
export type { Signer, SigningAlgorithm } from './core/signer.js'

/** An identity with its three ARNs, and how to use it. Paths are relative to the current directory. */
export interface RolesAnywhereOptions extends Identity {
  readonly trustAnchorArn: string
  readonly profileArn: string
  readonly roleArn: string
  /** Signs instead of a token or a file; `pkcs11Uri`, `certificate` and `privateKey` are then not read. */
  readonly signer?: Signer | undefined
  /** Read for HOLDFAST_PIN, AWS_CA_BUNDLE, proxies and endpoint URLs. Default: this process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Receives what a person should know although it is no error. Default: `process.emitWarning`. */
  readonly onWarning?: ((text: string) => void) | undefined
  /** Ends whatever is under way, and the provider for good: its calls then fail with INTERRUPTED. */
  readonly signal?: AbortSignal | undefined
  /** Default: the system's clock. */
  readonly now?: (() => Date) | undefined
}

/**
 * A provider whose every call makes one session: one login, one signature, one CreateSession.
 * @throws HoldfastError USAGE, URI_INVALID, ARN_INVALID at once; every other code from the provider, which also
 *   passes on what a `signer` of yours throws
 */
export function fromRolesAnywhere(options: RolesAnywhereOptions): CredentialProvider {
  const { signal = new AbortController().signal } = options
  if (options.cache === true && options.signer !== undefined) {
    throw new HoldfastError(
      'USAGE',
      'a cache cannot tell which key a signer of yours has: leave out one of the two',
    )
  }
  const surroundings = {
    env: options.env ?? process.env,
    uid: process.geteuid?.() ?? 0,
    execPath: process.execPath,
    source: options.signer && toSignerSource(options.signer),
    warn: options.onWarning ?? ((text) => process.emitWarning(text, 'HoldfastWarning')),
    now: options.now ?? (() => new Date()),
    buildDate: BUILD_DATE,
    signal,
  }
  const direct = createIdentityProvider(options, surroundings)
  const provider = async () => {
    if (options.cache !== true) return direct()
    const { createCachedProvider } = await import('./agent/cached-provider.js')
    return createCachedProvider(direct, options, surroundings)()
  }
  return async () => {
    try {
      signal.throwIfAborted()
      return await provider()
    } catch (error) {
      if (!signal.aborted) throw error
      throw new HoldfastError('INTERRUPTED', 'the signal that was given to fromRolesAnywhere was aborted', {
        cause: signal.reason,
      })
    }
  }
}
