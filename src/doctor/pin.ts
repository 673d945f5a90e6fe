/**
 * The checks of the PIN: whether it can be read where it is, and whether the guard of tried PINs would let it be tried.
 * It is tried by neither of them.
 */

import { resolve } from 'node:path'
import type { Identity } from '../core/config/identity.js'
import type { Examination, Examined, Outcome, Trouble } from '../core/doctor/diagnosis.js'
import { quoted, shown, type Told, tell } from '../core/doctor/told.js'
import { HoldfastError } from '../core/errors.js'
import {
  formatPinSource,
  type PinIdentity,
  type PinSource,
  parsePin,
  verifyPinLength,
} from '../core/pin/pin.js'
import { stateDirectories } from '../core/pin/pin-record.js'
import { wantsLogin } from '../core/pin/token-flags.js'
import type { TokenFacts } from '../core/pkcs11/admin-protocol.js'
import { isExecutable, isOnPath } from '../io/executable.js'
import { identifyToken } from '../io/module/tpm-store.js'
import { readPinFile } from '../io/pin-file.js'
import { inspectPinGuard } from '../io/pin-guard/pin-guard.js'

/** What the checks need of the process. */
export interface PinSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly uid: number
  readonly now: () => Date
}

/** What has to pass before a login. */
export interface PinOutcomes {
  readonly source: Outcome<unknown>
  readonly guard: Outcome<unknown>
}

/** Makes the checks. */
export async function checkPin(
  examination: Examination,
  needs: {
    readonly key: Outcome<{ readonly identity: Identity; readonly pin: PinSource }>
    readonly token: Outcome<TokenFacts>
  },
  surroundings: PinSurroundings,
): Promise<PinOutcomes> {
  const { key, token } = needs
  let known: PinIdentity | undefined
  try {
    const source = await examination.check('pin-source', { key, token }, async ({ key, token }) => {
      const examined = await examineSource(key.pin, token, surroundings)
      known = examined.value
      return examined
    })
    const guard = await examination.check('pin-guard', { key, token, source }, (given) =>
      examineGuard(given.key.identity, given.token, given.source, surroundings),
    )
    return { source, guard }
  } finally {
    if (known !== undefined && known.kind !== 'typed') known.pin.fill(0)
  }
}

/** Undefined for a PIN that only a person knows. */
async function examineSource(
  source: PinSource,
  token: TokenFacts,
  { env, uid }: PinSurroundings,
): Promise<Examined<PinIdentity | undefined>> {
  if (!wantsLogin(token.flags)) return { value: undefined, message: tell`the token wants none` }
  const name = shown(formatPinSource(source))
  switch (source.kind) {
    case 'file':
    case 'systemd-credential': {
      const options = { uid, credentialsDirectory: env.CREDENTIALS_DIRECTORY }
      const { pin, identity, warnings } = await readPinFile(source.path, options)
      verifyLength(pin, token)
      return {
        value: identity,
        message: tell`a PIN can be read from ${name}`,
        troubles: [
          ...warnings.map((warning): Trouble => ({ status: 'warn', message: shown(warning) })),
          ...findRimTroubles(pin, name),
        ],
      }
    }
    case 'environment':
    case 'pin-value': {
      const origin = formatPinSource(source)
      const pin = parsePin(source.pin, origin)
      verifyLength(pin, token)
      const value = { kind: 'secret', name: origin, pin } as const
      if (source.kind === 'environment') {
        return { value, message: tell`a PIN is in ${name}`, troubles: findRimTroubles(pin, name) }
      }
      const message = tell`the PIN stands in the PKCS#11 URI (pin-value), where other users and logs may see it`
      const fix = tell`put it into a file, and name that with pin-source=file:PATH in the URI or with pin-file`
      return { value, message, troubles: [{ status: 'warn', message, fix }] }
    }
    case 'askpass': {
      const { program } = source
      const isFound = program.includes('/') ? await isExecutable(program) : await isOnPath(program, env.PATH)
      if (isFound) {
        // The record of a PIN that was good goes by the program alone.
        const value = { kind: 'secret', name: formatPinSource(source), pin: new Uint8Array() } as const
        return { value, message: tell`the ${name} is asked at a login` }
      }
      throw new HoldfastError(
        'PIN_SOURCE_UNREADABLE',
        `${formatPinSource(source)} is not a program that can be run: correct askpass, or chmod u+x it`,
      )
    }
    case 'terminal':
      return { value: undefined, message: tell`none is stored: a person types it at each login` }
  }
}

/** What of a PIN is easily put there by mistake: a token takes it for a part of it. */
function findRimTroubles(pin: Uint8Array, name: Told): Trouble[] {
  const rims = [pin.at(0), pin.at(-1)].map((byte) => String.fromCharCode(byte ?? 0))
  if (!rims.some((rim) => /[\s"']/.test(rim))) return []
  const message = tell`the PIN from ${name} begins or ends with a blank or a quotation mark, which counts as a part of it`
  return [{ status: 'warn', message, fix: tell`take it away there, if it is none` }]
}

function verifyLength(pin: Uint8Array, { minPinLength: min, maxPinLength: max, label }: TokenFacts): void {
  try {
    verifyPinLength(pin, { min, max }, label)
  } catch (error) {
    pin.fill(0)
    throw error
  }
}

function examineGuard(
  { pinGuard, stateDir }: Identity,
  token: TokenFacts,
  pin: PinIdentity | undefined,
  { env, uid, now }: PinSurroundings,
): Examined<undefined> {
  if (pinGuard === 'off') {
    const message = tell`the guard is off: each start with a wrong PIN costs the token one of its tries`
    const fix = tell`leave out pin-guard (--pin-guard)`
    return { value: undefined, message, troubles: [{ status: 'warn', message, fix }] }
  }
  if (pin === undefined) return { value: undefined, message: tell`is not asked about a PIN that is typed` }
  const { label } = token
  const view = inspectPinGuard({
    token: identifyToken(token, env, resolve('.')),
    pin,
    directories: stateDirectories(env, uid, stateDir),
    uid,
    now,
  })
  const place = view?.folder.path === undefined ? tell`` : tell`, by the record in ${shown(view.folder.path)}`
  switch (view?.verdict) {
    case 'proven':
      return { value: undefined, message: tell`token ${quoted(label)} has taken this PIN before${place}` }
    case 'busy':
      return { value: undefined, message: tell`another process is trying this PIN right now` }
    default:
      return { value: undefined, message: tell`this PIN was not tried on token ${quoted(label)} yet` }
  }
}
