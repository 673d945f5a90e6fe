/**
 * What the program and its token child say to each other: one request to open, then any number of
 * signatures; or one to administer, then any number of things to do; on a pipe of their own. A frame is a 4-byte big-endian length, one byte for its kind (`J` JSON,
 * `B` bytes) and the payload. Secrets travel only as `B` frames, so that no PIN ever stands inside a JSON text.
 */

import { HoldfastError, isErrorCode } from '../errors.js'
import { COUNT, listOf, oneOf, optional, record, type Shape, TEXT } from '../json-shape.js'
import { PIN_ROLES, type PinRole, type PinSource, type TokenIdentity } from '../pin/pin.js'
import type { AdminRequest } from './admin-protocol.js'
import { isPresetName, type PresetName } from './module-preset.js'

/** Argument of the child that makes it load the PKCS#11 binding before it has been told what for. */
export const PRELOAD = '--preload'

/** First message to the child: which module to load, what to find in it, where the PIN is. */
export interface OpenRequest {
  readonly module: ModuleReference
  /** URI of the certificate; absent where the certificate itself is given. */
  readonly certificateUri?: string
  /** The end-entity certificate, base64 DER. */
  readonly certificate?: string
  /** URI of the private key. */
  readonly keyUri: string
  readonly pin: ChildPin
  readonly guard: GuardSettings
  /** Time for everything that the module does, in milliseconds; waiting for a person's PIN is not counted. */
  readonly timeoutMs: number
}

/** First message to a child that is to change a token, or to say what is in it. */
export interface AdministerRequest {
  readonly module: ModuleReference
  /** Where the PINs are that may be wanted. */
  readonly pins: PinPlaces
  readonly guard: GuardSettings
  /** As for {@link OpenRequest}. */
  readonly timeoutMs: number
}

/** The place of each PIN. */
export type PinPlaces = Readonly<Partial<Record<PinRole, ChildPin>>>

/** Loads every module that the machine has configured; nothing has to be named then. */
export const DEFAULT_MODULE = 'p11-kit-proxy.so'

/**
 * A module by its path or file name; by a word for one that is known; or by RFC 7512's `module-name`, looked up in the
 * usual folders.
 */
export type ModuleReference =
  | { readonly path: string }
  | { readonly preset: PresetName }
  | { readonly name: string; readonly directory?: string | undefined }

/** Where the child gets the PIN: a file that it reads itself, or the program (`kind` only names it). */
export interface ChildPin {
  readonly kind: PinSource['kind']
  readonly path?: string
  /** What messages call the source. */
  readonly name: string
}

/** The reference that a user's text means: a preset's word, else a path or a file name for the dynamic linker. */
export function parseModuleReference(text: string): ModuleReference {
  return isPresetName(text) ? { preset: text } : { path: text }
}

/** What whoever is asked for a PIN must know: which token, its CKF_ flags, and which of its PINs. */
export interface PinNeed {
  readonly token: TokenIdentity
  readonly flags: number
  readonly role: PinRole
}

/** Where the PIN guard keeps its records. */
export interface GuardSettings {
  readonly enabled: boolean
  /** Candidates, best first. */
  readonly directories: readonly string[]
}

/** Messages to the child. `sign` is followed by one `B` frame, the message to sign; `pin` by one, the PIN. */
export type ToChild =
  | { readonly open: OpenRequest }
  | { readonly sign: true }
  | { readonly administer: AdministerRequest }
  | { readonly perform: AdminRequest }
  | { readonly pin: true }

/**
 * Messages from the child. `signed` is followed by one `B` frame, the signature. `needPin` asks the
 * program for the PIN. What `performed` holds is looked at by admin-protocol.
 */
export type FromChild =
  | { readonly opened: { certificate: string; chain: readonly string[] } }
  | { readonly needPin: PinNeed }
  | { readonly warning: string }
  | { readonly signed: true }
  | { readonly performed: object }
  | { readonly failed: { code: string; message: string } }

