/**
 * Who was given what: an audit line for each request for credentials, and the counts of them. Every door of the agent
 * reports here.
 */

import type { LogFields } from '../core/agent/log-line.js'
import { formatExpiration } from '../core/credentials.js'

/** One request for credentials, and how it ended. */
export interface Handout {
  /** The way in: `socket`, for one. */
  readonly door: string
  /** Where exactly: the path of the socket, or an address. */
  readonly place: string
  /** Absent if it is no identity of this agent. */
  readonly name?: string | undefined
  /** `ok`, `unknown`, or the code of an error. */
  readonly result: string
  /** Of what was handed out. */
  readonly expiration?: Date | undefined
  /** Of the certificate that it was got with, in hexadecimal. */
  readonly serial?: string | undefined
  /** Who asked, proved by a token. */
  readonly consumer?: string | undefined
  /** The user that the kernel says it is. Absent where the rights of a socket are all that is known. */
  readonly uid?: number | undefined
  /** What whoever asked says of itself. Nobody vouches for it. */
  readonly claims?: { readonly pid: number; readonly uid: number } | undefined
}

/** How often something was asked for, and how that ended. */
export interface RequestCount {
  readonly door: string
  /** Empty for what is no identity of this agent. */
  readonly name: string
  readonly result: string
  readonly count: number
}

/** The record of requests. */
export interface Ledger {
  /** @param options.inSilence true counts it only: whoever is refused must not be able to fill the log */
  record(handout: Handout, options?: { readonly inSilence: boolean }): void
  readonly counts: readonly RequestCount[]
}

/** A ledger that has its audit lines written by `log`. */
export function createLedger(log: (event: string, fields: LogFields) => void): Ledger {
  const counts = new Map<string, RequestCount>()
  return {
    record(handout, { inSilence } = { inSilence: false }) {
      const { door, name = '', result } = handout
      const key = [door, name, result].join(' ')
      const count = (counts.get(key)?.count ?? 0) + 1
      counts.set(key, { door, name, result, count })
      if (!inSilence) log(result === 'ok' ? 'handed-out' : 'refused', describe(handout))
    },
    get counts() {
      return [...counts.values()]
    },
  }
}

function describe(handout: Handout): LogFields {
  const { door, place, name, result, expiration, serial, consumer, uid, claims } = handout
  return {
    identity: name,
    door,
    place,
    ...(result === 'ok' ? {} : { result }),
    expires: expiration && formatExpiration(expiration),
    serial,
    consumer,
    uid,
    'claimed-uid': claims?.uid,
    'claimed-pid': claims?.pid,
  }
}
