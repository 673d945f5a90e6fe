/**
 * `holdfast serve [NAME…]`: the agent. It keeps the credentials of identities fresh and hands them out on unix sockets
 * and, where flags say so, at endpoints that SDKs know, until SIGTERM or SIGINT ends it.
 */

import { setTimeout as delay } from 'node:timers/promises'
import type { Argv } from 'yargs'
import { type Agent, type AgentParts, createAgent } from '../agent/agent.js'
import { createDoor } from '../agent/door.js'
import { createDoors, type Doors } from '../agent/doors.js'
import { describeEvent } from '../agent/journal.js'
import { createLedger } from '../agent/ledger.js'
import { createReport } from '../agent/report.js'
import { findSessionKey } from '../agent/session-key.js'
import { findSystemAgentFolder, findUserAgentFolder } from '../core/agent/agent-place.js'
import type { GivenPin } from '../core/agent/agent-protocol.js'
import { describeError } from '../core/agent/agent-status.js'
import { formatLogLine, LOG_FORMATS, type LogFields, type LogFormat } from '../core/agent/log-line.js'
import type { ServedIdentity } from '../core/config/config.js'
import { HoldfastError } from '../core/errors.js'
import { PIN_WAYS } from '../core/pin/pin.js'
import { createIdentityProvider } from '../identity-provider.js'
import { makeSocketFolder } from '../io/agent-socket/folder.js'
import { listConfigFiles, loadIdentities } from '../io/config-file.js'
import type { EndpointServer } from '../io/endpoint-server.js'
import { fingerprintFiles } from '../io/file-fingerprint.js'
import { createServiceManager } from '../io/service-manager.js'
import { systemClock } from '../io/steady-clock.js'
import { asksPerson, findPinSource } from '../pin-answer.js'
import { parseSession } from '../provider.js'
import { withPin } from './ask-agent.js'
import type { Context } from './context.js'
import {
  addEndpointOptions,
  type EndpointArguments,
  type Endpoints,
  openEndpoints,
  planEndpoints,
} from './endpoint-options.js'
import { addIdentityOptions, type IdentityArguments, namesIdentity, readIdentity } from './options.js'

/** Parsed flags. */
export interface ServeArguments extends IdentityArguments, EndpointArguments {
  readonly names?: readonly string[] | undefined
  readonly agentDir?: string | undefined
  readonly system?: boolean | undefined
  readonly logFormat: LogFormat
  readonly metricsPort?: number | undefined
}

export function builder(argv: Argv): Argv {
  return addEndpointOptions(
    addIdentityOptions(
      argv.positional('names', {
        type: 'string',
        array: true,
        describe: 'identities of the configuration file; without any, all of them',
      }),
    ),
  )
    .option('agent-dir', {
      type: 'string',
      requiresArg: true,
      describe:
        'folder for the sockets [default: $XDG_RUNTIME_DIR/holdfast, of a system agent /run/holdfast]',
    })
    .option('system', {
      type: 'boolean',
      describe: 'serve other users: one socket for each identity, for its socket-group [default: as root]',
    })
    .option('log-format', {
      choices: LOG_FORMATS,
      default: 'text',
      requiresArg: true,
      describe: 'form of the log lines on stderr',
    })
    .option('metrics-port', {
      type: 'number',
      requiresArg: true,
      describe: 'port of 127.0.0.1 for http://127.0.0.1:PORT/metrics, which any local user may read',
    })
    .example('holdfast serve', 'serve every identity of the configuration file to yourself')
    .example('holdfast serve --system edge', 'serve one to the members of its socket-group')
    .example('holdfast serve --container-port 9912', 'serve programs of which each has a token, too')
    .example(
      'holdfast serve --certificate edge.pem --private-key edge.key --trust-anchor-arn ARN --profile-arn ARN --role-arn ARN',
      'imitate the metadata service of EC2 at port 9911',
    )
}

/**
 * Runs until it is told to end.
 * @throws HoldfastError CONFIG_*, USAGE, URI_INVALID, ARN_INVALID, AGENT_RUNNING, SOCKET_UNUSABLE, NETWORK_FAILED; where the PIN
 *   is asked for at the start, of every kind
 */
