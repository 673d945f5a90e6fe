/**
 * An edge machine with an agent: a configuration file with the identity `edge`, a folder for sockets that clients trust, and
 * a module whose calls are counted.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Edge } from './edge.js'
import {
  type ProgramOptions,
  type ProgramResult,
  type RunningProgram,
  runHoldfast,
  startHoldfast,
} from './program.js'
import { createSpy } from './spy.js'

/** Keys of the identity that differ from the edge's flags; undefined takes one away. */
export type IdentityChanges = Readonly<Record<string, string | number | boolean | undefined>>

/** A machine on which agents can be run. */
export interface AgentEdge {
  readonly edge: Edge
  /** Path of the configuration file. */
  readonly config: string
  /** `XDG_RUNTIME_DIR`. Its folder `holdfast` is where a user's agent has its socket. */
  readonly runtimeFolder: string
  /** Path of the socket of a user's agent. */
  readonly socket: string
  readonly env: Readonly<Record<string, string>>
  /** Writes the configuration file anew. */
  configure(identities?: Readonly<Record<string, IdentityChanges>>): Promise<void>
  /** Starts a user's agent, and waits until it is ready. */
  serve(...args: string[]): Promise<RunningProgram>
  run(args: readonly string[], options?: ProgramOptions): Promise<ProgramResult>
  /** `credential-process edge`, with more arguments. */
  take(...args: string[]): Promise<ProgramResult>
  /** How often the emulator was asked for a session. */
  sessions(): number
  /** How often a function of the module was called. */
  calls(name: string): Promise<number>
  dispose(): Promise<void>
}

/** Puts a configuration, and a place for sockets, on a machine. What is disposed of is all but the edge. */
export async function createAgentEdge(edge: Edge): Promise<AgentEdge> {
  // Not where anybody can make folders: clients would not trust it.
  const runtimeFolder = await mkdtemp(join(homedir(), '.holdfast-test-'))
  const spy = createSpy(edge.token)
  const config = join(runtimeFolder, 'config.toml')
  const env = { ...edge.env, ...spy.env, XDG_RUNTIME_DIR: runtimeFolder }
  const flags = Object.fromEntries(
    edge.args.flatMap((arg, index) => (index % 2 === 0 ? [[arg.slice(2), edge.args[index + 1]!]] : [])),
  )
  const run: AgentEdge['run'] = (args, options = {}) =>
    runHoldfast(args, { home: runtimeFolder, ...options, env: { ...env, ...options.env } })
  const machine: AgentEdge = {
    edge,
    config,
    runtimeFolder,
    socket: join(runtimeFolder, 'holdfast/agent.sock'),
    env,
    async configure(identities = { edge: {} }) {
      const tables = Object.entries(identities).map(([name, changes]) => {
        const keys = { ...flags, 'pkcs11-module': spy.modulePath, ...changes }
        const lines = Object.entries(keys).filter(([, value]) => value !== undefined)
        return [
          `[identity.${name}]`,
          ...lines.map(([key, value]) => `${key} = ${JSON.stringify(value)}`),
          '',
        ].join('\n')
      })
      await writeFile(config, tables.join('\n'), { mode: 0o600 })
    },
    serve: (...args) =>
      startHoldfast(['serve', '--no-system', '--config', config, ...args], {
        env,
        home: runtimeFolder,
        ready: /ready sockets=|"event":"ready"/,
        timeoutMs: 30_000,
      }),
    run,
    take: (...args) =>
      run(['credential-process', 'edge', '--config', config, ...args], { timeoutMs: 240_000 }),
    sessions: () => edge.emulator.journal.length,
    calls: async (name) => (await spy.counts())[name] ?? 0,
    dispose: () => rm(runtimeFolder, { recursive: true, force: true }),
  }
  await machine.configure()
  return machine
}

/** One request on a unix socket. */
export async function askSocket(
  socketPath: string,
  path: string,
  { method = 'GET', body = '' }: { method?: string; body?: string | Uint8Array } = {},
): Promise<{ status: number; body: string }> {
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    request({ socketPath, path, method, agent: false }, resolve).on('error', reject).end(body)
  })
  return { status: response.statusCode ?? 0, body: await text(response) }
}
