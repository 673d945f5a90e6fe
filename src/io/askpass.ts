/**
 * Gets a PIN, or another secret, from an askpass program, as ssh does: the question is its one argument, the answer the first line of its
 * stdout. It is started without a shell, in a process group of its own, so that all it starts can be ended with it.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { HoldfastError } from '../core/errors.js'
import { PIN_WORDS, parsePin, type SecretWords } from '../core/pin/pin.js'
import { formatPrintable } from '../core/printable.js'
import { endGroup } from './process-group.js'
import { readStream } from './stream.js'

/** What it asks of its surroundings. */
export interface AskpassOptions {
  /** Ends the wait and the program; if its reason is a HoldfastError, that is thrown. */
  readonly signal: AbortSignal
  readonly env: Readonly<Record<string, string | undefined>>
  readonly words?: SecretWords
}

/** How long a program that is asked to end may take to do so. */
const PATIENCE_MS = 500

/** More than a PIN: the program is printing something else. */
const MAX_ANSWER_BYTES = 4096

/**
 * What `program` answers to `prompt`. It sees the environment without `HOLDFAST_PIN`, and no terminal on stdin. The
 * bytes belong to the caller.
 * @param program a path, or a name that is looked up in PATH; it takes no arguments of its own
 * @throws HoldfastError PIN_SOURCE_UNREADABLE if it cannot be started
 * @throws HoldfastError PIN_NEEDED if it fails (a person cancelled), or `signal` ends the wait
 * @throws HoldfastError PIN_INVALID
 */
export async function runAskpass(
  program: string,
  prompt: string,
  { env, signal, words = PIN_WORDS }: AskpassOptions,
): Promise<Uint8Array> {
  const name = `askpass program ${formatPrintable(program)}`
  const { HOLDFAST_PIN: _, ...childEnv } = env
  let child: Askpass | undefined
  let answer: Buffer
  let status: number | null
  try {
    signal.throwIfAborted()
    child = startAskpass(program, prompt, childEnv)
    const [bytes, [code]] = await Promise.all([
      readAnswer(child.stdout, name, words),
      once(child, 'close', { signal }),
    ])
    answer = bytes
    status = code
  } catch (cause) {
    if (child !== undefined) await endGroup(child, PATIENCE_MS)
    throw describeFailure(cause, name, signal, words)
  }
  try {
    if (status === 0) return parsePin(answer, name, words)
    throw new HoldfastError('PIN_NEEDED', `${words.need}, and ${name} gave none: it failed or was cancelled`)
  } finally {
    answer.fill(0)
  }
}

type Askpass = ChildProcessByStdio<null, Readable, null>

function startAskpass(program: string, prompt: string, env: NodeJS.ProcessEnv): Askpass {
  // What it has to complain about goes to our stderr. `detached` makes the process group.
  return spawn(program, [formatPrintable(prompt)], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
}

async function readAnswer(stdout: Readable, name: string, words: SecretWords): Promise<Buffer> {
  const answer = await readStream(stdout, MAX_ANSWER_BYTES)
  if (answer !== undefined) return answer
  throw new HoldfastError('PIN_INVALID', `${name} printed more than a ${words.name}; none was tried`)
}

function describeFailure(
  cause: unknown,
  name: string,
  signal: AbortSignal,
  { need }: SecretWords,
): HoldfastError {
  if (cause instanceof HoldfastError) return cause
  if (signal.aborted) {
    if (signal.reason instanceof HoldfastError) return signal.reason
    return new HoldfastError('PIN_NEEDED', `${need}, and ${name} gave none in time`, { cause })
  }
  const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message
  return new HoldfastError('PIN_SOURCE_UNREADABLE', `${name} cannot be started: ${why}`, { cause })
}
