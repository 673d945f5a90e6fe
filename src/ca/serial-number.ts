/**
 * Serial numbers as this CA gives and reads them: 16 bytes, which RFC 5280 §4.1.2.2 allows, of which 126 bits are random;
 * nobody can guess the next one, and two are never the same. In text 32 hexadecimal digits.
 */

import { randomBytes } from 'node:crypto'
import type { Certificate } from '../core/x509/certificate.js'

/** A new one. */
export function newSerialNumber(random: (size: number) => Buffer = randomBytes): string {
  const bytes = random(16)
  // Positive, and never shorter.
  bytes[0] = (bytes[0]! & 0x3f) | 0x40
  return bytes.toString('hex')
}

/** The serial number that a person wrote, in any case, with colons or `0x`; undefined if it is none of this form. */
export function findSerialNumber(text: string): string | undefined {
  const digits = text.replace(/^0x/i, '').replaceAll(':', '').toLowerCase()
  return /^[0-9a-f]{32}$/.test(digits) ? digits : undefined
}

/** The serial number of a certificate. Those of other CAs may be longer or shorter. */
export function serialNumberOf({ serialNumber }: Certificate): string {
  return serialNumber.toString(16).padStart(32, '0')
}
