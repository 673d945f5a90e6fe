/**
 * What can be done to a token, beside signing for a session: requests to the token child, and its replies. All is plain
 * JSON: ids in hexadecimal, DER and signatures in base64, tokens and objects as RFC 7512 URIs. No PIN and no secret half of
 * a key stands in either.
 */

import { HoldfastError } from '../errors.js'
import { COUNT, FLAG, listOf, oneOf, optional, record, type Shape, TEXT } from '../json-shape.js'

/** Kinds of keys that can be made: all that Roles Anywhere takes and tokens commonly have. */
export const KEY_TYPES = ['p-256', 'p-384', 'rsa-2048', 'rsa-3072', 'rsa-4096'] as const
/** One of {@link KEY_TYPES}. */
export type KeyType = (typeof KEY_TYPES)[number]

/** What a module says of itself; texts are without padding. */
export interface ModuleFacts {
  /** The file that was loaded. */
  readonly path: string
  readonly manufacturer: string
  readonly description: string
  /** `2.6` */
  readonly version: string
}

/** What the module says of a token, or of a slot with one that is not initialised. Texts are without padding. */
export interface TokenFacts {
  /** The slot's number, which may be another one the next time. */
  readonly slot: number
  readonly slotDescription: string
  readonly initialized: boolean
  readonly label: string
  readonly manufacturer: string
  readonly model: string
  readonly serial: string
  /** CKF_ bits of CK_TOKEN_INFO. */
  readonly flags: number
  /** In bytes. */
  readonly minPinLength: number
  readonly maxPinLength: number
  /** Kinds of keys that it says it can make. */
  readonly generates: readonly KeyType[]
  /** Kinds of keys that it can sign with for Roles Anywhere. */
  readonly signs: readonly ('rsa' | 'ec')[]
  /** The URI that means this token. */
  readonly uri: string
}

/** What a token says of a private key, or of a public key whose private half it does not show. */
export interface KeyFacts {
  /** The URI that means the private key. */
  readonly uri: string
  readonly id: string
  readonly label: string
  /** One of {@link KEY_TYPES}, or what else it is: `rsa-1024`, `p-521`, `unknown`. */
  readonly type: string
  /** DER SubjectPublicKeyInfo; absent where the token does not show enough. */
  readonly publicKey?: string
  /** False where only the public key is seen: the private one may be hidden until a login. */
  readonly isPrivate: boolean
  /** CKA_ attributes of the private key by their names: `sensitive`, `extractable`, `sign`, …; absent where the token does not tell. */
  readonly attributes: Readonly<Record<string, boolean>>
}

/** A certificate object. */
export interface StoredCertificate {
  readonly uri: string
  readonly id: string
  readonly label: string
  /** CKA_VALUE as it is: it need not be a certificate that can be parsed. */
  readonly der: string
}

/** Names each request, what it says, and what the reply to it says. Tokens are initialised unless it says otherwise. */
export interface AdminOperations {
  /** All slots with a token, also with one that is not initialised. */
  listTokens: {
    readonly request: object
    readonly reply: { readonly module: ModuleFacts; readonly tokens: readonly TokenFacts[] }
  }
  /**
   * Initialises the token of a slot, and sets its user PIN. Wants the PINs `new-so` and `new-user`; where it `replaces` a
   * token, and only then is that lost, `so` instead of `new-so`.
   */
  initToken: {
    readonly request: {
      readonly slot: number
      readonly label: string
      readonly replaces?: { readonly label: string; readonly serial: string }
    }
    readonly reply: { readonly token: TokenFacts }
  }
  /** Changes the user PIN. Wants `user` and `new-user`. */
  setPin: { readonly request: { readonly uri: string }; readonly reply: { readonly token: TokenFacts } }
  /** Sets the user PIN as security officer. Wants `so` and `new-user`. */
  unblockPin: { readonly request: { readonly uri: string }; readonly reply: { readonly token: TokenFacts } }
  /** Makes a key pair: sensitive, not extractable, for signatures only. Without an id it gets one that is free. */
  generateKey: {
    readonly request: {
      readonly uri: string
      readonly type: KeyType
      readonly label: string
      readonly id?: string
    }
    readonly reply: { readonly token: TokenFacts; readonly key: KeyFacts }
  }
  /** Keys and certificates that the URI means. Without `login` only what the token shows to everybody. */
  listObjects: {
    readonly request: { readonly uri: string; readonly login: boolean }
    readonly reply: {
      readonly token: TokenFacts
      readonly keys: readonly KeyFacts[]
      readonly certificates: readonly StoredCertificate[]
    }
  }
  /** The one key that the URI means, with its public half; logs in only if it is not seen without. */
  publicKey: {
    readonly request: { readonly uri: string }
    readonly reply: { readonly token: TokenFacts; readonly key: KeyFacts; readonly publicKey: string }
  }
  /** Signs with the one key that the URI means: SHA-256 and PKCS #1 v1.5, or ECDSA with a DER signature. */
  sign: {
    readonly request: { readonly uri: string; readonly message: string }
    readonly reply: { readonly signature: string }
  }
  /**
   * Puts a certificate beside its key, with that key's id and label, and those of its chain that are not there yet. With
   * `replace` other certificates of the key are then removed.
   */
  importCertificate: {
    readonly request: {
      readonly uri: string
      readonly certificate: string
      readonly chain: readonly string[]
      readonly replace: boolean
    }
    readonly reply: {
      readonly token: TokenFacts
      readonly key: KeyFacts
      readonly certificate: StoredCertificate
      readonly chain: readonly StoredCertificate[]
      readonly replaced: readonly StoredCertificate[]
    }
  }
  /** The certificates that the URI means. Without `login` only what the token shows to everybody. */
  readCertificates: {
    readonly request: { readonly uri: string; readonly login: boolean }
    readonly reply: { readonly token: TokenFacts; readonly certificates: readonly StoredCertificate[] }
  }
  /**
   * Removes the one key (`type=private`; with it its public key) or the one certificate (`type=cert`) that the URI means;
   * `der` tells certificates of one id and label from each other.
   */
  deleteObjects: {
    readonly request: { readonly uri: string; readonly der?: string }
    readonly reply: { readonly token: TokenFacts; readonly deleted: readonly string[] }
  }
}

