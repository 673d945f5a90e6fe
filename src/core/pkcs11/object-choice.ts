/** Which of the objects that a token listed is meant: one, or an error that lists all with their URIs. */

import { HoldfastError } from '../errors.js'
import { formatPrintable } from '../printable.js'
import { type Certificate, parseCertificate } from '../x509/certificate.js'
import type { KeyFacts, StoredCertificate } from './admin-protocol.js'
import { formatList } from './token-search.js'

/** `key "edge" (id 01)`, on one line. */
export function nameObject(kind: 'key' | 'certificate', { id, label }: KeyFacts | StoredCertificate): string {
  return formatPrintable(`${kind} ${JSON.stringify(label)} (id ${id || 'none'})`)
}

/** @throws HoldfastError KEY_NOT_FOUND, KEY_AMBIGUOUS */
export function chooseKey(keys: readonly KeyFacts[]): KeyFacts {
  const [only, ...others] = keys
  if (only === undefined) {
    throw new HoldfastError('KEY_NOT_FOUND', 'no key is meant: holdfast key list shows ids and labels')
  }
  if (others.length === 0) return only
  const list = formatList(keys.map(({ uri }) => uri))
  throw new HoldfastError(
    'KEY_AMBIGUOUS',
    `${keys.length} keys are meant; name one with --id or --label: ${list}`,
  )
}

/** A certificate object, and what it is if it can be parsed. */
export interface ReadCertificate {
  readonly stored: StoredCertificate
  readonly certificate: Certificate | undefined
}

/** Looks what certificate each object holds. */
export function readStored(certificates: readonly StoredCertificate[]): ReadCertificate[] {
  return certificates.map((stored) => {
    try {
      return { stored, certificate: parseCertificate(Buffer.from(stored.der, 'base64')) }
    } catch {
      return { stored, certificate: undefined }
    }
  })
}

/**
 * The one certificate that is meant; where several are, the one that is no CA's.
 * @param serial serial number in hexadecimal, if that is named
 * @throws HoldfastError USAGE, CERTIFICATE_NOT_FOUND, CERTIFICATE_AMBIGUOUS
 */
export function chooseCertificate(
  certificates: readonly ReadCertificate[],
  serial: string | undefined,
): ReadCertificate {
  if (serial !== undefined && !/^(?:[\da-f]{2}:?)+$/i.test(serial)) {
    throw new HoldfastError('USAGE', '--serial is written in hexadecimal, as holdfast cert list shows it')
  }
  const number = serial === undefined ? undefined : BigInt(`0x${serial.replaceAll(':', '')}`)
  const named = certificates.filter(
    ({ certificate }) => number === undefined || certificate?.serialNumber === number,
  )
  const leaves = named.filter(({ certificate }) => certificate?.isCa === false)
  const meant = leaves.length > 0 ? leaves : named
  const [only, ...others] = meant
  if (only === undefined) {
    throw new HoldfastError(
      'CERTIFICATE_NOT_FOUND',
      'no certificate is meant: holdfast cert list shows ids, labels and serial numbers',
    )
  }
  if (others.length === 0) return only
  const list = formatList(meant.map(({ stored }) => stored.uri))
  throw new HoldfastError(
    'CERTIFICATE_AMBIGUOUS',
    `${meant.length} certificates are meant; name one with --id, --label or --serial: ${list}`,
  )
}
