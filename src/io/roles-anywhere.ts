/**
 * The connection to the Roles Anywhere endpoint, directly or through the CONNECT tunnel of a proxy. It is
 * opened before anything is signed, so that an endpoint out of reach costs no PIN and no touch; then one
 * signed request goes over it, and the very same bytes again after a passing fault. HTTP/1.1, TLS 1.2 or
 * later; redirects are not followed. Headers and bodies are never logged.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-create-session.html
 */

import { once } from 'node:events'
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { hrtime } from 'node:process'
import { addAbortSignal } from 'node:stream'
import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises'
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import { CREATE_SESSION_PATH } from '../core/create-session.js'
import { HoldfastError } from '../core/errors.js'
import { explainNetworkFault } from '../core/network-fault.js'
import { findProxy, type HttpProxy } from '../core/proxy.js'
import { findRequestId, isRetryableReply, type Reply } from '../core/refusal.js'

/** How to reach the endpoint. */
export interface RolesAnywhereOptions {
  /** As core/endpoint gives it: scheme, host and port, no path. */
  readonly endpoint: URL
  /** Read for AWS_CA_BUNDLE (a PEM file whose CAs replace the default roots), HTTPS_PROXY and NO_PROXY. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** False accepts any TLS certificate, so that anybody on the way can answer. Default true. */
  readonly verifyTls?: boolean | undefined
  /** When this program was built; an earlier clock explains a certificate fault. */
  readonly buildDate?: Date | undefined
  readonly now: () => Date
  /** From 0 up to 1, for the jitter between tries. */
  readonly random: () => number
  /** Default: a timer. */
  readonly sleep?: (milliseconds: number, options: { signal: AbortSignal }) => Promise<unknown>
  /** Receives lines about phases, statuses, request ids and times; nothing secret. */
  readonly debug?: ((line: string) => void) | undefined
}

