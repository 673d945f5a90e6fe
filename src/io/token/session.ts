/**
 * The tokens of a module, and one session with each that is used: searching, reading attributes, logging in.
 * A key's secret attributes are never asked for.
 * @see PKCS#11 v2.40 base specification §5.5 to §5.7
 */

import pkcs11js from 'pkcs11js'
import { HoldfastError } from '../../core/errors.js'
import { formatTriesLeft, type PinOwner } from '../../core/pin/pin.js'
import { type ModuleInfo, type SlotInfo, type TokenInfo, unpad } from '../../core/pkcs11/pkcs11-match.js'
import { describeToken } from '../../core/pkcs11/token-search.js'
import { isTpm } from '../../core/pkcs11/tpm-access.js'
import { ABSENT, call, type ModuleAccess, numberOf, translate } from './module.js'

/** Flags of C_OpenSession, and that of a token which is initialised. */
export const CKF = { TOKEN_INITIALIZED: 0x400, RW_SESSION: 2, SERIAL_SESSION: 4 } as const

/** Errors of C_Login that have a cause of their own, so that the token did not judge the PIN. */
const LOGIN_NOT_JUDGED: ReadonlySet<number> = new Set([
  ...ABSENT,
  pkcs11js.CKR_CRYPTOKI_NOT_INITIALIZED,
  pkcs11js.CKR_HOST_MEMORY,
  pkcs11js.CKR_FUNCTION_CANCELED,
  pkcs11js.CKR_FUNCTION_NOT_SUPPORTED,
  pkcs11js.CKR_OPERATION_NOT_INITIALIZED,
  pkcs11js.CKR_SESSION_CLOSED,
  pkcs11js.CKR_SESSION_HANDLE_INVALID,
  pkcs11js.CKR_SESSION_READ_ONLY_EXISTS,
  pkcs11js.CKR_USER_PIN_NOT_INITIALIZED,
  pkcs11js.CKR_USER_TYPE_INVALID,
  pkcs11js.CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
  pkcs11js.CKR_USER_TOO_MANY_TYPES,
])

/** User types of C_Login. */
export const CKU = { SO: 0, USER: 1, CONTEXT_SPECIFIC: 2 } as const

/**
 * Gets the PIN for `token` and calls `attempt` with it, once. `attempt` throws PIN_INCORRECT and its kin
 * if the token refuses the PIN, and LOGIN_FAILED
 * if C_Login fails without a reason, behind which there may be a wrong PIN.
 */
export type Login = (token: TokenInfo, attempt: (pin: string) => void) => Promise<void>

/** A token in its slot. */
export interface PresentToken {
  readonly slot: Buffer
  readonly slotInfo: SlotInfo
  readonly info: TokenInfo
}

/** True for a token that can be used; the slot of one that is empty yet is there, too. */
export function isInitialized({ flags }: TokenInfo): boolean {
  return (flags & CKF.TOKEN_INITIALIZED) !== 0
}

/**
 * The tokens that are present, the initialised ones unless others are wanted. A slot that cannot be read does not hide the others: with p11-kit it may
 * belong to another module.
 * @throws HoldfastError TOKEN_FAILED if there are slots and none can be read
 */
export function listTokens(
  module: pkcs11js.PKCS11,
  isWanted: (info: TokenInfo) => boolean = isInitialized,
): PresentToken[] {
  const slots = call('C_GetSlotList', () => module.C_GetSlotList(true))
  const faults: unknown[] = []
  const tokens = slots.flatMap((slot) => {
    try {
      return readToken(module, slot, isWanted) ?? []
    } catch (error) {
      faults.push(error)
      return []
    }
  })
  if (tokens.length === 0 && faults.length > 0) throw faults[0]
  return tokens
}

/**
 * {@link listTokens}, and where that fails or shows none, what is in the way: some modules say nothing of a device that
 * they cannot reach.
 * @throws HoldfastError TOKEN_FAILED, or what `findObstacle` finds
 */
export function listReachableTokens(
  module: pkcs11js.PKCS11,
  library: ModuleInfo,
  { findObstacle }: ModuleAccess,
  isWanted: (info: TokenInfo) => boolean = isInitialized,
): PresentToken[] {
  let tokens: PresentToken[]
  try {
    tokens = listTokens(module, isWanted)
  } catch (error) {
    throw findObstacle(library) ?? error
  }
  const obstacle = tokens.length === 0 ? findObstacle(library) : undefined
  if (obstacle !== undefined) throw obstacle
  return tokens
}

