/**
 * What a command may touch of the process it runs in. Commands never name the global `process`, so a test can
 * run them with any environment, clock and output.
 */

import type { TokenChild } from '../io/token-process.js'

/** Made once by the executable. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Numeric id of the effective user. */
  readonly uid: number
  /** Path of the Node executable. */
  readonly execPath: string
  /** Path of this program as it was started. */
  readonly programPath: string
  /** A token child that was started before the command line was parsed, if there is one left. */
  readonly takeChild: () => TokenChild | undefined
  readonly version: string
  readonly buildDate: Date
  readonly now: () => Date
  /** Writes to stdout. @throws HoldfastError OUTPUT_FAILED if it cannot be handed over */
  readonly stdout: (text: string) => Promise<void>
  /** Writes one line to stderr; control characters are made visible. */
  readonly stderr: (line: string) => void
  /** Writes one line to stderr as it is: only for lines made by core/agent/log-line. */
  readonly log: (line: string) => void
  /** Has SIGHUP call `listener` from now on, and abort nothing. */
  readonly onHangup: (listener: () => void) => void
  /** Number of this process. */
  readonly pid: number
  /** Aborted by SIGINT, SIGTERM, SIGHUP and SIGQUIT. */
  readonly signal: AbortSignal
}
