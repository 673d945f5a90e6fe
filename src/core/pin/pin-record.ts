/**
 * The record of one PIN that was tried on one token: its form, its file name, and what it means for the next
 * login. io/pin-guard keeps the files. A record never holds a PIN.
 */
import { createHash, scryptSync } from 'node:crypto'
import { dirname } from 'node:path'
import { HoldfastError, isErrorCode } from '../errors.js'
import { formatPrintable } from '../printable.js'
import type { ProcessIdentity } from '../process-status.js'
import { quoteForShell } from '../shell.js'
import {
  type PinFileIdentity,
  type PinIdentity,
  type PinOwner,
  ROLE_WORDS,
  type TokenIdentity,
} from './pin.js'

/**
 * `trying`: C_Login is about to be called, or was when its process died. `good`: the token took the PIN.
 * `refused`: it did not.
 */
export type PinState = 'trying' | 'good' | 'refused'

/** One record, as it stands in its file in JSON. */
export interface PinRecord {
  readonly version: 1
  readonly state: PinState
  readonly token: TokenIdentity
  /** Absent if the PIN is the user's. */
  readonly owner?: 'so'
  /** What {@link PinIdentity} calls the source. */
  readonly source: string
  /** When the record was written, ISO 8601. */
  readonly since: string
  /** Who wrote the record. */
  readonly writer: ProcessIdentity
  /** Of `refused`: code of the error that the login ended with. */
  readonly reason?: string
}

/** A PIN that the guard looks after: any but a typed one. */
export type StoredPinIdentity = Exclude<PinIdentity, { kind: 'typed' }>

/**
 * File names of the records of one PIN on one token. A PIN that is being tried or was refused is told from others by its
 * fingerprint, also one in a file, lest a file that is written anew with the same wrong PIN cost one more try. A good
 * one has no fingerprint: the record says that the PIN in this very file is good, or the last one of any other source.
 */
export interface PinRecordNames {
  /** Begins the names of all records of this source on this token. */
  readonly prefix: string
  readonly good: string
  /** Of `trying` and `refused`. Computing it costs about 50 ms; the second call is free. */
  tried(): string
}

/** What may be done with a PIN, going by its record. `busy`: another process is logging in with it right now. */
export type PinVerdict = 'unproven' | 'proven' | 'busy' | 'refused'

const RECORD_SUFFIX = '.json'

const RECORD_NAME = /^[0-9a-f]{16}-[0-9a-f]{16}-([0-9a-f]{3}|[0-9a-f]{16}|good)\.json$/

/** True for a name that {@link pinRecordNames} may give. No other file is ever taken for a record. */
export function isRecordName(name: string): boolean {
  return RECORD_NAME.test(name)
}

/** True for {@link PinRecordNames.tried} of some PIN. */
export function isTriedName(name: string): boolean {
  return RECORD_NAME.exec(name)?.[1]?.length === 3
}

/** For how long a refused PIN is remembered beside another one of the same source that is good. */
const REFUSED_KEPT_MS = 24 * 60 * 60 * 1000

/** About 50 ms and 8 MiB. */
const SCRYPT_COST = 8192

/** How a person, whose places may be others, allows a PIN to be tried again that was refused by the record in `folder`. */
function formatRetryCommand({ label }: Pick<TokenIdentity, 'label'>, folder: string): string {
  const isArgument = /^[^-]/.test(label) && formatPrintable(label) === label
  const token = isArgument ? `${quoteForShell(label)} ` : ''
  return `holdfast token retry-pin ${token}--state-dir ${quoteForShell(formatPrintable(dirname(folder)))}`
}

