/**
 * One HTTP/1.1 request over a connection of its own: TCP, the CONNECT tunnel of a proxy if there is one, TLS 1.2 or
 * later, and the answer read whole. Redirects are not followed. Headers and bodies are never logged.
 * @see RFC 9110 §9.3.6 (CONNECT), RFC 8446
 */

import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { hrtime } from 'node:process'
import { addAbortSignal } from 'node:stream'
import { connect as connectTls, type SecureContext } from 'node:tls'
import { HoldfastError } from '../../core/errors.js'
import type { NetworkActivity } from '../../core/roles-anywhere/network-fault.js'
import type { HttpProxy } from '../../core/roles-anywhere/proxy.js'
import type { Reply } from '../../core/roles-anywhere/refusal.js'
import { readStream } from '../stream.js'

/** What was being done, and with whom. */
export type Step = Pick<NetworkActivity, 'doing' | 'peer' | 'isProxy'>

/** The way to a service, and until when it may be tried. */
export interface Route {
  /** Scheme, host and port. */
  readonly service: URL
  readonly proxy: HttpProxy | undefined
  /** What TLS with the service goes by; only needed for `https:`. */
  readonly context: Promise<SecureContext> | undefined
  /** The same for a proxy that is reached by `https:`. */
  readonly proxyContext: Promise<SecureContext> | undefined
  /** False accepts any TLS certificate, so that anybody on the way can answer. */
  readonly verifyTls: boolean
  /** What a fault of a socket, of TLS or of HTTP means. */
  readonly explain: (cause: unknown, step: Step) => HoldfastError
  /** Receives lines about phases and times; nothing secret. */
  readonly debug?: ((line: string) => void) | undefined
  /** Is told each step that worked, also of a way that then fails. */
  readonly observe?: ((step: DoneStep) => void) | undefined
  readonly signal: AbortSignal
}

/** A step on the way that worked. `peer` is the service or its proxy. */
export type DoneStep =
  | { readonly done: 'looked up'; readonly peer: URL; readonly address: string }
  | { readonly done: 'connected'; readonly peer: URL }
  | { readonly done: 'tunnelled'; readonly peer: URL }
  | { readonly done: 'secured'; readonly peer: URL; readonly issuer: IssuerName; readonly protocol: string }

/** Who issued the peer's TLS certificate, by the certificate's words. */
export interface IssuerName {
  readonly organization: string | undefined
  readonly commonName: string | undefined
}

/** What is asked; every header but the length of the body is the caller's. */
export interface ServiceRequest {
  readonly method: 'GET' | 'POST' | 'HEAD'
  readonly path: string
  readonly headers: OutgoingHttpHeaders
  readonly body?: Uint8Array | string | undefined
}

const MAX_REPLY_LENGTH = 1024 * 1024
/** Node gives each address of a host 250 ms, which a satellite link exceeds. */
const ADDRESS_TIMEOUT_MS = 2000

/**
 * A connection over which an HTTP request can be sent to the service.
 * @throws HoldfastError what {@link Route.explain} says; PROXY_FAILED, DEADLINE_EXCEEDED, or the reason of the signal
 */
export async function openSocket(route: Route): Promise<Socket> {
  const { service, proxy, debug } = route
  const startedAt = hrtime()
  const first = proxy?.url ?? service
  let socket = await startTcp(first, route)
  if (proxy) {
    if (first.protocol === 'https:') socket = await startTls(socket, first, route, route.proxyContext)
    await openTunnel(socket, proxy, route)
  }
  if (service.protocol === 'https:') socket = await startTls(socket, service, route, route.context)
  const through = proxy ? ` through the proxy ${addressOf(first)}` : ''
  debug?.(`connected to ${addressOf(service)}${through} in ${elapsed(startedAt)}`)
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
  const { observe } = route
  socket.on('lookup', (fault, address) => {
    if (!fault) observe?.({ done: 'looked up', peer: url, address })
  })
  await settle(socket, (signal) => once(socket, 'connect', { signal }), 'connecting', url, route)
  observe?.({ done: 'connected', peer: url })
  return socket
}

