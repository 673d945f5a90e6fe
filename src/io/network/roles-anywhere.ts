/**
 * The connection to the Roles Anywhere endpoint, directly or through the CONNECT tunnel of a proxy. It is
 * opened before anything is signed, so that an endpoint out of reach costs no PIN and no touch; then one
 * signed request goes over it, and the very same bytes again after a passing fault. HTTP/1.1, TLS 1.2 or
 * later; redirects are not followed. Headers and bodies are never logged.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-create-session.html
 */

import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { hrtime } from 'node:process'
import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises'
import { createSecureContext, type SecureContext } from 'node:tls'
import { HoldfastError } from '../../core/errors.js'
import { CREATE_SESSION_PATH } from '../../core/roles-anywhere/create-session.js'
import { explainNetworkFault } from '../../core/roles-anywhere/network-fault.js'
import { findProxy } from '../../core/roles-anywhere/proxy.js'
import { findRequestId, isRetryableReply, type Reply } from '../../core/roles-anywhere/refusal.js'
import { elapsed, exchange, openSocket, type Route } from './exchange.js'

/** How to reach the endpoint. */
export interface RouteOptions {
  /** As core/roles-anywhere/endpoint gives it: scheme, host and port, no path. */
  readonly endpoint: URL
  /** Read for AWS_CA_BUNDLE (a PEM file whose CAs replace the default roots), HTTPS_PROXY and NO_PROXY. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** False accepts any TLS certificate, so that anybody on the way can answer. Default true. */
  readonly verifyTls?: boolean | undefined
  /** When this program was built; an earlier clock explains a certificate fault. */
  readonly buildDate?: Date | undefined
  readonly now: () => Date
  /** Receives lines about phases, statuses, request ids and times; nothing secret. */
  readonly debug?: ((line: string) => void) | undefined
}

/** How to reach the endpoint, and what to do when that fails for a moment. */
export interface RolesAnywhereOptions extends RouteOptions {
  /** From 0 up to 1, for the jitter between tries. */
  readonly random: () => number
  /** Default: a timer. */
  readonly sleep?: (milliseconds: number, options: { signal: AbortSignal }) => Promise<unknown>
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
/** Some forty times what operating systems bring. */
const MAX_CA_BUNDLE_LENGTH = 8 * 1024 * 1024
/** Below the five minutes of SigV4 services in general; Roles Anywhere publishes no tolerance of its own. */
const SIGNATURE_LIFE_MS = 4 * 60 * 1000

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
  const route = createRoute(options, signal)
  let idle: Socket | undefined = await withRetries(options, signal, () => openSocket(route))
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
      const post = async () => send(takeIdle() ?? (await openSocket(attempt)), request, attempt)
      const mayRepeat = (reply: Reply | undefined) =>
        !(ageMs(request, options.now()) > SIGNATURE_LIFE_MS) &&
        (reply === undefined || isRetryableReply(reply))
      return withRetries(options, signal, post, mayRepeat)
    },
    close,
  }
}

/**
 * The way to the endpoint, which nothing has gone yet.
 * @throws HoldfastError USAGE for an unusable proxy, FILE_UNREADABLE for an unusable bundle of CAs
 */
export function createRoute(options: RouteOptions, signal: AbortSignal): Route {
  const { endpoint, env, now, buildDate, verifyTls = true, debug } = options
  const proxy = findProxy(endpoint, env)
  const caBundle = env.AWS_CA_BUNDLE || undefined
  const ca = caBundle && readCaBundle(caBundle)
  const usesTls = endpoint.protocol === 'https:' || proxy?.url.protocol === 'https:'
  const context = usesTls ? createContext(ca) : undefined
  // Its failure is for whoever starts TLS.
  context?.catch(() => undefined)
  return {
    service: endpoint,
    proxy,
    context,
    proxyContext: context,
    verifyTls,
    explain: (cause, step) => explainNetworkFault(cause, { ...step, now: now(), buildDate, caBundle }),
    debug,
    signal,
  }
}

async function send(socket: Socket, { headers, body }: SignedRequest, route: Route): Promise<Reply> {
  const startedAt = hrtime()
  const reply = await exchange(socket, { method: 'POST', path: CREATE_SESSION_PATH, headers, body }, route)
  route.debug?.(
    `answer ${reply.status} after ${elapsed(startedAt)}, request id ${findRequestId(reply) ?? 'none'}`,
  )
  return reply
}

/** How long ago the request was signed, by its X-Amz-Date; NaN if it has none. */
function ageMs({ headers }: SignedRequest, now: Date): number {
  const [date = '', time = ''] = (headers['x-amz-date'] ?? '').split('T')
  const iso = `${date.replace(/(..)(..)$/, '-$1-$2')}T${time.replace(/^(..)(..)/, '$1:$2:')}`
  return now.getTime() - Date.parse(iso)
}

/** @throws HoldfastError FILE_UNREADABLE */
export function readCaBundle(path: string): string {
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
  { random, sleep = (ms, timer) => delay(ms, undefined, timer), debug }: RolesAnywhereOptions,
  signal: AbortSignal,
  attempt: () => Promise<T>,
  mayRepeat = (result: T | undefined) => result === undefined,
): Promise<T> {
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

/** TLS 1.2 or later, with these CAs or the default ones. */
async function createContext(ca: string | undefined): Promise<SecureContext> {
  // To read all the CAs there are takes Node up to 50 ms: first everybody else is told what to do.
  await immediate()
  return createSecureContext({ minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) })
}
