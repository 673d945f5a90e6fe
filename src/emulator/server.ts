/**
 * The emulator on a socket: mounts the handlers on HTTP or HTTPS, applies injected faults, keeps a journal
 * and the state file. The only file here that knows about connections.
 */
import { randomUUID } from 'node:crypto'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { Faults } from './faults.js'
import type { HttpReply, HttpRequest } from './http-message.js'
import { answer } from './router.js'
import { errorReply, ServiceError, validationError } from './service-error.js'
import { createState, type EmulatorState, type World } from './state.js'
import { findStateFile, writeStateFile } from './state-file.js'
import { createTlsIdentity } from './tls-identity.js'

export interface EmulatorOptions {
  /** Address to bind; default 127.0.0.1. */
  readonly host?: string
  /** Default 0: the system chooses. */
  readonly port?: number
  /** HTTPS with a CA of its own, which `tlsCaPem` hands out; default plain HTTP. */
  readonly tls?: boolean
  /** Names and addresses of the server certificate besides localhost, 127.0.0.1, ::1 and `host`. */
  readonly tlsNames?: readonly string[]
  /** Default us-east-1. */
  readonly region?: string
  /** Twelve digits; default 111122223333. */
  readonly account?: string
  /** The emulator's clock, also for its Date header; default the system's. */
  readonly now?: () => Date
  /** Keeps the state in this JSON file; default in memory. */
  readonly stateFile?: string
  /** Called after each request. */
  readonly onRequest?: (entry: JournalEntry) => void
}

/** One request and what became of it. */
export interface JournalEntry {
  readonly method: string
  readonly path: string
  /** HTTP status; 0 if the connection was dropped. */
  readonly status: number
  readonly requestId: string
  /** Exception name, of an error. */
  readonly errorType?: string
  /** What the emulator found, of an error. */
  readonly reason?: string
}

/** A running emulator. */
export interface Emulator extends World {
  /** Such as `http://127.0.0.1:41234`, without a slash at the end. */
  readonly url: string
  readonly port: number
  /** The CA that clients have to trust, PEM; undefined without TLS. */
  readonly tlsCaPem: string | undefined
  /** Requests so far, oldest first; the last thousand are kept. */
  readonly journal: readonly JournalEntry[]
  /** Connections accepted so far. */
  readonly connections: number
  /** Writes the state file, if there is one; needed only after `state` was changed from outside. */
  save(): void
  /** Closes the socket and every connection. */
  close(): Promise<void>
}

const MAX_BODY_BYTES = 1024 * 1024
const MAX_JOURNAL = 1000
/** Five certificates of ten kilobytes fit in the headers. */
const MAX_HEADER_BYTES = 96 * 1024

/**
 * Starts an emulator.
 * @throws ServiceError ValidationException for unusable options; a system error if the address cannot be bound
 */
