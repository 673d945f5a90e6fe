/**
 * Where a PIN comes from, what may be sent to a token as one, and when a token's flags forbid trying it.
 * Computes only: io/pin-file, io/terminal and io/askpass fetch the bytes, io/pin-guard keeps the record
 * of what was tried.
 */
import { Buffer, isUtf8 } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'
import { HoldfastError } from '../errors.js'
import { formatPrintable } from '../printable.js'
import { hasPinPad, readPinFlags } from './token-flags.js'

/**
 * One place to get a PIN from. Everything but `pin` is plain JSON. `pin` is what was given, not yet
 * looked at by {@link parsePin}; it belongs to the source.
 */
export type PinSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'systemd-credential'; readonly path: string }
  | { readonly kind: 'environment'; readonly pin: Uint8Array }
  | { readonly kind: 'pin-value'; readonly pin: Uint8Array }
  | { readonly kind: 'askpass'; readonly program: string }
  | { readonly kind: 'terminal' }

/** The kinds of {@link PinSource}. */
export type PinSourceKind = PinSource['kind']

/** Whose PIN of a token: its user's, or that of its security officer, who can set the user's. */
export type PinOwner = 'user' | 'so'

/** What a PIN is wanted for: to be tried, or to be set. */
export const PIN_ROLES = ['user', 'so', 'new-user', 'new-so'] as const
/** One of {@link PIN_ROLES}. */
export type PinRole = (typeof PIN_ROLES)[number]

/** What tells one token from another. Texts are without the padding of CK_TOKEN_INFO. */
export interface TokenIdentity {
  readonly manufacturer: string
  readonly model: string
  readonly serial: string
  readonly label: string
  /** Where the serial is the same for every token (tpm2-pkcs11), what else tells them apart: the store's path. */
  readonly store?: string
}

/** A source that somebody named, and what named it as the user would write it: `--pin-file`. */
export interface NamedPinSource {
  readonly from: string
  readonly source: PinSource
}

/** What says that a file, with what is in it, is still the same one. All numbers are decimal text. */
export interface PinFileIdentity {
  readonly realpath: string
  readonly device: string
  readonly inode: string
  readonly size: string
  readonly mtimeNs: string
  readonly ctimeNs: string
}

/**
 * What makes a PIN the same one as at the last try. A file that was not touched since then holds the same PIN. Of a file
 * that is another one, and of any other stored PIN, only the PIN itself can tell; `name` (see {@link formatPinSource})
 * says which source is meant. A person who types knows what was typed. Without `owner` it is the user's.
 */
export type PinIdentity =
  | {
      readonly kind: 'file'
      readonly name: string
      readonly pin: Uint8Array
      readonly file: PinFileIdentity
      readonly owner?: PinOwner
    }
  | { readonly kind: 'secret'; readonly name: string; readonly pin: Uint8Array; readonly owner?: PinOwner }
  | { readonly kind: 'typed' }

/** What lies around when no source is named. Empty strings count as not set. */
export interface AmbientPinSources {
  /** Path of the file `holdfast.pin` in `$CREDENTIALS_DIRECTORY`, if there is one. */
  readonly systemdCredential?: string | undefined
  /** Value of `HOLDFAST_PIN`. */
  readonly environment?: string | undefined
  /** The first of `--askpass`, `HOLDFAST_ASKPASS` and the configuration. */
  readonly askpass?: string | undefined
}

/** The ways to give a PIN, for error messages. */
export const PIN_WAYS =
  '--pin-file FILE, pin-source in the token URI, a systemd credential named holdfast.pin, HOLDFAST_PIN, --askpass PROGRAM, or a terminal in the foreground'

/** How messages speak of what is read from a file, an askpass program or a terminal. */
export interface SecretWords {
  readonly name: string
  /** Who needs it: the first half of a sentence whose second half says why there is none. */
  readonly need: string
  readonly ways: string
}

/** The words for a token's PIN. */
export const PIN_WORDS: SecretWords = { name: 'PIN', need: 'the token wants a PIN', ways: PIN_WAYS }

/** The words for each PIN of a token. */
export const ROLE_WORDS: Readonly<Record<PinRole, SecretWords>> = {
  user: PIN_WORDS,
  so: wordsOf('SO PIN', '--so-pin-file FILE'),
  'new-user': wordsOf('new PIN', '--new-pin-file FILE'),
  'new-so': wordsOf('new SO PIN', '--so-pin-file FILE'),
}

