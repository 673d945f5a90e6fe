/**
 * Has a program issue a certificate: it gets the request in PEM on stdin, and prints the certificate. It is started without a
 * shell and without a terminal, in a process group of its own, so that all it starts can be ended with it. What it has to complain about goes to
 * our stderr.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { HoldfastError } from '../core/errors.js'
import { formatPrintable } from '../core/printable.js'
import { endGroup } from './process-group.js'
import { readStream } from './stream.js'

/** What it asks of its surroundings. */
export interface IssueCommandOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Ends the wait and the program; its reason is thrown. */
  readonly signal: AbortSignal
}

const MAX_OUTPUT_BYTES = 1024 * 1024
/** How long a program that is asked to end may take to do so. */
const PATIENCE_MS = 1000

/**
 * All that the program prints. It sees the environment without `HOLDFAST_PIN`.
 * @param words the program, a path or a name that is looked up in PATH, and its arguments
 * @throws HoldfastError ISSUER_FAILED if it cannot be started, fails, or prints more than 1 MiB; the reason of `signal`
 */
export async function runIssueCommand(
  words: readonly string[],
  request: string,
  { env, signal }: IssueCommandOptions,
): Promise<Uint8Array> {
  const [program = '', ...args] = words
  const name = `the issue command ${formatPrintable(program)}`
  const { HOLDFAST_PIN: _, ...childEnv } = env
  let child: ChildProcess | undefined
  try {
    signal.throwIfAborted()
    child = spawn(program, args, { env: childEnv, stdio: ['pipe', 'pipe', 'inherit'], detached: true })
    // It may end without reading.
    child.stdin!.on('error', () => undefined)
    child.stdin!.end(request)
    const [output, [status, killer]] = await Promise.all([
      readOutput(child.stdout!, name),
      once(child, 'close', { signal }) as Promise<[number | null, NodeJS.Signals | null]>,
    ])
    if (status === 0) return output
    throw new HoldfastError(
      'ISSUER_FAILED',
      `${name} ended with ${killer ?? `exit status ${status}`}; it said why on stderr, if at all`,
    )
  } catch (cause) {
    if (child !== undefined) await endGroup(child, PATIENCE_MS)
    if (cause instanceof HoldfastError) throw cause
    if (signal.aborted) throw signal.reason
    const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message
    throw new HoldfastError('ISSUER_FAILED', `${name} cannot be started: ${why}`, { cause })
  }
}

async function readOutput(stdout: Readable, name: string): Promise<Uint8Array> {
  const output = await readStream(stdout, MAX_OUTPUT_BYTES)
  if (output !== undefined) return output
  throw new HoldfastError('ISSUER_FAILED', `${name} printed more than 1 MiB, which is no certificate`)
}
