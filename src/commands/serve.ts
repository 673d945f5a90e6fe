/**
 * `holdfast serve [NAME…]`: the agent. It keeps the credentials of identities fresh and hands them out on unix sockets,
 * until SIGTERM or SIGINT ends it.
 */

import { join } from 'node:path'
import type { Argv } from 'yargs'
import { type Agent, type AgentEvent, createAgent } from '../agent/agent.js'
import { createDoor } from '../agent/door.js'
import { describeEvent, describeRequest } from '../agent/journal.js'
import { formatSessionKey } from '../agent/session-key.js'
import {
  AGENT_SOCKET,
  CONTROL_SOCKET,
  findSystemAgentFolder,
  findUserAgentFolder,
  identitySocket,
} from '../core/agent-place.js'
import { MAX_REQUEST_BYTES } from '../core/agent-protocol.js'
import { type AgentReport, describeError, toIdentityReport } from '../core/agent-status.js'
import type { ServedIdentity } from '../core/config.js'
import { formatExpiration } from '../core/credentials.js'
import { HoldfastError } from '../core/errors.js'
import { formatLogLine, LOG_FORMATS, type LogFields, type LogFormat } from '../core/log-line.js'
import { createIdentityProvider } from '../identity-provider.js'
import { listConfigFiles, loadIdentities } from '../io/config-file.js'
import { fingerprintFiles } from '../io/file-fingerprint.js'
import { systemClock } from '../io/steady-clock.js'
import { listenOnSocket, makeSocketFolder, type UnixServer } from '../io/unix-server.js'
import { asksPerson, findPinSource } from '../source.js'
import type { Context } from './context.js'

/** Parsed flags. */
export interface ServeArguments {
  readonly names?: readonly string[] | undefined
  readonly config?: string | undefined
  readonly agentDir?: string | undefined
  readonly system?: boolean | undefined
  readonly logFormat: LogFormat
}

export function builder(argv: Argv): Argv {
  return argv
    .positional('names', {
      type: 'string',
      array: true,
      describe: 'identities of the configuration file; without any, all of them',
    })
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: 'configuration file to read instead of the usual ones',
    })
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
    .example('holdfast serve', 'serve every identity of the configuration file to yourself')
    .example('holdfast serve --system edge', 'serve one to the members of its socket-group')
}

/** Runs until it is told to end. @throws HoldfastError CONFIG_*, USAGE, AGENT_RUNNING, SOCKET_UNUSABLE */
export async function run(argv: ServeArguments, context: Context): Promise<void> {
  const isSystem = argv.system ?? context.uid === 0
  const log = createLog(argv.logFormat, context)
  const requests = new Map<string, Map<string, number>>()
  const ending = new AbortController()
  const end = () => ending.abort(context.signal.reason)
  context.signal.addEventListener('abort', end, { once: true })
  const agent = await createAgent(createParts(argv, context, ending.signal, log))
  const servers = new Map<string, UnixServer>()
  try {
    const folder = findFolder(argv, context, isSystem)
    makeSocketFolder(folder, isSystem ? 0o755 : 0o700, context.uid)
    const since = context.now()
    const findCertificate = (name: string | undefined) =>
      name === undefined ? undefined : agent.certificate(name)
    const open = async (file: string, only?: string) => {
      const path = join(folder, file)
      const server = await listenOnSocket({
        path,
        maxBodyBytes: MAX_REQUEST_BYTES,
        onError: (error) => log('error', { socket: path, ...describeError(error) }),
        answer: createDoor(agent, {
          only,
          onRequest: (event) => {
            count(requests, event.name ?? '', event.result)
            log(...describeRequest(event, path, findCertificate(event.name)))
          },
          formatStatus: (names) => JSON.stringify(report(agent, names, requests, since, context)),
          formatMetrics: () => '',
        }),
      })
      servers.set(path, server)
    }
    await open(isSystem ? CONTROL_SOCKET : AGENT_SOCKET)
    if (isSystem) for (const name of agent.names) await open(identitySocket(name), name)
    agent.start()
    context.onHangup(() => void agent.reload().catch(() => undefined))
    log('ready', { sockets: [...servers.keys()].join(' ') })
    await new Promise<void>((resolve) => {
      if (context.signal.aborted) resolve()
      context.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    log('ending', {})
  } finally {
    ending.abort(new HoldfastError('INTERRUPTED', 'the agent is ending'))
    agent.stop()
    await Promise.all([...servers.values()].map((server) => server.close()))
  }
}

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

function createParts(argv: ServeArguments, context: Context, signal: AbortSignal, log: Log) {
  const { env, uid } = context
  const files = { env, uid, configFile: argv.config }
  return {
    configFiles: listConfigFiles(files),
    readIdentities: async () => selectIdentities(await loadIdentities(files), argv.names ?? []),
    fingerprint: fingerprintFiles,
    createProvider: (identity: ServedIdentity, parts: object) =>
      createIdentityProvider(identity, {
        ...context,
        ...parts,
        takeChild: undefined,
        signal,
        warn: (message) => log('warning', { message }),
      }),
    asksPerson: async (identity: ServedIdentity) => {
      const source = await findPinSource(identity, { env, warn: () => undefined })
      return source !== undefined && asksPerson(source)
    },
    formatSessionKey: (identity: ServedIdentity) => formatSessionKey(identity, env),
    clock: { ...systemClock, now: context.now },
    random: Math.random,
    onEvent: (event: AgentEvent) => log(...describeEvent(event)),
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

function count(counts: Map<string, Map<string, number>>, name: string, result: string): void {
  const results = counts.get(name) ?? new Map<string, number>()
  counts.set(name, results.set(result, (results.get(result) ?? 0) + 1))
}

function report(
  agent: Agent,
  names: readonly string[],
  requests: ReadonlyMap<string, ReadonlyMap<string, number>>,
  since: Date,
  { version, pid }: Context,
): AgentReport {
  const { configError, states } = agent
  return {
    version,
    pid,
    since: formatExpiration(since),
    ...(configError === undefined ? {} : { configFailure: describeError(configError).message }),
    identities: states
      .filter(({ name }) => names.includes(name))
      .map((state) => toIdentityReport({ ...state, requests: requests.get(state.name) ?? new Map() })),
  }
}
