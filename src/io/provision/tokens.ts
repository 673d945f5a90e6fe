/**
 * Tokens as a whole: what there are, initialising one, and its PINs. All of it goes through pkcs11js: graphene-pk11's
 * initToken throws after it has succeeded, and its PIN calls add nothing.
 * @see PKCS#11 v2.40 base specification §5.5 (C_InitToken), §5.6 (C_InitPIN, C_SetPIN)
 */

import { MechanismEnum, type Slot } from 'graphene-pk11'
import pkcs11js from 'pkcs11js'
import { HoldfastError } from '../../core/errors.js'
import { withoutPinToBeChanged } from '../../core/pin/token-flags.js'
import type { KeyType, ReplyOf, RequestOf, TokenFacts } from '../../core/pkcs11/admin-protocol.js'
import { findMechanism } from '../../core/pkcs11/mechanism.js'
import { formatTokenUri, type TokenInfo, unpad } from '../../core/pkcs11/pkcs11-match.js'
import { describeToken } from '../../core/pkcs11/token-search.js'
import { call, numberOf } from '../token/module.js'
import { CKU, explainPin, isInitialized, logIn, type PresentToken, readTokenInfo } from '../token/session.js'
import type { Workbench } from './workbench.js'

/** What the module says of a token. */
export function readTokenFacts(bench: Workbench, { slot, slotInfo }: PresentToken): TokenFacts {
  const info = call('C_GetTokenInfo', () => readTokenInfo(bench.module, slot))
  return {
    slot: slotInfo.id,
    slotDescription: unpad(slotInfo.description),
    initialized: isInitialized(info),
    label: unpad(info.label),
    manufacturer: unpad(info.manufacturer),
    model: unpad(info.model),
    serial: unpad(info.serial),
    flags: info.flags,
    minPinLength: info.minPinLength,
    maxPinLength: info.maxPinLength,
    ...readAbilities(bench.slot({ slot, slotInfo, info })),
    uri: formatTokenUri(info),
  }
}

/** Sizes in bits of the keys that each mechanism makes. */
const KEY_SIZES: Readonly<Record<KeyType, readonly [mechanism: number, bits: number]>> = {
  'p-256': [MechanismEnum.EC_KEY_PAIR_GEN, 256],
  'p-384': [MechanismEnum.EC_KEY_PAIR_GEN, 384],
  'rsa-2048': [MechanismEnum.RSA_PKCS_KEY_PAIR_GEN, 2048],
  'rsa-3072': [MechanismEnum.RSA_PKCS_KEY_PAIR_GEN, 3072],
  'rsa-4096': [MechanismEnum.RSA_PKCS_KEY_PAIR_GEN, 4096],
}

/** What its mechanisms say that it can do; one that cannot be read does not count. */
function readAbilities(slot: Slot): Pick<TokenFacts, 'generates' | 'signs'> {
  const listed = call('C_GetMechanismList', () => slot.getMechanisms())
  const mechanisms = Array.from({ length: listed.length }, (_, index) => listed.tryGetItem(index)).filter(
    (mechanism) => mechanism !== null,
  )
  const numbers = mechanisms.map(({ type }) => type as number)
  const generates = Object.entries(KEY_SIZES).flatMap(([type, [number, bits]]) => {
    const maker = mechanisms.find((mechanism) => mechanism.type === number)
    const fits = maker !== undefined && maker.minKeySize <= bits && bits <= maker.maxKeySize
    return fits ? [type as KeyType] : []
  })
  const rsa = findMechanism('AWS4-X509-RSA-SHA256', numbers) === undefined ? [] : (['rsa'] as const)
  const ec = findMechanism('AWS4-X509-ECDSA-SHA256', numbers) === undefined ? [] : (['ec'] as const)
  return { generates, signs: [...rsa, ...ec] }
}