export async function startEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const { host = '127.0.0.1', port = 0, tls = false, stateFile, now = () => new Date() } = options
  const state = openState(options)
  const world: World = { state, faults: new Faults(), now }
  const journal: JournalEntry[] = []
  const stopping = new AbortController()
  const save = () => {
    if (stateFile !== undefined) writeStateFile(stateFile, state)
  }

  const listener = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const requestId = randomUUID()
    const { method = '', url = '' } = incoming
    let reply: HttpReply | undefined
    try {
      reply = await answerIncoming(incoming, world, stopping.signal)
      if (method !== 'GET') save()
    } catch (error) {
      if (stopping.signal.aborted || (incoming.destroyed && !incoming.complete))
        return void outgoing.destroy()
      reply = errorReply(
        new ServiceError(
          500,
          'InternalServerException',
          'Internal server error',
          `the emulator failed: ${error}`,
        ),
      )
    }
    const entry = toEntry(method, url.split('?')[0]!, requestId, reply)
    journal.push(entry)
    if (journal.length > MAX_JOURNAL) journal.shift()
    options.onRequest?.(entry)
    if (reply === undefined) return void outgoing.destroy()
    outgoing.sendDate = false
    outgoing.writeHead(reply.status, {
      ...reply.headers,
      date: now().toUTCString(),
      'x-amzn-requestid': requestId,
      'content-length': Buffer.byteLength(reply.body),
    })
    outgoing.end(reply.body)
  }

  const names = [...new Set(['localhost', '127.0.0.1', '::1', host, ...(options.tlsNames ?? [])])]
  const identity = tls ? await createTlsIdentity(names) : undefined
  const server =
    identity === undefined
      ? createHttpServer({ maxHeaderSize: MAX_HEADER_BYTES }, listener)
      : createHttpsServer(
          {
            maxHeaderSize: MAX_HEADER_BYTES,
            key: identity.keyPem,
            cert: identity.certificatePem,
            minVersion: 'TLSv1.2',
          },
          listener,
        )
  let connections = 0
  server.on('connection', () => {
    connections += 1
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  save()
  const bound = (server.address() as AddressInfo).port
  return {
    ...world,
    url: `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    port: bound,
    tlsCaPem: identity?.caPem,
    journal,
    get connections() {
      return connections
    },
    save,
    close: () => {
      stopping.abort()
      return new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

/** The state of the file if it is there, or a new one; options that contradict the file are refused. */
function openState({ stateFile, region, account }: EmulatorOptions): EmulatorState {
  const found = stateFile === undefined ? undefined : findStateFile(stateFile)
  if (found === undefined) {
    return createState({
      ...(region === undefined ? {} : { region }),
      ...(account === undefined ? {} : { account }),
    })
  }
  if ((region ?? found.region) !== found.region || (account ?? found.account) !== found.account) {
    throw validationError(`${stateFile} belongs to ${found.region}, account ${found.account}`)
  }
  return found
}

/** Undefined if the connection is to be dropped. */
async function answerIncoming(
  incoming: IncomingMessage,
  world: World,
  signal: AbortSignal,
): Promise<HttpReply | undefined> {
  const request = await readRequest(incoming)
  if (request === undefined) {
    return errorReply(
      new ServiceError(
        413,
        'RequestEntityTooLargeException',
        `The request body is larger than ${MAX_BODY_BYTES} bytes`,
      ),
    )
  }
  if (request.method === 'POST' && request.path === '/sessions') {
    if (world.faults.latencyMs > 0) await wait(world.faults.latencyMs, undefined, { signal })
    const fault = world.faults.take()
    if (fault !== undefined) return fault.reply
  }
  return answer(request, world)
}

/** Undefined if the body is too large. */
async function readRequest(incoming: IncomingMessage): Promise<HttpRequest | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    // The rest is read and thrown away, so that the client gets the reply instead of a reset.
    if (size <= MAX_BODY_BYTES) chunks.push(chunk)
  }
  if (size > MAX_BODY_BYTES) return undefined
  const headers = new Map<string, string[]>()
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    const name = incoming.rawHeaders[index]!.toLowerCase()
    headers.set(name, [...(headers.get(name) ?? []), incoming.rawHeaders[index + 1]!])
  }
  const url = incoming.url ?? ''
  const question = url.indexOf('?')
  return {
    method: incoming.method ?? '',
    path: question < 0 ? url : url.slice(0, question),
    query: question < 0 ? '' : url.slice(question + 1),
    headers,
    body: Buffer.concat(chunks),
  }
}

function toEntry(
  method: string,
  path: string,
  requestId: string,
  reply: HttpReply | undefined,
): JournalEntry {
  if (reply === undefined) return { method, path, requestId, status: 0, reason: 'dropped on request' }
  const errorType = reply.headers['x-amzn-errortype']
  const reason = reply.headers['x-emulator-reason']
  return {
    method,
    path,
    requestId,
    status: reply.status,
    ...(errorType === undefined ? {} : { errorType }),
    ...(reason === undefined ? {} : { reason }),
  }
}
