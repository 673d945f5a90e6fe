/**
 * This machine's clock against that of a server. A signature carries the time, and the service does not say how far it may
 * be off; other services of AWS take five minutes.
 */

import { CLOCK_TOLERANCE_MS, formatSpan } from '../roles-anywhere/refusal.js'
import type { Trouble } from './diagnosis.js'
import { shown, type Told, tell } from './told.js'

/** The Date header has seconds only, and came some time ago. */
const NOTABLE_MS = 60_000

const SET_CLOCK = tell`timedatectl set-ntp true`

/** What is wrong with the clock: a failure where requests are refused because of it, a warning where they soon may be. */
export function findClockTrouble(now: Date, theirs: Date, buildDate: Date | undefined): Trouble | undefined {
  const skewMs = Math.abs(now.getTime() - theirs.getTime())
  if (skewMs < NOTABLE_MS && (buildDate === undefined || now >= buildDate)) return undefined
  const message = explainClockSkew(now, theirs)
  if (skewMs <= CLOCK_TOLERANCE_MS) return { status: 'warn', message, fix: SET_CLOCK }
  return { status: 'fail', code: 'CLOCK_WRONG', message, fix: SET_CLOCK }
}

/** How the clocks differ, in words. */
export function explainClockSkew(now: Date, theirs: Date): Told {
  const skewMs = now.getTime() - theirs.getTime()
  if (Math.abs(skewMs) < NOTABLE_MS) return tell`${now}, as the endpoint has it`
  const side = skewMs > 0 ? tell`ahead of` : tell`behind`
  return tell`this machine's clock says ${now}, ${shown(formatSpan(Math.abs(skewMs)))} ${side} the endpoint's`
}
