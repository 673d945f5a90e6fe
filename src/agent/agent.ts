/**
 * The agent: the identities that it serves, by name, and what is done with all of them. It takes up what changes in the
 * configuration and in the files that identities name, and lets one after the other have the token.
 */

import { isDeepStrictEqual } from 'node:util'
import type { AgentRequest, GivenPin } from '../core/agent-protocol.js'
import type { Certificate } from '../core/certificate.js'
import type { ServedIdentity } from '../core/config.js'
import type { CredentialProvider, Credentials } from '../core/credentials.js'
import { HoldfastError } from '../core/errors.js'
import { isPkcs11Uri } from '../core/identity.js'
import { parsePkcs11Uri, pinSourcePath } from '../core/pkcs11-uri.js'
import type { PinNeed } from '../core/token-protocol.js'
import { createKeeper, type Keeper, type KeeperState, type SessionParts } from './keeper.js'
import { createQueue } from './queue.js'
import type { Clock } from './refresher.js'
import type { Shelf, TakeOptions } from './shelf.js'

/** What a provider is given for one session of one identity. */
export interface AgentSessionParts extends SessionParts {
  readonly name: string
  /** Runs the use of the token when those before it have ended. */
  readonly takeTurn: <T>(use: () => Promise<T>) => Promise<T>
}

/** What the agent needs of the world. */
export interface AgentParts {
  /** The identities of the configuration that are to be served. */
  readonly readIdentities: () => Promise<ReadonlyMap<string, ServedIdentity>>
  /** Changes whenever one of the files does. */
  readonly fingerprint: (paths: readonly string[]) => string
  /** The files that `readIdentities` may read. */
  readonly configFiles: readonly string[]
  readonly createProvider: (identity: ServedIdentity, parts: AgentSessionParts) => CredentialProvider
  /** True if a person gives the PIN. */
  readonly asksPerson: (identity: ServedIdentity) => Promise<boolean>
  readonly formatSessionKey: (identity: ServedIdentity) => string
  readonly clock: Clock
  readonly random: () => number
  readonly onEvent: (event: AgentEvent) => void
}

/** What happens in the agent. */
export type AgentEvent =
  | { readonly kind: 'refreshed'; readonly name: string; readonly expiration: Date; readonly serial?: string }
  | {
      readonly kind: 'failed'
      readonly name: string
      readonly error: unknown
      /** Undefined: not before something changes or somebody asks. */
      readonly retryInMs: number | undefined
    }
  | { readonly kind: 'config'; readonly names: readonly string[]; readonly error?: unknown }
  | { readonly kind: 'changed' | 'unlocked' | 'locked'; readonly name: string }
  | { readonly kind: 'clock-set'; readonly byMs: number }

/** How one identity is doing. */
export interface IdentityState extends KeeperState {
  readonly name: string
  readonly refreshes: number
  /** How often a refresh failed, by code; `BUG` where there is none. */
  readonly failures: ReadonlyMap<string, number>
}

/** What can be done with the agent. */
export interface Agent extends Shelf {
  /** What is served, by name. */
  readonly identities: ReadonlyMap<string, ServedIdentity>
  readonly states: readonly IdentityState[]
  /** Why the configuration as it stands now is not used; undefined if it is. */
  readonly configError: unknown
  /** The identity that a request means; undefined if it is none of these. */
  find(request: AgentRequest): string | undefined
  /** As {@link Shelf.get}, with a PIN for the one refresh that it may cost. */
  take(name: string, options: TakeOptions & { readonly pin?: GivenPin | undefined }): Promise<Credentials>
  pinNeed(name: string): PinNeed | undefined
  certificate(name: string): Certificate | undefined
  unlock(name: string, pin: GivenPin | undefined, signal: AbortSignal): Promise<void>
  lock(name: string): void
  /** Reads the configuration again, and renews everything. */
  reload(): Promise<void>
  /** Begins to refresh, and to watch files and clocks. */
  start(): void
  /** Ends all work, and wipes PINs. */
  stop(): void
}

/** How often files and clocks are looked at. */
const WATCH_MS = 5000
/** By how much two clocks may differ before one of them counts as set. */
const CLOCK_TOLERANCE_MS = 60_000

interface Served {
  readonly identity: ServedIdentity
  readonly keeper: Keeper
  readonly sessionKey: string | undefined
  files: string
  refreshes: number
  readonly failures: Map<string, number>
}

/**
 * An agent that does nothing until it is asked or started.
 * @throws HoldfastError CONFIG_*
 */
