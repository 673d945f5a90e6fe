/**
 * The connection to an EST server, directly or through the CONNECT tunnel of a proxy: one request and its answer,
 * over HTTP/1.1 and TLS 1.2 or later, always with a verified server. Redirects are not followed, nothing is tried
 * twice. What the answer means is core/enroll/est.
 * @see RFC 7030 §3.2 (HTTP), §3.3 (TLS), §4 (messages)
 */

import type { OutgoingHttpHeaders } from 'node:http'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { EstOperation } from '../../core/enroll/est.js'
import { HoldfastError } from '../../core/errors.js'
import { explainNetworkFault } from '../../core/roles-anywhere/network-fault.js'
import { findProxy } from '../../core/roles-anywhere/proxy.js'
import type { Reply } from '../../core/roles-anywhere/refusal.js'
import { exchange, openSocket, type Route } from './exchange.js'

/** A server, whom it is trusted by, and who asks. */
export interface EstClientOptions {
  /** As core/enroll/est gives it: an https URL whose path the operation is appended to. */
  readonly url: URL
  /** PEM of the CAs that may vouch for the server; those that Node trusts if not given. */
  readonly ca?: string | undefined
  /** PEM of a certificate with its chain, and of its private key, to show in TLS. */
  readonly clientCertificate?: { readonly certificate: string; readonly key: string } | undefined
  /** For HTTP Basic; sent with the first request, since the server is known by then. */
  readonly login?: { readonly user: string; readonly password: string } | undefined
  /** Read for HTTPS_PROXY and NO_PROXY. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly now: () => Date
  /** When this program was built; an earlier clock explains a certificate fault. */
  readonly buildDate?: Date | undefined
}

/** What is asked. */
export interface EstRequest {
  readonly operation: EstOperation
  /** DER of a PKCS#10 request, for an enrolment. */
  readonly csr?: Uint8Array | undefined
}

const SETTINGS = { address: '--est-url', trust: '--est-ca' }

/**
 * Sends one request and reads the answer whole, whatever its status.
 * @throws HoldfastError USAGE (HTTPS_PROXY), KEY_MISMATCH (client certificate), NETWORK_FAILED, PROXY_FAILED,
 *   TLS_FAILED, CLOCK_WRONG, REPLY_INVALID, or the reason of `signal`
 */
export async function askEstServer(
  { operation, csr }: EstRequest,
  options: EstClientOptions,
  { signal }: { signal: AbortSignal },
): Promise<Reply> {
  const route = createRoute(options, signal)
  const body = csr && formatBase64(csr)
  return exchange(
    await openSocket(route),
    {
      method: body === undefined ? 'GET' : 'POST',
      path: `${options.url.pathname}/${operation}`,
      headers: formatHeaders(options, body),
      body,
    },
    route,
  )
}

function createRoute(options: EstClientOptions, signal: AbortSignal): Route {
  const { url, env, now, buildDate, ca } = options
  const proxy = findProxy(url, env)
  const context = createContext(options)
  // Its failure is for whoever starts TLS.
  context.catch(() => undefined)
  return {
    service: url,
    proxy,
    context,
    // The trust in the server, and what it is shown, are not the proxy's business.
    proxyContext: proxy?.url.protocol === 'https:' ? createContext({}) : undefined,
    verifyTls: true,
    explain: (cause, step) =>
      explainCertificateWish(cause, step.peer, options) ??
      explainNetworkFault(cause, {
        ...step,
        now: now(),
        buildDate,
        settings: SETTINGS,
        caBundle: ca === undefined || step.isProxy ? undefined : 'of --est-ca',
      }),
    signal,
  }
}

async function createContext({
  ca,
  clientCertificate,
}: Pick<EstClientOptions, 'ca' | 'clientCertificate'>): Promise<SecureContext> {
  try {
    return createSecureContext({
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca }),
      ...(clientCertificate && { cert: clientCertificate.certificate, key: clientCertificate.key }),
    })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_OSSL_X509_KEY_VALUES_MISMATCH') throw cause
    throw new HoldfastError('KEY_MISMATCH', '--est-client-key is not the key of --est-client-cert', { cause })
  }
}

/** In lines, as MIME wants it. */
function formatBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replaceAll(/.{64}/g, '$&\n')
}

function formatHeaders({ url, login }: EstClientOptions, body: string | undefined): OutgoingHttpHeaders {
  const content = {
    'Content-Type': 'application/pkcs10',
    'Content-Transfer-Encoding': 'base64',
  }
  const credentials = login && Buffer.from(`${login.user}:${login.password}`).toString('base64')
  return {
    Host: url.host,
    Accept: 'application/pkcs7-mime',
    Connection: 'close',
    ...(body === undefined ? {} : content),
    ...(credentials === undefined ? {} : { Authorization: `Basic ${credentials}` }),
  }
}

/** What the server says of the certificate that it was shown, or wants to be shown. */
function explainCertificateWish(
  cause: unknown,
  peer: string,
  { clientCertificate }: EstClientOptions,
): HoldfastError | undefined {
  const { code = '' } = Object(cause) as NodeJS.ErrnoException
  if (!WANTS_CERTIFICATE.test(code)) return undefined
  const what =
    clientCertificate === undefined
      ? 'wants a TLS client certificate: give --est-client-cert and --est-client-key'
      : 'does not accept the TLS client certificate of --est-client-cert'
  return new HoldfastError('TLS_FAILED', `the EST server ${peer} ${what} (${code})`, { cause })
}

/** Alerts of a server about what the client showed (RFC 8446 §6.2). */
const WANTS_CERTIFICATE =
  /ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|UNKNOWN_CA|ACCESS_DENIED|CERTIFICATE_EXPIRED|CERTIFICATE_REVOKED)$/
