/**
 * The child process that loads the PKCS#11 module, reads a stored PIN, signs, and ends. A module that hangs,
 * crashes or prints costs one signature and never the program. Messages travel on descriptor 3; the module's
 * own output on 1 and 2 is the parent's to capture or to throw away.
 */

import { parseCertificate } from './core/certificate.js'
import { HoldfastError } from './core/errors.js'
import {
  type PinIdentity,
  parsePin,
  type TokenIdentity,
  verifyPinLength,
  verifyPinMayBeTried,
} from './core/pin.js'
import { isPinRefusal } from './core/pin-record.js'
import { type TokenInfo, unpad } from './core/pkcs11-match.js'
import { parsePkcs11Uri } from './core/pkcs11-uri.js'
import {
  type ChildPin,
  formatFailure,
  type GuardSettings,
  type OpenRequest,
  type PinNeed,
  PRELOAD,
} from './core/token-protocol.js'
import { locateModule } from './io/module/locate.js'
import { findObstacle, findRisk } from './io/module/obstacle.js'
import { findTpmStore } from './io/module/tpm-store.js'
import { receiveBytes, receiveMessage, send } from './io/parent-channel.js'
import { readPinFile } from './io/pin-file.js'
import { type PinGuardOptions, rememberRefusal, withPinGuard } from './io/pin-guard/pin-guard.js'
import type { Login, OpenToken, TokenQuery } from './io/token/token.js'
import { createWatchdog, type Watchdog } from './io/watchdog.js'

function parseQuery(request: OpenRequest): TokenQuery {
  const { platform, arch, env } = process
  const surroundings = {
    env,
    get cwd() {
      return process.cwd()
    },
    uid: geteuid(),
    machine: { platform, arch },
    warn: (warning: string) => send({ warning }),
  }
  const module = locateModule(request.module, surroundings)
  const risk = findRisk(module, surroundings)
  if (risk !== undefined) surroundings.warn(risk)
  return {
    module: module.path,
    warn: surroundings.warn,
    findObstacle: (library) => findObstacle(module, surroundings, library),
    certificate:
      request.certificate === undefined
        ? undefined
        : parseCertificate(Buffer.from(request.certificate, 'base64')),
    certificateUri: request.certificateUri === undefined ? undefined : parsePkcs11Uri(request.certificateUri),
    keyUri: parsePkcs11Uri(request.keyUri),
  }
}

function identify(token: TokenInfo): TokenIdentity {
  const [manufacturer, model, serial, label] = [
    token.manufacturer,
    token.model,
    token.serial,
    token.label,
  ].map(unpad) as [string, string, string, string]
  const identity = { manufacturer, model, serial, label }
  // tpm2-pkcs11 gives every token the serial number zero.
  return /^0+$/.test(serial) ? { ...identity, store: findTpmStore(process.env, process.cwd()) } : identity
}

/** Logs in for one use of the token. */
interface Logins {
  readonly login: Login
  /** To be told of a failure after a login, such as that of a PIN for one signature. @returns what to throw */
  explain(error: unknown): Promise<unknown>
  wipe(): void
}

/** Gets the PIN where it is and tries it once, inside the guard. */
function createLogins({ pin: source, guard }: OpenRequest, watchdog: Watchdog): Logins {
  const pins: Uint8Array[] = []
  let latest: PinGuardOptions | undefined
  const logIn = async (info: TokenInfo, attempt: (pin: string) => void) => {
    const token = identify(info)
    verifyPinMayBeTried(info.flags, source.kind, token.label)
    const { pin, identity } = await obtainPin(source, { token, flags: info.flags }, watchdog)
    pins.push(pin)
    verifyPinLength(pin, { min: info.minPinLength, max: info.maxPinLength }, token.label)
    const tryPin = () => {
      try {
        attempt(Buffer.from(pin.buffer, pin.byteOffset, pin.length).toString('utf8'))
      } catch (error) {
        throw nameSource(error, source, guard)
      }
    }
    const options = {
      token,
      pin: identity,
      directories: guard.directories,
      uid: geteuid(),
      now: () => new Date(),
      // Some of the time is for the login itself.
      signal: AbortSignal.timeout(Math.max(0, Math.floor(0.75 * watchdog.leftMs()))),
    }
    if (!guard.enabled) return tryPin()
    await withPinGuard(options, tryPin)
    latest = options
  }
  return {
    async login(info, attempt) {
      latest = undefined
      await logIn(info, attempt)
    },
    async explain(error) {
      if (latest === undefined) return error
      return rememberRefusal(latest, nameSource(error, source, guard))
    },
    wipe() {
      for (const pin of pins) pin.fill(0)
    },
  }
}

