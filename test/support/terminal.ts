/**
 * A terminal that a program can be put at, with a person who types, and what came of it.
 */

import { resolve } from 'node:path'
import { run } from './command.js'

/** What happens next, once `expect` stands on the screen. */
export interface TerminalStep {
  readonly expect?: string
  readonly type?: string
  /** Goes to all processes in the foreground. */
  readonly signal?: NodeJS.Signals
  /** The person goes away. */
  readonly hangup?: boolean
}

/** What came of it. */
export interface TerminalSession {
  /** All that was shown, including what was echoed. */
  readonly screen: string
  readonly stdout: string
  /** Exit status; negative is the number of the signal that ended the program. */
  readonly status: number
  /** True if the terminal would have shown what is typed, when it was looked at last. */
  readonly echoWhileAsking: boolean
  /** True if the terminal's settings are those from before. */
  readonly restored: boolean
}

/** How a program is put there. */
export interface TerminalOptions {
  readonly background?: boolean
  /** Its stdin is the terminal, too. */
  readonly stdin?: boolean
}

/** Runs a program (its absolute path, and its arguments) at a terminal of its own, until it ends. */
export async function playAtTerminal(
  argv: readonly string[],
  steps: readonly TerminalStep[],
  { background = false, stdin = false }: TerminalOptions = {},
): Promise<TerminalSession> {
  const player = resolve(import.meta.dirname, 'terminal.py')
  return JSON.parse(await run('python3', [player, JSON.stringify({ argv, background, stdin, steps })]))
}
