/**
 * One identity as the agent serves it: what keeps its credentials, what has become of its sessions, and whether its files
 * are still those that it was read from.
 */

import type { ServedIdentity } from '../core/config/config.js'
import { isPkcs11Uri } from '../core/config/identity.js'
import { HoldfastError } from '../core/errors.js'
import { parsePkcs11Uri, pinSourcePath } from '../core/pkcs11/pkcs11-uri.js'
import { formatSerial } from '../core/x509/certificate.js'
import type { AgentParts } from './agent.js'
import { createKeeper, type Keeper, type KeeperState } from './keeper.js'
import { createSingleTry } from './single-try.js'

/** How one identity is doing. */
export interface IdentityState extends KeeperState {
  readonly name: string
  readonly refreshes: number
  /** How often a refresh failed, by code; `BUG` where there is none. */
  readonly failures: ReadonlyMap<string, number>
}

/** One identity, and all that belongs to it. */
export interface Served {
  readonly identity: ServedIdentity
  readonly keeper: Keeper
  readonly state: IdentityState
  /** What it means, as `formatSessionKey` says it; undefined if that is not complete. */
  readonly sessionKey: string | undefined
  /** Serial number of the certificate that was used last, in hexadecimal. */
  readonly serial: string | undefined
  /**
   * Tells the listener what a session under way has to say to a person, also what it has said already.
   * @returns ends that
   */
  listen(listener: (notice: string) => void): () => void
  /** True once after each change. */
  haveFilesChanged(): boolean
  /** Somebody has changed something, or wants everything to be tried again. */
  renew(): void
}

/** What an identity has of the agent. */
export interface ServedParts extends AgentParts {
  /** Runs the use of the token when those before it have ended. */
  readonly takeTurn: <T>(use: () => Promise<T>) => Promise<T>
}

/** Makes ready to serve an identity; nothing is done before its keeper is asked or started. */
export async function createServed(
  name: string,
  identity: ServedIdentity,
  parts: ServedParts,
): Promise<Served> {
  const { onEvent, takeTurn } = parts
  const failures = new Map<string, number>()
  const listeners = new Set<(notice: string) => void>()
  let notices: string[] = []
  let refreshes = 0
  const paths = listFiles(identity)
  let files = parts.fingerprint(paths)
  const singleTry = identity.pinGuard === 'off' ? createSingleTry(() => parts.fingerprint(paths)) : undefined
  const findSerial = () => {
    const { certificate } = keeper
    return certificate && formatSerial(certificate)
  }
  const keeper: Keeper = createKeeper({
    ...parts,
    createProvider: (session) => {
      const notify = (notice: string) => {
        notices.push(notice)
        for (const listener of listeners) listener(notice)
      }
      const provider = parts.createProvider(identity, { ...session, name, takeTurn, notify })
      const run = singleTry?.guard(provider) ?? provider
      return () =>
        run().finally(() => {
          notices = []
        })
    },
    // What is wrong with its PIN sources is said when it is used.
    asksPerson: await parts.asksPerson(identity).catch(() => false),
    onDemand: identity.onDemand ?? false,
    onRefreshed: ({ expiration }) => {
      refreshes++
      onEvent({ kind: 'refreshed', name, expiration, serial: findSerial() })
    },
    onFailed: (error, retryInMs) => {
      const code = error instanceof HoldfastError ? error.code : 'BUG'
      failures.set(code, (failures.get(code) ?? 0) + 1)
      onEvent({ kind: 'failed', name, error, retryInMs })
    },
  })
  return {
    identity,
    keeper,
    sessionKey: parts.findSessionKey(identity),
    get state() {
      return { name, ...keeper.state, refreshes, failures }
    },
    get serial() {
      return findSerial()
    },
    listen(listener) {
      for (const notice of notices) listener(notice)
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    haveFilesChanged() {
      const former = files
      files = parts.fingerprint(paths)
      return files !== former
    },
    renew() {
      singleTry?.forget()
      keeper.renew()
    },
  }
}

/** The files that an identity consists of, beside what is in its token. */
export function listFiles({
  certificate,
  privateKey,
  pkcs11Uri,
  intermediates,
  pinFile,
}: ServedIdentity): string[] {
  const uris = [certificate, privateKey, pkcs11Uri].filter(isPkcs11Uri)
  const pinFiles = uris.flatMap((uri) => parsePkcs11Uri(uri).pinSource ?? []).flatMap(findPinFile)
  const paths = [certificate, privateKey, intermediates, pinFile].filter((path) => path !== undefined)
  return [...paths.filter((path) => !isPkcs11Uri(path)), ...pinFiles]
}

/** One that cannot be meant is said to be so when it is used. */
function findPinFile(pinSource: string): string[] {
  try {
    return [pinSourcePath(pinSource)]
  } catch {
    return []
  }
}