/** Names of the records of `pin` on `token`. */
export function pinRecordNames(token: TokenIdentity, pin: StoredPinIdentity): PinRecordNames {
  const { manufacturer, model, serial, label, store } = token
  const tokenHash = hashFields([manufacturer, model, serial, label, store ?? ''])
  const isFile = pin.kind === 'file'
  const source = [pin.kind, isFile ? pin.file.realpath : pin.name]
  // What was learned of a user's PIN says nothing of the security officer's, also where both come from one place.
  const prefix = `${tokenHash}-${hashFields(pin.owner === 'so' ? [...source, 'so'] : source)}-`
  let tried: string | undefined
  return {
    prefix,
    good: `${prefix}${isFile ? hashFile(pin.file) : 'good'}${RECORD_SUFFIX}`,
    tried: () => {
      tried ??= `${prefix}${fingerprintPin(pin.pin, prefix)}${RECORD_SUFFIX}`
      return tried
    },
  }
}

function hashFile({ device, inode, size, mtimeNs, ctimeNs }: PinFileIdentity): string {
  return hashFields([device, inode, size, mtimeNs, ctimeNs])
}

function hashFields(fields: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(fields)).digest('hex').slice(0, 16)
}

/**
 * Twelve bits that tell a corrected PIN from the refused one in 4095 of 4096 cases, and leave whoever reads
 * them one PIN in 4096: of six digits some 244, none of which the token need accept. The salt, which differs by
 * token and source, keeps two records from being compared.
 */
function fingerprintPin(pin: Uint8Array, salt: string): string {
  return scryptSync(pin, salt, 2, { N: SCRYPT_COST }).toString('hex').slice(0, 3)
}

/** What `record` of a PIN means. */
export function judgePinRecord(record: PinRecord | undefined, writerLives: boolean): PinVerdict {
  if (record === undefined) return 'unproven'
  if (record.state === 'good') return 'proven'
  return record.state === 'trying' && writerLives ? 'busy' : 'refused'
}

/**
 * True if `error`, with which a login ended, speaks against the PIN. A locked token, or one that gives no reason, says
 * nothing about a PIN that was good before: a lock can pass by itself, and so can a fault.
 * @param isTpm a TPM that is locked judges no PIN and counts no try; the try that locks it is refused as a wrong PIN
 */
export function isPinRefusal(error: unknown, provenBefore: boolean, isTpm = false): boolean {
  if (!(error instanceof HoldfastError)) return false
  switch (error.code) {
    case 'PIN_INCORRECT':
    case 'PIN_INVALID':
      return true
    case 'PIN_LOCKED':
      return !provenBefore && !isTpm
    case 'LOGIN_FAILED':
      return !provenBefore
    default:
      return false
  }
}

/** True if a record is about the PIN of `owner` for `token`. */
export function isRecordOf(record: PinRecord, token: TokenIdentity, owner: PinOwner): boolean {
  const { manufacturer, model, serial, label, store } = record.token
  return (
    (record.owner ?? 'user') === owner &&
    manufacturer === token.manufacturer &&
    model === token.model &&
    serial === token.serial &&
    label === token.label &&
    store === token.store
  )
}

/**
 * True if the record need not be kept once another PIN of the same source is good. It is kept for a day, lest two
 * programs that have different PINs from sources of one name (HOLDFAST_PIN) let each other's wrong one be tried
 * over and over.
 */
export function isOutdated(record: PinRecord, now: Date): boolean {
  return now.getTime() - Date.parse(record.since) > REFUSED_KEPT_MS
}

/** The text of a record's file. */
export function formatPinRecord(record: PinRecord): string {
  return `${JSON.stringify(record, undefined, 2)}\n`
}

/** Reads {@link formatPinRecord}; undefined if the text is anything else, such as a record of another version. */
export function findPinRecord(text: string): PinRecord | undefined {
  let record: Partial<PinRecord> | null
  try {
    record = JSON.parse(text)
  } catch {
    return undefined
  }
  const { version, state, token, owner, source, since, writer, reason } = record ?? {}
  const isWhole =
    version === 1 &&
    (state === 'trying' || state === 'good' || state === 'refused') &&
    areTexts(token, ['manufacturer', 'model', 'serial', 'label']) &&
    (token?.store === undefined || typeof token.store === 'string') &&
    (owner === undefined || owner === 'so') &&
    typeof source === 'string' &&
    typeof since === 'string' &&
    !Number.isNaN(Date.parse(since)) &&
    areTexts(writer, ['startTime', 'bootId']) &&
    Number.isSafeInteger(writer?.pid) &&
    (reason === undefined || isErrorCode(reason))
  return isWhole ? (record as PinRecord) : undefined
}

