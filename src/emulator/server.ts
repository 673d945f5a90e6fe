/**
 * The emulator on a socket: mounts the handlers on HTTP or HTTPS, and keeps a journal and the state file.
 */
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Faults } from './faults.js'
import { createListener, type JournalEntry } from './listener.js'
import { validationError } from './service-error.js'
import { createState, type EmulatorState, type World } from './state.js'
import { findStateFile, writeStateFile } from './state-file.js'
import { createTlsIdentity, type TlsIdentity } from './tls-identity.js'

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

const MAX_JOURNAL = 1000
/** Five certificates of ten kilobytes fit in the headers. */
const MAX_HEADER_BYTES = 96 * 1024

/**
 * Starts an emulator.
 * @throws ServiceError ValidationException for unusable options; a system error if the address cannot be bound
 */
export async function startEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const { host = '127.0.0.1', port = 0, tls = false, tlsNames = [], stateFile } = options
  const world: World = {
    state: openState(options),
    faults: new Faults(),
    now: options.now ?? (() => new Date()),
  }
  const save = () => {
    if (stateFile !== undefined) writeStateFile(stateFile, world.state)
  }
  const journal: JournalEntry[] = []
  const note = (entry: JournalEntry) => {
    journal.push(entry)
    if (journal.length > MAX_JOURNAL) journal.shift()
    options.onRequest?.(entry)
  }
  save()
  const names = ['localhost', '127.0.0.1', '::1', host, ...tlsNames]
  const identity = tls ? await createTlsIdentity([...new Set(names)]) : undefined
  const stopping = new AbortController()
  const server = createServer(identity, createListener(world, { save, note, signal: stopping.signal }))
  let connections = 0
  server.on('connection', () => {
    connections += 1
  })
  const bound = await listen(server, port, host)
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

function createServer(identity: TlsIdentity | undefined, listener: RequestListener): Server {
  if (identity === undefined) return createHttpServer({ maxHeaderSize: MAX_HEADER_BYTES }, listener)
  const { keyPem: key, certificatePem: cert } = identity
  return createHttpsServer({ maxHeaderSize: MAX_HEADER_BYTES, key, cert, minVersion: 'TLSv1.2' }, listener)
}

/** The port that was bound. */
async function listen(server: Server, port: number, host: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return (server.address() as AddressInfo).port
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
