/**
 * The only door to a PKCS#11 module: loads it, finds certificate and key, logs in, signs.
 * Runs in the token child and nowhere else. Everything goes through the v2.40 function list. Provisioning of
 * tokens is not here.
 * @see PKCS#11 v2.40 base specification §5.7, §5.11
 */

import pkcs11js from 'pkcs11js'
import { HoldfastError } from '../../core/errors.js'
import { wantsLogin } from '../../core/pin/token-flags.js'
import { findMechanism, type SigningMechanism } from '../../core/pkcs11/mechanism.js'
import { type ModuleInfo, matchesModule } from '../../core/pkcs11/pkcs11-match.js'
import type { Pkcs11Uri } from '../../core/pkcs11/pkcs11-uri.js'
import { describeToken, type FoundKey } from '../../core/pkcs11/token-search.js'
import type { SigningAlgorithm } from '../../core/signer.js'
import { type Certificate, signingAlgorithmOf } from '../../core/x509/certificate.js'
import { call, type ModuleAccess, numberOf, readLibrary, translate, withModule } from './module.js'
import { chooseKeyToken, findCertificate, findKey } from './search.js'
import {
  CKU,
  createSessions,
  type Login,
  listReachableTokens,
  type PresentToken,
  type Sessions,
} from './session.js'
import { findTouchNotice } from './touch.js'

export type { Login } from './session.js'

/** What to look for in which module. The certificate is given, or found by `certificateUri`. */
export interface TokenQuery extends ModuleAccess {
  readonly certificate: Certificate | undefined
  readonly certificateUri: Pkcs11Uri | undefined
  readonly keyUri: Pkcs11Uri
  /** Receives what a person must know while the token is used. */
  readonly warn: (text: string) => void
}

/** A token that holds the key, ready to sign. */
export interface OpenToken {
  readonly certificate: Certificate
  /** Other certificates on the certificate's token, DER. */
  readonly chain: readonly Uint8Array[]
  /** Takes time while the program is busy that would else be taken while it waits for a signature. */
  prepare(): void
  /** Logs in if the token or the key wants it, and signs `message` once. */
  sign(message: Uint8Array): Promise<Uint8Array>
}

/** An unsigned long on the 64-bit machines that Holdfast runs on. */
const CK_ULONG_SIZE = 8

/**
 * Loads the module, lends a function that opens the token (it finds the certificate, without login where the token
 * allows that), and finalizes the module on every way out. Since finalizing may hang or crash, `use` must have
 * told its result, also that of a failure, before it ends.
 * @throws HoldfastError MODULE_*, TOKEN_*, PIN_*, CERTIFICATE_*, KEY_*
 */
export async function withToken(
  query: TokenQuery,
  login: Login,
  use: (open: () => Promise<OpenToken>) => Promise<void>,
): Promise<void> {
  await withModule(query, (module) => use(() => openToken(module, query, login)))
}

async function openToken(module: pkcs11js.PKCS11, query: TokenQuery, login: Login): Promise<OpenToken> {
  const library = readLibrary(module)
  verifyLibrary(library, query)
  const { certificateUri, keyUri } = query
  const tokens = listReachableTokens(module, library, query)
  const sessions = createSessions(module, login)
  const found = certificateUri && (await findCertificate(tokens, certificateUri, sessions))
  const keyToken = chooseKeyToken(tokens, keyUri, found?.token)
  const certificate = found?.certificate ?? query.certificate!
  return {
    certificate,
    chain: found?.chain ?? [],
    // Loads node:crypto.
    prepare: () => void signingAlgorithmOf(certificate),
    sign: (message) =>
      signOnce(module, sessions, keyToken, message, {
        chooseMechanism: (key) =>
          chooseMechanism(module, sessions, keyToken, key, signingAlgorithmOf(certificate)),
        findKey: () => findKey(sessions, keyToken, keyUri, certificate, found?.id),
        announce: (key) => {
          const notice = findTouchNotice(library, sessions, keyToken, key)
          if (notice !== undefined) query.warn(notice)
        },
      }),
  }
}

/** The `library-` attributes of the URIs must mean the module that was loaded. */
function verifyLibrary(library: ModuleInfo, { certificateUri, keyUri }: TokenQuery): void {
  if ([certificateUri, keyUri].every((uri) => uri === undefined || matchesModule(uri, library))) return
  throw new HoldfastError(
    'TOKEN_NOT_FOUND',
    'the loaded PKCS#11 module is not the one that the library attributes of the URI name: correct them or --pkcs11-module',
  )
}

