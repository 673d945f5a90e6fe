/**
 * Reads certs-only messages: PKCS#7 SignedData without content and without signers, which only carries
 * certificates (RFC 5652 §5, RFC 5272 §4.1). Its frame may be BER with indefinite lengths, as CMS allows and
 * Bouncy Castle writes it; certificates are DER. Left out: everything that is signed or encrypted, and CRLs.
 */

import { HoldfastError } from '../errors.js'
import { type Certificate, parseCertificate } from './certificate.js'
import { type DerElement, parseOid, readFirst, TAG } from './der.js'

const OID = { data: '1.2.840.113549.1.7.1', signedData: '1.2.840.113549.1.7.2' } as const
const CONSTRUCTED = 0x20
const SET = 0x31
/** `[0]`, constructed: the content of ContentInfo, and the certificates of SignedData. */
const CONTEXT_0 = 0xa0
/** `[1]`, constructed. */
const CRLS = 0xa1
/** ContentInfo, its content, SignedData, its fields, and a little more. */
const MAX_DEPTH = 8

/**
 * The certificates of a certs-only message, in their order; at least one.
 * @throws HoldfastError CERTIFICATE_INVALID if the bytes are anything else
 */
export function parseCertsOnly(bytes: Uint8Array): Certificate[] {
  try {
    return readCertsOnly(bytes)
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    const { message } = cause as Error
    throw new HoldfastError('CERTIFICATE_INVALID', `it is not a certs-only PKCS#7 message: ${message}`, {
      cause,
    })
  }
}

function readCertsOnly(bytes: Uint8Array): Certificate[] {
  const [message, behind] = readAll(bytes)
  if (behind !== undefined) throw new RangeError('bytes behind the message')
  const [type, content] = readFields(message, TAG.sequence)
  if (readOid(type) !== OID.signedData) throw new RangeError('its content type is not signedData')
  const [version, digests, encapsulated, ...optional] = readFields(
    readFields(content, CONTEXT_0)[0],
    TAG.sequence,
  )
  if (version?.tag !== TAG.integer || digests?.tag !== SET) throw new RangeError('it is cut short')
  const [contentType, octets] = readFields(encapsulated, TAG.sequence)
  if (readOid(contentType) !== OID.data || octets !== undefined) {
    throw new RangeError('it has a content, which certs-only messages have not')
  }
  const signers = optional.pop()
  if (readFields(signers, SET).length > 0) {
    throw new RangeError('it has signers, which certs-only messages have not')
  }
  const [certificates, crls, unknown] = optional
  if (unknown !== undefined || (crls !== undefined && crls.tag !== CRLS))
    throw new RangeError('unknown field')
  const found = readFields(certificates, CONTEXT_0)
  if (found.length === 0) throw new RangeError('it holds no certificate')
  return found.map(({ whole }) => parseCertificate(whole))
}

function readFields(element: DerElement | undefined, tag: number): DerElement[] {
  if (element?.tag !== tag) throw new RangeError(`expected tag ${tag}, found ${element?.tag ?? 'nothing'}`)
  return readAll(element.content)
}

function readOid(element: DerElement | undefined): string | undefined {
  return element?.tag === TAG.oid ? parseOid(element.content) : undefined
}

function readAll(bytes: Uint8Array): DerElement[] {
  const elements: DerElement[] = []
  for (let rest = bytes; rest.length > 0; rest = rest.subarray(elements.at(-1)!.whole.length)) {
    elements.push(readAny(rest))
  }
  return elements
}

/** The element at the start of `bytes`, its length definite or indefinite (X.690 §8.1.3.6). */
function readAny(bytes: Uint8Array, depth = 0): DerElement {
  const [tag = 0, length] = bytes
  if (length !== 0x80) return readFirst(bytes)
  if ((tag & CONSTRUCTED) === 0 || depth === MAX_DEPTH) throw new RangeError('a length that cannot be')
  let end = 2
  while (bytes[end] !== 0 || bytes[end + 1] !== 0) {
    end += readAny(bytes.subarray(end), depth + 1).whole.length
  }
  return { tag, content: bytes.subarray(2, end), whole: bytes.subarray(0, end + 2) }
}