/** @throws HoldfastError TOKEN_FAILED */
export function listTokenFacts(bench: Workbench): ReplyOf<'listTokens'> {
  const { manufacturer, description, version } = bench.library
  return {
    module: {
      path: bench.path,
      manufacturer: unpad(manufacturer),
      description: unpad(description),
      version: `${version.major}.${version.minor}`,
    },
    tokens: bench.tokens().map((token) => readTokenFacts(bench, token)),
  }
}

/** Size of CK_TOKEN_INFO.label in bytes. */
const LABEL_BYTES = 32

/**
 * Initialises the token of a slot and sets its user PIN. Both PINs are at hand before anything is lost.
 * @throws HoldfastError USAGE, TOKEN_NOT_FOUND, TOKEN_INITIALIZED, PIN_*
 */
export async function initToken(
  bench: Workbench,
  { slot, label, replaces }: RequestOf<'initToken'>,
): Promise<ReplyOf<'initToken'>> {
  const { module, surroundings: logins } = bench
  const padded = padLabel(label)
  const token = findSlot(bench, slot)
  verifyReplaceable(token, replaces)
  // A person is asked for the PINs of the token that is to be.
  const named = { ...token.info, label: padded }
  let soPin = replaces === undefined ? await logins.newPin('so', named) : ''
  const userPin = await logins.newPin('user', named)
  if (replaces === undefined) {
    call(`initialising the token in slot ${slot}`, () => module.C_InitToken(token.slot, soPin, padded))
  } else {
    await logins.tryPin('so', token.info, (pin) => {
      soPin = pin
      try {
        module.C_InitToken(token.slot, pin, padded)
      } catch (error) {
        throw numberOf(error) === pkcs11js.CKR_ARGUMENTS_BAD
          ? notAgain(token, error)
          : explainPin(module, token, error, 'so')
      }
    })
  }
  bench.forget(token)
  const fresh = findFresh(bench, token, label)
  try {
    const session = bench.sessions.open(fresh)
    logIn(module, { token: fresh, session, userType: CKU.SO, pin: soPin })
    logins.settle()
    writePin(fresh.info, () => module.C_InitPIN(session, userPin))
  } catch (cause) {
    throw new HoldfastError(
      cause instanceof HoldfastError ? cause.code : 'TOKEN_FAILED',
      `${describeToken(fresh.info)} is initialised, but has no user PIN yet (${(cause as Error).message}): set it with holdfast token unblock`,
      { cause },
    )
  }
  await logins.forgetPins(fresh.info, replaces === undefined ? ['user', 'so'] : ['user'])
  bench.forget(fresh)
  return { token: readTokenFacts(bench, findFresh(bench, fresh, label)) }
}

/** What tpm2-pkcs11 says. */
function notAgain(token: PresentToken, cause: unknown): HoldfastError {
  return new HoldfastError(
    'TOKEN_FAILED',
    `the module does not initialise ${describeToken(token.info)} again (CKR_ARGUMENTS_BAD); nothing was changed: remove it with the token's own tool (for a TPM, tpm2_ptool rmtoken), or use an empty slot`,
    { cause },
  )
}

function padLabel(label: string): string {
  const length = Buffer.byteLength(label)
  if (length === 0 || length > LABEL_BYTES || unpad(label) !== label) {
    throw new HoldfastError(
      'USAGE',
      `the label of a token has 1 to ${LABEL_BYTES} bytes and no blank at its end: choose another`,
    )
  }
  return label + ' '.repeat(LABEL_BYTES - length)
}

function findSlot(bench: Workbench, slot: number): PresentToken {
  const token = bench.tokens().find(({ slotInfo }) => slotInfo.id === slot)
  if (token !== undefined) return token
  throw new HoldfastError(
    'TOKEN_NOT_FOUND',
    `there is no token in slot ${slot}: holdfast token list shows where`,
  )
}

