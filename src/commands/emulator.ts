/**
 * `holdfast emulator`: a local stand-in for IAM Roles Anywhere that verifies what it is sent. This file gives
 * it a command line and tells where it listens; the emulator shares no code with the rest of the program.
 */

import type { Argv } from 'yargs'
import { HoldfastError } from '../core/errors.js'
import type { JournalEntry } from '../emulator/listener.js'
import type { QuickStartArns } from '../emulator/quick-start.js'
import type { Emulator } from '../emulator/server.js'
import type { Context } from './context.js'

/** Parsed flags. */
export interface EmulatorArguments {
  readonly host: string
  readonly port: number
  readonly https: boolean
  readonly tlsCaOut?: string | undefined
  readonly tlsName?: string | undefined
  readonly state?: string | undefined
  readonly region?: string | undefined
  readonly account?: string | undefined
  readonly ca?: string | undefined
  readonly roleArn?: string | undefined
  readonly trustPolicy?: string | undefined
  readonly maxSessionDuration: number
  readonly sessionDuration?: number | undefined
  readonly acceptRoleSessionName?: boolean | undefined
  readonly latency: number
  readonly failFirst?: string | undefined
  readonly json: boolean
}

const MAX_LATENCY_MS = 600_000

const FLAGS = {
  host: { type: 'string', default: '127.0.0.1', describe: 'address to listen on' },
  port: { type: 'number', default: 0, describe: 'port to listen on; 0 takes a free one' },
  https: { type: 'boolean', default: false, describe: 'serve HTTPS, with a CA made at each start' },
  'tls-ca-out': { type: 'string', describe: 'write the CA that clients must trust to this PEM file' },
  'tls-name': {
    type: 'string',
    describe: 'more names and addresses of the HTTPS certificate, separated by commas',
  },
  state: { type: 'string', describe: 'keep the state in this JSON file, not in memory' },
  region: { type: 'string', describe: 'region to stand in for [default: us-east-1]' },
  account: { type: 'string', describe: 'account id [default: 111122223333]' },
  ca: { type: 'string', describe: 'PEM file of a CA: make a trust anchor of it, and a profile for the role' },
  'role-arn': { type: 'string', describe: 'ARN of a role that exists' },
  'trust-policy': {
    type: 'string',
    describe: 'JSON file, the role’s trust policy [default: any certificate of the trust anchor]',
  },
  'max-session-duration': { type: 'number', default: 43200, describe: 'seconds, limit of the role' },
  'session-duration': { type: 'number', describe: 'seconds, duration of the profile [default: 3600]' },
  'accept-role-session-name': { type: 'boolean', describe: 'let the profile take session names' },
  latency: { type: 'number', default: 0, describe: 'milliseconds before each answer to CreateSession' },
  'fail-first': {
    type: 'string',
    describe:
      'COUNT:KIND of the first sessions to fail, separated by commas: throttle, error, unavailable, drop',
  },
  json: { type: 'boolean', default: false, describe: 'say what is ready as one line of JSON' },
} as const

export function builder(argv: Argv): Argv {
  return argv
    .options(
      Object.fromEntries(
        Object.entries(FLAGS).map(([name, flag]) => [
          name,
          { ...flag, requiresArg: flag.type !== 'boolean' },
        ]),
      ),
    )
    .example(
      'holdfast emulator --ca ca.pem --role-arn arn:aws:iam::111122223333:role/edge',
      'let certificates of this CA get credentials of this role',
    )
}

/**
 * Serves until the context's signal aborts.
 * @throws HoldfastError USAGE, FILE_UNREADABLE, NETWORK_FAILED, OUTPUT_FAILED
 */
export async function run(argv: EmulatorArguments, context: Context): Promise<void> {
  verifyFlags(argv)
  const emulator = await start(argv, context)
  try {
    const arns = await setUp(emulator, argv)
    await writeCa(emulator, argv)
    await context.stdout(argv.json ? formatJson(emulator, arns) : formatText(emulator, arns, argv))
    await new Promise<void>((resolve) => {
      if (context.signal.aborted) resolve()
      context.signal.addEventListener('abort', () => resolve(), { once: true })
    })
  } finally {
    await emulator.close()
  }
}

function verifyFlags(argv: EmulatorArguments): void {
  const wrong: readonly [boolean, string][] = [
    [
      !argv.https && (argv.tlsCaOut ?? argv.tlsName) !== undefined,
      '--tls-ca-out and --tls-name need --https',
    ],
    [
      argv.https && argv.tlsCaOut === undefined && !argv.json,
      '--https needs --tls-ca-out, or --json, to hand out the CA',
    ],
    [
      argv.ca !== undefined && argv.roleArn === undefined,
      '--ca needs --role-arn: whose credentials are to be had?',
    ],
    [
      argv.roleArn !== undefined && (argv.ca ?? argv.trustPolicy) === undefined,
      '--role-arn needs --ca or --trust-policy: who may assume the role?',
    ],
    [!isWholeNumber(argv.port, 65535), '--port must be a whole number from 0 to 65535'],
    [
      !isWholeNumber(argv.latency, MAX_LATENCY_MS),
      `--latency must be a whole number from 0 to ${MAX_LATENCY_MS}`,
    ],
  ]
  const found = wrong.find(([holds]) => holds)
  if (found !== undefined) throw new HoldfastError('USAGE', found[1])
}

