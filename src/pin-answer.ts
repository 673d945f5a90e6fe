/**
 * The program's side of a PIN: where each PIN of a token comes from, and getting those that the token child cannot read
 * itself, from the environment, a program or a person.
 */

import { type Identity, isPkcs11Uri } from './core/config/identity.js'
import { HoldfastError } from './core/errors.js'
import {
  choosePinSource,
  formatPinPrompt,
  formatPinSource,
  type NamedPinSource,
  type PinSource,
  ROLE_WORDS,
} from './core/pin/pin.js'
import { type Pkcs11Uri, parsePkcs11Uri, pinSourcePath } from './core/pkcs11/pkcs11-uri.js'
import type { ChildPin, PinNeed } from './core/pkcs11/token-protocol.js'
import { withDeadline } from './io/deadline.js'
import { findSystemdCredential } from './io/pin-file.js'
import type { PinMemory } from './pin-memory.js'

/** How long a person may take to give a PIN. What is to be signed has its date by then, which is good for 5 minutes. */
const PERSON_LIMIT_SECONDS = 120

/** What getting a PIN needs of the process. */
export interface PinSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly warn: (text: string) => void
  /** Keeps what a person gives for the rest of a run. */
  readonly pinMemory?: PinMemory | undefined
}

/** Stands between the token and the person that a terminal or an askpass program would ask. */
export interface PinGiver {
  /** How the PIN came, or would: what the guard of tried PINs goes by. */
  readonly kind: 'terminal' | 'askpass'
  /** What messages call it. */
  readonly name: string
  /** The PIN, which then belongs to the caller. */
  give(need: PinNeed): Promise<Uint8Array>
}

/** True if a person, or a program that may ask one, gives the PIN. */
export function asksPerson({ kind }: PinSource): boolean {
  return kind === 'terminal' || kind === 'askpass'
}

/**
 * Where the PIN of an identity's token would come from; undefined for a key in a file.
 * @throws HoldfastError USAGE, URI_INVALID
 */
export async function findPinSource(
  identity: Identity,
  surroundings: PinSurroundings,
): Promise<PinSource | undefined> {
  const key = identity.privateKey ?? identity.pkcs11Uri ?? identity.certificate
  if (!isPkcs11Uri(key)) return undefined
  const uris = [key, identity.certificate].filter(isPkcs11Uri)
  return chooseUserPin(identity, uris.map(parsePkcs11Uri), surroundings)
}

/**
 * Where the user's PIN comes from.
 * @throws HoldfastError USAGE if two sources are named, URI_INVALID
 */
export async function chooseUserPin(
  { pinFile, askpass }: Pick<Identity, 'pinFile' | 'askpass'>,
  uris: readonly Pkcs11Uri[],
  { env, warn }: PinSurroundings,
): Promise<PinSource> {
  const named: NamedPinSource[] = []
  if (pinFile !== undefined) named.push({ from: '--pin-file', source: { kind: 'file', path: pinFile } })
  for (const { pinSource, pinValue } of uris) {
    if (pinSource !== undefined) {
      named.push({ from: 'pin-source', source: { kind: 'file', path: pinSourcePath(pinSource) } })
    }
    if (pinValue !== undefined) {
      named.push({ from: 'pin-value', source: { kind: 'pin-value', pin: Buffer.from(pinValue) } })
    }
  }
  const chosen = choosePinSource(named, {
    systemdCredential: await findSystemdCredential(env),
    environment: env.HOLDFAST_PIN,
    askpass: askpass ?? env.HOLDFAST_ASKPASS,
  })
  if (chosen.kind === 'pin-value') {
    warn(
      'the PIN stands in the PKCS#11 URI (pin-value), where other users and logs may see it: use pin-source=file:PATH',
    )
  }
  return chosen
}

/** Where a PIN comes from that programs do not need every day: a file, else a program or a person. */
export function chooseRarePin(
  { file, askpass }: { readonly file?: string | undefined; readonly askpass?: string | undefined },
  { env }: PinSurroundings,
): PinSource {
  const named: NamedPinSource[] =
    file === undefined ? [] : [{ from: 'the flag', source: { kind: 'file', path: file } }]
  return choosePinSource(named, { askpass: askpass ?? env.HOLDFAST_ASKPASS })
}

/** What the child is told of a source: it reads files itself. */
export function toChildPin(source: PinSource): ChildPin {
  return {
    kind: source.kind,
    name: formatPinSource(source),
    ...('path' in source ? { path: source.path } : {}),
  }
}

/**
 * Gets a PIN that the token child cannot read itself. A person who types a new one does so twice. It belongs to the caller.
 * @param options.ways the ways to give one, for the error, if not the usual ones
 * @throws HoldfastError PIN_NEEDED, PIN_INVALID, PIN_SOURCE_UNREADABLE, INTERRUPTED
 */
export async function givePin(
  source: PinSource,
  need: PinNeed,
  { env, pinMemory }: Pick<PinSurroundings, 'env' | 'pinMemory'>,
  { signal, ways }: { readonly signal: AbortSignal; readonly ways?: string },
): Promise<Uint8Array> {
  if (pinMemory !== undefined && asksPerson(source)) {
    return pinMemory.recall(need, () => givePin(source, need, { env }, { signal }))
  }
  const words = { ...ROLE_WORDS[need.role], ...(ways === undefined ? {} : { ways }) }
  const prompt = formatPinPrompt(need.token, need.flags, need.role)
  const timeoutMs = PERSON_LIMIT_SECONDS * 1000
  const expired = new HoldfastError(
    'PIN_NEEDED',
    `${words.need}, and the ${formatPinSource(source)} gave none within ${PERSON_LIMIT_SECONDS} s`,
  )
  switch (source.kind) {
    case 'environment':
    case 'pin-value':
      return Uint8Array.from(source.pin)
    case 'askpass': {
      const { runAskpass } = await import('./io/askpass.js')
      return withDeadline({ signal, timeoutMs, expired }, (deadline) =>
        runAskpass(source.program, prompt, { signal: deadline, env, words }),
      )
    }
    case 'terminal': {
      const { askTerminal } = await import('./io/terminal.js')
      const ask = (question: string) =>
        withDeadline({ signal, timeoutMs, expired }, (deadline) =>
          askTerminal(question, { signal: deadline, words }),
        )
      const pin = await ask(prompt)
      if (need.role === 'new-user' || need.role === 'new-so') await verifyRepeated(pin, () => ask('Again: '))
      return pin
    }
    default:
      throw new HoldfastError('PIN_NEEDED', `${words.need}. Ways to give one: ${words.ways}`)
  }
}

/** Nobody sees what is typed, and a token with a PIN that nobody knows is lost. */
async function verifyRepeated(pin: Uint8Array, ask: () => Promise<Uint8Array>): Promise<void> {
  const again = await ask()
  const isSame = Buffer.compare(pin, again) === 0
  again.fill(0)
  if (isSame) return
  pin.fill(0)
  throw new HoldfastError('PIN_INVALID', 'the two new PINs that were typed differ; nothing was changed')
}