/** A request with its signature, to be sent as it is. */
export interface SignedRequest {
  /** All headers that are signed, `host` and `x-amz-date` among them, and the Authorization header. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** An open way to the endpoint. */
export interface Connection {
  /**
   * Posts the request to `/sessions` and reads the answer whole, whatever its status. Network faults, 429
   * and 5xx are tried again; of the last try the answer is returned, or the fault thrown.
   * @throws HoldfastError NETWORK_FAILED, PROXY_FAILED, TLS_FAILED, CLOCK_WRONG, REPLY_INVALID,
   *   DEADLINE_EXCEEDED
   */
  send(request: SignedRequest, options: { signal: AbortSignal }): Promise<Reply>
  /** Ends the connection; nothing of it keeps the process alive. */
  close(): void
}

const MAX_TRIES = 3
const FIRST_WAIT_MS = 500
const MAX_REPLY_LENGTH = 1024 * 1024
/** Some forty times what operating systems bring. */
const MAX_CA_BUNDLE_LENGTH = 8 * 1024 * 1024
/** Below the five minutes of SigV4 services in general; Roles Anywhere publishes no tolerance of its own. */
const SIGNATURE_LIFE_MS = 4 * 60 * 1000
/** Node gives each address of a host 250 ms, which a satellite link exceeds. */
const ADDRESS_TIMEOUT_MS = 2000

/**
 * Opens TCP and TLS to the endpoint. May be called long before its result is awaited: a failure waits until
 * then. The signal ends the connection too, at any time, also after this has resolved.
 * @throws HoldfastError USAGE, FILE_UNREADABLE, NETWORK_FAILED, PROXY_FAILED, TLS_FAILED, CLOCK_WRONG,
 *   DEADLINE_EXCEEDED
 */
export function connectRolesAnywhere(
  options: RolesAnywhereOptions,
  { signal }: { signal: AbortSignal },
): Promise<Connection> {
  const connection = openConnection(options, signal)
  // Not yet awaited is not unhandled: the caller may still be busy with the token.
  connection.catch(() => {})
  return connection
}

async function openConnection(options: RolesAnywhereOptions, signal: AbortSignal): Promise<Connection> {
  const proxy = findProxy(options.endpoint, options.env)
  const caBundle = options.env.AWS_CA_BUNDLE || undefined
  const ca = caBundle && readCaBundle(caBundle)
  const usesTls = options.endpoint.protocol === 'https:' || proxy?.url.protocol === 'https:'
  const context = usesTls ? createContext(ca) : undefined
  // Its failure is for whoever starts TLS.
  context?.catch(() => undefined)
  const route = { options, proxy, caBundle, context, signal }

  let idle: Socket | undefined = await withRetries(route, () => openSocket(route))
  const release = () => {
    signal.removeEventListener('abort', close)
    const socket = idle
    idle = undefined
    return socket
  }
  const close = () => {
    release()?.destroy()
  }
  signal.addEventListener('abort', close)
  const takeIdle = () => {
    const socket = release()
    // Data that came before the request are not its answer: a server says so that it has waited too long.
    if (socket && !socket.destroyed && socket.readableLength === 0) return socket
    socket?.destroy()
    return undefined
  }
  return {
    send(request, { signal }) {
      const attempt = { ...route, signal }
      const post = async () => exchange(takeIdle() ?? (await openSocket(attempt)), request, attempt)
      const mayRepeat = (reply: Reply | undefined) =>
        !(ageMs(request, options.now()) > SIGNATURE_LIFE_MS) &&
        (reply === undefined || isRetryableReply(reply))
      return withRetries(attempt, post, mayRepeat)
    },
    close,
  }
}

/** How long ago the request was signed, by its X-Amz-Date; NaN if it has none. */
function ageMs({ headers }: SignedRequest, now: Date): number {
  const [date = '', time = ''] = (headers['x-amz-date'] ?? '').split('T')
  const iso = `${date.replace(/(..)(..)$/, '-$1-$2')}T${time.replace(/^(..)(..)/, '$1:$2:')}`
  return now.getTime() - Date.parse(iso)
}

/** The way to the endpoint, and until when it may be tried. */
interface Route {
  readonly options: RolesAnywhereOptions
  readonly proxy: HttpProxy | undefined
  readonly caBundle: string | undefined
  /** What TLS connections go by, if there are any. */
  readonly context: Promise<SecureContext> | undefined
  readonly signal: AbortSignal
}

function readCaBundle(path: string): string {
  const refuse = (why: string, cause?: unknown) =>
    new HoldfastError('FILE_UNREADABLE', `AWS_CA_BUNDLE names ${path}, which ${why}`, { cause })
  let text: string
  let file: number | undefined
  try {
    // O_NONBLOCK: opening a FIFO would wait for a writer for ever.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const status = fstatSync(file)
    if (!status.isFile()) throw refuse('is not a regular file')
    if (status.size > MAX_CA_BUNDLE_LENGTH) throw refuse('is larger than 8 MiB')
    text = readFileSync(file, 'latin1')
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    throw refuse(`cannot be read (${(cause as NodeJS.ErrnoException).code})`, cause)
  } finally {
    if (file !== undefined) closeSync(file)
  }
  // OpenSSL would take such a file for a list of no CAs, and then find that none of them fits.
  if (!/-----BEGIN (TRUSTED )?CERTIFICATE-----/.test(text)) throw refuse('holds no PEM certificate')
  return text
}

/**
 * Tries up to three times while a fault is one that may pass, with exponential waits and full jitter.
 * @param mayRepeat whether to try again after this result, or after a fault (undefined)
 */
async function withRetries<T>(
  { options, signal }: Route,
  attempt: () => Promise<T>,
  mayRepeat = (result: T | undefined) => result === undefined,
): Promise<T> {
  const { random, sleep = (ms, timer) => delay(ms, undefined, timer), debug } = options
  for (let tries = 1; ; tries++) {
    let fault: HoldfastError | undefined
    const result = await attempt().catch((error: unknown) => {
      if (!(error instanceof HoldfastError) || error.code !== 'NETWORK_FAILED') throw error
      fault = error
      return undefined
    })
    if (tries < MAX_TRIES && mayRepeat(result)) {
      const waitMs = Math.floor(random() * FIRST_WAIT_MS * 2 ** (tries - 1))
      debug?.(
        `try ${tries} of ${MAX_TRIES}: ${fault?.message ?? 'the service is busy'}; again in ${waitMs} ms`,
      )
      // If the time is up before the next try, what the last one gave says more than that.
      await sleep(waitMs, { signal }).catch(() => {})
      if (!signal.aborted) continue
    }
    if (fault) throw fault
    return result as T
  }
}

/** A connection over which an HTTP request can be sent to the endpoint. */
async function openSocket(route: Route): Promise<Socket> {
  const { endpoint, debug } = route.options
  const startedAt = hrtime()
  const first = route.proxy?.url ?? endpoint
  let socket = await startTcp(first, route)
  if (route.proxy) {
    if (first.protocol === 'https:') socket = await startTls(socket, first, route)
    await openTunnel(socket, route.proxy, route)
  }
  if (endpoint.protocol === 'https:') socket = await startTls(socket, endpoint, route)
  const through = route.proxy ? ` through the proxy ${addressOf(first)}` : ''
  debug?.(`connected to ${addressOf(endpoint)}${through} in ${elapsed(startedAt)}`)
  return socket
}

async function startTcp(url: URL, route: Route): Promise<Socket> {
  const socket = connectTcp({
    host: hostOf(url),
    port: portOf(url),
    noDelay: true,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ADDRESS_TIMEOUT_MS,
  })
  await settle(socket, (signal) => once(socket, 'connect', { signal }), 'connecting', url, route)
  return socket
}

/** TLS 1.2 or later, with these CAs or the default ones. */
async function createContext(ca: string | undefined): Promise<SecureContext> {
  // To read all the CAs there are takes Node up to 50 ms: first everybody else is told what to do.
  await immediate()
  return createSecureContext({ minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) })
}

