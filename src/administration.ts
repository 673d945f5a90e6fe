/**
 * Administration of a token from the program's side: the flags of a command become the places of its PINs, and each
 * request of core/pkcs11/admin-protocol goes to one token child, with one login for all of them.
 */

import type { Identity } from './core/config/identity.js'
import type { PinRole, PinSource } from './core/pin/pin.js'
import { stateDirectories } from './core/pin/pin-record.js'
import {
  type AdminOperation,
  type AdminRequest,
  parseAdminReply,
  type ReplyOf,
  type RequestOf,
} from './core/pkcs11/admin-protocol.js'
import { formatPkcs11Uri, type Pkcs11Uri, parsePkcs11Uri } from './core/pkcs11/pkcs11-uri.js'
import { withTokenChild } from './io/token-process.js'
import { chooseRarePin, chooseUserPin, givePin, toChildPin } from './pin-answer.js'
import { chooseModule, type SourceSurroundings, verifyMatchable } from './source.js'

/** Which token is meant, its module, and where its PINs are. */
export interface AdminSettings
  extends Pick<
    Identity,
    'pkcs11Module' | 'allowUriModule' | 'pinFile' | 'askpass' | 'tokenTimeout' | 'stateDir' | 'pinGuard'
  > {
  /** URIs of the requests to come: they may name the module and the PIN. */
  readonly uris?: readonly string[]
  readonly soPinFile?: string | undefined
  /** The user PIN that is to be set. */
  readonly newPinFile?: string | undefined
}

/** Performs one request. @throws HoldfastError those of the request, MODULE_*, TOKEN_*, PIN_*, INTERRUPTED */
export type Administer = <Name extends AdminOperation>(
  operation: Name,
  request: RequestOf<Name>,
) => Promise<ReplyOf<Name>>

/** Making an RSA key takes a TPM up to a minute. */
const DEFAULT_TOKEN_TIMEOUT_SECONDS = 120

/** The user's PIN and the security officer's, each that there is and that is to be. */
const MAX_PINS = 4

/**
 * Starts one token child and lends a function that has it perform requests, one after the other. The time of the child is
 * counted over all of them; that in which a person is asked, or `use` does something else, is not.
 * @throws HoldfastError USAGE, URI_INVALID, and those of {@link Administer}
 */
export async function withAdministration<T>(
  settings: AdminSettings,
  surroundings: SourceSurroundings,
  { signal }: { signal: AbortSignal },
  use: (administer: Administer) => Promise<T>,
): Promise<T> {
  const uris = (settings.uris ?? []).map(parsePkcs11Uri)
  verifyMatchable(uris)
  const sources = await choosePins(settings, uris, surroundings)
  const pins = Object.fromEntries(Object.entries(sources).map(([role, source]) => [role, toChildPin(source)]))
  const { env, uid } = surroundings
  const timeoutMs = (settings.tokenTimeout ?? DEFAULT_TOKEN_TIMEOUT_SECONDS) * 1000
  const options = {
    ...surroundings,
    timeoutMs,
    maxPins: MAX_PINS,
    givePin: (need: Parameters<typeof givePin>[1], whenDone: { signal: AbortSignal }) =>
      givePin(sources[need.role], need, surroundings, whenDone),
  }
  return withTokenChild(options, { signal }, async (child) => {
    const guard = {
      enabled: settings.pinGuard !== 'off',
      directories: stateDirectories(env, uid, settings.stateDir),
    }
    child.send({ administer: { module: chooseModule(settings, uris), pins, guard, timeoutMs } })
    return use(async (operation, request) => {
      child.send({ perform: { operation, request: withoutPin(request) } as AdminRequest })
      const { performed } = await child.answer('performed', { signal })
      return parseAdminReply(operation, performed)
    })
  })
}

/** Performs one request in a child of its own. @throws HoldfastError as {@link withAdministration} */
export function administer<Name extends AdminOperation>(
  operation: Name,
  request: RequestOf<Name>,
  settings: AdminSettings,
  surroundings: SourceSurroundings,
  options: { signal: AbortSignal },
): Promise<ReplyOf<Name>> {
  return withAdministration(settings, surroundings, options, (perform) => perform(operation, request))
}

/** A URI may hold a PIN, and no PIN crosses the pipe in JSON. */
function withoutPin(request: object): object {
  if (!('uri' in request)) return request
  return { ...request, uri: formatPkcs11Uri(parsePkcs11Uri(String(request.uri))) }
}

async function choosePins(
  settings: AdminSettings,
  uris: readonly Pkcs11Uri[],
  surroundings: SourceSurroundings,
): Promise<Record<PinRole, PinSource>> {
  const { askpass, soPinFile, newPinFile } = settings
  const user = await chooseUserPin(settings, uris, surroundings)
  const so = chooseRarePin({ file: soPinFile, askpass }, surroundings)
  const newUser = chooseRarePin({ file: newPinFile, askpass }, surroundings)
  return { user, so, 'new-so': so, 'new-user': newUser }
}
