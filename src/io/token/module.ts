/**
 * Loads a PKCS#11 module and translates what goes wrong in it.
 * @see PKCS#11 v2.40 base specification §5.4 (C_Initialize), §5.1 (return values)
 */

import pkcs11js from 'pkcs11js'
import { type ErrorCode, HoldfastError } from '../../core/errors.js'
import { PRESET_NAMES } from '../../core/pkcs11/module-preset.js'
import type { ModuleInfo } from '../../core/pkcs11/pkcs11-match.js'
import { formatList } from '../../core/pkcs11/token-search.js'

/** CKF_OS_LOCKING_OK: without it modules may do no locking against their own threads. */
const INITIALIZE_FLAGS = 2

/** A module that may be loaded. */
export interface ModuleAccess {
  /** Path of the module, or a bare name for the dynamic linker. */
  readonly module: string
  /** Looks for what keeps the module from its tokens, after it failed or showed none. */
  readonly findObstacle: (library?: ModuleInfo) => HoldfastError | undefined
}

/**
 * Loads and initializes a module, lends it, and finalizes it on every way out. Since finalizing may hang or crash, `use`
 * must have told its result, also that of a failure, before it ends.
 * @throws HoldfastError MODULE_NOT_FOUND, MODULE_INVALID, TOKEN_FAILED, or what `findObstacle` finds
 */
export async function withModule(
  { module: path, findObstacle }: ModuleAccess,
  use: (module: pkcs11js.PKCS11) => Promise<void>,
): Promise<void> {
  let module: pkcs11js.PKCS11
  try {
    module = loadModule(path)
  } catch (error) {
    throw findObstacle() ?? error
  }
  try {
    await use(module)
  } finally {
    try {
      module.C_Finalize()
    } catch {
      // The answer is out; a module that cannot end cleanly must not turn it into a failure.
    }
  }
}

/** What a module says of itself. */
export function readLibrary(module: pkcs11js.PKCS11): ModuleInfo {
  const info = call('C_GetInfo', () => module.C_GetInfo())
  return {
    manufacturer: info.manufacturerID,
    description: info.libraryDescription,
    version: info.libraryVersion,
  }
}

function loadModule(path: string): pkcs11js.PKCS11 {
  const module = new pkcs11js.PKCS11()
  try {
    module.load(path)
  } catch (error) {
    throw translateLoadError(path, error)
  }
  call(`C_Initialize of ${path}`, () => module.C_Initialize({ flags: INITIALIZE_FLAGS }))
  return module
}

function translateLoadError(path: string, cause: unknown): HoldfastError {
  const text = cause instanceof Error ? cause.message : String(cause)
  if (!path.includes('/') && text.startsWith(`${path}: cannot open shared object file: No such file`)) {
    return new HoldfastError(
      'MODULE_NOT_FOUND',
      `the PKCS#11 module ${path} is not installed: name the module's file with --pkcs11-module, or one of ${formatList(PRESET_NAMES)}`,
      { cause },
    )
  }
  return new HoldfastError(
    'MODULE_INVALID',
    `${path} cannot be loaded as a PKCS#11 module (${text}): name a module built for this machine with --pkcs11-module`,
    { cause },
  )
}

/** Return values that say that the token of a slot is not there. */
export const ABSENT: ReadonlySet<number> = new Set([
  pkcs11js.CKR_TOKEN_NOT_PRESENT,
  pkcs11js.CKR_DEVICE_REMOVED,
  pkcs11js.CKR_SLOT_ID_INVALID,
  pkcs11js.CKR_TOKEN_NOT_RECOGNIZED,
])

/** Runs one PKCS#11 call and translates its error. */
export function call<T>(what: string, pkcs11Call: () => T): T {
  try {
    return pkcs11Call()
  } catch (error) {
    throw translate(what, error)
  }
}