export async function run(argv: ServeArguments, context: Context): Promise<void> {
  const isSystem = argv.system ?? context.uid === 0
  verifyPort(argv.metricsPort)
  const bare = await readBareIdentity(argv, context)
  const plan = planEndpoints(argv, context, bare !== undefined)
  // AWS's own helper, in whose place this stands then, may be started many times.
  const isAlone = bare !== undefined && argv.agentDir === undefined
  const folder = isAlone ? undefined : findFolder(argv, context, isSystem)
  const log = createLog(argv.logFormat, context)
  if (!argv.verifySsl) {
    log('warning', {
      message: 'TLS certificates are not checked (--no-verify-ssl): anybody on the way can answer',
    })
  }
  const ledger = createLedger(log)
  const since = context.now()
  const parts = createParts(argv, context, log, bare)
  const agent = await createAgent(parts)
  context.onHangup(() => void agent.reload())
  const report = () => createReport(agent, ledger, { ...context, since })
  const manager = createServiceManager({ ...context, onError: (message) => log('warning', { message }) })
  const onFault = (place: string, error: unknown) => log('error', { place, ...describeError(error) })
  const createHandler = (place: string, only?: string) =>
    createDoor(agent, { only, place, ledger, report, now: context.now })
  const doors =
    folder === undefined
      ? NO_DOORS
      : createDoors({
          folder,
          isSystem,
          identities: () => agent.identities,
          createHandler,
          onError: onFault,
        })
  const openSockets = async () => {
    // At the end of a login session it is removed, and the agent may outlive that.
    if (folder !== undefined) makeSocketFolder(folder, isSystem ? 0o755 : 0o700, context.uid)
    await doors.update()
  }
  const complain = createComplaint(log)
  let endpoints: Endpoints | undefined
  let metrics: EndpointServer | undefined
  try {
    await openSockets().catch((error) => {
      // What is wrong with the socket of one identity does not concern those who use the others.
      if (isOtherAgent(error) || doors.places.length < 2) throw error
      complain(error)
    })
    endpoints = await openEndpoints(plan, {
      agent,
      ledger,
      context,
      clock: parts.clock,
      configFile: argv.config,
      warn: (message) => log('warning', { message }),
      onFault,
    })
    if (isAlone) await obtainPin(agent, bare, context)
    agent.start()
    for (const { name, mode } of agent.states) {
      if (mode === 'locked')
        log('locked', { identity: name, message: 'its PIN is typed: run holdfast unlock' })
    }
    if (argv.metricsPort !== undefined) {
      const { openMetricsDoor } = await import('../agent/metrics-door.js')
      metrics = await openMetricsDoor({
        port: argv.metricsPort,
        report,
        now: context.now,
        onFault: (error) => onFault('metrics', error),
      })
    }
    for (const variable of endpoints.variables) await context.stdout(`${variable}\n`)
    log('ready', {
      sockets: doors.places.join(' ') || undefined,
      endpoints: endpoints.places.join(' ') || undefined,
      'metrics-port': metrics?.port,
    })
    manager.ready()
    manager.keepAlive()
    await keepOpen(openSockets, complain, context.signal)
    log('ending', {})
    manager.stopping()
  } finally {
    manager.close()
    agent.stop()
    await Promise.all([doors.close(), endpoints?.close(), metrics?.close()])
  }
}

function verifyPort(port: number | undefined): void {
  if (port === undefined || (Number.isInteger(port) && port >= 0 && port < 65_536)) return
  throw new HoldfastError('USAGE', '--metrics-port must be a whole number, from 0 to 65535')
}

/** An agent whose identity stands in its flags only, where no other program finds it by a name. */
const NO_DOORS: Doors = { places: [], update: async () => undefined, close: async () => undefined }
/** How that identity is called, in a URL and in the log. */
const BARE_NAME = 'default'

/** The identity that the flags describe, if they do. @throws HoldfastError USAGE, URI_INVALID, ARN_INVALID */
async function readBareIdentity(argv: ServeArguments, context: Context): Promise<ServedIdentity | undefined> {
  if (!namesIdentity(argv)) return undefined
  if (argv.names !== undefined && argv.names.length > 0) {
    throw new HoldfastError(
      'USAGE',
      'either flags describe the one identity to serve, or names stand for those of the configuration',
    )
  }
  const identity = await readIdentity(argv, context)
  parseSession(identity, context.env)
  return identity
}

