/**
 * A signer source and a session become a credential provider: one CreateSession, one signature.
 *
 * The order keeps PINs and touches from being spent in vain: the network connects while the token opens; the
 * certificate is checked by local rules; only when TLS stands is the key asked to sign; the signature
 * is verified here before it is sent.
 */

import { verify } from 'node:crypto'
import type { Identity } from './core/config/identity.js'
import type { CredentialProvider, Credentials } from './core/credentials.js'
import { HoldfastError } from './core/errors.js'
import {
  parseProfileArn,
  parseRoleArn,
  parseTrustAnchorArn,
  verifyArnsAgree,
} from './core/roles-anywhere/arn.js'
import {
  CREATE_SESSION_PATH,
  type CreateSessionRequest,
  formatCreateSessionRequest,
  parseCreateSessionReply,
} from './core/roles-anywhere/create-session.js'
import { chooseEndpoint } from './core/roles-anywhere/endpoint.js'
import { explainRefusal, type Reply } from './core/roles-anywhere/refusal.js'
import { type PreparedRequest, prepareRequest } from './core/roles-anywhere/sigv4-x509.js'
import type { Signer, SignerSource } from './core/signer.js'
import {
  type Certificate,
  describe,
  parseCertificate,
  publicKeyOf,
  verifyEndEntity,
} from './core/x509/certificate.js'
import { findChain, readCandidates } from './core/x509/chain.js'
import { findExpiryWarning, findIntermediateWarnings } from './core/x509/expiry.js'
import { withDeadline } from './io/deadline.js'
import type { Connection } from './io/network/roles-anywhere.js'

/** As AWS's own helper asks: a profile made for half-day sessions must not lengthen them unasked. */
const DEFAULT_SESSION_SECONDS = 3600

/** Where and for what a session is asked. */
export interface Session {
  readonly endpoint: URL
  /** Signing region. */
  readonly region: string
  readonly request: CreateSessionRequest
}

/** The parts of a provider. */
export interface ProviderParts {
  readonly source: SignerSource
  /** Runs the use of the token when those before it have ended. Without it, it runs at once. */
  readonly takeTurn?: (<T>(use: () => Promise<T>) => Promise<T>) | undefined
  readonly session: Session
  /** Intermediates beside those that the signer brings. */
  readonly readIntermediates: () => Promise<readonly Certificate[]>
  /** Opens the way to the endpoint at once; its failure waits until it is awaited. */
  readonly connect: (endpoint: URL, options: { signal: AbortSignal }) => Promise<Connection>
  /** Time for connecting, and again for sending and its repeats, in milliseconds. */
  readonly timeoutMs: number
  /** Is told of a certificate that ends soon. */
  readonly warn?: ((text: string) => void) | undefined
  readonly now: () => Date
  readonly buildDate: Date
  /** Ends the work from outside. */
  readonly signal: AbortSignal
  /** Is told of the certificate that will be used, before it is. */
  readonly onCertificate?: ((certificate: Certificate) => void) | undefined
}

/**
 * Reads the session from an identity.
 * @throws HoldfastError USAGE, ARN_INVALID
 */
export function parseSession(identity: Identity, env: Readonly<Record<string, string | undefined>>): Session {
  const { trustAnchorArn, profileArn, roleArn } = identity
  const require = (text: string | undefined, key: string) => {
    if (text !== undefined) return text
    const [where, place] = [identity.origin, `--${key}`]
    throw new HoldfastError(
      'USAGE',
      where === undefined
        ? `${place} is missing: give it, or name a configured identity`
        : `${where} has no ${key}: add it there, or give ${place}`,
    )
  }
  const anchor = parseTrustAnchorArn(require(trustAnchorArn, 'trust-anchor-arn'))
  const profile = parseProfileArn(require(profileArn, 'profile-arn'))
  const role = parseRoleArn(require(roleArn, 'role-arn'))
  verifyArnsAgree(anchor, profile, role)
  const region = identity.region ?? anchor.region
  const endpoint = chooseEndpoint({
    endpoint: identity.endpoint,
    env,
    region,
    fips: identity.useFipsEndpoint,
    dualstack: identity.useDualstackEndpoint,
  })
  // The service refuses another one in the scope of the signature, at whatever endpoint, after a PIN or a touch was spent on it.
  if (region !== anchor.region) {
    throw new HoldfastError(
      'ARN_INVALID',
      `the trust anchor is in region ${anchor.region}, and only there a session can be had, not in ${region}: leave --region out, or name the trust anchor of that region`,
    )
  }
  return {
    region,
    endpoint,
    request: {
      trustAnchorArn: trustAnchorArn!,
      profileArn: profileArn!,
      roleArn: roleArn!,
      durationSeconds: identity.sessionDuration ?? DEFAULT_SESSION_SECONDS,
      roleSessionName: identity.roleSessionName,
    },
  }
}