function wordsOf(name: string, flag: string): SecretWords {
  const ways = `${flag}, --askpass PROGRAM, or a terminal in the foreground`
  return { name, need: `the token wants a ${name}`, ways }
}

/**
 * The one source to use: the named one, else systemd credential, `HOLDFAST_PIN`, askpass, terminal, the
 * first that is there. The same source named twice (by the URIs of key and certificate) is one source.
 * A flag that overrides the configuration replaces its entry before this is called.
 * @throws HoldfastError USAGE if two sources are named
 */
export function choosePinSource(named: readonly NamedPinSource[], ambient: AmbientPinSources): PinSource {
  const [first, ...others] = named
  if (first !== undefined) {
    const second = others.find(({ source }) => !isDeepStrictEqual(source, first.source))
    if (second === undefined) return first.source
    throw new HoldfastError(
      'USAGE',
      `the PIN has two sources, ${first.from} and ${second.from}: name only one`,
    )
  }
  if (ambient.systemdCredential) return { kind: 'systemd-credential', path: ambient.systemdCredential }
  if (ambient.environment) return { kind: 'environment', pin: Buffer.from(ambient.environment) }
  if (ambient.askpass) return { kind: 'askpass', program: ambient.askpass }
  return { kind: 'terminal' }
}

/** How a source is called in messages: never the PIN. */
export function formatPinSource(source: PinSource): string {
  switch (source.kind) {
    case 'file':
      return `file ${formatPrintable(source.path)}`
    case 'systemd-credential':
      return `systemd credential ${formatPrintable(source.path)}`
    case 'environment':
      return 'HOLDFAST_PIN'
    case 'pin-value':
      return 'pin-value of the token URI'
    case 'askpass':
      return `askpass program ${formatPrintable(source.program)}`
    case 'terminal':
      return 'terminal'
  }
}

const BYTE_ORDER_MARK = Buffer.from('\u{feff}')
const REPLACEMENT_CHARACTER = Buffer.from('\u{fffd}')

/**
 * The PIN in `bytes`: the first line without its CR or LF, and without a byte order mark. What comes back is
 * a copy in UTF-8; wiping `bytes` is left to their owner.
 *
 * What no token can want is refused here, because some count even an empty PIN as a wrong one. U+FFFD stands
 * where somebody decoded a text wrongly (Node does so with environment variables), so it is refused as well.
 * @param origin what {@link formatPinSource} calls the source
 * @throws HoldfastError PIN_INVALID if it is empty, not UTF-8, or holds NUL or U+FFFD
 */
export function parsePin(bytes: Uint8Array, origin: string, { name } = PIN_WORDS): Uint8Array {
  const isLineEnd = (byte: number) => byte === 0x0a || byte === 0x0d
  const end = bytes.findIndex(isLineEnd)
  let line = Buffer.from(bytes.buffer, bytes.byteOffset, end === -1 ? bytes.length : end)
  if (line.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK)) {
    line = line.subarray(BYTE_ORDER_MARK.length)
  }
  const reject = (why: string) => new HoldfastError('PIN_INVALID', `the ${name} from ${origin} ${why}`)
  if (line.length === 0) throw reject('is empty; it was not tried')
  if (!isUtf8(line) || line.includes(REPLACEMENT_CHARACTER)) {
    throw reject('is not valid UTF-8; it was not tried')
  }
  if (line.includes(0)) throw reject('holds a NUL character; it was not tried')
  return Uint8Array.from(line)
}

/**
 * Refuses a PIN that is longer than the token says it takes. Nothing is said about a short one: tokens
 * report limits that are not theirs (ykcs11 reports at most 64 bytes and takes 6 to 8), and they judge best.
 * @param lengths ulMinPinLen and ulMaxPinLen of CK_TOKEN_INFO, in bytes
 * @throws HoldfastError PIN_INVALID
 */
export function verifyPinLength(
  pin: Uint8Array,
  lengths: { readonly min: number; readonly max: number },
  tokenName: string,
): void {
  const unavailable = lengths.max === 0 || lengths.max === 0xffffffff || lengths.max < lengths.min
  if (!unavailable && pin.length > lengths.max) {
    throw new HoldfastError(
      'PIN_INVALID',
      `the PIN is longer than the ${lengths.max} bytes that token "${formatPrintable(tokenName)}" takes; it was not tried`,
    )
  }
}

