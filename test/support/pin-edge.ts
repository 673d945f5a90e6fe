/**
 * An edge machine for tests of PINs: its runs share one home, their logins are counted, and a PIN can be laid in every
 * place that the program takes one from.
 */

import { spawn } from 'node:child_process'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { createEdge, credentialProcess, type Edge } from './edge.js'
import { createFaultyModules, type FaultyModule } from './faulty-module.js'
import { type ProgramOptions, type ProgramResult, runHoldfast } from './program.js'
import { createSoftHsmToken } from './softhsm.js'
import { createSpy } from './spy.js'
import type { KeyOptions, TestToken } from './token.js'

/** What a run is given besides the edge's own flags and environment; `undefined` takes one of these away. */
export interface Given {
  readonly flags?: Readonly<Record<string, string | undefined>>
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Faults of the module, as for `createFaultyModules`. */
  readonly faults?: string
}

/**
 * Keeps the calls of one program from those of another. SoftHSM 2.6 writes a token's file at each login, and who reads
 * it just then finds no token, or a general error.
 */
export const IN_TURN = [
  'C_Initialize',
  'C_GetSlotList',
  'C_GetTokenInfo',
  'C_OpenSession',
  'C_Login',
  'C_SignInit',
]
  .map((name) => `${name}=alone`)
  .join(' ')

/** Arguments and options of one run, for `runHoldfast` and its like. */
export interface PinRun extends ProgramOptions {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  /** With faults: waits until a call of this run hangs, and gives the id of its process. */
  readonly hungProcess: FaultyModule['hungProcess']
}

/** An edge machine whose logins are counted. */
export interface PinEdge extends Edge {
  /** The URI without a PIN source. */
  readonly bareUri: string
  /** A folder of the token's, which keeps the state of all runs. */
  readonly home: string
  prepare(given?: Given): Promise<PinRun>
  /** Runs `credential-process` until it ends. */
  run(given?: Given): Promise<ProgramResult>
  /** How often C_Login was called until now. */
  logins(): Promise<number>
  /** The same of C_Finalize. */
  finalizations(): Promise<number>
  /** Text of each record of tried PINs, by its path. */
  records(): Promise<Record<string, string>>
}

/** Lends a machine with `token`, or a SoftHSM token, and takes it away. */
export async function withPinEdge(
  options: { token?: TestToken; key?: KeyOptions },
  use: (edge: PinEdge) => Promise<void>,
): Promise<void> {
  const token = options.token ?? (await createSoftHsmToken())
  const edge = await createEdge({ ...options, token, tls: false })
  try {
    await use(await toPinEdge(edge))
  } finally {
    await edge.dispose()
  }
}

async function toPinEdge(edge: Edge): Promise<PinEdge> {
  const { token } = edge
  const spy = createSpy(token)
  const home = join(token.directory, 'home')
  const records = join(home, '.local/state/holdfast/pin')
  await mkdir(home)
  let createFaulty: ReturnType<typeof createFaultyModules> | undefined
  const prepare: PinEdge['prepare'] = async ({ flags, env, faults } = {}) => {
    let faulty: FaultyModule | undefined
    if (faults !== undefined) {
      createFaulty ??= createFaultyModules(token)
      faulty = (await createFaulty)(faults)
    }
    const hungProcess = faulty?.hungProcess ?? (() => Promise.reject(new Error('there are no faults')))
    return {
      hungProcess,
      args: credentialProcess(edge, { '--pkcs11-module': spy.modulePath, ...flags }),
      // The spy watches the faulty module, which hands on what it does not spoil.
      env: {
        ...edge.env,
        ...faulty?.env,
        ...spy.env,
        ...(faulty && { PKCS11SPY: faulty.modulePath }),
        ...env,
      },
      home,
    }
  }
  return {
    ...edge,
    bareUri: edge.uri.split('?')[0]!,
    home,
    prepare,
    run: async (given) => {
      const { args, ...options } = await prepare(given)
      return runHoldfast(args, options)
    },
    logins: async () => (await spy.counts()).C_Login ?? 0,
    finalizations: async () => (await spy.counts()).C_Finalize ?? 0,
    records: async () => {
      const names = await readdir(records).catch(() => [])
      const texts = names.map(async (name) => [name, await readFile(join(records, name), 'utf8')] as const)
      return Object.fromEntries(await Promise.all(texts))
    },
  }
}

/**
 * Runs `credential-process` through another program, such as `setpriv` or `setsid`, which is given the command line.
 * @param program another build of the program
 */
export async function runThrough(
  edge: PinEdge,
  through: readonly [string, ...string[]],
  given: Given = {},
  program: string = resolve(import.meta.dirname, '../../dist/bin.cjs'),
): Promise<ProgramResult> {
  const { args, env, home } = await edge.prepare(given)
  const [command, ...rest] = through
  const state = { XDG_STATE_HOME: join(home, '.local/state') }
  const child = spawn(command, [...rest, process.execPath, program, ...args], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: home, ...state, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const startedAt = performance.now()
  const end = new Promise<[number | null, NodeJS.Signals | null]>((resolveEnd, reject) => {
    child.on('error', reject).on('close', (...how) => resolveEnd(how))
  })
  const [stdout, stderr, [status, signal]] = await Promise.all([text(child.stdout), text(child.stderr), end])
  return { stdout, stderr, status, signal, milliseconds: performance.now() - startedAt }
}

/** One place that a stored PIN may be in. */
export interface PinPlace {
  readonly place: string
  /** What messages call it. */
  readonly source: RegExp
  /** Puts `pin` there, instead of what was there, and tells what a run is given to find it. */
  lay(edge: PinEdge, pin: string): Promise<Given>
}

/** A program that prints `pin`. */
export async function layAskpass(edge: PinEdge, body: string): Promise<string> {
  const path = join(edge.token.directory, 'askpass')
  await writeFile(path, `#!/bin/sh\n${body}\n`, { mode: 0o700 })
  return path
}

/** All of them. */
export const PIN_PLACES: readonly PinPlace[] = [
  {
    place: 'a file',
    source: /file \/.*\/pin-\d+/,
    async lay(edge, pin) {
      await writeFile(edge.token.pinFile, `${pin}\n`)
      return {}
    },
  },
  {
    place: 'HOLDFAST_PIN',
    source: /HOLDFAST_PIN/,
    lay: async (edge, pin) => ({ flags: { '--pkcs11-uri': edge.bareUri }, env: { HOLDFAST_PIN: pin } }),
  },
  {
    place: 'a systemd credential',
    source: /\/credentials\/holdfast\.pin/,
    async lay(edge, pin) {
      const folder = join(edge.token.directory, 'credentials')
      await mkdir(folder, { recursive: true })
      const file = join(folder, 'holdfast.pin')
      await rm(file, { force: true }) // nobody but root writes to it a second time
      await writeFile(file, pin, { mode: 0o400 })
      return { flags: { '--pkcs11-uri': edge.bareUri }, env: { CREDENTIALS_DIRECTORY: folder } }
    },
  },
  {
    place: 'an askpass program',
    source: /askpass program \/.*\/askpass/,
    lay: async (edge, pin) => ({
      flags: { '--pkcs11-uri': edge.bareUri, '--askpass': await layAskpass(edge, `echo '${pin}'`) },
    }),
  },
  {
    place: 'the URI',
    source: /pin-value of the token URI/,
    lay: async (edge, pin) => ({ flags: { '--pkcs11-uri': `${edge.bareUri}?pin-value=${pin}` } }),
  },
]