/** A provider that makes a new session each time it is called. */
export function createProvider(parts: ProviderParts): CredentialProvider {
  const { source, session, timeoutMs, signal, takeTurn } = parts
  return async () => {
    const body = formatCreateSessionRequest(session.request)
    const expired = new HoldfastError(
      'DEADLINE_EXCEEDED',
      `no answer within ${timeoutMs / 1000} s (--timeout)`,
    )
    const limits = { signal, timeoutMs, expired }
    const done = new AbortController()
    const connectLimits = { ...limits, signal: AbortSignal.any([signal, done.signal]) }
    const connecting = withDeadline(connectLimits, (deadline) =>
      parts.connect(session.endpoint, { signal: deadline }),
    )
    // Until it is awaited below, a failure to connect is nobody's business.
    connecting.catch(() => undefined)
    try {
      // Nobody waits for a token that waits for the network.
      if (takeTurn !== undefined) await connecting
      const sign = () =>
        source.withSigner(
          async (signer) => {
            const { certificate, prepare } = await chooseRequest(parts, signer, body)
            await connecting
            const prepared = prepare(parts.now())
            const signature = await signer.sign(prepared.stringToSign, { signal })
            verifySignature(certificate, prepared, signature)
            const headers = { ...prepared.headers, authorization: prepared.formatAuthorization(signature) }
            return { certificate, headers }
          },
          { signal },
        )
      const { certificate, headers } = await (takeTurn === undefined ? sign() : takeTurn(sign))
      const connection = await connecting
      const reply = await withDeadline(limits, (deadline) =>
        connection.send({ headers, body }, { signal: deadline }),
      )
      return readReply(parts, certificate, reply)
    } finally {
      // A connection that is still being made would keep the process waiting for nothing.
      done.abort()
      connecting.then(
        (connection) => connection.close(),
        () => undefined,
      )
    }
  }
}

/** Local rules, which cost nothing, before anything that costs. */
async function chooseRequest(parts: ProviderParts, signer: Signer, body: Uint8Array) {
  const certificate = parseCertificate(signer.certificate)
  parts.onCertificate?.(certificate)
  const now = parts.now()
  verifyEndEntity(certificate, { now, buildDate: parts.buildDate })
  const chain = findChain(certificate, [
    ...readCandidates(signer.chain),
    ...(await parts.readIntermediates()),
  ])
  const warning = findExpiryWarning(certificate, now)
  if (warning !== undefined) parts.warn?.(warning)
  for (const warning of findIntermediateWarnings(chain, now)) parts.warn?.(warning)
  const { endpoint, region } = parts.session
  const prepare = (date: Date) =>
    prepareRequest({
      host: endpoint.host,
      path: CREATE_SESSION_PATH,
      body,
      date,
      region,
      certificate,
      chain,
      algorithm: signer.algorithm,
    })
  return { certificate, prepare }
}

/** A wrong key found here costs nothing; found by the service it reads "Invalid signature". */
function verifySignature(certificate: Certificate, prepared: PreparedRequest, signature: Uint8Array): void {
  if (verify('sha256', prepared.stringToSign, publicKeyOf(certificate), signature)) return
  throw new HoldfastError(
    'SIGNATURE_INVALID',
    `the signature does not verify with ${describe(certificate)}: the private key belongs to another certificate. Nothing was sent`,
  )
}

function readReply(parts: ProviderParts, certificate: Certificate, reply: Reply): Credentials {
  const now = parts.now()
  const { request } = parts.session
  if (reply.status >= 200 && reply.status < 300) {
    return parseCreateSessionReply(reply.body, { now, roleArn: request.roleArn })
  }
  throw explainRefusal(reply, { ...request, now, certificate: describe(certificate) })
}
