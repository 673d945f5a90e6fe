/**
 * The child process that loads the PKCS#11 module, reads a stored PIN, signs or administers, and ends. A module that hangs,
 * crashes or prints costs one signature and never the program. Messages travel on descriptor 3; the module's
 * own output on 1 and 2 is the parent's to capture or to throw away.
 */

import { HoldfastError } from './core/errors.js'
import { parseAdminRequest } from './core/pkcs11/admin-protocol.js'
import { parsePkcs11Uri } from './core/pkcs11/pkcs11-uri.js'
import {
  type AdministerRequest,
  formatFailure,
  type GuardSettings,
  type ModuleReference,
  type OpenRequest,
  type PinPlaces,
  PRELOAD,
} from './core/pkcs11/token-protocol.js'
import { parseCertificate } from './core/x509/certificate.js'
import { locateModule } from './io/module/locate.js'
import { findObstacle, findRisk } from './io/module/obstacle.js'
import { receiveBytes, receiveMessage, send } from './io/parent-channel.js'
import type { ModuleAccess } from './io/token/module.js'
import type { Login, OpenToken, TokenQuery } from './io/token/token.js'
import { createWatchdog, type Watchdog } from './io/watchdog.js'
import { createLogins, type Logins } from './token-login.js'

function parseQuery(request: OpenRequest): TokenQuery {
  return {
    ...findAccess(request.module),
    warn,
    certificate:
      request.certificate === undefined
        ? undefined
        : parseCertificate(Buffer.from(request.certificate, 'base64')),
    certificateUri: request.certificateUri === undefined ? undefined : parsePkcs11Uri(request.certificateUri),
    keyUri: parsePkcs11Uri(request.keyUri),
  }
}

/** The module's file, verified, and how to look for what is in its way. */
function findAccess(reference: ModuleReference): ModuleAccess {
  const { platform, arch, env } = process
  const surroundings = {
    env,
    get cwd() {
      return process.cwd()
    },
    uid: geteuid(),
    machine: { platform, arch },
    warn,
  }
  const module = locateModule(reference, surroundings)
  const risk = findRisk(module, surroundings)
  if (risk !== undefined) warn(risk)
  return {
    module: module.path,
    findObstacle: (library) => findObstacle(module, surroundings, library),
  }
}

function warn(warning: string): void {
  send({ warning })
}

function geteuid(): number {
  return process.geteuid?.() ?? 0
}

/** The binding is loaded here, so that a missing addon can be reported like every other failure. */
async function withBinding<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw new HoldfastError(
      'ADDON_MISSING',
      `the PKCS#11 addon for ${process.platform}-${process.arch} cannot be loaded: install the package pkcs11js beside holdfast, where a C++ compiler is`,
      { cause },
    )
  }
}

const importToken = () => withBinding(() => import('./io/token/token.js'))
const importProvision = () => withBinding(() => import('./io/provision/administration.js'))

async function main(): Promise<void> {
  const parent = process.ppid
  // A terminal or a service manager sends them to all processes of a program at once. They are the parent's to obey, which then
  // kills this process or closes the channel.
  // At SIGUSR1 Node would open its debugger, to every user of this machine.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1'] as const)
    process.on(signal, () => undefined)
  // Whoever starts the child early and is sure that a token will be used has the module's binding loaded early.
  // A failure is told when somebody listens.
  const preloaded = process.argv.includes(PRELOAD) ? importToken() : undefined
  await preloaded?.catch(() => undefined)
  const first = receiveMessage()
  if (first === undefined) return
  const watchdog = createWatchdog(parent)
  if ('open' in first) return open(first.open, watchdog, preloaded ?? importToken())
  if ('administer' in first) return administer(first.administer, watchdog)
  throw new Error('expected a request to open or to administer')
}

async function open(
  request: OpenRequest,
  watchdog: Watchdog,
  loading: ReturnType<typeof importToken>,
): Promise<void> {
  watchdog.start(request.timeoutMs)
  const { withToken } = await loading
  const query = parseQuery(request)
  const logins = createChildLogins({ user: request.pin }, request.guard, watchdog)
  const login: Login = (token, attempt) => logins.tryPin('user', token, attempt)
  await withToken(query, login, async (openToken) => {
    await untilTheParentIsDone(logins, () => serve(openToken, watchdog))
    watchdog.finish()
  })
}

/** Performs what is asked, one thing after the other, with one login for all. */
async function administer(request: AdministerRequest, watchdog: Watchdog): Promise<void> {
  watchdog.start(request.timeoutMs)
  const { withAdministration } = await importProvision()
  const logins = createChildLogins(request.pins, request.guard, watchdog)
  const access = findAccess(request.module)
  await withAdministration(access, { ...logins, warn }, async (perform) => {
    await untilTheParentIsDone(logins, async () => {
      for (let message = next(watchdog); message !== undefined; message = next(watchdog)) {
        if (!('perform' in message)) throw new Error('expected something to do')
        send({ performed: await perform(parseAdminRequest(message.perform)) })
      }
    })
    watchdog.finish()
  })
}

/** The parent's next message. While it is waited for, no time of the module's is spent. */
function next(watchdog: Watchdog): ReturnType<typeof receiveMessage> {
  watchdog.pause()
  const message = receiveMessage()
  watchdog.resume()
  return message
}

function createChildLogins(places: PinPlaces, guard: GuardSettings, watchdog: Watchdog): Logins {
  return createLogins(places, guard, {
    env: process.env,
    cwd: () => process.cwd(),
    uid: geteuid(),
    watchdog,
  })
}

/** Tells of a failure before the module is finalized, which may take its time or never end. */
async function untilTheParentIsDone(logins: Logins, serve: () => Promise<void>): Promise<void> {
  await serve()
    .catch(async (error) => fail(await logins.explain(error)))
    .finally(() => logins.wipe())
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
  while (next(watchdog) !== undefined) send({ signed: true }, await token.sign(receiveBytes()))
}

function fail(error: unknown): void {
  try {
    send(formatFailure(error))
  } catch {
    // The parent is gone, and with it everybody who could be told.
  }
}

main().catch(fail)
