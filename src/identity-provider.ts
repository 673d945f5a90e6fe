/**
 * An identity becomes a credential provider: its key a signer source, its ARNs a session. Commands and the
 * library meet here.
 */

import { type Identity, verifyTimeout } from './core/config/identity.js'
import type { CredentialProvider } from './core/credentials.js'
import type { SignerSource } from './core/signer.js'
import type { Certificate } from './core/x509/certificate.js'
import { connectRolesAnywhere } from './io/network/roles-anywhere.js'
import { readCertificates } from './io/pem-file.js'
import { createProvider, parseSession } from './provider.js'
import { createSource, type SourceSurroundings } from './source.js'

const DEFAULT_TIMEOUT_SECONDS = 30

/** What a provider needs of the process it is used in. */
export interface Surroundings extends SourceSurroundings {
  /** Takes the place of the identity's own key. */
  readonly source?: SignerSource | undefined
  /** Runs the use of the token when those before it have ended. Without it, it runs at once. */
  readonly takeTurn?: (<T>(use: () => Promise<T>) => Promise<T>) | undefined
  /** False accepts any TLS certificate. Default true. */
  readonly verifyTls?: boolean | undefined
  readonly now: () => Date
  readonly buildDate: Date
  /** Ends whatever is under way. */
  readonly signal: AbortSignal
  /** Is told of the certificate that will be used, before it is. */
  readonly onCertificate?: ((certificate: Certificate) => void) | undefined
}

/**
 * The provider of an identity's credentials: each call is one session.
 * @throws HoldfastError USAGE, URI_INVALID, ARN_INVALID
 */
export function createIdentityProvider(identity: Identity, surroundings: Surroundings): CredentialProvider {
  const { env, now, buildDate, signal, warn, onCertificate, takeTurn } = surroundings
  verifyTimeout('token-timeout', identity.tokenTimeout)
  verifyTimeout('timeout', identity.timeout)
  return createProvider({
    session: parseSession(identity, env),
    source: surroundings.source ?? createSource(identity, surroundings),
    takeTurn,
    readIntermediates: async () => {
      if (identity.intermediates === undefined) return []
      return readCertificates(identity.intermediates)
    },
    connect: (endpoint, options) =>
      connectRolesAnywhere({ ...surroundings, endpoint, random: Math.random }, options),
    now,
    buildDate,
    warn,
    timeoutMs: (identity.timeout ?? DEFAULT_TIMEOUT_SECONDS) * 1000,
    signal,
    onCertificate,
  })
}
