/**
 * Asks a person for a PIN at the controlling terminal: never on stdin or stdout, which belong to other programs.
 * Only Linux tells (in /proc) whether we may ask; where it does not, nobody is asked.
 */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { HoldfastError } from '../core/errors.js'
import { PIN_WAYS, parsePin } from '../core/pin.js'
import { formatPrintable } from '../core/printable.js'
import { findProcessStatus } from '../core/process-status.js'
import { createLineEditor, type LineEditor, type TypedLine } from '../core/typed-line.js'

/**
 * The PIN that is typed after `prompt`, without echo. The terminal is put back on every way out. Node does so itself
 * when SIGTERM or an exception ends the process; of other signals the program has to make an abort. The bytes
 * belong to the caller.
 * @param options.signal ends the wait; if its reason is a HoldfastError, that is thrown
 * @throws HoldfastError PIN_NEEDED at once if there is no terminal or we are in its background, where asking would
 *   stop the process; later if the terminal goes away, nothing is typed, or `signal` ends the wait
 * @throws HoldfastError INTERRUPTED after Ctrl-C
 * @throws HoldfastError PIN_INVALID
 */
export async function askTerminal(prompt: string, { signal }: { signal: AbortSignal }): Promise<Uint8Array> {
  if (!isInForeground()) throw pinNeeded('this process is not in the foreground of a terminal')
  const fd = openTerminal()
  const editor = createLineEditor()
  let terminal: ReadStream | undefined
  try {
    terminal = new ReadStream(fd)
    // A terminal that has gone away fails at each further step; the first one tells.
    terminal.on('error', () => undefined)
    terminal.setRawMode(true)
    if (!terminal.isRaw) throw new Error('the terminal goes on echoing')
    writeSync(fd, formatPrintable(prompt))
    return parsePin(await readLine(terminal, editor, signal), 'terminal')
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    throw pinNeeded('the terminal went away', cause)
  } finally {
    editor.wipe()
    if (terminal !== undefined) restore(terminal, fd)
    closeSync(fd)
  }
}

/** Linux stops a process that changes a terminal from the background, and no timer of its own could end that. */
function isInForeground(): boolean {
  try {
    const status = findProcessStatus(readFileSync('/proc/self/stat', 'utf8'))
    return status !== undefined && status.processGroup === status.terminalProcessGroup
  } catch {
    return false
  }
}

function openTerminal(): number {
  try {
    return openSync('/dev/tty', constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK)
  } catch (cause) {
    throw pinNeeded('there is no terminal to ask at', cause)
  }
}

function readLine(terminal: ReadStream, editor: LineEditor, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(describeAbort(signal))
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    const settle = (line: TypedLine) => {
      if (line.state === 'typing') return
      signal.removeEventListener('abort', abort)
      terminal.pause()
      if (line.state === 'done') resolve(line.bytes)
      else reject(describeEnd(line.state))
    }
    terminal.on('error', reject)
    terminal.on('end', () => settle({ state: 'ended' }))
    terminal.on('data', (chunk) => {
      settle(editor.type(chunk))
      chunk.fill(0)
    })
  })
}

function restore(terminal: ReadStream, fd: number): void {
  terminal.setRawMode(false)
  terminal.destroy()
  try {
    // The line end that was typed was not shown.
    writeSync(fd, '\n')
  } catch {
    // Nobody is there to see it.
  }
}

function describeAbort({ reason }: AbortSignal): HoldfastError {
  return reason instanceof HoldfastError ? reason : pinNeeded('none was typed in time', reason)
}

function describeEnd(state: 'interrupted' | 'ended' | 'too-long'): HoldfastError {
  switch (state) {
    case 'interrupted':
      return new HoldfastError('INTERRUPTED', 'interrupted while the PIN was being typed; nothing was tried')
    case 'ended':
      return pinNeeded('none was typed')
    case 'too-long':
      return new HoldfastError('PIN_INVALID', 'what was typed is too long for a PIN; it was not tried')
  }
}

function pinNeeded(why: string, cause?: unknown): HoldfastError {
  return new HoldfastError('PIN_NEEDED', `the token wants a PIN, and ${why}. Ways to give one: ${PIN_WAYS}`, {
    cause,
  })
}