/** Undefined for a token that is not wanted, or that went away since the list was made. */
function readToken(
  module: pkcs11js.PKCS11,
  slot: Buffer,
  isWanted: (info: TokenInfo) => boolean,
): PresentToken | undefined {
  try {
    const info = readTokenInfo(module, slot)
    if (!isWanted(info)) return undefined
    const slotInfo = module.C_GetSlotInfo(slot)
    return {
      slot,
      info,
      slotInfo: {
        id: Number(slot.readBigUInt64LE()),
        manufacturer: slotInfo.manufacturerID,
        description: slotInfo.slotDescription,
      },
    }
  } catch (error) {
    if (ABSENT.has(numberOf(error) ?? -1)) return undefined
    throw translate('reading a slot', error)
  }
}

/** What the token says of itself right now. */
export function readTokenInfo(module: pkcs11js.PKCS11, slot: Buffer): TokenInfo {
  const info = module.C_GetTokenInfo(slot)
  return {
    label: info.label,
    manufacturer: info.manufacturerID,
    model: info.model,
    serial: info.serialNumber,
    flags: info.flags,
    minPinLength: info.minPinLen,
    maxPinLength: info.maxPinLen,
  }
}

/** One session for each token, opened when first needed and logged in at most once. */
export interface Sessions {
  open(token: PresentToken): Buffer
  isLoggedIn(token: PresentToken): boolean
  login(token: PresentToken): Promise<void>
  /** Logs in again, or for one operation, with the PIN that was just accepted. */
  repeatLogin(token: PresentToken, userType: number): void
  objects(token: PresentToken, template: pkcs11js.Template): Buffer[]
  attribute(token: PresentToken, object: Buffer, type: number): Buffer | undefined
}

/** Sessions are opened read-only unless something is to be written, and closed by C_Finalize. */
export function createSessions(
  module: pkcs11js.PKCS11,
  login: Login,
  { readWrite = false }: { readonly readWrite?: boolean } = {},
): Sessions {
  const sessions = new Map<PresentToken, Buffer>()
  const acceptedPins = new Map<PresentToken, string>()

  const open = (token: PresentToken): Buffer => {
    const session =
      sessions.get(token) ??
      call(`opening ${describeToken(token.info)}`, () => openSession(module, token.slot, readWrite))
    sessions.set(token, session)
    return session
  }
  const loginWith = (token: PresentToken, userType: number, pin: string) =>
    logIn(module, { token, session: open(token), userType, pin })
  return {
    open,
    isLoggedIn: (token) => acceptedPins.has(token),
    async login(token) {
      // Flags are read again here: they must be fresh at the moment of the one try.
      const info = call('C_GetTokenInfo', () => readTokenInfo(module, token.slot))
      await login(info, (pin) => {
        loginWith(token, CKU.USER, pin)
        acceptedPins.set(token, pin)
      })
    },
    repeatLogin: (token, userType) => loginWith(token, userType, acceptedPins.get(token)!),
    objects(token, template) {
      const session = open(token)
      const what = `searching ${describeToken(token.info)}`
      call(what, () => module.C_FindObjectsInit(session, template))
      const objects: Buffer[] = []
      for (;;) {
        const batch = call(what, () => module.C_FindObjects(session, 64))
        if (batch.length === 0) break
        objects.push(...batch)
      }
      call(what, () => module.C_FindObjectsFinal(session))
      return objects
    },
    attribute(token, object, type) {
      try {
        // One at a time: a single type that the token does not know fails the whole call.
        const [attribute] = module.C_GetAttributeValue(open(token), object, [{ type }])
        return attribute?.value as Buffer | undefined
      } catch (error) {
        const code = numberOf(error)
        if (code === pkcs11js.CKR_ATTRIBUTE_TYPE_INVALID || code === pkcs11js.CKR_ATTRIBUTE_SENSITIVE) return
        throw translate(`reading an object of ${describeToken(token.info)}`, error)
      }
    },
  }
}

/** One C_Login. */
export interface LoginCall {
  readonly token: PresentToken
  readonly session: Buffer
  /** One of {@link CKU}. */
  readonly userType: number
  readonly pin: string
}

/**
 * Shows the token a PIN. Being logged in already counts as success.
 * @throws HoldfastError PIN_*, LOGIN_FAILED, TOKEN_*
 */
