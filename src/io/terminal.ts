/**
 * Asks a person for a PIN, or another secret, at the controlling terminal: never on stdin or stdout, which belong to other programs.
 * Only Linux tells (in /proc) whether we may ask; where it does not, nobody is asked.
 */
import { closeSync, constants, lstatSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { ReadStream } from 'node:tty'
import { HoldfastError } from '../core/errors.js'
import { PIN_WORDS, parsePin, type SecretWords } from '../core/pin/pin.js'
import { createLineEditor, type LineEditor, type TypedLine } from '../core/pin/typed-line.js'
import { formatPrintable } from '../core/printable.js'
import { type Release, tryLock, waitForTurn } from './lock.js'
import { findOurStatus } from './processes.js'

/** How long to wait for what a SIGINT of our own does to this process. */
const INTERRUPT_LIMIT_MS = 500

/** How to ask. */
export interface TerminalQuestion {
  /** Ends the wait; if its reason is a HoldfastError, that is thrown. */
  readonly signal: AbortSignal
  readonly words?: SecretWords
  /** True for what is no secret: the terminal then shows it, and lets it be edited, in its own way. */
  readonly echo?: boolean
}

/**
 * The PIN that is typed after `prompt`, without echo unless that is wanted. Whoever else asks at this terminal is waited for. The
 * terminal is put back on every way out, and while SIGTSTP stops this process. Node does so itself
 * when SIGTERM or an exception ends the process; of other signals the program has to make an abort. Ctrl-C sends
 * SIGINT to this process group, as the terminal would if it were not asked to hand over each key. The bytes
 * belong to the caller.
 * @throws HoldfastError PIN_NEEDED at once if there is no terminal or we are in its background, where asking would
 *   stop the process; later if the terminal goes away, nothing is typed, or `signal` ends the wait
 * @throws HoldfastError INTERRUPTED after Ctrl-C
 * @throws HoldfastError PIN_INVALID
 */
export async function askTerminal(
  prompt: string,
  { signal, words = PIN_WORDS, echo = false }: TerminalQuestion,
): Promise<Uint8Array> {
  const pinNeeded = (why: string, cause?: unknown) =>
    new HoldfastError('PIN_NEEDED', `${words.need}, and ${why}. Ways to give one: ${words.ways}`, { cause })
  const line = await ask(prompt, { signal, echo }, pinNeeded)
  switch (line.state) {
    case 'done':
      try {
        return parsePin(line.bytes, 'terminal', words)
      } finally {
        line.bytes.fill(0)
      }
    case 'interrupted':
      await interrupt(signal)
      throw new HoldfastError(
        'INTERRUPTED',
        `interrupted while the ${words.name} was being typed; it was not tried`,
      )
    case 'ended':
      throw pinNeeded('none was typed')
    case 'too-long':
      throw new HoldfastError(
        'PIN_INVALID',
        `what was typed is too long for a ${words.name}; it was not tried`,
      )
  }
}

type EndedLine = Exclude<TypedLine, { state: 'typing' }>

/** The error for a secret that nobody gave. */
type Needed = (why: string, cause?: unknown) => HoldfastError

async function ask(
  prompt: string,
  { signal, echo }: { signal: AbortSignal; echo: boolean },
  pinNeeded: Needed,
): Promise<EndedLine> {
  const number = findForeground(pinNeeded)
  let release: Release | undefined
  try {
    release = await takeTurn(number, signal)
    // It may have been a long wait.
    findForeground(pinNeeded)
    return await askNow(prompt, { signal, echo }, pinNeeded)
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    throw pinNeeded(signal.aborted ? 'none was typed in time' : 'the terminal went away', cause)
  } finally {
    release?.()
  }
}

async function askNow(
  prompt: string,
  { signal, echo }: { signal: AbortSignal; echo: boolean },
  pinNeeded: Needed,
): Promise<EndedLine> {
  const fd = openTerminal(pinNeeded)
  const editor = createLineEditor()
  let terminal: ReadStream | undefined
  let stop: (() => void) | undefined
  try {
    terminal = new ReadStream(fd)
    // A terminal that has gone away fails at each further step; the first one tells.
    terminal.on('error', () => undefined)
    const show = () => writeSync(fd, formatPrintable(prompt))
    const startAnew = () => {
      editor.wipe()
      show()
    }
    if (!echo) stop = hideTyping(terminal, startAnew)
    show()
    return await readLine(terminal, editor, { signal, echo })
  } finally {
    editor.wipe()
    if (stop !== undefined) process.off('SIGTSTP', stop)
    if (terminal !== undefined) restore(terminal, fd, signal)
    closeSync(fd)
  }
}

/**
 * Waits until nobody else asks at the terminal: whoever has an answer makes it show again what is typed, and that would be
 * the next one's PIN. Where this user has no folder for a lock, nobody is waited for.
 * @param terminal its device number
 * @throws the reason of `signal`
 */
async function takeTurn(terminal: number, signal: AbortSignal): Promise<Release> {
  for (let looks = 0; ; looks++) {
    try {
      const release = tryLock(join(findOwnFolder(), `holdfast-terminal-${terminal}`))
      if (release !== undefined) return release
    } catch {
      return () => undefined
    }
    await waitForTurn(looks, signal)
  }
}

/** A folder that only this user can write. No variable chooses it, since two programs may have different ones. */
function findOwnFolder(): string {
  const uid = process.geteuid?.()
  const isOurs = (path: string) => {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    return stats?.isDirectory() === true && stats.uid === uid && (stats.mode & 0o022) === 0
  }
  const [runtime, temporary] = [`/run/user/${uid}`, `/tmp/holdfast-${uid}`]
  if (isOurs(runtime)) return runtime
  mkdirSync(temporary, { recursive: true, mode: 0o700 })
  if (isOurs(temporary)) return temporary
  throw new Error(`${temporary} belongs to somebody else`)
}

/**
 * Hides what is typed, but not while the process is stopped.
 * @param startAnew is called when the process goes on
 * @returns the listener that sees to that
 */
function hideTyping(terminal: ReadStream, startAnew: () => void): () => void {
  const hide = () => {
    terminal.setRawMode(true)
    if (!terminal.isRaw) throw new Error('the terminal goes on echoing')
  }
  const stop = () => {
    terminal.setRawMode(false)
    // Nobody listens any more, so this call stops the process, and comes back when it goes on.
    process.kill(process.pid, 'SIGTSTP')
    process.once('SIGTSTP', stop)
    hide()
    startAnew()
  }
  hide()
  process.once('SIGTSTP', stop)
  return stop
}

/** Does what Ctrl-C does, and waits for it, so that the process ends by the signal and not by an error. */
async function interrupt(signal: AbortSignal): Promise<void> {
  process.kill(0, 'SIGINT')
  await delay(INTERRUPT_LIMIT_MS, undefined, { signal }).catch(() => undefined)
}

/**
 * Device number of the terminal in whose foreground this process is. Linux stops a process that changes a terminal from the
 * background, and no timer of its own could end that.
 */
function findForeground(pinNeeded: Needed): number {
  const status = findOurStatus()
  if (status !== undefined && status.processGroup === status.terminalProcessGroup) return status.terminal
  throw pinNeeded('this process is not in the foreground of a terminal')
}

function openTerminal(pinNeeded: Needed): number {
  try {
    return openSync('/dev/tty', constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK)
  } catch (cause) {
    throw pinNeeded('there is no terminal to ask at', cause)
  }
}

function readLine(
  terminal: ReadStream,
  editor: LineEditor,
  { signal, echo }: { signal: AbortSignal; echo: boolean },
): Promise<EndedLine> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    const settle = (line: TypedLine) => {
      if (line.state === 'typing') return
      signal.removeEventListener('abort', abort)
      terminal.pause()
      resolve(line)
    }
    terminal.on('error', reject)
    // A terminal that hides what is typed hands Ctrl-D over as a key, and has no other end than to go away.
    terminal.on('end', () => (echo ? settle({ state: 'ended' }) : reject(new Error('it hung up'))))
    terminal.on('data', (chunk) => {
      settle(editor.type(chunk))
      chunk.fill(0)
    })
  })
}

function restore(terminal: ReadStream, fd: number, { aborted }: AbortSignal): void {
  const wasHidden = terminal.isRaw
  if (wasHidden) terminal.setRawMode(false)
  terminal.destroy()
  if (!wasHidden && !aborted) return
  try {
    // The line end that was typed was not shown, or none was typed.
    writeSync(fd, '\n')
  } catch {
    // Nobody is there to see it.
  }
}