/** Where a PIN is typed, it is asked for at the start: there is no socket to hand it over at later. */
async function obtainPin(agent: Agent, identity: ServedIdentity, context: Context): Promise<void> {
  const unlock = (pin?: GivenPin) => agent.unlock(BARE_NAME, pin, context.signal)
  await unlock().catch((error) => {
    const need = error.code === 'PIN_NEEDED' ? agent.pinNeed(BARE_NAME) : undefined
    if (need === undefined) throw error
    const ways = `${PIN_WAYS}; or holdfast unlock, for which --agent-dir FOLDER opens a socket`
    return withPin({ identity, agentDir: undefined }, need, context, ways, unlock)
  })
}

/** Looks after the sockets until the end. */
async function keepOpen(
  open: () => Promise<void>,
  complain: (error?: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await delay(DOORS_CHECK_MS, undefined, { signal }).catch(() => undefined)
    if (signal.aborted) return
    await open().then(complain, (error) => {
      if (isOtherAgent(error)) throw error
      complain(error)
    })
  }
}

/** True if another one has the sockets now. */
function isOtherAgent(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === 'AGENT_RUNNING'
}

/** Logs what is wrong when it is not what was wrong before. */
function createComplaint(log: Log): (error?: unknown) => void {
  let said: string | undefined
  return (error) => {
    const failure = error === undefined ? undefined : describeError(error)
    if (failure !== undefined && failure.message !== said) log('error', { ...failure })
    said = failure?.message
  }
}

/** How often the sockets are looked at. */
const DOORS_CHECK_MS = 5000

type Log = (event: string, fields: LogFields) => void

function createLog(format: LogFormat, { log, now }: Context): Log {
  return (event, fields) => log(formatLogLine(format, now(), event, fields))
}

function findFolder({ agentDir }: ServeArguments, { env }: Context, isSystem: boolean): string {
  const folder = agentDir ?? (isSystem ? findSystemAgentFolder(env) : findUserAgentFolder(env))
  if (folder !== undefined) return folder
  throw new HoldfastError(
    'USAGE',
    'there is no XDG_RUNTIME_DIR, where the socket would be: log in with a session, name a folder with --agent-dir, or use --system',
  )
}

function createParts(
  argv: ServeArguments,
  context: Context,
  log: Log,
  bare: ServedIdentity | undefined,
): AgentParts {
  const { env, uid } = context
  const files = { env, uid, configFile: argv.config }
  return {
    configFiles: bare === undefined ? listConfigFiles(files) : [],
    readIdentities: async () =>
      bare === undefined
        ? selectIdentities(await loadIdentities(files), argv.names ?? [])
        : new Map([[BARE_NAME, bare]]),
    fingerprint: fingerprintFiles,
    createProvider: (identity, parts) =>
      createIdentityProvider(identity, {
        ...context,
        ...parts,
        takeChild: undefined,
        verifyTls: argv.verifySsl,
        debug: argv.debug ? (message) => log('debug', { message }) : undefined,
        warn: (message) => {
          log('warning', { identity: parts.name, message })
          parts.notify(message)
        },
      }),
    asksPerson: async (identity) => {
      const source = await findPinSource(identity, { env, warn: () => undefined })
      return source !== undefined && asksPerson(source)
    },
    findSessionKey: (identity) => findSessionKey(identity, env),
    clock: { ...systemClock, now: context.now },
    random: Math.random,
    onEvent: (event) => log(...describeEvent(event)),
  }
}

function selectIdentities(
  identities: ReadonlyMap<string, ServedIdentity>,
  names: readonly string[],
): ReadonlyMap<string, ServedIdentity> {
  if (names.length === 0) return identities
  return new Map(
    names.map((name) => {
      const identity = identities.get(name)
      if (identity !== undefined) return [name, identity]
      const known = [...identities.keys()].sort().join(', ')
      throw new HoldfastError('CONFIG_NOT_FOUND', `no identity ${JSON.stringify(name)}: there is ${known}`)
    }),
  )
}
