/**
 * The PIN that a person has given, for the other logins of the same run: each use of a token is a process of its own, and
 * none of them keeps it.
 */

import { isDeepStrictEqual } from 'node:util'
import type { TokenIdentity } from './core/pin/pin.js'
import { readPinFlags } from './core/pin/token-flags.js'
import type { PinNeed } from './core/pkcs11/token-protocol.js'

/** Keeps one PIN. */
export interface PinMemory {
  /** The PIN that was given for this token before, else that of `ask`. It belongs to the caller. */
  recall(need: PinNeed, ask: () => Promise<Uint8Array>): Promise<Uint8Array>
  /** Overwrites it: at the end, and after a failure, which may have been a refusal. */
  wipe(): void
}

/** A memory without a PIN. */
export function createPinMemory(): PinMemory {
  let kept: { readonly token: TokenIdentity; readonly pin: Buffer } | undefined
  const wipe = () => {
    kept?.pin.fill(0)
    kept = undefined
  }
  return {
    wipe,
    async recall({ token, flags, role }, ask) {
      if (role !== 'user') return ask()
      // The last try is for a PIN that has just been typed, and no other token is shown this one.
      if (isDeepStrictEqual(kept?.token, token) && !readPinFlags(flags, role).hasOneTry) {
        return Buffer.from(kept!.pin)
      }
      wipe()
      const pin = await ask()
      kept = { token, pin: Buffer.from(pin) }
      return pin
    },
  }
}
