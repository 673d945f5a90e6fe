/**
 * An identity: everything that says which key speaks for which role, as flags or the config file give it.
 * Names are those of the flags in camel case.
 */

import { HoldfastError } from '../errors.js'
import { formatPkcs11Uri, parsePkcs11Uri } from '../pkcs11/pkcs11-uri.js'

/** Fields that are absent were not named anywhere. Paths are ready to open. */
export interface Identity {
  /** What messages call an identity of a config file: its name, and the file. */
  readonly origin?: string | undefined
  /** URI of key and certificate in a token. */
  readonly pkcs11Uri?: string | undefined
  /** Path or file name of the PKCS#11 module, or a word for one that is known. */
  readonly pkcs11Module?: string | undefined
  /** Lets the URI's module-path or module-name choose the module. */
  readonly allowUriModule?: boolean | undefined
  /** Path of a PEM or DER file, or a `pkcs11:` URI. */
  readonly certificate?: string | undefined
  /** Path of a PEM file, or a `pkcs11:` URI. */
  readonly privateKey?: string | undefined
  /** Path of a PEM file with intermediate certificates. */
  readonly intermediates?: string | undefined
  readonly trustAnchorArn?: string | undefined
  readonly profileArn?: string | undefined
  readonly roleArn?: string | undefined
  /** Seconds asked of CreateSession. */
  readonly sessionDuration?: number | undefined
  readonly roleSessionName?: string | undefined
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly useFipsEndpoint?: boolean | undefined
  readonly useDualstackEndpoint?: boolean | undefined
  readonly pinFile?: string | undefined
  /** Path of a program that prints the PIN. */
  readonly askpass?: string | undefined
  /** Seconds for everything that the token does. */
  readonly tokenTimeout?: number | undefined
  /** Seconds for everything that the network does. */
  readonly timeout?: number | undefined
  readonly stateDir?: string | undefined
  readonly pinGuard?: 'on' | 'off' | undefined
  /** Lets all processes of this user share one session. */
  readonly cache?: boolean | undefined
}

/**
 * `flags` over `config`, field by field, except that a flag for one kind of key or one PIN source also pushes
 * aside what the configuration says of the other kinds: otherwise a flag would conflict instead of winning.
 * @throws HoldfastError URI_INVALID
 */
export function mergeIdentity<Configured extends Identity>(flags: Identity, config: Configured): Configured {
  const named = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined))
  const rest: { -readonly [Key in keyof Configured]: Configured[Key] } = { ...config }
  if (flags.pkcs11Uri !== undefined) delete rest.privateKey
  if (flags.privateKey !== undefined) delete rest.pkcs11Uri
  const uris = [flags.pkcs11Uri, flags.certificate, flags.privateKey].filter(isPkcs11Uri).map(parsePkcs11Uri)
  const flagsNamePin = uris.some(
    ({ pinSource, pinValue }) => pinSource !== undefined || pinValue !== undefined,
  )
  if (flags.pinFile !== undefined || flags.askpass !== undefined || flagsNamePin) {
    delete rest.pinFile
    for (const field of ['pkcs11Uri', 'certificate', 'privateKey'] as const) {
      if (isPkcs11Uri(rest[field])) rest[field] = withoutPin(rest[field])
    }
  }
  return { ...rest, ...named }
}

/** A day: more than anything takes, and less than timers can count. */
export const MAX_TIMEOUT_SECONDS = 24 * 60 * 60

/**
 * Refuses a time limit that cannot be meant.
 * @param name what the user calls it
 * @throws HoldfastError USAGE
 */
export function verifyTimeout(name: string, seconds: number | undefined): void {
  if (seconds === undefined || (Number.isInteger(seconds) && seconds > 0 && seconds <= MAX_TIMEOUT_SECONDS))
    return
  throw new HoldfastError(
    'USAGE',
    `${name} must be a whole number of seconds, from 1 to ${MAX_TIMEOUT_SECONDS}`,
  )
}

/** True if `text` is a PKCS#11 URI and not the path of a file. */
export function isPkcs11Uri(text: string | undefined): text is string {
  return text !== undefined && /^\s*pkcs11:/i.test(text)
}

function withoutPin(text: string): string {
  const { pinSource: _, ...uri } = parsePkcs11Uri(text)
  return formatPkcs11Uri(uri)
}
