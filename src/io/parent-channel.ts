/**
 * The token child's end of the channel to its parent: descriptor 3, read and written without an event loop, since
 * the child has nothing else to do while it waits.
 */

import { readSync, writeSync } from 'node:fs'
import {
  type Frame,
  type FromChild,
  formatFrame,
  parseFrame,
  type ToChild,
} from '../core/pkcs11/token-protocol.js'

const CHANNEL = 3

let received: Buffer = Buffer.alloc(0)

/** The next frame, or undefined when the parent has closed the channel. Blocks: there is nothing else to do. */
function receive(): Frame | undefined {
  const chunk = Buffer.alloc(65536)
  for (;;) {
    const parsed = parseFrame(received)
    if (parsed !== undefined) {
      received = parsed.rest
      return parsed.frame
    }
    const length = readSync(CHANNEL, chunk)
    if (length === 0) return undefined
    received = Buffer.concat([received, chunk.subarray(0, length)])
    chunk.fill(0, 0, length)
  }
}

/** The next message, or undefined when the parent has closed the channel. */
export function receiveMessage(): ToChild | undefined {
  const frame = receive()
  return frame !== undefined && 'json' in frame ? (frame.json as ToChild) : undefined
}

/** The bytes that follow a message. They belong to the caller. */
export function receiveBytes(): Uint8Array {
  const frame = receive()
  if (frame === undefined || !('bytes' in frame)) throw new Error('expected bytes')
  return frame.bytes
}

function sendFrame(frame: Frame): void {
  for (let rest = formatFrame(frame); rest.length > 0; ) rest = rest.subarray(writeSync(CHANNEL, rest))
}

/** Says a message, and the bytes that belong to it. @throws the system's error when the parent is gone */
export function send(message: FromChild, bytes?: Uint8Array): void {
  sendFrame({ json: message })
  if (bytes !== undefined) sendFrame({ bytes })
}
