/** When a certificate wants to be renewed, so that a fleet does not stop on the day it ends. */

import { type Certificate, describe, formatTime } from './certificate.js'
import { formatName } from './subject-name.js'

const DAY_MS = 24 * 60 * 60 * 1000
const WARNING_MS = 30 * DAY_MS

/** What of a certificate counts. */
export type Lifetime = Pick<Certificate, 'serialNumber' | 'notBefore' | 'notAfter'>

/**
 * What to say about a certificate that ends soon: from 30 days before, or where it was issued for less than 90 days, in the
 * last third of its time. Undefined before that, and once it has expired, which is an error of its own.
 */
export function findExpiryWarning(certificate: Lifetime, now: Date): string | undefined {
  const end = findEnd(certificate, now)
  if (end === undefined || certificate.notAfter < now) return undefined
  return `${describe(certificate)} ${end}: renew it, for example with holdfast enroll NAME --renew`
}

/**
 * What to say about those intermediates that end as soon as that, or have ended: then no session is given any more, however
 * long the certificate below is valid.
 */
export function findIntermediateWarnings(intermediates: readonly Certificate[], now: Date): string[] {
  return intermediates.flatMap((certificate) => {
    const end = findEnd(certificate, now)
    const name = JSON.stringify(formatName(certificate.subject))
    return end === undefined
      ? []
      : `the intermediate ${name}, ${describe(certificate)}, ${end}: put the certificate that this CA has now in its place (--intermediates)`
  })
}

/** `expires in 12 days, at …` or `expired at …`; undefined for what ends later. */
function findEnd({ notBefore, notAfter }: Lifetime, now: Date): string | undefined {
  const leftMs = notAfter.getTime() - now.getTime()
  const lifetimeMs = notAfter.getTime() - notBefore.getTime()
  if (leftMs > Math.min(WARNING_MS, lifetimeMs / 3)) return undefined
  const when = `at ${formatTime(notAfter)}`
  return leftMs < 0 ? `expired ${when}` : `expires in ${formatTimeLeft(leftMs)}, ${when}`
}

/** `12 days`, below two days `31 hours`, below two hours `90 minutes`; never more than is left. */
export function formatTimeLeft(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000)
  if (minutes < 120) return `${minutes} minute${minutes === 1 ? '' : 's'}`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} hours` : `${Math.floor(hours / 24)} days`
}