function isWholeNumber(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max
}

/** Loads the emulator, which no other command does. */
async function start(argv: EmulatorArguments, context: Context): Promise<Emulator> {
  const { startEmulator } = await import('../emulator/server.js')
  const { parseFault } = await import('../emulator/faults.js')
  const faults = await asUsage(async () => argv.failFirst?.split(',').map(parseFault) ?? [])
  const emulator = await asUsage(() =>
    startEmulator({
      host: argv.host,
      port: argv.port,
      tls: argv.https,
      tlsNames: argv.tlsName?.split(',') ?? [],
      ...(argv.state === undefined ? {} : { stateFile: argv.state }),
      ...(argv.region === undefined ? {} : { region: argv.region }),
      ...(argv.account === undefined ? {} : { account: argv.account }),
      now: context.now,
      onRequest: (entry) => context.stderr(formatEntry(entry)),
    }),
  )
  emulator.faults.latencyMs = argv.latency
  for (const { kind, count } of faults) emulator.faults.failNext(kind, count)
  return emulator
}

/** The quick start, or the role alone; undefined if the flags name neither. */
async function setUp(
  emulator: Emulator,
  { ca, roleArn, trustPolicy, maxSessionDuration, sessionDuration, acceptRoleSessionName }: EmulatorArguments,
): Promise<QuickStartArns | undefined> {
  if (roleArn === undefined) return undefined
  const { quickStart } = await import('../emulator/quick-start.js')
  const { putRole } = await import('../emulator/roles.js')
  const policy = trustPolicy === undefined ? undefined : await readText(trustPolicy)
  const caPem = ca === undefined ? undefined : await readText(ca)
  return asUsage(async () => {
    if (caPem === undefined) {
      putRole(emulator, { roleArn, assumeRolePolicyDocument: policy, maxSessionDuration })
      emulator.save()
      return undefined
    }
    const arns = quickStart(emulator, {
      caPem,
      roleArn,
      trustPolicy: policy,
      maxSessionDuration,
      durationSeconds: sessionDuration,
      acceptRoleSessionName,
    })
    emulator.save()
    return arns
  })
}

async function writeCa({ tlsCaPem }: Emulator, { tlsCaOut }: EmulatorArguments): Promise<void> {
  if (tlsCaOut === undefined || tlsCaPem === undefined) return
  const { replaceText } = await import('../emulator/files.js')
  try {
    replaceText(tlsCaOut, tlsCaPem, 0o644)
  } catch (cause) {
    throw new HoldfastError('OUTPUT_FAILED', `${tlsCaOut} cannot be written: ${(cause as Error).message}`, {
      cause,
    })
  }
}

async function readText(path: string): Promise<string> {
  const { findText } = await import('../emulator/files.js')
  try {
    const text = findText(path)
    if (text !== undefined) return text
  } catch (cause) {
    throw new HoldfastError('FILE_UNREADABLE', `${path} cannot be read: ${(cause as Error).message}`, {
      cause,
    })
  }
  throw new HoldfastError('FILE_UNREADABLE', `${path} does not exist`)
}

/** Runs what the flags decide; the emulator's refusals and the system's are translated. */
async function asUsage<T>(use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (cause) {
    const { name, message, syscall } = cause as NodeJS.ErrnoException
    if (name === 'ServiceError') throw new HoldfastError('USAGE', message, { cause })
    if (syscall === 'listen' || syscall === 'getaddrinfo') {
      throw new HoldfastError('NETWORK_FAILED', `the emulator cannot listen: ${message}`, { cause })
    }
    if (syscall !== undefined) {
      throw new HoldfastError('OUTPUT_FAILED', `the state cannot be kept: ${message}`, { cause })
    }
    throw cause
  }
}

function formatJson({ url, state, tlsCaPem }: Emulator, arns: QuickStartArns | undefined): string {
  const { region, account } = state
  return `${JSON.stringify({ url, region, account, ...arns, tlsCaPem })}\n`
}

function formatText(
  { url, state }: Emulator,
  arns: QuickStartArns | undefined,
  argv: EmulatorArguments,
): string {
  const lines = [
    `Roles Anywhere emulator for ${state.region}, account ${state.account}`,
    ...(arns === undefined ? [] : Object.entries(arns).map(([name, arn]) => `${name} ${arn}`)),
    ...(argv.tlsCaOut === undefined ? [] : [`tlsCa ${argv.tlsCaOut}`]),
    `Listening on ${url}`,
  ]
  return `${lines.join('\n')}\n`
}

function formatEntry({ method, path, status, errorType, reason }: JournalEntry): string {
  const outcome = status === 0 ? 'dropped' : String(status)
  return `${method} ${path} ${outcome}${errorType === undefined ? '' : ` ${errorType}: ${reason}`}`
}
