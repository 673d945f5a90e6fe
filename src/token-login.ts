/**
 * The token child's way to a PIN: it is read from its file, or asked of the program; it is checked against the token's
 * flags and limits, and tried once, inside the guard.
 */

import { HoldfastError } from './core/errors.js'
import {
  type PinIdentity,
  type PinOwner,
  type PinRole,
  parsePin,
  ROLE_WORDS,
  type TokenIdentity,
  verifyNewPinLength,
  verifyPinLength,
  verifyPinMayBeTried,
} from './core/pin/pin.js'
import { isPinRefusal, isRecordOf, type PinRecord } from './core/pin/pin-record.js'
import { type TokenInfo, unpad } from './core/pkcs11/pkcs11-match.js'
import type { ChildPin, GuardSettings, PinNeed, PinPlaces } from './core/pkcs11/token-protocol.js'
import { identifyToken } from './io/module/tpm-store.js'
import { receiveBytes, receiveMessage, send } from './io/parent-channel.js'
import { readPinFile } from './io/pin-file.js'
import {
  forgetPinRecords,
  type PinGuardOptions,
  rememberRefusal,
  withPinGuard,
} from './io/pin-guard/pin-guard.js'
import type { Watchdog } from './io/watchdog.js'

/** What logging in needs of the process it happens in. */
export interface LoginSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: () => string
  /** Effective user id. */
  readonly uid: number
  readonly watchdog: Watchdog
}

/** Gets PINs for one use of the token. */
export interface Logins {
  /**
   * Gets the PIN and calls `attempt` with it, once, which shows it to the token.
   * @throws HoldfastError PIN_* or what `attempt` throws
   */
  tryPin(owner: PinOwner, token: TokenInfo, attempt: (pin: string) => void): Promise<void>
  /**
   * A PIN that is to be set, of a length that the token takes.
   * @throws HoldfastError PIN_INVALID, PIN_NEEDED, PIN_SOURCE_*
   */
  newPin(owner: PinOwner, token: TokenInfo): Promise<string>
  /** Forgets what was learned of these PINs of a token, which have just been set anew. */
  forgetPins(token: TokenInfo, owners: readonly PinOwner[]): Promise<void>
  /** What fails from now on says nothing of the PIN that was let in. */
  settle(): void
  /** To be told of a failure after a login, such as that of a PIN for one signature. @returns what to throw */
  explain(error: unknown): Promise<unknown>
  /** Overwrites all PINs. What was made a string of them ends with the process. */
  wipe(): void
}