export async function createAgent(parts: AgentParts): Promise<Agent> {
  const { clock, onEvent } = parts
  const takeTurn = createQueue()
  const readInTurn = createQueue()
  let served = new Map<string, Served>()
  let configFiles = ''
  let configError: unknown
  let started = false
  let stopped = false

  const takeLiveTurn: typeof takeTurn = (use) =>
    takeTurn(() => {
      if (stopped) throw new HoldfastError('INTERRUPTED', 'the agent is ending')
      return use()
    })

  const create = async (name: string, identity: ServedIdentity): Promise<Served> => {
    const keeper = createKeeper({
      ...parts,
      createProvider: (session) =>
        parts.createProvider(identity, { ...session, name, takeTurn: takeLiveTurn }),
      // What is wrong with its PIN sources is said when it is used.
      asksPerson: await parts.asksPerson(identity).catch(() => false),
      onDemand: identity.onDemand ?? false,
      onRefreshed: ({ expiration }) => {
        entry.refreshes++
        const serial = keeper.state.certificate?.serialNumber.toString(16)
        onEvent({ kind: 'refreshed', name, expiration, ...(serial === undefined ? {} : { serial }) })
      },
      onFailed: (error, retryInMs) => {
        if (stopped) return
        const code = error instanceof HoldfastError ? error.code : 'BUG'
        entry.failures.set(code, (entry.failures.get(code) ?? 0) + 1)
        onEvent({ kind: 'failed', name, error, retryInMs })
      },
    })
    const entry: Served = {
      identity,
      keeper,
      sessionKey: findSessionKey(identity),
      files: parts.fingerprint(listFiles(identity)),
      refreshes: 0,
      failures: new Map(),
    }
    return entry
  }

  const findSessionKey = (identity: ServedIdentity) => {
    try {
      return parts.formatSessionKey(identity)
    } catch {
      return undefined
    }
  }

  /** What has not changed stays as it is; what means the same session goes on with what it has. */
  const readConfig = async ({ renewAll }: { renewAll: boolean }) => {
    configFiles = parts.fingerprint(parts.configFiles)
    const identities = await parts.readIdentities()
    const next = new Map<string, Served>()
    for (const [name, identity] of identities) {
      const former = served.get(name)
      if (former !== undefined && isDeepStrictEqual(former.identity, identity)) {
        next.set(name, former)
        continue
      }
      const entry = await create(name, identity)
      const credentials = former?.keeper.state.credentials
      if (credentials !== undefined && isSameRole(former!.identity, identity)) entry.keeper.adopt(credentials)
      next.set(name, entry)
      if (former !== undefined) onEvent({ kind: 'changed', name })
    }
    for (const [name, entry] of served) if (next.get(name) !== entry) entry.keeper.stop()
    const former = served
    served = next
    for (const [name, entry] of served) {
      const isNew = former.get(name) !== entry
      if (isNew || renewAll) entry.keeper.renew()
      if (isNew && started) entry.keeper.start()
    }
    configError = undefined
    onEvent({ kind: 'config', names: [...served.keys()] })
  }

  const takeUpConfig = async (options: { renewAll: boolean }) => {
    try {
      await readInTurn(() => readConfig(options))
    } catch (error) {
      // What was read before is better than nothing.
      configError = error
      onEvent({ kind: 'config', names: [...served.keys()], error })
    }
  }

  const measureOffset = () => clock.now().getTime() - clock.elapsedMs()
  let offsetMs = measureOffset()
  const watch = async () => {
    const byMs = measureOffset() - offsetMs
    if (Math.abs(byMs) > CLOCK_TOLERANCE_MS) {
      offsetMs += byMs
      onEvent({ kind: 'clock-set', byMs })
      for (const { keeper } of served.values()) if (keeper.state.failure !== undefined) keeper.renew()
    }
    if (parts.fingerprint(parts.configFiles) !== configFiles) await takeUpConfig({ renewAll: false })
    for (const [name, entry] of served) {
      const files = parts.fingerprint(listFiles(entry.identity))
      if (files === entry.files) continue
      entry.files = files
      onEvent({ kind: 'changed', name })
      entry.keeper.renew()
    }
  }
  let callOff: () => void = () => undefined
  const watchAgain = () => {
    callOff = clock.setTimer(() => void watch().finally(() => stopped || watchAgain()), WATCH_MS)
  }

  const get = (name: string): Served => {
    const entry = served.get(name)
    if (entry !== undefined) return entry
    const names = [...served.keys()].join(', ')
    throw new HoldfastError(
      'CONFIG_NOT_FOUND',
      `the agent serves no identity ${JSON.stringify(name)}, only ${names}`,
    )
  }

  await readConfig({ renewAll: false })
  return {
    get names() {
      return [...served.keys()]
    },
    get identities() {
      return new Map([...served].map(([name, { identity }]) => [name, identity]))
    },
    get states() {
      return [...served].map(([name, { keeper, refreshes, failures }]) => {
        return { name, ...keeper.state, refreshes, failures }
      })
    },
    get configError() {
      return configError
    },
    find({ name, sessionKey }) {
      const means = (entry: Served | undefined) =>
        sessionKey === undefined || entry?.sessionKey === sessionKey
      if (name !== undefined) return served.has(name) && means(served.get(name)) ? name : undefined
      return sessionKey && [...served].find(([, entry]) => means(entry))?.[0]
    },
    get: async (name, options) => get(name).keeper.take(options),
    take: async (name, options) => get(name).keeper.take(options),
    pinNeed: (name) => get(name).keeper.pinNeed,
    certificate: (name) => get(name).keeper.state.certificate,
    async unlock(name, pin, signal) {
      await get(name).keeper.unlock(pin, signal)
      if (pin !== undefined) onEvent({ kind: 'unlocked', name })
    },
    lock(name) {
      get(name).keeper.lock()
      onEvent({ kind: 'locked', name })
    },
    async reload() {
      await takeUpConfig({ renewAll: true })
    },
    start() {
      started = true
      for (const { keeper } of served.values()) keeper.start()
      watchAgain()
    },
    stop() {
      stopped = true
      callOff()
      for (const { keeper } of served.values()) keeper.stop()
    },
  }
}

/** Credentials of another role, or for another time, are not what the identity is to have now. */
function isSameRole(one: ServedIdentity, other: ServedIdentity): boolean {
  return (
    ['trustAnchorArn', 'profileArn', 'roleArn', 'roleSessionName', 'sessionDuration', 'region'] as const
  ).every((field) => one[field] === other[field])
}

/** The files that an identity consists of, beside what is in its token. */
function listFiles({ certificate, privateKey, pkcs11Uri, intermediates, pinFile }: ServedIdentity): string[] {
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
