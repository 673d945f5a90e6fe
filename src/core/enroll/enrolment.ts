/**
 * What is known of an enrolment between its steps, so that it can go on after a crash: the record that is kept on disk, and
 * what follows from it for the configuration. Nothing in it is secret.
 */

import type { IdentityChanges } from '../config/config-edit.js'
import { HoldfastError } from '../errors.js'
import { FLAG, listOf, oneOf, optional, record, TEXT } from '../json-shape.js'
import { formatPkcs11Uri, type Pkcs11Uri, parsePkcs11Uri } from '../pkcs11/pkcs11-uri.js'
import { type Certificate, describe } from '../x509/certificate.js'
import { findChain } from '../x509/chain.js'

/** A key and its certificate. DER is in base64. */
export interface EnrolledPair {
  /** The key as the configuration names it, without a PIN. */
  readonly uri: string
  readonly certificate: string
  /** Where the certificate is a file, its path. */
  readonly certificateFile?: string
  /** The key is still the identity's, and only the certificate was replaced. */
  readonly keyStays?: boolean
}

/** The module of a token, and where its PIN is; paths are whole. */
export interface TokenAccess {
  readonly pkcs11Module?: string
  readonly pinFile?: string
  readonly askpass?: string
}

/** An enrolment that has begun. What a step has found out is added by it, and the step is not taken again. */
export interface UnfinishedEnrolment {
  readonly kind: 'enroll' | 'renew'
  /** What was asked for; another wish cannot be fulfilled with what is there already. */
  readonly wish: string
  /** The token, as a URI without a PIN. */
  readonly token: string
  /** How the token is reached, in the words of an identity: what gives it up has no other place to learn that from. */
  readonly access?: TokenAccess
  /** What the key that is made for this enrolment is called; absent where the key is an old one. */
  readonly keyLabel?: string
  /** Where the certificate goes, if not into the token. */
  readonly certificateFile?: string
  /** The key, once there is one. */
  readonly keyUri?: string
  /** Its DER SubjectPublicKeyInfo, and the request, DER; in base64. */
  readonly publicKey?: string
  readonly request?: string
  /** Where the request was put for others. */
  readonly requestFile?: string
  /** The certificate and those above it, DER in base64. */
  readonly certificates?: readonly string[]
  /** The session that Roles Anywhere has accepted it for, as text: another one has to be tried again. */
  readonly accepted?: string
  /** What the configuration said before, if this is a renewal. */
  readonly former?: EnrolledPair
}

/** All that is kept of an identity. */
export interface EnrolmentRecord {
  readonly version: 1
  readonly unfinished?: UnfinishedEnrolment
  /** Pairs that renewals have replaced, and that still lie in the token. */
  readonly replaced: readonly EnrolledPair[]
}

/** Where nothing is kept. */
export const NO_ENROLMENT: EnrolmentRecord = { version: 1, replaced: [] }

const PAIR = record({
  uri: TEXT,
  certificate: TEXT,
  certificateFile: optional(TEXT),
  keyStays: optional(FLAG),
})
const UNFINISHED = record({
  kind: oneOf('enroll', 'renew'),
  wish: TEXT,
  token: TEXT,
  access: optional(
    record({ pkcs11Module: optional(TEXT), pinFile: optional(TEXT), askpass: optional(TEXT) }),
  ),
  keyLabel: optional(TEXT),
  certificateFile: optional(TEXT),
  keyUri: optional(TEXT),
  publicKey: optional(TEXT),
  request: optional(TEXT),
  requestFile: optional(TEXT),
  certificates: optional(listOf(TEXT)),
  accepted: optional(TEXT),
  former: optional(PAIR),
})
const RECORD = record({
  version: (value) => value === 1,
  unfinished: optional(UNFINISHED),
  replaced: listOf(PAIR),
})

/**
 * Reads the text of a record.
 * @param file for the message
 * @throws HoldfastError FILE_UNREADABLE
 */
export function parseEnrolmentRecord(text: string, file: string): EnrolmentRecord {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (RECORD(value)) return value as EnrolmentRecord
  throw new HoldfastError(
    'FILE_UNREADABLE',
    `${file} is no record of an enrolment of this version of holdfast: look what it says, then remove it`,
  )
}

/**
 * The certificate of the key among what an issuer gave, and those that lead from it towards its root.
 * @param publicKey DER SubjectPublicKeyInfo
 * @throws HoldfastError KEY_MISMATCH if none belongs to the key, CERTIFICATE_UNSUITABLE if the chain is too long
 */
export function chooseIssued(
  certificates: readonly Certificate[],
  publicKey: Uint8Array,
): { readonly leaf: Certificate; readonly chain: readonly Certificate[] } {
  const leaf = certificates
    .filter(({ publicKeyInfo, isCa }) => !isCa && Buffer.compare(publicKeyInfo, publicKey) === 0)
    .toSorted((one, other) => other.notBefore.getTime() - one.notBefore.getTime())[0]
  if (leaf !== undefined) return { leaf, chain: findChain(leaf, certificates) }
  const got = certificates.map(describe).join(', ')
  throw new HoldfastError('KEY_MISMATCH', `none of what was issued is for the key of the request: ${got}`)
}

/**
 * How the configuration names a key: by what names the token, with its places of module and PIN, and by the key's id.
 * @param token the token as the user or the configuration names it
 * @param key a URI of the key as the token gave it
 */
export function formatIdentityUri(token: string, key: string): string {
  const { object: _, id: __, type: ___, pinValue: ____, ...place } = parsePkcs11Uri(token)
  const { id, object } = parsePkcs11Uri(key)
  // Key and certificate have one id; what has none is known by its label.
  const name = id?.length ? { id } : object === undefined ? {} : { object }
  return formatPkcs11Uri({ ...place, ...name })
}

/** False if both URIs are certain to mean different keys; what one of them does not say may be as in the other. */
export function mayBeSameKey(one: string, other: string): boolean {
  const [first, second] = [one, other].map(parsePkcs11Uri) as [Pkcs11Uri, Pkcs11Uri]
  const agree = (a: unknown, b: unknown) => a === undefined || b === undefined || a === b
  const hex = (id: Uint8Array | undefined) => id && Buffer.from(id).toString('hex')
  return (
    agree(first.token, second.token) &&
    agree(first.serial, second.serial) &&
    agree(hex(first.id), hex(second.id)) &&
    ((first.id !== undefined && second.id !== undefined) || agree(first.object, second.object))
  )
}

/** What the configuration shall say of the key and its certificate from now on. */
export function keySettings(uri: string, certificateFile: string | undefined): IdentityChanges {
  return { 'pkcs11-uri': uri, certificate: certificateFile, 'private-key': undefined }
}

const UNITS = { d: 24 * 60, h: 60, m: 1 } as const

/**
 * Milliseconds of `30d`, `12h` or `90m`.
 * @throws HoldfastError USAGE
 */
export function parseTimeSpan(text: string, flag: string): number {
  const [, count, unit] = /^(\d{1,5})([dhm])$/.exec(text) ?? []
  if (count !== undefined) return Number(count) * UNITS[unit as keyof typeof UNITS] * 60_000
  throw new HoldfastError('USAGE', `${flag} is a time such as 30d, 12h or 90m`)
}
