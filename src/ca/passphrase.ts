/**
 * Gets the passphrase of a CA's key: from the named file, from an askpass program, or typed at the terminal, the first
 * that is there. There is no environment variable for it, which every program that is started would inherit.
 */

import { HoldfastError } from '../core/errors.js'
import type { SecretWords } from '../core/pin/pin.js'
import { runAskpass } from '../io/askpass.js'
import { withDeadline } from '../io/deadline.js'
import { readPinFile } from '../io/pin-file.js'
import { askTerminal } from '../io/terminal.js'

const WORDS: SecretWords = {
  name: 'passphrase',
  need: "the CA's key needs its passphrase",
  ways: '--passphrase-file FILE, --askpass PROGRAM, or a terminal in the foreground',
}

/** How long a person is waited for. */
const PERSON_LIMIT_SECONDS = 120

/** Short ones can be found by trying, whatever the key is encrypted with. */
const MIN_LENGTH = 8

/** Where it may come from. */
export interface PassphraseOptions {
  readonly passphraseFile: string | undefined
  readonly askpass: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly uid: number
  readonly signal: AbortSignal
  readonly warn: (text: string) => void
}

/** A passphrase, which belongs to the caller, and where it came from, for messages. */
export interface Passphrase {
  readonly bytes: Uint8Array
  readonly origin: string
}

/**
 * The passphrase of the key in `keyFile`.
 * @throws HoldfastError PIN_NEEDED, PIN_INVALID, PIN_SOURCE_UNREADABLE, PIN_SOURCE_UNSAFE, INTERRUPTED
 */
export function obtainPassphrase(keyFile: string, options: PassphraseOptions): Promise<Passphrase> {
  return obtain(`Passphrase of the CA key ${keyFile}: `, options)
}

/**
 * A passphrase for a new key. A person gives it twice.
 * @throws HoldfastError PIN_INVALID if it is short or the second one is another; and as above
 */
export async function obtainNewPassphrase(options: PassphraseOptions): Promise<Passphrase> {
  const passphrase = await obtain('New passphrase for the key of the CA: ', options)
  if (passphrase.bytes.length < MIN_LENGTH) {
    throw new HoldfastError(
      'PIN_INVALID',
      `the passphrase from ${passphrase.origin} is shorter than ${MIN_LENGTH} bytes: take a longer one`,
    )
  }
  if (options.passphraseFile === undefined) {
    const again = await obtain('The same passphrase again: ', options)
    const isSame = Buffer.compare(again.bytes, passphrase.bytes) === 0
    again.bytes.fill(0)
    if (!isSame) throw new HoldfastError('PIN_INVALID', 'the two passphrases differ: no key was made')
  }
  return passphrase
}

async function obtain(prompt: string, options: PassphraseOptions): Promise<Passphrase> {
  const { passphraseFile, env, uid, signal, warn } = options
  if (passphraseFile !== undefined) {
    const credentialsDirectory = env.CREDENTIALS_DIRECTORY
    const { pin, warnings } = await readPinFile(passphraseFile, { uid, credentialsDirectory, words: WORDS })
    for (const warning of warnings) warn(warning)
    return { bytes: pin, origin: `file ${passphraseFile}` }
  }
  const program = options.askpass ?? env.HOLDFAST_ASKPASS
  const origin = program ? `askpass program ${program}` : 'terminal'
  const expired = new HoldfastError(
    'PIN_NEEDED',
    `${WORDS.need}, and the ${origin} gave none within ${PERSON_LIMIT_SECONDS} s`,
  )
  const bytes = await withDeadline({ signal, timeoutMs: PERSON_LIMIT_SECONDS * 1000, expired }, (deadline) =>
    program
      ? runAskpass(program, prompt, { signal: deadline, env, words: WORDS })
      : askTerminal(prompt, { signal: deadline, words: WORDS }),
  )
  return { bytes, origin }
}
