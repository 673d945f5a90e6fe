/** When a certificate wants to be renewed, so that a fleet does not stop on the day it ends. */

import { type Certificate, describe } from './certificate.js'

const DAY_MS = 24 * 60 * 60 * 1000
const WARNING_MS = 30 * DAY_MS

/** What of a certificate counts. */
export type Lifetime = Pick<Certificate, 'serialNumber' | 'notBefore' | 'notAfter'>

/**
 * What to say about a certificate that ends soon: from 30 days before, or where it was issued for less than 90 days, in the
 * last third of its time. Undefined before that, and once it has expired, which is an error of its own.
 */
export function findExpiryWarning(certificate: Lifetime, now: Date): string | undefined {
  const { notBefore, notAfter } = certificate
  const leftMs = notAfter.getTime() - now.getTime()
  const lifetimeMs = notAfter.getTime() - notBefore.getTime()
  if (leftMs < 0 || leftMs > Math.min(WARNING_MS, lifetimeMs / 3)) return undefined
  const end = `${notAfter.toISOString().slice(0, 19)}Z`
  return `${describe(certificate)} expires in ${formatTimeLeft(leftMs)}, at ${end}: renew it, for example with holdfast enroll NAME --renew`
}

/** `12 days`, below two days `31 hours`, below two hours `90 minutes`; never more than is left. */
export function formatTimeLeft(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000)
  if (minutes < 120) return `${minutes} minute${minutes === 1 ? '' : 's'}`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} hours` : `${Math.floor(hours / 24)} days`
}
