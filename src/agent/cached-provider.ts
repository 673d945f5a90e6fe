/**
 * A credential provider behind a cache that all processes of one user share: of many that ask at the same time one makes
 * the session, and the others get the same. What is still good is kept when a renewal fails.
 */

import { join, resolve } from 'node:path'
import {
  type CacheEntry,
  cacheEntryName,
  findCacheEntry,
  findUsable,
  formatCacheEntry,
  isAfter,
  type Usable,
} from '../core/agent/cache-entry.js'
import { type Identity, isPkcs11Uri } from '../core/config/identity.js'
import type { CredentialProvider, Credentials } from '../core/credentials.js'
import { HoldfastError } from '../core/errors.js'
import { describeFault, openCacheFolder, readEntry, writeEntry } from '../io/cache-folder.js'
import { type Release, tryLock, waitForTurn } from '../io/lock.js'
import { systemClock } from '../io/steady-clock.js'
import { formatSessionKey } from './session-key.js'

/** How long the others wait for one that was stopped, at a prompt for instance, before one of them makes a session too. */
const MAX_HELD_MS = 5 * 60 * 1000

/** What the cache needs of the process it is used in. */
export interface CacheSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly uid: number
  readonly now: () => Date
  /** Milliseconds since the machine was started, suspension included. Default: the system's. */
  readonly uptimeMs?: () => number
  readonly warn: (text: string) => void
  /** Ends waiting for another process. */
  readonly signal: AbortSignal
}

/**
 * The provider of an identity with the cache before it. Where there is no safe place for a cache, a warning says so, and
 * each call is one session.
 */
export function createCachedProvider(
  provider: CredentialProvider,
  identity: Identity,
  surroundings: CacheSurroundings,
): CredentialProvider {
  const { env, uid, warn, signal } = surroundings
  return async () => {
    const folder = openCacheFolder(env, uid)
    if (!('path' in folder)) {
      warnOf(folder.obstacle, warn)
      return provider()
    }
    const cache = openEntry(folder.path, cacheEntryName(formatKey(identity, env)), surroundings)
    for (let looks = 0; ; looks++) {
      const found = cache.find()
      if (found !== undefined) return found
      const release = cache.lock()
      if (release !== undefined) {
        try {
          // Whoever had the lock may have done it meanwhile.
          return cache.find() ?? (await cache.renew(provider))
        } finally {
          release()
        }
      }
      const usable = cache.findUsable()
      if (usable !== undefined) return usable.credentials
      await waitForTurn(looks, signal)
    }
  }
}

/** Equal for all that mean the same session and get it in the same way. */
function formatKey(identity: Identity, env: CacheSurroundings['env']): string {
  const place = (text: string | undefined) => (text === undefined || isPkcs11Uri(text) ? text : resolve(text))
  const { certificate, privateKey, pkcs11Module } = identity
  const key = { ...identity, certificate: place(certificate), privateKey: place(privateKey) }
  return JSON.stringify([formatSessionKey(key, env), pkcs11Module])
}

/** The entry of one session, for one process that wants it from now on. */
function openEntry(folder: string, name: string, surroundings: CacheSurroundings) {
  const { now, uid, warn, signal, uptimeMs = systemClock.elapsedMs } = surroundings
  const path = join(folder, name)
  const mark = () => ({ date: now(), uptimeMs: uptimeMs() })
  const begin = mark()
  const read = () => findCacheEntry(readEntry(path, uid) ?? '') ?? {}
  const findStillUsable = (entry = read()) => findUsable(entry, mark())

  const write = (entry: CacheEntry) => {
    try {
      writeEntry(folder, name, formatCacheEntry(entry))
    } catch (error) {
      warnOf(describeFault(error), warn)
    }
  }

  /** What there is in spite of the failure, or the failure. */
  const settle = (usable: Usable | undefined, error: HoldfastError): Credentials => {
    if (usable === undefined) throw error
    warn(`no new credentials: ${error.message} (${error.code}); the cached ones are used until they expire`)
    return usable.credentials
  }

  return {
    findUsable: findStillUsable,

    /**
     * What needs no session.
     * @throws HoldfastError of the session that another process has just tried to make
     */
    find(): Credentials | undefined {
      const { failure, ...entry } = read()
      const usable = findStillUsable(entry)
      if (usable?.isFresh) return usable.credentials
      // Where a person was needed, one may be here.
      if (failure === undefined || !isAfter(failure.at, begin) || failure.code === 'PIN_NEEDED')
        return undefined
      return settle(usable, new HoldfastError(failure.code, failure.message))
    },

    /** Undefined while another process makes the session. */
    lock(): Release | undefined {
      try {
        return tryLock(`${path}.lock`, { maxHeldMs: MAX_HELD_MS })
      } catch (error) {
        warnOf(describeFault(error), warn)
        return () => undefined
      }
    },

    async renew(provider: CredentialProvider): Promise<Credentials> {
      const at = mark()
      try {
        const credentials = await provider()
        write({ issued: { credentials, at } })
        return credentials
      } catch (error) {
        if (!(error instanceof HoldfastError) || signal.aborted) throw error
        const { code, message } = error
        const { issued } = read()
        write({ issued, failure: { code, message, at: mark() } })
        return settle(findStillUsable({ issued }), error)
      }
    },
  }
}

function warnOf(obstacle: string, warn: (text: string) => void): void {
  warn(`credentials are not cached: ${obstacle}`)
}
