/**
 * One identity in the agent: its refresher, the PIN that somebody has handed over for it, and what is known of its
 * certificate. Who may ask is not decided here. Copies of a PIN are Buffers: the garbage collector moves small typed
 * arrays, and leaves behind what was in them.
 */

import { isDeepStrictEqual } from 'node:util'
import type { GivenPin } from '../core/agent/agent-protocol.js'
import { isTransient } from '../core/agent/refresh-schedule.js'
import type { CredentialProvider, Credentials } from '../core/credentials.js'
import { HoldfastError } from '../core/errors.js'
import { type TokenIdentity, verifyPinMayBeTried } from '../core/pin/pin.js'
import type { PinNeed } from '../core/pkcs11/token-protocol.js'
import type { Certificate } from '../core/x509/certificate.js'
import type { PinGiver } from '../pin-answer.js'
import { type Clock, createRefresher, type RefresherState } from './refresher.js'
import type { TakeOptions } from './shelf.js'

/** What a provider of the identity is given for one session. */
export interface SessionParts {
  readonly pinGiver: PinGiver
  readonly onCertificate: (certificate: Certificate) => void
}

/** What a keeper is made of. */
export interface KeeperParts {
  readonly createProvider: (parts: SessionParts) => CredentialProvider
  /** True if the PIN comes from a person, or from a program that may ask one. */
  readonly asksPerson: boolean
  /** True if the key wants a person for each signature: a touch. */
  readonly onDemand: boolean
  readonly clock: Clock
  readonly random: () => number
  readonly onRefreshed: (credentials: Credentials) => void
  readonly onFailed: (error: unknown, retryInMs: number | undefined) => void
}

/** How an identity is doing. */
export interface KeeperState extends RefresherState {
  readonly certificate: Certificate | undefined
  /**
   * `unattended`: refreshed by itself. `on-demand`: only when somebody asks. `locked`: wants a PIN that nobody has handed
   * over; `unlocked`: has it, and is refreshed by itself.
   */
  readonly mode: 'unattended' | 'on-demand' | 'locked' | 'unlocked'
}

/** One identity. */
export interface Keeper {
  readonly state: KeeperState
  /** What can be handed out at once to somebody who cannot be asked for anything; undefined if there is nothing. */
  readonly held: Credentials | undefined
  readonly certificate: Certificate | undefined
  /** As Shelf.get; `pin` is used for the one refresh that this may cost. */
  take(options: TakeOptions & { readonly pin?: GivenPin | undefined }): Promise<Credentials>
  /** True if what is held has so little left that a person who asks is to get another set. */
  readonly isDue: boolean
  /** What is to be told a person who is asked for the PIN, if the token has been seen. */
  readonly pinNeed: PinNeed | undefined
  /**
   * Keeps a copy of the PIN until it is refused, another token is found, or `lock` is called. Without one, finds out whether
   * one is needed.
   * @throws HoldfastError of the session that it is tried with
   */
  unlock(pin: GivenPin | undefined, signal: AbortSignal): Promise<void>
  /** Wipes the PIN; what was got with it stays good. False if it is never a person's, so that there is none. */
  lock(): boolean
  start(): void
  /** Files that the identity consists of have changed. */
  renew(): void
  adopt(credentials: Credentials): void
  /** Ends all, and wipes the PIN. */
  stop(): void
}

/** A PIN that was handed over to be kept. */
interface KeptPin extends GivenPin {
  /** True once the token has taken it. */
  isProven: boolean
}

