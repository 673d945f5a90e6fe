/**
 * What cannot be undone is done only once its name has been said: with `--yes NAME`, or typed at the terminal. So no
 * script does it by accident, and nobody loses another thing than they mean.
 */

import { HoldfastError } from '../core/errors.js'
import { formatPrintable } from '../core/printable.js'
import type { Context } from './context.js'

/** What is to be lost. */
export interface Loss {
  /** What will happen, for the question: `remove key "edge" (id 01) from token "edge"`. */
  readonly what: string
  /** Any of them will do; empty ones do not count. */
  readonly names: readonly string[]
  /** Value of `--yes`. */
  readonly given: string | undefined
}

/** How long a person is waited for. */
const PERSON_LIMIT_SECONDS = 120

/**
 * Comes back if the loss is meant.
 * @throws HoldfastError USAGE if another name was given or typed, or none can be asked for; INTERRUPTED
 */
export async function confirmLoss({ what, names, given }: Loss, context: Context): Promise<void> {
  const wanted = names.filter((name) => name !== '')
  const said = given ?? (await askName(what, wanted, context))
  if (wanted.includes(said)) return
  throw new HoldfastError(
    'USAGE',
    `to ${formatPrintable(what)}, its name has to be repeated, and ${formatPrintable(JSON.stringify(said))} is not it; nothing was changed`,
  )
}

async function askName(what: string, names: readonly string[], { signal }: Context): Promise<string> {
  const { askTerminal } = await import('../io/terminal.js')
  const { withDeadline } = await import('../io/deadline.js')
  const words = { name: 'name', need: `to ${what}, its name has to be typed`, ways: '--yes NAME' }
  const prompt = `This will ${what}. There is no way back. Type ${names.map((name) => JSON.stringify(name)).join(' or ')} without the quotes to go on: `
  const expired = new HoldfastError(
    'USAGE',
    `nothing was typed within ${PERSON_LIMIT_SECONDS} s; nothing was changed`,
  )
  try {
    const bytes = await withDeadline(
      { signal, timeoutMs: PERSON_LIMIT_SECONDS * 1000, expired },
      (deadline) => askTerminal(prompt, { signal: deadline, words, echo: true }),
    )
    return Buffer.from(bytes).toString('utf8')
  } catch (error) {
    const nobody = error instanceof HoldfastError && ['PIN_NEEDED', 'PIN_INVALID'].includes(error.code)
    throw nobody
      ? new HoldfastError('USAGE', `${error.message}; nothing was changed`, { cause: error })
      : error
  }
}