async function startTls(
  below: Socket,
  url: URL,
  route: Route,
  context: Promise<SecureContext> | undefined,
): Promise<Socket> {
  const host = hostOf(url)
  const socket = connectTls({
    socket: below,
    host,
    // Addresses are not allowed as server names (RFC 6066, section 3); `host` is what the certificate must name.
    ...(isIP(host) ? {} : { servername: host }),
    ALPNProtocols: ['http/1.1'],
    secureContext: (await context)!,
    // Said in both cases, since NODE_TLS_REJECT_UNAUTHORIZED would decide otherwise.
    rejectUnauthorized: route.verifyTls,
  })
  // Node loads its HTTP client when it is first touched. Here, too, is time.
  httpRequest.name
  await settle(socket, (signal) => once(socket, 'secureConnect', { signal }), 'starting TLS', url, route)
  if (route.observe !== undefined) {
    const { O, CN } = socket.getPeerCertificate().issuer ?? {}
    // A name may have several of each.
    const [organization, commonName] = [O, CN].map((value) => [value].flat().join(', ') || undefined)
    const protocol = socket.getProtocol() ?? 'TLS'
    route.observe({ done: 'secured', peer: url, issuer: { organization, commonName }, protocol })
  }
  return socket
}

async function openTunnel(socket: Socket, proxy: HttpProxy, route: Route): Promise<void> {
  const target = addressOf(route.service)
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
  route.observe?.({ done: 'tunnelled', peer: proxy.url })
}

/**
 * One request, one answer whatever its status, and the end of the socket.
 * @throws HoldfastError as {@link openSocket}; REPLY_INVALID for an answer longer than 1 MiB
 */
export async function exchange(
  socket: Socket,
  { method, path, headers, body }: ServiceRequest,
  route: Route,
): Promise<Reply> {
  const peer = addressOf(route.service)
  const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
  const request = httpRequest({
    method,
    path,
    headers: { ...headers, ...length },
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
      body: await Promise.race([failed, readBody(addAbortSignal(signal, response), peer)]),
    }
  }
  const reply = await settle(socket, answered, 'waiting for the answer', route.service, route)
  socket.destroy()
  return reply
}

async function readBody(response: IncomingMessage, peer: string): Promise<Buffer> {
  const body = await readStream(response, MAX_REPLY_LENGTH)
  if (body !== undefined) return body
  throw new HoldfastError('REPLY_INVALID', `the answer of ${peer} is longer than 1 MiB`)
}

/** Takes a step on `socket`. If it fails, or the signal comes first, the socket is destroyed and the error says why. */
async function settle<T>(
  socket: Socket,
  step: (signal: AbortSignal) => Promise<T>,
  doing: string,
  url: URL,
  { proxy, explain, signal }: Route,
): Promise<T> {
  // An idle socket may break when nobody waits for it, and the process must not end of it.
  socket.on('error', () => {})
  const peer = addressOf(url)
  try {
    return await step(signal)
  } catch (cause) {
    socket.destroy()
    if (cause instanceof HoldfastError) throw cause
    if (signal.aborted) throw explainAbort(signal.reason, `${doing} (${peer})`)
    throw explain(cause, { doing, peer, isProxy: url === proxy?.url })
  }
}

function explainAbort(reason: unknown, doing: string): HoldfastError {
  if (reason instanceof HoldfastError && reason.code !== 'DEADLINE_EXCEEDED') return reason
  const limit = reason instanceof HoldfastError ? reason.message : 'the time was up'
  return new HoldfastError('DEADLINE_EXCEEDED', `${limit} while ${doing}`, { cause: reason })
}

/** Time since then. performance.now() would do as well, but takes Node milliseconds to load. */
export function elapsed(startedAt: [number, number]): string {
  const [seconds, nanoseconds] = hrtime(startedAt)
  return `${Math.round(seconds * 1e3 + nanoseconds / 1e6)} ms`
}

/** `host:port`, also where the port is the scheme's own. */
export function addressOf(url: URL): string {
  return `${url.hostname}:${portOf(url)}`
}

function portOf({ port, protocol }: URL): number {
  return port ? Number(port) : protocol === 'https:' ? 443 : 80
}

/** Without the brackets that a URL puts around an IPv6 address. */
function hostOf({ hostname }: URL): string {
  return hostname.replaceAll(/[[\]]/g, '')
}