/** Says which stored PIN it is that a token refuses. */
function nameSource(error: unknown, { kind, name }: ChildPin, { enabled }: GuardSettings): unknown {
  if (kind === 'terminal' || !isPinRefusal(error, true)) return error
  const { code, message } = error as HoldfastError
  const more = enabled ? '' : '; with --pin-guard off each further run costs one more try'
  return new HoldfastError(code, `${message}; the PIN came from ${name}: correct it there${more}`, {
    cause: error,
  })
}

/** The PIN, and what tells it from another one. */
async function obtainPin(
  source: ChildPin,
  need: PinNeed,
  watchdog: Watchdog,
): Promise<{ pin: Uint8Array; identity: PinIdentity }> {
  const { kind, name } = source
  if (source.path !== undefined) {
    const credentialsDirectory = process.env.CREDENTIALS_DIRECTORY
    const { warnings, ...stored } = await readPinFile(source.path, { uid: geteuid(), credentialsDirectory })
    for (const warning of warnings) send({ warning })
    return stored
  }
  send({ needPin: need })
  watchdog.pause()
  const answer = receiveMessage()
  const bytes = answer === undefined ? undefined : receiveBytes()
  watchdog.resume()
  if (bytes === undefined) throw new HoldfastError('INTERRUPTED', 'nobody gave the PIN')
  try {
    const pin = parsePin(bytes, name)
    return { pin, identity: kind === 'terminal' ? { kind: 'typed' } : { kind: 'secret', name, pin } }
  } finally {
    bytes.fill(0)
  }
}

function geteuid(): number {
  return process.geteuid?.() ?? 0
}

/** The binding is loaded here, so that a missing addon can be reported like every other failure. */
async function importToken(): Promise<typeof import('./io/token/token.js')> {
  try {
    return await import('./io/token/token.js')
  } catch (cause) {
    throw new HoldfastError(
      'ADDON_MISSING',
      `the PKCS#11 addon for ${process.platform}-${process.arch} cannot be loaded: install the package pkcs11js beside holdfast, where a C++ compiler is`,
      { cause },
    )
  }
}

async function main(): Promise<void> {
  const parent = process.ppid
  // Whoever starts the child early and is sure that a token will be used has the module's binding loaded early.
  // A failure is told when somebody listens.
  const preloaded = process.argv.includes(PRELOAD) ? importToken() : undefined
  await preloaded?.catch(() => undefined)
  const first = receiveMessage()
  if (first === undefined) return
  if (!('open' in first)) throw new Error('expected a request to open')
  const watchdog = createWatchdog(parent)
  watchdog.start(first.open.timeoutMs)
  const { withToken } = await (preloaded ?? importToken())
  const query = parseQuery(first.open)
  const logins = createLogins(first.open, watchdog)
  await withToken(query, logins.login, async (open) => {
    await serve(open, watchdog)
      .catch(async (error) => fail(await logins.explain(error)))
      .finally(() => logins.wipe())
    watchdog.finish()
  })
}

/** Opens the token and signs until the parent has had enough. */
async function serve(open: () => Promise<OpenToken>, watchdog: Watchdog): Promise<void> {
  const token = await open()
  send({
    opened: {
      certificate: Buffer.from(token.certificate.der).toString('base64'),
      chain: token.chain.map((der) => Buffer.from(der).toString('base64')),
    },
  })
  token.prepare()
  for (;;) {
    watchdog.pause()
    const message = receiveMessage()
    watchdog.resume()
    if (message === undefined) return
    send({ signed: true }, await token.sign(receiveBytes()))
  }
}

function fail(error: unknown): void {
  try {
    send(formatFailure(error))
  } catch {
    // The parent is gone, and with it everybody who could be told.
  }
}

main().catch(fail)