const HEADER_LENGTH = 5
const KIND = { json: 0x4a, bytes: 0x42 } as const
/** Nothing that the two say is longer; a larger length means that something else writes to the pipe. */
const MAX_FRAME_LENGTH = 16 * 1024 * 1024

/** One frame: a JSON value or bytes. */
export type Frame = { readonly json: unknown } | { readonly bytes: Uint8Array }

/** Encodes one frame. It may hold a PIN, so it is where the garbage collector, which leaves copies behind, does not move it. */
export function formatFrame(frame: Frame): Buffer {
  const payload = 'json' in frame ? Buffer.from(JSON.stringify(frame.json)) : frame.bytes
  const header = Buffer.alloc(HEADER_LENGTH)
  header.writeUInt32BE(payload.length, 0)
  header[4] = 'json' in frame ? KIND.json : KIND.bytes
  return Buffer.concat([header, payload])
}

/**
 * The first frame in `bytes` and the bytes behind it, or undefined if it is not there whole yet.
 * @throws HoldfastError MODULE_FAILED if the bytes are not frames
 */
export function parseFrame(bytes: Buffer): { frame: Frame; rest: Buffer } | undefined {
  if (bytes.length < HEADER_LENGTH) return undefined
  const length = bytes.readUInt32BE(0)
  const kind = bytes[4]
  if (length > MAX_FRAME_LENGTH || (kind !== KIND.json && kind !== KIND.bytes)) {
    throw strayBytes()
  }
  if (bytes.length < HEADER_LENGTH + length) return undefined
  const payload = bytes.subarray(HEADER_LENGTH, HEADER_LENGTH + length)
  return {
    frame: kind === KIND.json ? { json: parseJson(payload) } : { bytes: payload },
    rest: bytes.subarray(HEADER_LENGTH + length),
  }
}

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'))
  } catch {
    // No `cause`: the parser's message quotes the text.
    throw strayBytes()
  }
}

/** What a warning may say, in characters. */
const MAX_WARNING_LENGTH = 500

/** What must be in each message of the child, by its one key. */
const SHAPES: Readonly<Record<string, Shape>> = {
  opened: record({ certificate: TEXT, chain: listOf(TEXT) }),
  needPin: record({
    flags: COUNT,
    role: oneOf(...PIN_ROLES),
    token: record({ manufacturer: TEXT, model: TEXT, serial: TEXT, label: TEXT, store: optional(TEXT) }),
  }),
  warning: TEXT,
  signed: (value) => value === true,
  performed: record({}),
  failed: record({ code: TEXT, message: TEXT }),
}

/**
 * The message of the child in a frame: a module can write to every descriptor of its process. A warning is cut after
 * 500 characters.
 * @throws HoldfastError MODULE_FAILED if it is no message
 */
export function parseFromChild(frame: Frame): FromChild {
  const message: unknown = 'json' in frame ? frame.json : undefined
  if (typeof message !== 'object' || message === null) throw strayBytes()
  const [[key, value] = ['', undefined], ...others] = Object.entries(message)
  if (others.length > 0 || !Object.hasOwn(SHAPES, key) || !SHAPES[key]!(value)) throw strayBytes()
  if (key === 'warning') return { warning: (value as string).slice(0, MAX_WARNING_LENGTH) }
  return message as FromChild
}

/** What a message of the child that nobody waits for is, and one that is none. */
export function strayBytes(): HoldfastError {
  return new HoldfastError(
    'MODULE_FAILED',
    'the token process sent something that is not a message: does the PKCS#11 module write to descriptors that are not its own?',
  )
}

/** An error as it crosses the pipe. A fault that is no HoldfastError keeps only its class name and message. */
export function formatFailure(error: unknown): FromChild {
  if (error instanceof HoldfastError) return { failed: { code: error.code, message: error.message } }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return { failed: { code: 'MODULE_FAILED', message: `the token process failed: ${text}` } }
}

/** The error that crossed the pipe. */
export function parseFailure(failed: { code: string; message: string }): HoldfastError {
  return new HoldfastError(isErrorCode(failed.code) ? failed.code : 'MODULE_FAILED', failed.message)
}