function areTexts(value: unknown, names: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return names.every((name) => typeof (value as Record<string, unknown>)[name] === 'string')
}

/**
 * What to throw for a login that failed and made the PIN count as refused.
 * @param folder of the record that says so
 */
export function explainRefusal(
  error: unknown,
  { source, token }: Pick<PinRecord, 'source' | 'token'>,
  folder: string,
): unknown {
  if (!(error instanceof HoldfastError) || error.code !== 'LOGIN_FAILED') return error
  return new HoldfastError(
    error.code,
    `${error.message}; a wrong PIN may be the reason, so the PIN from ${source} counts as refused: correct it there, or if it is right run: ${formatRetryCommand(token, folder)}`,
    { cause: error },
  )
}

/**
 * The error for a PIN that {@link judgePinRecord} calls refused.
 * @param folder of the record
 */
export function refusedBefore(record: PinRecord, folder: string): HoldfastError {
  const token = `token "${formatPrintable(record.token.label)}"`
  const pin = `${ROLE_WORDS[record.owner ?? 'user'].name} from ${formatPrintable(record.source)}`
  const login = `a login to ${token} with the ${pin}`
  let what = `${token} refused the ${pin} at ${record.since} (${record.reason})`
  let mend = 'correct the PIN there, or if it is right run'
  if (record.state === 'trying') what = `${login} began at ${record.since} and its end is not known`
  else if (record.reason === 'LOGIN_FAILED') {
    what = `${login} failed at ${record.since} without a reason, behind which there may be a wrong PIN`
  } else if (record.reason === 'PIN_LOCKED') {
    what = `${token} was locked at ${record.since}, so it did not say whether the ${pin} is right`
    mend = 'once it is unlocked, correct the PIN there, or if it is right run'
  }
  return new HoldfastError(
    'PIN_REFUSED_BEFORE',
    `${what}; lest the token lock, it is not tried again: ${mend}: ${formatRetryCommand(record.token, folder)}`,
  )
}

/** The error for a record that cannot be read: it may say that the PIN was refused. */
export function damagedRecord(path: string, pin: StoredPinIdentity): HoldfastError {
  return new HoldfastError(
    'PIN_REFUSED_BEFORE',
    `the record ${formatPrintable(path)} of PIN tries is damaged, so the PIN from ${pin.name} counts as refused and is not tried: if it is right, remove that file`,
  )
}

/**
 * The folders that may hold the records, best first: `explicit` alone, or `$STATE_DIRECTORY` (of a systemd unit; the
 * first of several), `$XDG_STATE_HOME/holdfast`, for root `/var/lib/holdfast`, `$XDG_RUNTIME_DIR/holdfast`. Paths that are
 * not absolute do not count.
 * @param explicit value of `--state-dir`, if given
 */
export function stateDirectories(
  env: Readonly<Record<string, string | undefined>>,
  uid: number,
  explicit?: string,
): string[] {
  if (explicit !== undefined) return [explicit]
  const below = (folder: string | undefined, ...names: string[]) =>
    folder === undefined || folder === '' ? '' : [folder, ...names].join('/')
  const home = uid === 0 ? '' : below(env.HOME, '.local/state', 'holdfast')
  return [
    env.STATE_DIRECTORY?.split(':')[0] ?? '',
    below(env.XDG_STATE_HOME, 'holdfast') || home,
    uid === 0 ? '/var/lib/holdfast' : '',
    below(env.XDG_RUNTIME_DIR, 'holdfast'),
  ].filter((path) => path.startsWith('/'))
}