async function startTls(below: Socket, url: URL, route: Route): Promise<Socket> {
  const host = hostOf(url)
  const socket = connectTls({
    socket: below,
    host,
    // Addresses are not allowed as server names (RFC 6066, section 3); `host` is what the certificate must name.
    ...(isIP(host) ? {} : { servername: host }),
    ALPNProtocols: ['http/1.1'],
    secureContext: (await route.context)!,
    // Said in both cases, since NODE_TLS_REJECT_UNAUTHORIZED would decide otherwise.
    rejectUnauthorized: route.options.verifyTls ?? true,
  })
  // Node loads its HTTP client when it is first touched. Here, too, is time.
  httpRequest.name
  await settle(socket, (signal) => once(socket, 'secureConnect', { signal }), 'starting TLS', url, route)
  return socket
}

async function openTunnel(socket: Socket, proxy: HttpProxy, route: Route): Promise<void> {
  const target = addressOf(route.options.endpoint)
  const authorization =
    proxy.authorization === undefined ? {} : { 'Proxy-Authorization': proxy.authorization }
  const request = httpRequest({
    method: 'CONNECT',
    path: target,
    headers: { Host: target, Connection: 'keep-alive', ...authorization },
    createConnection: () => socket,
  })
  request.on('error', () => {})
  const connected = (signal: AbortSignal) => once(request.end(), 'connect', { signal })
  const doing = 'asking the proxy for a tunnel'
  const [response, , head] = (await settle(socket, connected, doing, proxy.url, route)) as [
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
      `the proxy ${addressOf(proxy.url)} answered ${response.statusCode} to a request for a tunnel to ${target}${why}; check HTTPS_PROXY, or name the host in NO_PROXY`,
    )
  }
  if (head.length > 0) socket.unshift(head)
}

/** One request, one answer, and the end of the socket. */
async function exchange(socket: Socket, { headers, body }: SignedRequest, route: Route): Promise<Reply> {
  const { endpoint, debug } = route.options
  const startedAt = hrtime()
  const request = httpRequest({
    method: 'POST',
    path: CREATE_SESSION_PATH,
    headers: { ...headers, 'content-length': body.length },
    createConnection: () => socket,
  })
  const failed = once(request, 'error').then(([error]) => Promise.reject(error))
  failed.catch(() => {})
  const answered = async (signal: AbortSignal): Promise<Reply> => {
    const [response] = (await once(request.end(body), 'response', { signal })) as [IncomingMessage]
    return {
      status: response.statusCode!,
      headers: Object.fromEntries(
        Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
      ),
      // A body that is not HTTP is told by the request; the response would only say that it was cut off.
      body: await Promise.race([failed, readBody(addAbortSignal(signal, response), addressOf(endpoint))]),
    }
  }
  const reply = await settle(socket, answered, 'waiting for the answer', endpoint, route)
  socket.destroy()
  debug?.(`answer ${reply.status} after ${elapsed(startedAt)}, request id ${findRequestId(reply) ?? 'none'}`)
  return reply
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

/** Takes a step on `socket`. If it fails, or the signal comes first, the socket is destroyed and the error says why. */
async function settle<T>(
  socket: Socket,
  step: (signal: AbortSignal) => Promise<T>,
  doing: string,
  peer: URL,
  { options, proxy, caBundle, signal }: Route,
): Promise<T> {
  // An idle socket may break when nobody waits for it: takeIdle sees that, and the process must not end of it.
  socket.on('error', () => {})
  try {
    return await step(signal)
  } catch (cause) {
    socket.destroy()
    if (cause instanceof HoldfastError) throw cause
    if (signal.aborted) throw explainAbort(signal.reason, `${doing} (${addressOf(peer)})`)
    throw explainNetworkFault(cause, {
      doing,
      peer: addressOf(peer),
      isProxy: peer === proxy?.url,
      now: options.now(),
      buildDate: options.buildDate,
      caBundle,
    })
  }
}

function explainAbort(reason: unknown, doing: string): HoldfastError {
  if (reason instanceof HoldfastError && reason.code !== 'DEADLINE_EXCEEDED') return reason
  return new HoldfastError('DEADLINE_EXCEEDED', `the time was up while ${doing}`, { cause: reason })
}

/** performance.now() would do as well, but takes Node milliseconds to load. */
function elapsed(startedAt: [number, number]): string {
  const [seconds, nanoseconds] = hrtime(startedAt)
  return `${Math.round(seconds * 1e3 + nanoseconds / 1e6)} ms`
}

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