/** What is to be lost must be just what somebody agreed to lose. */
function verifyReplaceable({ info }: PresentToken, replaces: RequestOf<'initToken'>['replaces']): void {
  if (replaces === undefined) {
    if (!isInitialized(info)) return
    throw new HoldfastError(
      'TOKEN_INITIALIZED',
      `${describeToken(info)} is initialised already, and initialising it again would destroy all its keys: use another slot, or --force if that is meant`,
    )
  }
  if (isInitialized(info) && unpad(info.label) === replaces.label && unpad(info.serial) === replaces.serial)
    return
  throw new HoldfastError(
    'TOKEN_NOT_FOUND',
    'the token that was to be initialised again is not in its slot any more; nothing was changed',
  )
}

/** The token after it was initialised: modules may give it another slot. */
function findFresh(bench: Workbench, before: PresentToken, label: string): PresentToken {
  const named = bench.tokens().filter(({ info }) => isInitialized(info) && unpad(info.label) === label)
  const fresh =
    named.find(({ slot }) => slot.equals(before.slot)) ?? (named.length === 1 ? named[0] : undefined)
  if (fresh !== undefined) return fresh
  throw new HoldfastError(
    'TOKEN_NOT_FOUND',
    `the token was initialised, but is not seen as ${JSON.stringify(label)} now: see holdfast token list, and set its user PIN with holdfast token unblock`,
  )
}

/**
 * Changes the user PIN.
 * @throws HoldfastError PIN_*
 */
export async function setPin(bench: Workbench, { uri }: RequestOf<'setPin'>): Promise<ReplyOf<'setPin'>> {
  const { module, surroundings: logins } = bench
  const token = bench.token(uri)
  const session = bench.sessions.open(token)
  const info = call('C_GetTokenInfo', () => readTokenInfo(module, token.slot))
  let oldPin = ''
  await logins.tryPin('user', { ...info, flags: withoutPinToBeChanged(info.flags) }, (pin) => {
    oldPin = pin
    try {
      logIn(module, { token, session, userType: CKU.USER, pin })
    } catch (error) {
      // Of such a PIN nothing but its change is allowed.
      if (!(error instanceof HoldfastError) || error.code !== 'PIN_EXPIRED') throw error
    }
  })
  const newPin = await logins.newPin('user', info)
  writePin(token.info, () => module.C_SetPIN(session, oldPin, newPin))
  await logins.forgetPins(token.info, ['user'])
  bench.forget(token)
  return { token: readTokenFacts(bench, bench.token(uri)) }
}

/**
 * Sets the user PIN as security officer, also one that is locked.
 * @throws HoldfastError PIN_*
 */
export async function unblockPin(
  bench: Workbench,
  { uri }: RequestOf<'unblockPin'>,
): Promise<ReplyOf<'unblockPin'>> {
  const { module, surroundings: logins } = bench
  const token = bench.token(uri)
  const info = call('C_GetTokenInfo', () => readTokenInfo(module, token.slot))
  const session = bench.sessions.open(token)
  await logins.tryPin('so', info, (pin) => logIn(module, { token, session, userType: CKU.SO, pin }))
  const newPin = await logins.newPin('user', info)
  writePin(token.info, () => module.C_InitPIN(session, newPin))
  await logins.forgetPins(token.info, ['user'])
  bench.forget(token)
  return { token: readTokenFacts(bench, bench.token(uri)) }
}

/** What modules say of a new PIN reads as if it were said of the old one. */
function writePin(token: TokenInfo, write: () => void): void {
  try {
    write()
  } catch (cause) {
    const number = numberOf(cause)
    if (number === pkcs11js.CKR_PIN_LEN_RANGE || number === pkcs11js.CKR_PIN_INVALID) {
      throw new HoldfastError(
        'PIN_INVALID',
        `${describeToken(token)} does not take the new PIN: it is too short or too long, or has characters that it cannot have`,
        { cause },
      )
    }
    call(`setting the PIN of ${describeToken(token)}`, () => {
      throw cause
    })
  }
}