/** Makes the way to the PINs of one child. */
export function createLogins(places: PinPlaces, guard: GuardSettings, around: LoginSurroundings): Logins {
  const pins: Uint8Array[] = []
  let latest: { options: PinGuardOptions; owner: PinOwner; source: ChildPin } | undefined

  const obtain = async (role: PinRole, info: TokenInfo) => {
    const source = places[role]
    if (source === undefined) throw new Error(`nobody said where the ${role} PIN comes from`)
    const token = identify(info, around)
    const identity = await obtainPin(source, { token, flags: info.flags, role }, around)
    pins.push(identity.pin)
    return { source, token, identity }
  }
  const logIn = async (owner: PinOwner, info: TokenInfo, attempt: (pin: string) => void) => {
    const label = unpad(info.label)
    verifyPinMayBeTried(info.flags, places[owner]?.kind ?? 'terminal', label, owner)
    const { source, token, identity } = await obtain(owner, info)
    const { pin, origin } = identity
    verifyPinLength(pin, { min: info.minPinLength, max: info.maxPinLength }, label)
    const tryPin = () => {
      try {
        attempt(toText(pin))
      } catch (error) {
        throw nameSource(error, owner, source, guard)
      }
    }
    const options = {
      token,
      pin: origin.kind === 'typed' || owner === 'user' ? origin : { ...origin, owner },
      directories: guard.directories,
      uid: around.uid,
      now: () => new Date(),
      // Some of the time is for the login itself.
      signal: AbortSignal.timeout(Math.max(0, Math.floor(0.75 * around.watchdog.leftMs()))),
    }
    if (!guard.enabled) return tryPin()
    await withPinGuard(options, tryPin)
    latest = { options, owner, source }
  }
  const settle = () => {
    latest = undefined
  }
  return {
    settle,
    async tryPin(owner, info, attempt) {
      settle()
      await logIn(owner, info, attempt)
    },
    async newPin(owner, info) {
      settle()
      const role = `new-${owner}` as const
      const { identity, source } = await obtain(role, info)
      const limits = { min: info.minPinLength, max: info.maxPinLength }
      try {
        verifyNewPinLength(identity.pin, limits, unpad(info.label))
      } catch (error) {
        throw nameSource(error, role, source, { ...guard, enabled: true })
      }
      return toText(identity.pin)
    },
    async forgetPins(info, owners) {
      const token = identify(info, around)
      const isMeant = (record: PinRecord | undefined) =>
        record !== undefined && owners.some((owner) => isRecordOf(record, token, owner))
      try {
        await forgetPinRecords(guard.directories, around.uid, isMeant)
      } catch (error) {
        // The PIN is set, and that is what counts.
        send({ warning: `what is remembered of its former PIN stays: ${(error as Error).message}` })
      }
    },
    async explain(error) {
      if (latest === undefined) return error
      return rememberRefusal(latest.options, nameSource(error, latest.owner, latest.source, guard))
    },
    wipe() {
      for (const pin of pins) pin.fill(0)
    },
  }
}

function toText(pin: Uint8Array): string {
  return Buffer.from(pin.buffer, pin.byteOffset, pin.length).toString('utf8')
}

function identify(token: TokenInfo, { env, cwd }: LoginSurroundings): TokenIdentity {
  const { manufacturer, model, serial, label } = token
  const told = {
    manufacturer: unpad(manufacturer),
    model: unpad(model),
    serial: unpad(serial),
    label: unpad(label),
  }
  return identifyToken(told, env, cwd())
}

/** Says which stored PIN it is that a token refuses, or cannot take. */
function nameSource(
  error: unknown,
  role: PinRole,
  { kind, name }: ChildPin,
  { enabled }: GuardSettings,
): unknown {
  if (kind === 'terminal' || !isPinRefusal(error, true)) return error
  const { code, message } = error as HoldfastError
  const more = enabled ? '' : '; with --pin-guard off each further run costs one more try'
  return new HoldfastError(
    code,
    `${message}; the ${ROLE_WORDS[role].name} came from ${name}: correct it there${more}`,
    {
      cause: error,
    },
  )
}

/** The PIN, and what tells it from another one. */
async function obtainPin(
  source: ChildPin,
  need: PinNeed,
  { env, uid, watchdog }: LoginSurroundings,
): Promise<{ pin: Uint8Array; origin: PinIdentity }> {
  const { kind, name } = source
  if (source.path !== undefined) {
    const credentialsDirectory = env.CREDENTIALS_DIRECTORY
    const words = ROLE_WORDS[need.role]
    const { warnings, pin, identity } = await readPinFile(source.path, { uid, credentialsDirectory, words })
    for (const warning of warnings) send({ warning })
    return { pin, origin: identity }
  }
  send({ needPin: need })
  watchdog.pause()
  const answer = receiveMessage()
  const bytes = answer === undefined ? undefined : receiveBytes()
  watchdog.resume()
  if (bytes === undefined) throw new HoldfastError('INTERRUPTED', 'nobody gave the PIN')
  try {
    const pin = parsePin(bytes, name, ROLE_WORDS[need.role])
    return { pin, origin: kind === 'terminal' ? { kind: 'typed' } : { kind: 'secret', name, pin } }
  } finally {
    bytes.fill(0)
  }
}
