/**
 * The open module of one administration: which tokens there are, the session with each that is used, and the same seen
 * through graphene-pk11, which makes, lists and removes objects.
 *
 * The module is loaded and initialized by io/token, which verifies its file and passes CKF_OS_LOCKING_OK; graphene's own
 * way to do so passes no flags and hides that the module was initialized before.
 */

import { Module, Session, Slot } from 'graphene-pk11'
import type pkcs11js from 'pkcs11js'
import { HoldfastError } from '../../core/errors.js'
import type { PinOwner } from '../../core/pin/pin.js'
import { wantsLogin } from '../../core/pin/token-flags.js'
import type { ModuleInfo, TokenInfo } from '../../core/pkcs11/pkcs11-match.js'
import { parsePkcs11Uri } from '../../core/pkcs11/pkcs11-uri.js'
import { describeToken } from '../../core/pkcs11/token-search.js'
import { type ModuleAccess, readLibrary } from '../token/module.js'
import { chooseKeyToken } from '../token/search.js'
import {
  createSessions,
  isInitialized,
  listReachableTokens,
  type PresentToken,
  type Sessions,
} from '../token/session.js'

/** Where the PINs come from, and who hears what a person should know. */
export interface AdminSurroundings {
  readonly warn: (text: string) => void
  /** Gets the PIN and calls `attempt` with it, once. */
  tryPin(owner: PinOwner, token: TokenInfo, attempt: (pin: string) => void): Promise<void>
  /** A PIN that is to be set. */
  newPin(owner: PinOwner, token: TokenInfo): Promise<string>
  /** These PINs have just been set: what was learned of them is of the former ones. */
  forgetPins(token: TokenInfo, owners: readonly PinOwner[]): Promise<void>
  /** What fails from now on says nothing of the PIN that was let in. */
  settle(): void
}

/** What every request works with. */
export interface Workbench {
  readonly module: pkcs11js.PKCS11
  readonly surroundings: AdminSurroundings
  readonly library: ModuleInfo
  /** Path of the module. */
  readonly path: string
  readonly sessions: Sessions
  /** Tokens and slots with an empty one, as they were when they were first asked for. */
  tokens(): readonly PresentToken[]
  /** The one initialised token that a URI means. @throws HoldfastError TOKEN_NOT_FOUND, TOKEN_AMBIGUOUS */
  token(uri: string): PresentToken
  slot(token: PresentToken): Slot
  session(token: PresentToken): Session
  /** Logs in as user, if the token wants that and it has not happened yet. */
  login(token: PresentToken): Promise<void>
  /** Closes all sessions with a token, and forgets what was known of all: after a change that is no object's. */
  forget(token: PresentToken): void
}

/** Everything is opened when it is first used. Sessions are read-write, and closed by C_Finalize. */
export function createWorkbench(
  module: pkcs11js.PKCS11,
  access: ModuleAccess,
  surroundings: AdminSurroundings,
): Workbench {
  const library = readLibrary(module)
  const graphene = new Module(module)
  const create = () =>
    createSessions(module, (token, attempt) => surroundings.tryPin('user', token, attempt), {
      readWrite: true,
    })
  let sessions = create()
  let tokens: readonly PresentToken[] | undefined
  const bench: Workbench = {
    module,
    library,
    path: access.module,
    surroundings,
    get sessions() {
      return sessions
    },
    tokens() {
      tokens ??= listReachableTokens(module, library, access, () => true)
      return tokens
    },
    token(uri) {
      const initialized = bench.tokens().filter(({ info }) => isInitialized(info))
      // A store with nothing in it, which may be the wrong one, shows a slot for a token.
      const obstacle = initialized.length === 0 ? access.findObstacle(library) : undefined
      if (obstacle !== undefined) throw obstacle
      return chooseKeyToken(initialized, parsePkcs11Uri(uri), undefined)
    },
    slot: (token) => new Slot(token.slot, graphene, module),
    session: (token) => new Session(sessions.open(token), bench.slot(token), module),
    async login(token) {
      if (wantsLogin(token.info.flags) && !sessions.isLoggedIn(token)) await sessions.login(token)
    },
    forget(token) {
      bench.slot(token).closeAll()
      sessions = create()
      tokens = undefined
    },
  }
  return bench
}

/** The error for something that the token cannot have, since it has it already. */
export function alreadyThere(what: string, token: TokenInfo, mend: string): HoldfastError {
  return new HoldfastError('OBJECT_EXISTS', `${describeToken(token)} already has ${what}: ${mend}`)
}
