/**
 * One try for a stored PIN where the guard of tried PINs is off: a program that runs on, and is asked again and again, does
 * not show the token a PIN that it has refused, until somebody changes something.
 */

import type { CredentialProvider } from '../core/credentials.js'
import { isPinRefusal } from '../core/pin/pin-record.js'

/** Remembers whether the PIN of one identity was refused. */
export interface SingleTry {
  /** The provider, which fails at once with the refusal that there was, as long as the files are what they were then. */
  guard(provider: CredentialProvider): CredentialProvider
  /** Allows another try. */
  forget(): void
}

/** @param fingerprint changes whenever a file that the identity consists of does */
export function createSingleTry(fingerprint: () => string): SingleTry {
  let refusal: { readonly error: unknown; readonly files: string } | undefined
  return {
    guard: (provider) => async () => {
      const files = fingerprint()
      if (refusal?.files === files) throw refusal.error
      try {
        return await provider()
      } catch (error) {
        if (isPinRefusal(error, false)) refusal = { error, files }
        throw error
      }
    },
    forget() {
      refusal = undefined
    },
  }
}