export function logIn(module: pkcs11js.PKCS11, { token, session, userType, pin }: LoginCall): void {
  try {
    module.C_Login(session, userType, pin)
  } catch (error) {
    if (numberOf(error) === pkcs11js.CKR_USER_ALREADY_LOGGED_IN) return
    throw explainPin(module, token, error, userType === CKU.SO ? 'so' : 'user')
  }
}

/** What to throw for an error of a call that showed the token a PIN. */
export function explainPin(
  module: pkcs11js.PKCS11,
  token: PresentToken,
  error: unknown,
  owner: PinOwner,
): unknown {
  // What ykcs11 says of a PIN that does not have 6 to 8 bytes; the card is not asked.
  if (numberOf(error) === pkcs11js.CKR_ARGUMENTS_BAD) return pinNotTaken(token, error)
  return addTriesLeft(module, token, translateLoginError(token, error, owner), owner)
}

/** Some modules answer a wrong PIN with CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED or a number of their vendor's own. */
function translateLoginError(token: PresentToken, cause: unknown, owner: PinOwner): unknown {
  const who = owner === 'so' ? 'login as security officer' : 'login'
  const error = translate(`${who} to ${describeToken(token.info)}`, cause)
  const number = numberOf(cause)
  if (number === pkcs11js.CKR_PIN_LOCKED && isTpm(unpad(token.info.serial))) return tpmLocked(token, cause)
  if (number === pkcs11js.CKR_PIN_LOCKED && owner === 'so') return officerLocked(token, cause)
  if (number === undefined || LOGIN_NOT_JUDGED.has(number)) return error
  if (!(error instanceof HoldfastError) || error.code !== 'TOKEN_FAILED') return error
  if (number !== pkcs11js.CKR_GENERAL_ERROR || !isTpm(unpad(token.info.serial))) {
    return new HoldfastError('LOGIN_FAILED', error.message, { cause })
  }
  return new HoldfastError(
    'LOGIN_FAILED',
    `login to ${describeToken(token.info)} failed (CKR_GENERAL_ERROR, 0x5): the TPM may be full of what killed programs have left in it: run tpm2_flushcontext --loaded-session, and reach it through /dev/tpmrm0 or tpm2-abrmd. If the TPM was cleared, the token's keys are gone for good: make a new token, and enrol anew`,
    { cause },
  )
}

/** A TPM locks as a whole, whichever of its tokens had the wrong PINs, and then takes the right one no more. */
function tpmLocked(token: PresentToken, cause: unknown): HoldfastError {
  return new HoldfastError(
    'PIN_LOCKED',
    `login to ${describeToken(token.info)} failed (CKR_PIN_LOCKED, 0xa4): the whole TPM is locked against guessing after too many wrong PINs, and the right one is refused as well: wait until it forgets them, or run tpm2_dictionarylockout --clear-lockout`,
    { cause },
  )
}

function officerLocked(token: PresentToken, cause: unknown): HoldfastError {
  return new HoldfastError(
    'PIN_LOCKED',
    `the SO PIN of ${describeToken(token.info)} is locked after too many wrong ones (CKR_PIN_LOCKED, 0xa4): the maker of the token says how it can be reset`,
    { cause },
  )
}

function pinNotTaken(token: PresentToken, cause: unknown): HoldfastError {
  return new HoldfastError(
    'PIN_INVALID',
    `the module of ${describeToken(token.info)} does not take such a PIN (CKR_ARGUMENTS_BAD): is it too short or too long? A YubiKey's has 6 to 8 characters`,
    { cause },
  )
}

/** What the token says of its tries after one was spent; some tokens never say it. */
function addTriesLeft(
  module: pkcs11js.PKCS11,
  token: PresentToken,
  error: unknown,
  owner: PinOwner,
): unknown {
  if (!(error instanceof HoldfastError) || error.code !== 'PIN_INCORRECT') return error
  try {
    const tries = formatTriesLeft(readTokenInfo(module, token.slot).flags, owner)
    return tries === undefined
      ? error
      : new HoldfastError(error.code, `${error.message}; ${tries}`, {
          cause: error.cause,
        })
  } catch {
    return error
  }
}

/** Some HSMs (AWS CloudHSM) refuse read-only sessions; only for them is a read-write one asked for. */
function openSession(module: pkcs11js.PKCS11, slot: Buffer, readWrite: boolean): Buffer {
  try {
    return module.C_OpenSession(slot, CKF.SERIAL_SESSION | (readWrite ? CKF.RW_SESSION : 0))
  } catch (error) {
    if (readWrite || ABSENT.has(numberOf(error) ?? -1)) throw error
    return module.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION)
  }
}
