/**
 * The checks of a key in a token: the module, the token and its PIN, one login, the certificate and the key. What the
 * module shows comes from one token child; nothing is signed.
 */

import { type Administer, withAdministration } from '../administration.js'
import { type Identity, isPkcs11Uri } from '../core/config/identity.js'
import type { Examination, Examined, Outcome, Trouble } from '../core/doctor/diagnosis.js'
import {
  examineKey,
  examineMechanism,
  examineToken,
  examineTokenFlags,
  findTokenCertificate,
  type MeantTokens,
  type ObjectUris,
  type TokenCertificate,
} from '../core/doctor/token-diagnosis.js'
import { shown, tell } from '../core/doctor/told.js'
import type { PinSource } from '../core/pin/pin.js'
import { wantsLogin } from '../core/pin/token-flags.js'
import type { ReplyOf } from '../core/pkcs11/admin-protocol.js'
import { parsePkcs11Uri } from '../core/pkcs11/pkcs11-uri.js'
import { readCertificates } from '../io/pem-file.js'
import { asksPerson } from '../pin-answer.js'
import { chooseLeaf, type SourceSurroundings } from '../source.js'
import { type KeyOutcomes, tellCertificate } from './certificate.js'
import { checkPin, type PinSurroundings } from './pin.js'

/** What the checks need of the process and of the person. */
export interface TokenSurroundings extends SourceSurroundings, PinSurroundings {
  /** False: nothing is tried with a PIN. */
  readonly login: boolean
  /** Whether a session will be asked for. */
  readonly session: boolean
  readonly signal: AbortSignal
}

/** What an identity says of its key in a token. */
export interface TokenKey {
  readonly identity: Identity
  readonly pin: PinSource
  readonly uris: ObjectUris
}

/** Key and certificate of an identity, which names a key in a token. @throws HoldfastError URI_INVALID */
export function parseObjectUris({ privateKey, pkcs11Uri, certificate }: Identity): ObjectUris {
  const keyUri = parsePkcs11Uri((privateKey ?? pkcs11Uri ?? certificate)!)
  if (certificate !== undefined && !isPkcs11Uri(certificate)) return { keyUri, certificateUri: undefined }
  return { keyUri, certificateUri: certificate === undefined ? keyUri : parsePkcs11Uri(certificate) }
}

/** Makes the checks. */
export async function checkTokenKey(
  examination: Examination,
  key: Outcome<TokenKey>,
  surroundings: TokenSurroundings,
): Promise<KeyOutcomes> {
  const warnings: string[] = []
  const around = { ...surroundings, warn: (text: string) => warnings.push(text) }
  const check = (administer: Administer) => checkWith(administer, { examination, key, around, warnings })
  if (!key.passed) return check(() => Promise.reject(new Error('there is nothing to look for')))
  const { identity } = key.value
  const uris = [identity.privateKey ?? identity.pkcs11Uri, identity.certificate].filter(isPkcs11Uri)
  let isStarted = false
  try {
    return await withAdministration({ ...identity, uris }, around, around, (administer) => {
      isStarted = true
      return check(administer)
    })
  } catch (error) {
    if (isStarted) throw error
    // Without a child the first thing that is asked of it fails.
    return check(() => Promise.reject(error))
  }
}

interface Means {
  readonly examination: Examination
  readonly key: Outcome<TokenKey>
  readonly around: TokenSurroundings
  /** What was said beside the checks, until now. */
  readonly warnings: string[]
}

