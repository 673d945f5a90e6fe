/**
 * Which of the objects found in tokens is meant. Choosing is by exact knowledge only: where more than one
 * fits, the answer is an error that lists them with their full URIs.
 * @see draft-woodhouse-cert-best-practice §8 for the order of search
 */

import { HoldfastError } from '../errors.js'
import { formatPrintable } from '../printable.js'
import { type Certificate, formatSerial } from '../x509/certificate.js'
import { compareKey, type PublicAttributes } from './key-match.js'
import { formatObjectUri, type TokenInfo, unpad } from './pkcs11-match.js'
import type { Pkcs11Uri } from './pkcs11-uri.js'

/** A certificate object of a token. */
export interface FoundCertificate {
  readonly token: TokenInfo
  readonly label: string
  readonly id: Uint8Array
  readonly certificate: Certificate
}

/** A private key object of a token; `handle` is meaningful only to the module. */
export interface FoundKey<Handle> {
  readonly handle: Handle
  readonly label: string
  readonly id: Uint8Array
  readonly publicAttributes: PublicAttributes
}

/** `token "edge"`, with control characters and quotes made visible. */
export function describeToken(token: TokenInfo): string {
  return `token ${formatPrintable(JSON.stringify(unpad(token.label)))}`
}

const MAX_LISTED = 10

/** A list for an error message: what is there more than once is said once, and of a long one its beginning. */
export function formatList(items: readonly string[]): string {
  const distinct = [...new Set(items)]
  if (distinct.length === 0) return 'none'
  const more = distinct.length - MAX_LISTED
  return `${distinct.slice(0, MAX_LISTED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

/**
 * What to say where the URI has the id of an object in hexadecimal, without its per cent signs; else nothing.
 * @param present ids of the objects that there are
 */
export function hintAtHexId({ id }: Pkcs11Uri, present: readonly Uint8Array[]): string {
  const text = Buffer.from(id ?? []).toString('latin1')
  const isMeant =
    text !== '' && present.some((other) => Buffer.from(other).toString('hex') === text.toLowerCase())
  return isMeant ? `; an id in hexadecimal is written as id=${text.replaceAll(/../g, '%$&')}` : ''
}

/**
 * The end-entity certificate among `found`. CA certificates count only if nothing else is there, and equal
 * certificates count once.
 * @returns undefined if nothing was found
 * @throws HoldfastError CERTIFICATE_AMBIGUOUS
 */
export function findEndEntity(found: readonly FoundCertificate[]): FoundCertificate | undefined {
  const endEntities = found.filter(({ certificate }) => !certificate.isCa)
  const candidates = endEntities.length > 0 ? endEntities : found
  const distinct = candidates.filter(
    ({ certificate }, index) =>
      candidates.findIndex((other) => Buffer.compare(other.certificate.der, certificate.der) === 0) === index,
  )
  if (distinct.length > 1) {
    const uris = distinct.map(({ token, label, id }) => formatObjectUri(token, { type: 'cert', label, id }))
    const list = formatList(
      distinct.map(({ certificate }, index) => `${uris[index]} (serial ${formatSerial(certificate)})`),
    )
    const ways =
      new Set(uris).size === uris.length
        ? 'name one by its id or object'
        : 'remove those that are not meant with holdfast cert delete --serial'
    throw new HoldfastError(
      'CERTIFICATE_AMBIGUOUS',
      `${distinct.length} certificates match; ${ways}, or give the right one as a file with --certificate: ${list}`,
    )
  }
  return distinct[0]
}

/**
 * The private key of `certificate` among `found`. A key whose public attributes the token does not show is
 * taken if it is the only such key, or the only one with the certificate's own CKA_ID (`certificateId`): a
 * wrong guess cannot get out, because the signature is verified before it is sent.
 * @param options.uri what was looked for, for a message
 * @param options.present all private keys that there are, if they are known, for a message
 * @throws HoldfastError KEY_NOT_FOUND, KEY_MISMATCH, KEY_AMBIGUOUS
 */
export function chooseKey<Handle>(
  token: TokenInfo,
  certificate: Certificate,
  certificateId: Uint8Array | undefined,
  found: readonly FoundKey<Handle>[],
  { uri = {}, present }: { uri?: Pkcs11Uri; present?: readonly FoundKey<Handle>[] } = {},
): FoundKey<Handle> {
  const list = (keys: readonly FoundKey<Handle>[]) =>
    formatList(keys.map(({ label, id }) => formatObjectUri(token, { type: 'private', label, id })))
  const matches = found.map((key) => ({ key, match: compareKey(certificate, key.publicAttributes) }))
  const same = matches.find(({ match }) => match === 'same')
  if (same !== undefined) return same.key
  const unknown = matches.filter(({ match }) => match === 'unknown').map(({ key }) => key)
  // An empty id joins nothing: objects that were never given one all have it.
  const withSameId = unknown.filter(
    ({ id }) => certificateId?.length && Buffer.compare(id, certificateId) === 0,
  )
  const choices = withSameId.length > 0 ? withSameId : unknown
  const [choice, ...others] = choices
  if (choice !== undefined && others.length === 0) return choice
  if (choice !== undefined) {
    throw new HoldfastError(
      'KEY_AMBIGUOUS',
      `${choices.length} private keys in ${describeToken(token)} match and the token does not show which belongs to the certificate; name one by its id or object: ${list(choices)}`,
    )
  }
  if (found.length === 0) {
    const hint = hintAtHexId(
      uri,
      (present ?? []).map(({ id }) => id),
    )
    const there = present === undefined ? '' : `${hint}. Keys there: ${list(present)}`
    throw new HoldfastError(
      'KEY_NOT_FOUND',
      `no private key in ${describeToken(token)} matches; check id and object of the key's URI${there}`,
    )
  }
  throw new HoldfastError(
    'KEY_MISMATCH',
    `the certificate does not belong to any matching private key in ${describeToken(token)}: name the certificate that was issued for the key, or the key's own URI. Keys found: ${list(found)}`,
  )
}