/** The CKR_ number of an error of the binding, which C_FindObjects gives only inside the text; undefined for other errors. */
export function numberOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || error instanceof HoldfastError) return undefined
  const { code } = error as { code?: unknown }
  if (typeof code === 'number') return code
  const match = /CKR_\w+:(\d+)/.exec(error.message)
  return match === null ? undefined : Number(match[1])
}

const MEANINGS: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  [pkcs11js.CKR_PIN_INCORRECT]: ['PIN_INCORRECT', 'the token says that the PIN is wrong'],
  [pkcs11js.CKR_PIN_INVALID]: ['PIN_INCORRECT', 'the token says that the PIN has characters it cannot have'],
  [pkcs11js.CKR_PIN_LEN_RANGE]: ['PIN_INCORRECT', 'the token says that the PIN is too short or too long'],
  [pkcs11js.CKR_PIN_EXPIRED]: [
    'PIN_EXPIRED',
    'the PIN has expired: set a new one with holdfast token set-pin',
  ],
  [pkcs11js.CKR_PIN_LOCKED]: [
    'PIN_LOCKED',
    'the PIN is locked after too many wrong ones: its security officer sets a new one with holdfast token unblock',
  ],
  [pkcs11js.CKR_USER_PIN_NOT_INITIALIZED]: [
    'TOKEN_FAILED',
    'the token has no user PIN yet: its security officer sets one with holdfast token unblock',
  ],
  [pkcs11js.CKR_USER_TYPE_INVALID]: [
    'TOKEN_FAILED',
    'the token does not let its user do this; a YubiKey wants its management key, with which ykman piv makes keys and imports certificates',
  ],
  [pkcs11js.CKR_FUNCTION_NOT_SUPPORTED]: [
    'TOKEN_FAILED',
    'the module cannot do this: use the token’s own tool',
  ],
  [pkcs11js.CKR_DEVICE_MEMORY]: ['TOKEN_FAILED', 'the token is full: remove what is not needed any more'],
  [pkcs11js.CKR_TOKEN_WRITE_PROTECTED]: ['TOKEN_FAILED', 'the token can only be read'],
  [pkcs11js.CKR_TOKEN_NOT_PRESENT]: ['TOKEN_REMOVED', 'the token is not there any more: plug it in again'],
  [pkcs11js.CKR_DEVICE_REMOVED]: ['TOKEN_REMOVED', 'the token was removed: plug it in again'],
  [pkcs11js.CKR_USER_NOT_LOGGED_IN]: [
    'TOKEN_FAILED',
    'the token says that nobody is logged in: does another program use it and log out?',
  ],
  [pkcs11js.CKR_KEY_FUNCTION_NOT_PERMITTED]: [
    'KEY_UNSUPPORTED',
    'the key may not be used for signatures: use one that was made with the usage sign',
  ],
  [pkcs11js.CKR_FUNCTION_CANCELED]: [
    'TOKEN_FAILED',
    'it was cancelled at the token, or nobody confirmed in time',
  ],
  [pkcs11js.CKR_DEVICE_ERROR]: [
    'TOKEN_FAILED',
    'the token, its driver or its daemon reports a device error: try again, or plug it in again',
  ],
  [pkcs11js.CKR_GENERAL_ERROR]: [
    'TOKEN_FAILED',
    'the module reports a general error; --debug shows what it printed. With a TPM: is its device or resource manager reachable, and its store writable?',
  ],
}

/** The HoldfastError for an error of the binding; any other error as it is. */
export function translate(what: string, cause: unknown): unknown {
  const number = numberOf(cause)
  if (number === undefined) return cause
  const name = /CKR_\w+/.exec((cause as Error).message)?.[0] ?? 'CKR_VENDOR_DEFINED'
  const result = `${name}, 0x${number.toString(16)}`
  const [code, meaning] = MEANINGS[number] ?? [
    'TOKEN_FAILED',
    'the module failed; --debug shows what it printed',
  ]
  return new HoldfastError(code, `${what} failed (${result}): ${meaning}`, { cause })
}