/** Name of a request. */
export type AdminOperation = keyof AdminOperations
/** What a request of this name says. */
export type RequestOf<Name extends AdminOperation> = AdminOperations[Name]['request']
/** What the reply to it says. */
export type ReplyOf<Name extends AdminOperation> = AdminOperations[Name]['reply']

/** One request, as it crosses the pipe. */
export type AdminRequest = {
  [Name in AdminOperation]: { readonly operation: Name; readonly request: RequestOf<Name> }
}[AdminOperation]

const TOKEN = record({
  slot: COUNT,
  slotDescription: TEXT,
  initialized: FLAG,
  label: TEXT,
  manufacturer: TEXT,
  model: TEXT,
  serial: TEXT,
  flags: COUNT,
  minPinLength: COUNT,
  maxPinLength: COUNT,
  generates: listOf(oneOf(...KEY_TYPES)),
  signs: listOf(oneOf('rsa', 'ec')),
  uri: TEXT,
})
const HEX: Shape = (value) => typeof value === 'string' && /^(?:[\da-f]{2})*$/.test(value)
const BASE64: Shape = (value) =>
  typeof value === 'string' && Buffer.from(value, 'base64').toString('base64') === value
const KEY = record({
  uri: TEXT,
  id: HEX,
  label: TEXT,
  type: TEXT,
  publicKey: optional(BASE64),
  isPrivate: FLAG,
  attributes: (value) => record({})(value) && Object.values(value as object).every(FLAG),
})
const CERTIFICATE = record({ uri: TEXT, id: HEX, label: TEXT, der: BASE64 })
const BY_URI = record({ uri: TEXT })
const BY_URI_AND_LOGIN = record({ uri: TEXT, login: FLAG })

const SHAPES: Readonly<Record<AdminOperation, { readonly request: Shape; readonly reply: Shape }>> = {
  listTokens: {
    request: record({}),
    reply: record({
      module: record({ path: TEXT, manufacturer: TEXT, description: TEXT, version: TEXT }),
      tokens: listOf(TOKEN),
    }),
  },
  initToken: {
    request: record({
      slot: COUNT,
      label: TEXT,
      replaces: optional(record({ label: TEXT, serial: TEXT })),
    }),
    reply: record({ token: TOKEN }),
  },
  setPin: { request: BY_URI, reply: record({ token: TOKEN }) },
  unblockPin: { request: BY_URI, reply: record({ token: TOKEN }) },
  generateKey: {
    request: record({ uri: TEXT, type: oneOf(...KEY_TYPES), label: TEXT, id: optional(HEX) }),
    reply: record({ token: TOKEN, key: KEY }),
  },
  listObjects: {
    request: BY_URI_AND_LOGIN,
    reply: record({ token: TOKEN, keys: listOf(KEY), certificates: listOf(CERTIFICATE) }),
  },
  publicKey: { request: BY_URI, reply: record({ token: TOKEN, key: KEY, publicKey: BASE64 }) },
  sign: { request: record({ uri: TEXT, message: BASE64 }), reply: record({ signature: BASE64 }) },
  importCertificate: {
    request: record({ uri: TEXT, certificate: BASE64, chain: listOf(BASE64), replace: FLAG }),
    reply: record({
      token: TOKEN,
      key: KEY,
      certificate: CERTIFICATE,
      chain: listOf(CERTIFICATE),
      replaced: listOf(CERTIFICATE),
    }),
  },
  readCertificates: {
    request: BY_URI_AND_LOGIN,
    reply: record({ token: TOKEN, certificates: listOf(CERTIFICATE) }),
  },
  deleteObjects: {
    request: record({ uri: TEXT, der: optional(BASE64) }),
    reply: record({ token: TOKEN, deleted: listOf(TEXT) }),
  },
}

/**
 * The request that came over the pipe.
 * @throws HoldfastError MODULE_FAILED if it is none
 */
export function parseAdminRequest(value: unknown): AdminRequest {
  const { operation, request } = (value ?? {}) as { operation?: unknown; request?: unknown }
  if (typeof operation !== 'string' || !Object.hasOwn(SHAPES, operation)) throw notUnderstood('request')
  if (!SHAPES[operation as AdminOperation].request(request)) throw notUnderstood(`${operation} request`)
  return { operation, request } as AdminRequest
}

/**
 * The reply that came over the pipe: a module can write to every descriptor of its process.
 * @throws HoldfastError MODULE_FAILED if it is no reply to such a request
 */
export function parseAdminReply<Name extends AdminOperation>(operation: Name, value: unknown): ReplyOf<Name> {
  if (!SHAPES[operation].reply(value)) throw notUnderstood(`reply to ${operation}`)
  return value as ReplyOf<Name>
}

function notUnderstood(what: string): HoldfastError {
  return new HoldfastError(
    'MODULE_FAILED',
    `the token process and the program do not understand each other (${what}): are both of the same build of holdfast, and does the PKCS#11 module write to descriptors that are not its own?`,
  )
}
