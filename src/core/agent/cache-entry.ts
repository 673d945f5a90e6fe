/**
 * What processes of one user leave each other in the cache: the last credentials of one session, and the last failure to
 * renew them. How long they may be used is decided here; the files are io/cache-folder.
 */

import { createHash } from 'node:crypto'
import type { Credentials } from '../credentials.js'
import { type ErrorCode, HoldfastError, isErrorCode } from '../errors.js'

/** A moment by two clocks, since the one can be set and the other begins anew with the machine. */
export interface Moment {
  readonly date: Date
  /** Since the machine was started, suspension included. */
  readonly uptimeMs: number
}

/** One entry. */
export interface CacheEntry {
  readonly issued?: { readonly credentials: Credentials; readonly at: Moment } | undefined
  readonly failure?: { readonly code: ErrorCode; readonly message: string; readonly at: Moment } | undefined
}

/** With less left than this, SDKs renew credentials at every use. */
const WANTED_LIFE_MS = 15 * 60 * 1000

/** Of short sessions at least this part must be left. */
const WANTED_PART = 1 / 4

/** File name of the entry of a session, which hides what it is made of. */
export function cacheEntryName(sessionKey: string): string {
  return `${createHash('sha256').update(sessionKey).digest('hex').slice(0, 32)}.json`
}

/** Credentials that have not expired. */
export interface Usable {
  readonly credentials: Credentials
  /** True if they last long enough to leave it at that. */
  readonly isFresh: boolean
}

/** What of an entry is still good, if anything is. */
export function findUsable({ issued }: CacheEntry, now: Moment): Usable | undefined {
  if (issued === undefined) return undefined
  const { credentials, at } = issued
  const lifeMs = credentials.expiration.getTime() - at.date.getTime()
  const wallAgeMs = now.date.getTime() - at.date.getTime()
  const leftMs = lifeMs - Math.max(wallAgeMs, now.uptimeMs - at.uptimeMs)
  // A clock that stands before the issue has been set back, so it cannot tell the age.
  if (leftMs <= 0 || wallAgeMs < 0) return undefined
  return { credentials, isFresh: leftMs > Math.min(WANTED_LIFE_MS, lifeMs * WANTED_PART) }
}

/** True if one moment is after the other by both clocks: whoever sets one makes nothing new that is old. */
export function isAfter(one: Moment, other: Moment): boolean {
  return one.date > other.date && one.uptimeMs >= other.uptimeMs
}

/** The text of an entry's file: one line of JSON. */
export function formatCacheEntry(entry: CacheEntry): string {
  return JSON.stringify({ version: 1, ...entry })
}

/** Reads {@link formatCacheEntry}; undefined if the text is anything else. */
export function findCacheEntry(text: string): CacheEntry | undefined {
  try {
    const { version, issued, failure } = JSON.parse(text)
    if (version !== 1) return undefined
    return {
      issued: issued && { credentials: readCredentials(issued.credentials), at: readMoment(issued.at) },
      failure: failure && readFailure(failure),
    }
  } catch {
    return undefined
  }
}

function readCredentials(value: Record<string, unknown>): Credentials {
  const { accessKeyId, secretAccessKey, sessionToken, expiration, accountId } = value
  return {
    accessKeyId: readText(accessKeyId),
    secretAccessKey: readText(secretAccessKey),
    sessionToken: readText(sessionToken),
    expiration: readDate(expiration),
    ...(accountId === undefined ? {} : { accountId: readText(accountId) }),
  }
}

function readMoment({ date, uptimeMs }: Record<string, unknown>): Moment {
  if (typeof uptimeMs !== 'number') throw damaged()
  return { date: readDate(date), uptimeMs }
}

function readFailure({ code, message, at }: Record<string, unknown>): CacheEntry['failure'] {
  if (!isErrorCode(code)) throw damaged()
  return { code, message: readText(message), at: readMoment(Object(at)) }
}

function readText(value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw damaged()
}

function readDate(value: unknown): Date {
  const date = new Date(readText(value))
  if (Number.isNaN(date.getTime())) throw damaged()
  return date
}

function damaged(): HoldfastError {
  return new HoldfastError('CONFIG_INVALID', 'the cache entry is damaged')
}
