/**
 * Loads a PKCS#11 module and translates what goes wrong in it.
 * @see PKCS#11 v2.40 base specification §5.4 (C_Initialize), §5.1 (return values)
 */

import { existsSync, lstatSync, readlinkSync, statSync } from 'node:fs'
import pkcs11js from 'pkcs11js'
import { type ErrorCode, HoldfastError } from '../../core/errors.js'
import { findPathRisks, findTrustedOwners, formatPathRisk } from '../../core/path-trust.js'
import { DEFAULT_MODULE, type ModuleReference } from '../../core/token-protocol.js'
import { formatList } from '../../core/token-search.js'

/** CKF_OS_LOCKING_OK: without it modules may do no locking against their own threads. */
const INITIALIZE_FLAGS = 2

/**
 * Loads and initializes a module; whoever calls must C_Finalize it.
 * @param uid the user who, beside root, may be able to change the module's file
 * @param warn receives what is unsafe, but was root's choice
 * @throws HoldfastError MODULE_NOT_FOUND, MODULE_INVALID, TOKEN_FAILED
 */
export function loadModule(
  reference: ModuleReference,
  { uid, warn }: { readonly uid: number; readonly warn: (text: string) => void },
): pkcs11js.PKCS11 {
  const path = 'path' in reference ? locateDefault(reference.path) : findModule(reference)
  verifyModuleFile(path, uid, warn)
  const module = new pkcs11js.PKCS11()
  try {
    module.load(path)
  } catch (error) {
    throw translateLoadError(path, error)
  }
  call(`C_Initialize of ${path}`, () => module.C_Initialize({ flags: INITIALIZE_FLAGS }))
  return module
}

/** Where distributions keep PKCS#11 modules, for RFC 7512's `module-name`. */
const MODULE_DIRECTORIES = [
  '/usr/lib/x86_64-linux-gnu/pkcs11',
  '/usr/lib/aarch64-linux-gnu/pkcs11',
  '/usr/lib64/pkcs11',
  '/usr/lib/pkcs11',
  '/usr/lib/softhsm',
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/lib',
]

/** The name comes without `lib` and `.so` (RFC 7512 §2.3). */
function findModule({ name, directory }: { name: string; directory?: string | undefined }): string {
  if (name.includes('/')) {
    throw new HoldfastError('URI_INVALID', 'module-name is a name, not a path: use module-path for a path')
  }
  const directories = directory === undefined ? MODULE_DIRECTORIES : [directory]
  const candidates = directories.flatMap((folder) => [`${folder}/${name}.so`, `${folder}/lib${name}.so`])
  const path = candidates.find((candidate) => existsSync(candidate))
  if (path !== undefined) return path
  throw new HoldfastError(
    'MODULE_NOT_FOUND',
    `no PKCS#11 module named ${JSON.stringify(name)} in ${formatList(directories)}: name the module's file with --pkcs11-module`,
  )
}

/**
 * The default goes by its bare name, for which the dynamic linker looks into every folder of LD_LIBRARY_PATH: also into
 * the current one, if there is a stray colon. Where the distribution has it, that path is taken.
 */
function locateDefault(path: string): string {
  if (path !== DEFAULT_MODULE) return path
  return MODULE_DIRECTORIES.map((folder) => `${folder}/${path}`).find((file) => existsSync(file)) ?? path
}

/** A module runs with the rights of its caller, so a file that others may change or replace is not loaded. */
function verifyModuleFile(path: string, uid: number, warn: (text: string) => void): void {
  if (!path.includes('/')) return
  const file = statSync(path, { throwIfNoEntry: false })
  if (file === undefined) {
    throw new HoldfastError(
      'MODULE_NOT_FOUND',
      `there is no PKCS#11 module at ${path}: name the module's file with --pkcs11-module`,
    )
  }
  if (!file.isFile()) {
    throw new HoldfastError(
      'MODULE_INVALID',
      `${path} is not a file: name the file of a PKCS#11 module with --pkcs11-module`,
    )
  }
  const refuse = (why: string) =>
    new HoldfastError('MODULE_INVALID', `the PKCS#11 module ${path} is not loaded: ${why}`)
  if ((file.mode & 0o002) !== 0) throw refuse(`everyone can write it: chmod o-w ${path}`)
  if ((file.mode & 0o020) !== 0 && file.gid !== 0 && file.gid !== uid) {
    throw refuse(`group ${file.gid} can write it: chmod g-w ${path}`)
  }
  const facts = { lstatSync, readlinkSync }
  if (!findTrustedOwners(uid, facts).has(file.uid)) {
    throw refuse(`it belongs to uid ${file.uid}, neither root nor uid ${uid}: chown root ${path}`)
  }
  for (const risk of findPathRisks(path, uid, facts)) {
    if (!risk.isRootsChoice) throw refuse(formatPathRisk(risk))
    warn(`the PKCS#11 module ${path} is loaded, but ${formatPathRisk(risk)}`)
  }
}

function translateLoadError(path: string, cause: unknown): HoldfastError {
  const text = cause instanceof Error ? cause.message : String(cause)
  const isMissing = text.startsWith(`${path}: cannot open shared object file: No such file`)
  if (isMissing && !path.includes('/')) {
    return new HoldfastError(
      'MODULE_NOT_FOUND',
      `the PKCS#11 module ${path} is not installed: name the module's file with --pkcs11-module`,
      { cause },
    )
  }
  // The file is there: the dynamic linker passes over one for another machine, and then misses it.
  const why = isMissing ? 'it is for another kind of machine' : text
  return new HoldfastError(
    'MODULE_INVALID',
    `${path} cannot be loaded as a PKCS#11 module (${why}): name a module built for this machine with --pkcs11-module`,
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
  [pkcs11js.CKR_PIN_EXPIRED]: ['PIN_EXPIRED', 'the PIN has expired: set a new one with the token’s own tool'],
  [pkcs11js.CKR_PIN_LOCKED]: [
    'PIN_LOCKED',
    'the PIN is locked after too many wrong ones: unblock it with the token’s own tool (for a TPM, tpm2_dictionarylockout --clear-lockout)',
  ],
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
    'the token or its driver reports a device error: plug it in again',
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
