/** Reads what another program, or a person, puts into stdin. */

import { stdin } from 'node:process'
import { HoldfastError } from '../core/errors.js'

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
  const chunks: Buffer[] = []
  let length = 0
  const abort = () => stdin.destroy(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    for await (const chunk of stdin) {
      chunks.push(chunk)
      length += chunk.length
      if (length > maxBytes) {
        throw new HoldfastError('FILE_UNREADABLE', `stdin has more than ${maxBytes} bytes, no ${what}`)
      }
    }
    return Buffer.concat(chunks)
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    throw new HoldfastError('FILE_UNREADABLE', `stdin cannot be read (${code ?? message})`, { cause })
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