/** What the token offers and, where the key says so, what the key may be used with. */
export function chooseMechanism(
  module: pkcs11js.PKCS11,
  sessions: Sessions,
  token: PresentToken,
  key: Buffer,
  algorithm: SigningAlgorithm,
): SigningMechanism {
  const offered = call('C_GetMechanismList', () => module.C_GetMechanismList(token.slot))
  const allowed = sessions.attribute(token, key, pkcs11js.CKA_ALLOWED_MECHANISMS) ?? Buffer.alloc(0)
  const numbers = Array.from({ length: allowed.length / CK_ULONG_SIZE }, (_, index) =>
    Number(allowed.readBigUInt64LE(index * CK_ULONG_SIZE)),
  )
  const mechanism = findMechanism(
    algorithm,
    numbers.length === 0 ? offered : offered.filter((number) => numbers.includes(number)),
  )
  if (mechanism === undefined) {
    throw new HoldfastError(
      'KEY_UNSUPPORTED',
      `${describeToken(token.info)} offers no mechanism for ${algorithm}: use a key of the other type, RSA or EC`,
    )
  }
  return mechanism
}

/** How to sign with which key. */
export interface SigningPlan {
  chooseMechanism(key: Buffer): SigningMechanism
  findKey(): FoundKey<Buffer>
  /** Tells the person at the token what it will wait for. */
  announce(key: FoundKey<Buffer>): void
}

/** One C_SignInit and one C_Sign, unless the token forgot the login in between: then one repeat. */
export async function signOnce(
  module: pkcs11js.PKCS11,
  sessions: Sessions,
  token: PresentToken,
  message: Uint8Array,
  { chooseMechanism, findKey, announce }: SigningPlan,
): Promise<Uint8Array> {
  if (wantsLogin(token.info.flags) && !sessions.isLoggedIn(token)) await sessions.login(token)
  const key = await findKeyAfterLogin(sessions, token, findKey)
  const alwaysAuthenticate =
    sessions.attribute(token, key.handle, pkcs11js.CKA_ALWAYS_AUTHENTICATE)?.[0] === 1
  if (alwaysAuthenticate && !sessions.isLoggedIn(token)) await sessions.login(token)
  const mechanism = chooseMechanism(key.handle)
  const input = Buffer.from(mechanism.formatInput(message))
  const sign = (handle: Buffer) => {
    module.C_SignInit(sessions.open(token), { mechanism: mechanism.mechanism }, handle)
    if (alwaysAuthenticate) sessions.repeatLogin(token, CKU.CONTEXT_SPECIFIC)
    return formatOutput(mechanism, signInto(module, sessions.open(token), input))
  }
  announce(key)
  const what = `signing with a key of ${describeToken(token.info)}`
  try {
    return sign(key.handle)
  } catch (error) {
    if (numberOf(error) !== pkcs11js.CKR_USER_NOT_LOGGED_IN || !sessions.isLoggedIn(token)) {
      throw translate(what, error)
    }
  }
  sessions.repeatLogin(token, CKU.USER)
  return call(what, () => sign(findKey().handle))
}

function formatOutput(mechanism: SigningMechanism, output: Buffer): Uint8Array {
  try {
    return mechanism.formatSignature(output)
  } catch (cause) {
    throw new HoldfastError(
      'TOKEN_FAILED',
      `the token gave a signature of ${output.length} bytes, and no signature of this key has that size`,
      { cause },
    )
  }
}

/** A token that asks for no login may still hide private keys until there was one. */
async function findKeyAfterLogin(
  sessions: Sessions,
  token: PresentToken,
  findKey: () => FoundKey<Buffer>,
): Promise<FoundKey<Buffer>> {
  try {
    return findKey()
  } catch (error) {
    const hidden = error instanceof HoldfastError && error.code === 'KEY_NOT_FOUND'
    if (!hidden || sessions.isLoggedIn(token)) throw error
    await sessions.login(token)
    return findKey()
  }
}

/** CKR_BUFFER_TOO_SMALL leaves the operation active, so C_Sign may be called again with more room. */
function signInto(module: pkcs11js.PKCS11, session: Buffer, input: Buffer): Buffer {
  try {
    return module.C_Sign(session, input, Buffer.alloc(1024))
  } catch (error) {
    if (numberOf(error) !== pkcs11js.CKR_BUFFER_TOO_SMALL) throw error
    return module.C_Sign(session, input, Buffer.alloc(16384))
  }
}
