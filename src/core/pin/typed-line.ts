/**
 * The line that a person types at a terminal that has stopped editing and echoing: the terminal's usual keys, and
 * nothing of what keys and pastes send besides text. Reading from the terminal is io/terminal's.
 */
import { Buffer } from 'node:buffer'

/** What the typed bytes came to. `interrupted`: Ctrl-C or Ctrl-\. `ended`: Ctrl-D on an empty line. */
export type TypedLine =
  | { readonly state: 'typing' }
  | { readonly state: 'done'; readonly bytes: Uint8Array }
  | { readonly state: 'interrupted' | 'ended' | 'too-long' }

/** Longer than any PIN, shorter than a file pasted by mistake. */
const MAX_BYTES = 1024

const KEY = {
  ctrlC: 0x03,
  ctrlD: 0x04,
  ctrlH: 0x08,
  lineFeed: 0x0a,
  enter: 0x0d,
  ctrlU: 0x15,
  ctrlW: 0x17,
  ctrlBackslash: 0x1c,
  escape: 0x1b,
  backspace: 0x7f,
} as const

/** What an escape sequence wants next: ESC has come, or its `[` (parameters), or its `O` (one last byte). */
type EscapeState = 'none' | 'begun' | 'parameters' | 'last'

/** One line in the making. */
export interface LineEditor {
  /** Takes the next bytes, and says what has come of them all. What stands behind the line's end is dropped. */
  type(chunk: Uint8Array): TypedLine
  /** Overwrites what was typed. */
  wipe(): void
}

/**
 * Backspace takes a character away, Ctrl-U and Ctrl-W the line. Escape sequences (arrow keys, the brackets that a
 * terminal may put around a paste) and other control characters leave no trace.
 * @see ECMA-48, sections 5.4 and 8.3.16
 */
export function createLineEditor(): LineEditor {
  const line = Buffer.alloc(MAX_BYTES)
  let length = 0
  let pending: EscapeState = 'none'
  const wipe = () => {
    line.fill(0)
    length = 0
  }
  const eraseCharacter = () => {
    do length = Math.max(0, length - 1)
    while (length > 0 && isContinuation(line[length]!))
  }
  return {
    wipe,
    type(chunk) {
      for (const byte of chunk) {
        const followed = followEscape(pending, byte)
        pending = followed.pending
        if (followed.consumed) continue
        switch (byte) {
          case KEY.ctrlC:
          case KEY.ctrlBackslash:
            return { state: 'interrupted' }
          case KEY.enter:
          case KEY.lineFeed:
            return { state: 'done', bytes: Uint8Array.from(line.subarray(0, length)) }
          case KEY.ctrlD:
            if (length === 0) return { state: 'ended' }
            break
          case KEY.backspace:
          case KEY.ctrlH:
            eraseCharacter()
            break
          case KEY.ctrlU:
          case KEY.ctrlW:
            wipe()
            break
          default:
            if (byte < 0x20) break
            if (length === MAX_BYTES) return { state: 'too-long' }
            line[length++] = byte
        }
      }
      return { state: 'typing' }
    },
  }
}

/** ESC alone, which is no sequence, does not swallow the byte behind it. */
function followEscape(pending: EscapeState, byte: number): { pending: EscapeState; consumed: boolean } {
  if (pending === 'begun' && byte === 0x5b) return { pending: 'parameters', consumed: true }
  if (pending === 'begun' && byte === 0x4f) return { pending: 'last', consumed: true }
  // The Linux console sends ESC [ [ A for F1.
  if (pending === 'parameters' && byte === 0x5b) return { pending: 'last', consumed: true }
  if (pending === 'parameters' && byte >= 0x20 && byte < 0x40) return { pending, consumed: true }
  if ((pending === 'parameters' || pending === 'last') && byte >= 0x40 && byte < 0x7f) {
    return { pending: 'none', consumed: true }
  }
  return byte === KEY.escape ? { pending: 'begun', consumed: true } : { pending: 'none', consumed: false }
}

/** A byte of a UTF-8 character that is not its first. */
function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}