/**
 * Refuses a PIN that is to be set and has not the length that the token says it takes.
 * @param lengths as for {@link verifyPinLength}
 * @throws HoldfastError PIN_INVALID
 */
export function verifyNewPinLength(
  pin: Uint8Array,
  lengths: { readonly min: number; readonly max: number },
  tokenName: string,
): void {
  verifyPinLength(pin, lengths, tokenName)
  if (lengths.min !== 0xffffffff && pin.length < lengths.min) {
    throw new HoldfastError(
      'PIN_INVALID',
      `the new PIN is shorter than the ${lengths.min} bytes that token "${formatPrintable(tokenName)}" wants; nothing was changed`,
    )
  }
}

const PIN_NAMES = { user: 'user PIN', so: 'SO PIN' } as const
const MENDS = {
  user: {
    locked: 'its security officer must unlock it: holdfast token unblock',
    expired: 'change it with holdfast token set-pin',
    typed: 'holdfast key list',
  },
  so: {
    locked: 'the maker of the token says how it can be reset',
    expired: "change it with the token's own tool",
    typed: 'holdfast token unblock',
  },
} as const

/**
 * Refuses to log in where the token's flags say that it is hopeless, or that the last try would be staked on
 * a PIN that nobody has just typed. Not every token sets these flags, so the guard is needed as well.
 * @param flags CK_TOKEN_INFO.flags, read just now
 * @throws HoldfastError PIN_LOCKED, PIN_EXPIRED, PIN_PAD_UNSUPPORTED, PIN_FINAL_TRY
 */
export function verifyPinMayBeTried(
  flags: number,
  sourceKind: PinSourceKind,
  tokenName: string,
  owner: PinOwner = 'user',
): void {
  const token = `token "${formatPrintable(tokenName)}"`
  const pin = `the ${PIN_NAMES[owner]} of ${token}`
  const { isLocked, isToBeChanged, hasOneTry } = readPinFlags(flags, owner)
  if (isLocked) {
    throw new HoldfastError(
      'PIN_LOCKED',
      `${pin} is locked after too many wrong ones: ${MENDS[owner].locked}`,
    )
  }
  if (isToBeChanged) {
    throw new HoldfastError(
      'PIN_EXPIRED',
      `${pin} must be changed before it can be used: ${MENDS[owner].expired}`,
    )
  }
  if (hasPinPad(flags)) {
    throw new HoldfastError(
      'PIN_PAD_UNSUPPORTED',
      `${token} wants its PIN on a PIN pad or another protected path, which Holdfast cannot use: switch that off in the module's settings, or use another reader`,
    )
  }
  if (hasOneTry && sourceKind !== 'terminal') {
    throw new HoldfastError(
      'PIN_FINAL_TRY',
      `${pin} has one try left before it locks, and only one typed at a terminal is tried then: log in once by hand, with no other PIN source: ${MENDS[owner].typed}`,
    )
  }
}

/** What the flags say about the tries left; undefined if they say nothing, which is no promise. */
export function formatTriesLeft(flags: number, owner: PinOwner = 'user'): string | undefined {
  const { isLocked, hasOneTry, hasFewTries } = readPinFlags(flags, owner)
  if (isLocked) return 'the PIN is now locked'
  if (hasOneTry) return 'one try is left before the token locks'
  if (hasFewTries) return 'a wrong PIN was entered and few tries may be left'
  return undefined
}

/** The question to a person, on one line, without escape sequences that a label may hold. */
export function formatPinPrompt(
  token: Pick<TokenIdentity, 'manufacturer' | 'serial' | 'label'>,
  flags: number,
  role: PinRole = 'user',
): string {
  const about = [token.manufacturer, token.serial === '' ? '' : `serial ${token.serial}`]
    .filter((part) => part !== '')
    .join(', ')
  const { name } = ROLE_WORDS[role]
  const isNew = role === 'new-user' || role === 'new-so'
  const tries = isNew ? undefined : formatTriesLeft(flags, role)
  return formatPrintable(
    `${name[0]!.toUpperCase()}${name.slice(1)} ${isNew ? 'for' : 'of'} token "${token.label}"${about === '' ? '' : ` (${about})`}${tries === undefined ? '' : `, ${tries}`}: `,
  )
}
