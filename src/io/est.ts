/**
 * The connection to an EST server, directly or through the CONNECT tunnel of a proxy: one request and its answer,
 * over HTTP/1.1 and TLS 1.2 or later, always with a verified server. Redirects are not followed, nothing is tried
 * twice. What the answer means is core/est.
 * @see RFC 7030 §3.2 (HTTP), §3.3 (TLS), §4 (messages)
 */

import { once } from 'node:events'
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type Socket } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { HoldfastError } from '../core/errors.js'
import type { EstOperation } from '../core/est.js'
import { explainNetworkFault, type NetworkActivity } from '../core/network-fault.js'
import { findProxy, type HttpProxy } from '../core/proxy.js'
import type { Reply } from '../core/refusal.js'

/** A server, whom it is trusted by, and who asks. */
export interface EstClientOptions {
  /** As core/est gives it: an https URL whose path the operation is appended to. */
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

const MAX_REPLY_LENGTH = 1024 * 1024
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
  const { url } = options
  const proxy = findProxy(url, options.env)
  const tunnel = proxy && (await openTunnel(proxy, options, signal))
  const path = `${url.pathname}/${operation}`
  const activity = { doing: `asking for ${path}`, peer: addressOf(url), isProxy: false }
  try {
    return await settle(options, activity, signal, () => {
      const body = csr && formatBase64(csr)
      const request = httpsRequest({
        method: body === undefined ? 'GET' : 'POST',
        path,
        headers: formatHeaders(options, body),
        createConnection: () => startTls(options, tunnel),
        signal,
      })
      return readReply(request.end(body), addressOf(url), signal)
    })
  } finally {
    tunnel?.destroy()
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
    'Content-Length': body?.length,
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

function startTls({ url, ca, clientCertificate }: EstClientOptions, tunnel: Socket | undefined): Socket {
  const host = hostOf(url)
  return connectTls({
    ...(tunnel === undefined ? { port: portOf(url) } : { socket: tunnel }),
    host,
    // Addresses are not allowed as server names (RFC 6066, section 3).
    ...(isIP(host) ? {} : { servername: host }),
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    // Said because NODE_TLS_REJECT_UNAUTHORIZED would decide otherwise.
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    ...(clientCertificate && { cert: clientCertificate.certificate, key: clientCertificate.key }),
  })
}

async function openTunnel(proxy: HttpProxy, options: EstClientOptions, signal: AbortSignal): Promise<Socket> {
  const target = addressOf(options.url)
  const peer = addressOf(proxy.url)
  const authorization = proxy.authorization && { 'Proxy-Authorization': proxy.authorization }
  const activity = { doing: 'asking the proxy for a tunnel', peer, isProxy: true }
  return settle(options, activity, signal, async () => {
    const send = proxy.url.protocol === 'https:' ? httpsRequest : httpRequest
    const request = send({
      method: 'CONNECT',
      host: hostOf(proxy.url),
      port: portOf(proxy.url),
      path: target,
      headers: { Host: target, ...authorization },
      agent: false,
      signal,
    })
    const [response, socket, head] = (await once(request.end(), 'connect')) as [
      IncomingMessage,
      Socket,
      Buffer,
    ]
    if (response.statusCode !== 200) {
      socket.destroy()
      const why =
        response.statusCode === 407 ? ', it wants a user name and password (http://user:password@host)' : ''
      throw new HoldfastError(
        'PROXY_FAILED',
        `the proxy ${peer} answered ${response.statusCode} to a request for a tunnel to ${target}${why}; check HTTPS_PROXY, or name the host in NO_PROXY`,
      )
    }
    if (head.length > 0) socket.unshift(head)
    return socket
  })
}

async function readReply(request: ClientRequest, peer: string, signal: AbortSignal): Promise<Reply> {
  // A body that is not HTTP is told by the request; the response would only say that it was cut off.
  const failed = once(request, 'error').then(([error]) => Promise.reject(error))
  failed.catch(() => {})
  const [response] = (await Promise.race([once(request, 'response'), failed])) as [IncomingMessage]
  return {
    status: response.statusCode!,
    headers: Object.fromEntries(
      Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
    ),
    body: await Promise.race([failed, readBody(addAbortSignal(signal, response), peer)]),
  }
}

async function readBody(response: IncomingMessage, peer: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_REPLY_LENGTH) {
      throw new HoldfastError('REPLY_INVALID', `the answer of ${peer} is longer than 1 MiB`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

type Activity = Pick<NetworkActivity, 'doing' | 'peer' | 'isProxy'>

/** Takes a step over the network, and says what its failure means. */
async function settle<T>(
  { now, buildDate, clientCertificate }: EstClientOptions,
  activity: Activity,
  signal: AbortSignal,
  step: () => Promise<T>,
): Promise<T> {
  try {
    return await step()
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    const { doing, peer } = activity
    const { code = '' } = cause as NodeJS.ErrnoException
    if (signal.aborted) {
      const { reason } = signal
      if (reason instanceof HoldfastError && reason.code !== 'DEADLINE_EXCEEDED') throw reason
      throw new HoldfastError('DEADLINE_EXCEEDED', `the time was up while ${doing} (${peer})`, {
        cause: reason,
      })
    }
    if (code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH') {
      throw new HoldfastError('KEY_MISMATCH', '--est-client-key is not the key of --est-client-cert', {
        cause,
      })
    }
    if (WANTS_CERTIFICATE.test(code)) {
      const what =
        clientCertificate === undefined
          ? 'wants a TLS client certificate: give --est-client-cert and --est-client-key'
          : 'does not accept the TLS client certificate of --est-client-cert'
      throw new HoldfastError('TLS_FAILED', `the EST server ${peer} ${what} (${code})`, { cause })
    }
    throw explainNetworkFault(cause, { ...activity, now: now(), buildDate, settings: SETTINGS })
  }
}

/** Alerts of a server about what the client showed (RFC 8446 §6.2). */
const WANTS_CERTIFICATE =
  /ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|UNKNOWN_CA|ACCESS_DENIED|CERTIFICATE_EXPIRED|CERTIFICATE_REVOKED)$/

/** `host:port`, also where the port is the scheme's own. */
function addressOf(url: URL): string {
  return `${url.hostname}:${portOf(url)}`
}

function portOf({ port, protocol }: URL): number {
  return port ? Number(port) : protocol === 'https:' ? 443 : 80
}

/** Without the brackets that a URL puts around an IPv6 address. */
function hostOf({ hostname }: URL): string {
  return hostname.replaceAll(/[[\]]/g, '')
}
