/** Asks for a PIN at the terminal and says on stdout, in JSON, what came of it. Its one argument is JSON as well. */
import { writeSync } from 'node:fs'
import { HoldfastError } from '../../src/core/errors.js'
import { askTerminal } from '../../src/io/terminal.js'

const { handled, timeoutMs, crashes, times }: AskTerminal = JSON.parse(process.argv[2]!)

/** What the run shall do. */
export interface AskTerminal {
  /** Signals that make an abort, as in the program. */
  readonly handled?: readonly NodeJS.Signals[]
  readonly timeoutMs?: number
  /** Throws while the person types, at the SIGUSR2 that it gets. */
  readonly crashes?: boolean
  /** How often to ask; once if it is not said. */
  readonly times?: number
}

const abort = new AbortController()
for (const name of handled ?? []) {
  process.on(name, () => abort.abort(new HoldfastError('INTERRUPTED', name)))
}
if (crashes) {
  process.on('SIGUSR2', () => {
    throw new Error('crash')
  })
}
const signal = timeoutMs === undefined ? abort.signal : AbortSignal.timeout(timeoutMs)
for (let time = 0; time < (times ?? 1); time++) {
  try {
    const pin = await askTerminal(`PIN of "a\u001b[2J" ${time}: `, { signal })
    writeSync(1, `${JSON.stringify({ pin: Buffer.from(pin).toString() })}\n`)
  } catch (error) {
    const { code, message } = error as HoldfastError
    writeSync(1, `${JSON.stringify({ code, message })}\n`)
  }
}