async function checkWith(administer: Administer, means: Means): Promise<KeyOutcomes> {
  const { examination, key, around } = means
  const module = await examination.check('module', { key }, async ({ key }) => {
    const { tokens } = await administer('listTokens', {})
    const troubles = means.warnings.map((text): Trouble => ({ status: 'warn', message: shown(text) }))
    const name = shown(key.identity.pkcs11Module ?? 'p11-kit-proxy.so')
    return {
      value: tokens,
      message: tell`${name} is loaded, and shows ${tokens.length} slots`,
      troubles,
    }
  })
  const tokens = await examination.check('token', { key, module }, async (given) => {
    const { identity, uris } = given.key
    // Where there is none, the child knows what may be the reason.
    if (!given.module.some(({ initialized }) => initialized)) {
      const uri = (identity.privateKey ?? identity.pkcs11Uri ?? identity.certificate)!
      await administer('listObjects', { uri, login: false })
    }
    return examineToken(given.module, uris)
  })
  const token = tokens.passed ? { ...tokens, value: tokens.value.key } : tokens
  const flags = await examination.check('token-flags', { key, token }, (given) =>
    examineTokenFlags(given.token, given.key.pin.kind),
  )
  const pin = await checkPin(examination, { key, token }, around)
  const open = await examination.check('objects', { tokens }, (given) => listOpen(administer, given.tokens))
  const isAsked = key.passed && asksPerson(key.value.pin)
  const login = await checkLogin(administer, means, { tokens, open, flags, ...pin }, isAsked)
  const objects = login.passed ? login : open
  const hidden = objects.passed && open.passed && objects.value === open.value

  const certificate = await examination.check('certificate', { key, tokens, objects }, async (given) => {
    const found = await findCertificate(given.key, given.tokens, given.objects, hidden)
    return { value: found, message: tellCertificate(found.certificate) }
  })
  const pair = await examination.check('key', { key, token, objects, certificate }, (given) =>
    examineKey(given.token, given.objects.keys, given.certificate, { keyUri: given.key.uris.keyUri, hidden }),
  )
  const mechanism = await examination.check('mechanism', { token, certificate }, (given) =>
    examineMechanism(given.token, given.certificate.certificate),
  )
  return { found: certificate, others: { flags, ...pin, login, pair, mechanism } }
}

/** One login. A person would be asked once more for the session, so that one has to do. */
function checkLogin(
  administer: Administer,
  { examination, around }: Means,
  needs: LoginNeeds,
  isAsked: boolean,
): Promise<Outcome<Objects>> {
  if (!around.login) return examination.skip('login', tell`left out, by --no-login`)
  return examination.check('login', needs, async ({ tokens, open }) => {
    if (!wantsLogin(tokens.key.flags)) return { value: open, message: tell`the token wants none` }
    if (isAsked && around.session)
      return { value: open, message: tell`comes with the session, lest you be asked twice` }
    return { value: await listAll(administer, tokens, open), message: tell`the token has taken the PIN` }
  })
}

interface LoginNeeds extends Readonly<Record<string, Outcome<unknown>>> {
  readonly tokens: Outcome<MeantTokens>
  readonly open: Outcome<Objects>
}

/** Keys of one token, certificates of the same or another one. */
type Objects = Pick<ReplyOf<'listObjects'>, 'keys' | 'certificates'>

async function listOpen(
  administer: Administer,
  { key, certificate }: MeantTokens,
): Promise<Examined<Objects>> {
  const { keys, certificates: beside } = await administer('listObjects', { uri: key.uri, login: false })
  const certificates =
    certificate === key
      ? beside
      : (await administer('readCertificates', { uri: certificate.uri, login: false })).certificates
  const message = tell`seen without a login: certificates ${certificates.length}, keys ${keys.length}`
  return { value: { keys, certificates }, message }
}

async function listAll(
  administer: Administer,
  { key, certificate }: MeantTokens,
  open: Objects,
): Promise<Objects> {
  const { keys, certificates } = await administer('listObjects', { uri: key.uri, login: true })
  return { keys, certificates: certificate === key ? certificates : open.certificates }
}

async function findCertificate(
  { identity, uris }: TokenKey,
  tokens: MeantTokens,
  { certificates }: Objects,
  hidden: boolean,
): Promise<TokenCertificate> {
  if (uris.certificateUri !== undefined) {
    return findTokenCertificate(tokens.certificate, certificates, uris.certificateUri, hidden)
  }
  const { leaf, others } = chooseLeaf(await readCertificates(identity.certificate!))
  return { certificate: leaf, id: undefined, others: others.map(({ der }) => der) }
}
