/**
 * The one error that Holdfast throws on purpose, and the closed list of its codes.
 *
 * Each code belongs to one exit status, so that a script can tell a wrong PIN from a refused role. Branch
 * on `code`, never on the message: the message is for a person and says what failed, on which object, and
 * what to do.
 */

/** Exit status of each error code, by cause. 0 is success and 1 a bug in Holdfast itself. */
const EXIT_STATUS = {
  // 2: the command line, a URI, an ARN or the configuration
  USAGE: 2,
  URI_INVALID: 2,
  ARN_INVALID: 2,
  CONFIG_INVALID: 2,
  CONFIG_UNSAFE: 2,
  CONFIG_NOT_FOUND: 2,
  CONFIG_UNREADABLE: 2,
  AGENT_RUNNING: 2,
  // 3: the token, its module, or the PIN
  ADDON_MISSING: 3,
  MODULE_NOT_FOUND: 3,
  MODULE_INVALID: 3,
  MODULE_FAILED: 3,
  MODULE_CRASHED: 3,
  DEVICE_UNREACHABLE: 3,
  STORE_UNUSABLE: 3,
  TOKEN_TIMEOUT: 3,
  TOKEN_NOT_FOUND: 3,
  TOKEN_AMBIGUOUS: 3,
  TOKEN_INITIALIZED: 3,
  TOKEN_REMOVED: 3,
  TOKEN_FAILED: 3,
  LOGIN_FAILED: 3,
  PIN_NEEDED: 3,
  PIN_SOURCE_UNREADABLE: 3,
  PIN_SOURCE_UNSAFE: 3,
  PIN_INVALID: 3,
  PIN_INCORRECT: 3,
  PIN_LOCKED: 3,
  PIN_EXPIRED: 3,
  PIN_FINAL_TRY: 3,
  PIN_REFUSED_BEFORE: 3,
  PIN_GUARD_UNAVAILABLE: 3,
  PIN_PAD_UNSUPPORTED: 3,
  PASSPHRASE_INCORRECT: 3,
  // 4: the key or its certificate
  FILE_UNREADABLE: 4,
  KEY_NOT_FOUND: 4,
  KEY_AMBIGUOUS: 4,
  KEY_INVALID: 4,
  OBJECT_EXISTS: 4,
  KEY_MISMATCH: 4,
  KEY_UNSUPPORTED: 4,
  SIGNATURE_INVALID: 4,
  CERTIFICATE_NOT_FOUND: 4,
  CERTIFICATE_AMBIGUOUS: 4,
  CERTIFICATE_INVALID: 4,
  CERTIFICATE_EXPIRED: 4,
  CERTIFICATE_UNSUITABLE: 4,
  CSR_INVALID: 4,
  CA_NOT_FOUND: 4,
  CA_EXISTS: 4,
  CA_UNSAFE: 4,
  CA_DAMAGED: 4,
  // 5: Roles Anywhere said no, or who issues certificates
  REFUSED: 5,
  REFUSED_UNTRUSTED_CERTIFICATE: 5,
  REFUSED_CERTIFICATE_REVOKED: 5,
  REFUSED_SIGNATURE: 5,
  REFUSED_ROLE: 5,
  REFUSED_SESSION_NAME: 5,
  REFUSED_REQUEST: 5,
  REFUSED_NOT_FOUND: 5,
  ISSUER_REFUSED: 5,
  // 6: the network, the service or the clock; worth another try later
  CLOCK_WRONG: 6,
  NETWORK_FAILED: 6,
  PROXY_FAILED: 6,
  TLS_FAILED: 6,
  DEADLINE_EXCEEDED: 6,
  THROTTLED: 6,
  SERVICE_UNAVAILABLE: 6,
  REPLY_INVALID: 6,
  ISSUER_FAILED: 6,
  ISSUER_PENDING: 6,
  AGENT_FAILED: 6,
  // 7: there is a result, and it could not be handed over
  OUTPUT_FAILED: 7,
  SOCKET_UNUSABLE: 7,
  INTERRUPTED: 7,
} as const

/** A stable name for one cause of failure. */
export type ErrorCode = keyof typeof EXIT_STATUS

/** True if `text` is one of the codes; used where an error crosses a process boundary. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(EXIT_STATUS, text)
}

/** An error with a code. `cause` keeps the outside error it was translated from, if there was one. */
export class HoldfastError extends Error {
  override readonly name = 'HoldfastError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }

  /** Exit status of a program that ends with this error: 2 usage, 3 token or PIN, 4 key or certificate, 5 refused, 6 network, service or clock, 7 output. */
  get exitStatus(): number {
    return EXIT_STATUS[this.code]
  }
}