/** A keeper that does nothing until it is asked or started. */
export function createKeeper(parts: KeeperParts): Keeper {
  const { asksPerson, onDemand } = parts
  let kept: KeptPin | undefined
  /** What the token said when it was seen last. A PIN that is given then is meant for this token, and for no other. */
  let pinNeed: PinNeed | undefined
  let certificate: Certificate | undefined
  let probe: Promise<Credentials> | undefined
  /** What a session ended with that has found out that a PIN is needed, as it was to. */
  let finding: unknown

  const wipe = () => {
    kept?.bytes.fill(0)
    kept = undefined
  }

  const createGiver = (findPin: () => GivenPin | undefined): PinGiver => ({
    kind: findPin()?.kind ?? 'terminal',
    name: findPin()?.name ?? 'terminal',
    async give(need) {
      const asked = pinNeed
      pinNeed = need
      // It may have been taken away since the session began.
      const pin = findPin()
      if (pin === undefined) {
        finding = pinNeeded()
        throw finding
      }
      if (asked !== undefined && !isDeepStrictEqual(asked.token, need.token)) {
        wipe()
        throw otherToken(asked.token, need.token)
      }
      // The last try is for a PIN that has just been typed.
      if (pin === kept) verifyPinMayBeTried(need.flags, 'askpass', need.token.label)
      return Buffer.from(pin.bytes)
    },
  })

  const createSession =
    (findPin: () => GivenPin | undefined): CredentialProvider =>
    async () => {
      const pinGiver = createGiver(findPin)
      const onCertificate = (found: Certificate) => {
        certificate = found
      }
      return parts.createProvider({ pinGiver, onCertificate })()
    }

  /** Forgets the PIN if what the session fails with speaks against it, or says nothing for one that no token has taken yet. */
  const judging =
    (pin: KeptPin, provider: CredentialProvider): CredentialProvider =>
    async () => {
      try {
        const credentials = await provider()
        pin.isProven = true
        return credentials
      } catch (error) {
        if (pin === kept && (isPinFailure(error) || !(pin.isProven || isBesideToken(error)))) wipe()
        throw error
      }
    }

  /** With a PIN of whoever asks, who may have gone, and wiped it, before the token wants it. */
  const createSessionWith =
    (pin: GivenPin): CredentialProvider =>
    () => {
      const own = { ...pin, bytes: Buffer.from(pin.bytes) }
      return createSession(() => own)().finally(() => own.bytes.fill(0))
    }

  const refresher = createRefresher({
    ...parts,
    provider: () => {
      const session = createSession(() => kept)
      return (kept === undefined ? session : judging(kept, session))()
    },
    isUnattended: () => !onDemand && (!asksPerson || kept !== undefined),
    onFailed: (error, retryInMs) => {
      if (error === finding) return
      // The token's flags say something else now.
      if (isPinFailure(error)) pinNeed = undefined
      parts.onFailed(error, retryInMs)
    },
  })

  const isLocked = () => asksPerson && kept === undefined
  const findMode = (): KeeperState['mode'] => {
    if (isLocked()) return 'locked'
    if (onDemand) return 'on-demand'
    return asksPerson ? 'unlocked' : 'unattended'
  }

  return {
    get state() {
      const { failure, ...state } = refresher.state
      return {
        ...state,
        failure: failure?.error === finding ? undefined : failure,
        certificate,
        mode: findMode(),
      }
    },
    get held() {
      return refresher.held
    },
    get certificate() {
      return certificate
    },
    get isDue() {
      return refresher.isDue
    },
    get pinNeed() {
      return isLocked() ? pinNeed : undefined
    },
    async take({ attended, signal, pin }) {
      if (!isLocked()) return refresher.get({ attended, signal })
      const { held } = refresher
      if (held !== undefined && !(attended && refresher.isDue)) return held
      if (pin !== undefined) {
        return refresher.get({ attended: true, signal, provider: createSessionWith(pin) })
      }
      if (!attended || pinNeed !== undefined) {
        if (held === undefined) throw pinNeeded()
        return held
      }
      // Not every token wants a PIN, and what the person is asked depends on the token.
      probe ??= refresher
        .get({
          attended: true,
          signal: new AbortController().signal,
          provider: createSession(() => undefined),
        })
        .finally(() => {
          probe = undefined
        })
      return probe
    },
    async unlock(pin, signal) {
      if (!asksPerson) return
      if (pin === undefined) {
        if (kept !== undefined) return
        await refresher.get({ attended: true, fresh: true, signal, provider: createSession(() => undefined) })
        return
      }
      wipe()
      // Whoever asks meanwhile waits for the session that it is tried with.
      kept = { ...pin, bytes: Buffer.from(pin.bytes), isProven: false }
      const provider = judging(kept, createSessionWith(pin))
      await refresher.get({ attended: true, fresh: true, signal, provider })
    },
    lock() {
      wipe()
      return asksPerson
    },
    start: () => refresher.start(),
    renew: () => refresher.renew(),
    adopt: (credentials) => refresher.adopt(credentials),
    stop() {
      refresher.stop()
      wipe()
    },
  }
}

function pinNeeded(): HoldfastError {
  return new HoldfastError(
    'PIN_NEEDED',
    'the token wants a PIN, and this identity has none that could be read: run holdfast unlock, or holdfast credential-process at a terminal',
  )
}

/** A PIN costs the token that it does not belong to one of its tries. */
function otherToken(asked: TokenIdentity, found: TokenIdentity): HoldfastError {
  return new HoldfastError(
    'PIN_NEEDED',
    `the PIN is that of ${describeToken(asked)}, and now ${describeToken(found)} is there: it was not tried, and is forgotten. Give that of this token: run holdfast unlock, or holdfast credential-process at a terminal`,
  )
}

function describeToken({ label, serial, store }: TokenIdentity): string {
  const where = store === undefined ? `serial number ${serial}` : `in ${store}`
  return `token ${JSON.stringify(label)} (${where})`
}

/** True for a failure of something else than the token: it was not asked yet, or has taken the PIN. */
function isBesideToken(error: unknown): boolean {
  return error instanceof HoldfastError && error.exitStatus >= 4 && error.exitStatus <= 6
}

function isPinFailure(error: unknown): boolean {
  if (!(error instanceof HoldfastError) || isTransient(error)) return false
  return error.code === 'LOGIN_FAILED' || (error.code.startsWith('PIN_') && error.code !== 'PIN_NEEDED')
}
