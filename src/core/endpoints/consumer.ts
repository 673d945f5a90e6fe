/**
 * Consumers: programs that may have the credentials of an identity through the container endpoint. Each has a token of
 * its own, a bearer secret of 256 random bits; the agent knows only its SHA-256, in a record of the form that
 * sha256sum(1) checks. A token of such length needs no salt and no slow hash.
 */

import { hash, timingSafeEqual } from 'node:crypto'

/** One consumer, as the agent knows it. */
export interface Consumer {
  readonly name: string
  /** SHA-256 of the token's text. */
  readonly digest: Uint8Array
}

/** Bytes of a token. */
export const TOKEN_BYTES = 32
/** What stands behind the consumer's name in the names of its two files. */
export const TOKEN_SUFFIX = '.token'
export const RECORD_SUFFIX = '.sha256'

/** The token's text, as it stands in its file and in the Authorization header: no line end, which SDKs refuse. */
export function formatToken(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}

/** The record of a consumer: one line of sha256sum(1) about its token's file. */
export function formatRecord(name: string, token: string): string {
  return `${Buffer.from(digestToken(token)).toString('hex')}  ${name}${TOKEN_SUFFIX}\n`
}

/** The digest in a record, or undefined if that is no such line. */
export function findDigest(record: string): Uint8Array | undefined {
  const [, hex] = /^([0-9a-f]{64}) [ *]\S+\n?$/.exec(record) ?? []
  return hex === undefined ? undefined : Buffer.from(hex, 'hex')
}

/** The consumer that a token belongs to. How long it takes does not depend on how much of a token is right. */
export function findConsumer(consumers: readonly Consumer[], token: string): Consumer | undefined {
  const digest = digestToken(token)
  return consumers.filter((consumer) => timingSafeEqual(consumer.digest, digest))[0]
}

function digestToken(token: string): Uint8Array {
  return hash('sha256', token, 'buffer')
}
