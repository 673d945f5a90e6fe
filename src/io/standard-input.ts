/** Reads what another program, or a person, puts into stdin. */

import { stdin } from 'node:process'
import { HoldfastError } from '../core/errors.js'
import { describeFault } from './disk.js'
import { readStream } from './stream.js'

/**
 * All bytes of stdin, up to its end. At a terminal, where nothing else would show that it waits, `say` is told.
 * @param what is expected there, for messages
 * @throws HoldfastError FILE_UNREADABLE if there are more than `maxBytes`, or it cannot be read; the reason of `signal`
 */
export async function readStandardInput(
  what: string,
  { maxBytes, signal, say }: { maxBytes: number; signal: AbortSignal; say: (line: string) => void },
): Promise<Uint8Array> {
  if (stdin.isTTY) say(`reading the ${what} from the terminal, up to Ctrl-D`)
  const abort = () => stdin.destroy(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    const bytes = await readStream(stdin, maxBytes)
    if (bytes !== undefined) return bytes
    throw new HoldfastError('FILE_UNREADABLE', `stdin has more than ${maxBytes} bytes, no ${what}`)
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    throw new HoldfastError('FILE_UNREADABLE', `stdin cannot be read (${describeFault(cause)})`, { cause })
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
