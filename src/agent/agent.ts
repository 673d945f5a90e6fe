/**
 * The agent: what its doors ask it for. It serves the identities of the configuration, takes up what changes there and in
 * the files that identities name, and lets one after the other have the token.
 */

import type { AgentRequest, GivenPin } from '../core/agent/agent-protocol.js'
import type { ServedIdentity } from '../core/config/config.js'
import type { CredentialProvider, Credentials } from '../core/credentials.js'
import { HoldfastError } from '../core/errors.js'
import type { PinNeed } from '../core/pkcs11/token-protocol.js'
import type { SessionParts } from './keeper.js'
import { createQueue } from './queue.js'
import type { Clock } from './refresher.js'
import { createRoster } from './roster.js'
import type { IdentityState } from './served.js'
import type { Shelf, TakeOptions } from './shelf.js'
import { startWatch } from './watch.js'

/** What a provider is given for one session of one identity. */
export interface AgentSessionParts extends SessionParts {
  readonly name: string
  /** Runs the use of the token when those before it have ended. */
  readonly takeTurn: <T>(use: () => Promise<T>) => Promise<T>
  /** Tells those who wait for the session what a person has to know. */
  readonly notify: (notice: string) => void
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
  /** What an identity means; undefined if it is not complete. */
  readonly findSessionKey: (identity: ServedIdentity) => string | undefined
  readonly clock: Clock
  readonly random: () => number
  readonly onEvent: (event: AgentEvent) => void
}

/** What happens in the agent. */
export type AgentEvent =
  | {
      readonly kind: 'refreshed'
      readonly name: string
      readonly expiration: Date
      readonly serial: string | undefined
    }
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
  /** What a person is to be told who is asked for the PIN; undefined if none is needed, or the token was not seen yet. */
  pinNeed(name: string): PinNeed | undefined
  /** As {@link Served.listen}. */
  listen(name: string, listener: (notice: string) => void): () => void
  /** True if what is held has so little left that a person who asks is to get another set. */
  isDue(name: string): boolean
  /** Serial number of the certificate that was used last, in hexadecimal. */
  serial(name: string): string | undefined
  unlock(name: string, pin: GivenPin | undefined, signal: AbortSignal): Promise<void>
  /** False if nobody is asked for a PIN of the identity, so that there is none to forget. */
  lock(name: string): boolean
  /** Reads the configuration again, and renews everything. */
  reload(): Promise<void>
  /** Begins to refresh, and to watch files and clocks. */
  start(): void
  /** Ends all work, and wipes PINs. */
  stop(): void
}

/**
 * An agent that does nothing until it is asked or started.
 * @throws HoldfastError CONFIG_*
 */
export async function createAgent(parts: AgentParts): Promise<Agent> {
  const { clock } = parts
  const enqueue = createQueue()
  let isStopped = false
  let stopWatch: () => void = () => undefined
  const onEvent: AgentParts['onEvent'] = (event) => {
    // What the end breaks off is no failure.
    if (!isStopped) parts.onEvent(event)
  }
  const takeTurn = <T>(use: () => Promise<T>): Promise<T> =>
    enqueue(() => {
      if (isStopped) throw new HoldfastError('INTERRUPTED', 'the agent is ending')
      return use()
    })
  const roster = await createRoster({ ...parts, onEvent, takeTurn })
  const { get } = roster
  const entries = () => [...roster.entries]
  return {
    get names() {
      return entries().map(([name]) => name)
    },
    get identities() {
      return new Map(entries().map(([name, { identity }]) => [name, identity]))
    },
    get states() {
      return entries().map(([, { state }]) => state)
    },
    get configError() {
      return roster.error
    },
    find({ name, sessionKey }) {
      if (name === undefined && sessionKey === undefined) return undefined
      const [found] = entries().filter(
        ([other, entry]) =>
          (name === undefined || name === other) &&
          (sessionKey === undefined || sessionKey === entry.sessionKey),
      )
      return found?.[0]
    },
    held: (name) => get(name).keeper.held,
    get: async (name, options) => get(name).keeper.take(options),
    take: async (name, options) => get(name).keeper.take(options),
    pinNeed: (name) => get(name).keeper.pinNeed,
    listen: (name, listener) => get(name).listen(listener),
    isDue: (name) => get(name).keeper.isDue,
    serial: (name) => get(name).serial,
    async unlock(name, pin, signal) {
      await get(name).keeper.unlock(pin, signal)
      if (pin !== undefined) onEvent({ kind: 'unlocked', name })
    },
    lock(name) {
      const isLocked = get(name).keeper.lock()
      if (isLocked) onEvent({ kind: 'locked', name })
      return isLocked
    },
    reload: () => roster.reload({ renewAll: true }),
    start() {
      roster.start()
      stopWatch = startWatch(roster, clock, onEvent)
    },
    stop() {
      isStopped = true
      stopWatch()
      roster.stop()
    },
  }
}
