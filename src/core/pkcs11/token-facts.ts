/**
 * Which of the tokens that a module shows is meant, and what their flags say in words.
 */

import { HoldfastError } from '../errors.js'
import type { PinOwner } from '../pin/pin.js'
import { hasUserPin, readPinFlags } from '../pin/token-flags.js'
import { formatPrintable } from '../printable.js'
import type { TokenFacts } from './admin-protocol.js'
import { matchesToken } from './pkcs11-match.js'
import type { Pkcs11Uri } from './pkcs11-uri.js'
import { formatList } from './token-search.js'

/** How a PIN is doing, as far as the token tells. */
export type PinState = 'not set' | 'set' | 'few tries left' | 'one try left' | 'locked' | 'to be changed'

/** What the flags say of a PIN. Not every token says all of it. */
export function describePin({ flags, initialized }: TokenFacts, owner: PinOwner): PinState {
  // SoftHSM says of an empty token that its SO PIN is locked.
  if (!initialized) return 'not set'
  const { isLocked, isToBeChanged, hasOneTry, hasFewTries } = readPinFlags(flags, owner)
  if (isLocked) return 'locked'
  if (isToBeChanged) return 'to be changed'
  if (hasOneTry) return 'one try left'
  if (hasFewTries) return 'few tries left'
  return owner === 'so' || hasUserPin(flags) ? 'set' : 'not set'
}

/** True if the URI means this token, or its slot. */
function isMeant(uri: Pkcs11Uri, token: TokenFacts): boolean {
  return matchesToken(uri, token) && (uri.slotId === undefined || uri.slotId === token.slot)
}

/**
 * The tokens and slots that the URI means; all where it names none.
 * @throws HoldfastError TOKEN_NOT_FOUND where it names one that is not there
 */
export function chooseListed(tokens: readonly TokenFacts[], uri: Pkcs11Uri): readonly TokenFacts[] {
  const meant = tokens.filter((token) => isMeant(uri, token))
  if (meant.length > 0 || Object.keys(uri).length === 0) return meant
  throw new HoldfastError(
    'TOKEN_NOT_FOUND',
    `no token is as it was named with --token or --slot; present: ${formatList(tokens.map(nameSlot))}`,
  )
}

/** `token "edge" (serial 1234)`, on one line. */
export function nameToken({ label, serial }: TokenFacts): string {
  return formatPrintable(`token ${JSON.stringify(label)} (serial ${serial})`)
}

/** For lists of what may be meant. */
function nameSlot(token: TokenFacts): string {
  return token.initialized ? `${nameToken(token)} in slot ${token.slot}` : `the empty slot ${token.slot}`
}

/**
 * The slot in which a token is to be initialised: the one with an empty token.
 * @param slot what was named
 * @throws HoldfastError TOKEN_NOT_FOUND, TOKEN_INITIALIZED, TOKEN_AMBIGUOUS
 */
export function chooseEmptySlot(tokens: readonly TokenFacts[], slot: number | undefined): TokenFacts {
  const meant = tokens.filter((token) => slot === undefined || token.slot === slot)
  const [only, ...others] = meant.filter(({ initialized }) => !initialized)
  if (only !== undefined && others.length === 0) return only
  const list = formatList(meant.map(nameSlot))
  if (only !== undefined) {
    throw new HoldfastError(
      'TOKEN_AMBIGUOUS',
      `several slots have an empty token; name one with --slot N: ${list}`,
    )
  }
  if (meant.length === 0) {
    throw new HoldfastError(
      'TOKEN_NOT_FOUND',
      `there is no token${slot === undefined ? '' : ` in slot ${slot}`}: holdfast token list shows what the module sees`,
    )
  }
  throw new HoldfastError(
    'TOKEN_INITIALIZED',
    `no slot has an empty token (${list}); to initialise one of these again, which destroys all that is in it, add --force`,
  )
}

/**
 * Refuses a label that another token of the module has: whoever means a token by it would then mean two.
 * @param doomed the token that is to be initialised again, if one is
 * @throws HoldfastError TOKEN_INITIALIZED
 */
export function verifyLabelFree(
  tokens: readonly TokenFacts[],
  label: string,
  doomed: TokenFacts | undefined,
): void {
  const other = tokens.find((token) => token.initialized && token.label === label && token !== doomed)
  if (other === undefined) return
  throw new HoldfastError(
    'TOKEN_INITIALIZED',
    `there is ${nameToken(other)} already; nothing was changed: use it, or take another --label${doomed === undefined ? `; to initialise it again, which destroys all that is in it, add --force and --token or --slot` : ''}`,
  )
}

/**
 * The token that is to be initialised again.
 * @throws HoldfastError TOKEN_NOT_FOUND, TOKEN_AMBIGUOUS
 */
export function chooseDoomedToken(tokens: readonly TokenFacts[], uri: Pkcs11Uri): TokenFacts {
  const meant = tokens.filter((token) => token.initialized && isMeant(uri, token))
  const [only, ...others] = meant
  if (only !== undefined && others.length === 0) return only
  const list = formatList((only === undefined ? tokens : meant).map(nameSlot))
  if (only === undefined) {
    throw new HoldfastError(
      'TOKEN_NOT_FOUND',
      `no initialised token is meant; name it with --token or --slot, or leave out --force: ${list}`,
    )
  }
  throw new HoldfastError(
    'TOKEN_AMBIGUOUS',
    `several tokens are meant; name one with --token or --slot: ${list}`,
  )
}
