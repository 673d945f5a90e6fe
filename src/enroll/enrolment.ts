/**
 * The way from a token to an identity that works: key, request, certificate, one accepted session, certificate stored,
 * configuration. What a step has found out is on disk before the next one begins, so that after a crash the same
 * call goes on where it was; and until the last step nothing that is in use has changed.
 */

import { resolve } from 'node:path'
import type { Administer, AdminSettings } from '../administration.js'
import { withAdministration } from '../administration.js'
import type { Identity } from '../core/config/identity.js'
import {
  chooseIssued,
  type EnrolledPair,
  type EnrolmentRecord,
  formatIdentityUri,
  type TokenAccess,
  type UnfinishedEnrolment,
} from '../core/enroll/enrolment.js'
import { HoldfastError } from '../core/errors.js'
import type { KeyType } from '../core/pkcs11/admin-protocol.js'
import { formatPkcs11Uri, type Pkcs11Uri, parsePkcs11Uri } from '../core/pkcs11/pkcs11-uri.js'
import { type Certificate, describe, parseCertificate, verifyEndEntity } from '../core/x509/certificate.js'
import { formatPem } from '../core/x509/pem.js'
import { createIdentityProvider, type Surroundings } from '../identity-provider.js'
import { removeFile } from '../io/exchange-file.js'
import { parseSession } from '../provider.js'
import { createSource } from '../source.js'
import type { Issuer } from './issuer.js'

/** What shall come of an enrolment. */
export interface EnrolmentPlan {
  readonly kind: 'enroll' | 'renew'
  /** All that the key and the request depend on, as text: an enrolment that has begun with another wish cannot go on. */
  readonly wish: string
  /** The identity as it will be, but for its key and certificate. */
  readonly identity: Identity
  /** The token, with the place of its PIN if the user named one. */
  readonly token: string
  /** The key to be made; absent where the key of `former` stays. */
  readonly newKey?: { readonly type: KeyType; readonly label: string } | undefined
  /** Where the certificate goes, if not into the token. */
  readonly certificateFile?: string | undefined
  /** Makes the request, DER, for a public key (DER SubjectPublicKeyInfo). */
  readonly createRequest: (publicKey: Uint8Array, sign: Sign) => Promise<Uint8Array>
  readonly issuer: Issuer
  /** How long to wait for the certificate, in milliseconds. */
  readonly waitMs: number
  readonly former?: EnrolledPair | undefined
  /** Writes into the configuration how the identity names its key and certificate from now on. */
  readonly configure: (uri: string, certificateFile: string | undefined) => Promise<void>
}

/** Signs with the key: SHA-256 and PKCS #1 v1.5, or ECDSA in DER. */
export type Sign = (message: Uint8Array) => Promise<Uint8Array>

/** What is needed of the process, and what keeps the record. */
export interface EnrolmentSurroundings extends Surroundings {
  /** Tells a person what was done. */
  readonly say: (text: string) => void
  /** Waits. */
  readonly sleep: (milliseconds: number, options: { signal: AbortSignal }) => Promise<unknown>
  readonly load: () => Promise<EnrolmentRecord>
  readonly save: (record: EnrolmentRecord) => Promise<void>
  /** Replaces a public file by one with this text. */
  readonly writeFile: (path: string, text: string) => Promise<void>
  /** Where a certificate may lie until it is accepted. */
  readonly candidateFile: string
}

/** What has come of it. */
export interface Enrolled {
  /** As the configuration names it. */
  readonly uri: string
  readonly certificate: Certificate
  readonly certificateFile: string | undefined
}

/**
 * Takes all steps that are not taken yet.
 * @throws HoldfastError USAGE if another enrolment is under way; ISSUER_PENDING if the certificate is not there in time;
 *   those of the token, the issuer, Roles Anywhere and the configuration
 */
export async function enroll(plan: EnrolmentPlan, around: EnrolmentSurroundings): Promise<Enrolled> {
  let state = await begin(plan, around)
  const advance = async (news: Partial<UnfinishedEnrolment>) => {
    state = { ...state, ...news }
    await around.save({ ...(await around.load()), unfinished: state })
  }
  if (state.request === undefined) await makeRequest(plan, around, state, advance)
  if (state.certificates === undefined) await obtainCertificate(plan, around, state, advance)

  const [certificate, ...chain] = state.certificates!.map((text) => parseCertificate(fromBase64(text)))
  const issued = { certificate: certificate!, chain }
  const { certificateFile } = state
  const uri = formatIdentityUri(plan.token, state.keyUri!)
  const session = formatSession(plan.identity, around.env)
  if (state.accepted !== session) {
    await tryCertificate(plan, around, uri, issued)
    await advance({ accepted: session })
    around.say('IAM Roles Anywhere accepts it')
  }
  await storeCertificate(plan, around, state, issued)
  const enrolled = { uri, certificate: issued.certificate, certificateFile }
  await verifyFound(plan, around, enrolled)
  await plan.configure(uri, certificateFile)
  await finish(around, state)
  return enrolled
}

/** What is known from before, or the beginning. */
async function begin(plan: EnrolmentPlan, around: EnrolmentSurroundings): Promise<UnfinishedEnrolment> {
  const { kind, wish, newKey, former, certificateFile } = plan
  const record = await around.load()
  if (record.unfinished !== undefined) {
    if (record.unfinished.wish === wish) return record.unfinished
    throw new HoldfastError(
      'USAGE',
      `${record.unfinished.kind === 'renew' ? 'a renewal' : 'an enrolment'} has begun with other flags, for ${record.unfinished.wish}; this is for ${wish}: go on with the flags that it began with, or give it up with --abandon`,
    )
  }
  const unfinished: UnfinishedEnrolment = {
    kind,
    wish,
    token: formatPkcs11Uri(parsePkcs11Uri(plan.token)),
    access: accessOf(plan.identity),
    ...(newKey === undefined ? {} : { keyLabel: newKey.label }),
    ...(newKey === undefined && former !== undefined ? { keyUri: former.uri } : {}),
    ...(certificateFile === undefined ? {} : { certificateFile }),
    ...(former === undefined ? {} : { former: { ...former, keyStays: newKey === undefined } }),
  }
  await around.save({ ...record, unfinished })
  return unfinished
}

function accessOf({ pkcs11Module, pinFile, askpass }: Identity): TokenAccess {
  const whole = (path: string) => (path.includes('/') ? resolve(path) : path)
  return {
    ...(pkcs11Module === undefined ? {} : { pkcs11Module: whole(pkcs11Module) }),
    ...(pinFile === undefined ? {} : { pinFile: resolve(pinFile) }),
    ...(askpass === undefined ? {} : { askpass: resolve(askpass) }),
  }
}

type Advance = (news: Partial<UnfinishedEnrolment>) => Promise<void>

async function makeRequest(
  plan: EnrolmentPlan,
  around: EnrolmentSurroundings,
  state: UnfinishedEnrolment,
  advance: Advance,
): Promise<void> {
  await withAdministration(adminSettings(plan), around, around, async (perform) => {
    const keyUri = state.keyUri ?? (await findOrMakeKey(plan, around, state.keyLabel!, perform))
    await advance({ keyUri })
    const { publicKey } = await perform('publicKey', { uri: keyUri })
    const sign: Sign = async (message) => {
      const { signature } = await perform('sign', { uri: keyUri, message: toBase64(message) })
      return fromBase64(signature)
    }
    const request = await plan.createRequest(fromBase64(publicKey), sign)
    await advance({ publicKey, request: toBase64(request) })
    around.say('signed a certificate request with it')
  })
}

/** The key may be there, though nobody had the time to write that down. */
async function findOrMakeKey(
  { token, newKey }: EnrolmentPlan,
  { say }: EnrolmentSurroundings,
  label: string,
  perform: Administer,
): Promise<string> {
  const ofLabel = formatPkcs11Uri({ ...parsePkcs11Uri(token), type: 'private', object: label })
  const { keys } = await perform('listObjects', { uri: ofLabel, login: true })
  if (keys[0] !== undefined) return keys[0].uri
  const { key } = await perform('generateKey', { uri: token, type: newKey!.type, label })
  say(`made a ${newKey!.type} key: ${key.uri}`)
  return key.uri
}

async function obtainCertificate(
  { kind, issuer, waitMs }: EnrolmentPlan,
  { say, signal, sleep, now, buildDate }: EnrolmentSurroundings,
  state: UnfinishedEnrolment,
  advance: Advance,
): Promise<void> {
  const publicKey = fromBase64(state.publicKey!)
  const asked = { request: fromBase64(state.request!), publicKey, isRenewal: kind === 'renew' }
  let { requestFile } = state
  const leaves = async (path: string) => {
    if (path === requestFile) return
    requestFile = path
    await advance({ requestFile })
  }
  const until = now().getTime() + waitMs
  for (let hasSaid = false; ; ) {
    const answer = await issuer(asked, { signal, leaves })
    if ('certificates' in answer) {
      const { leaf, chain } = chooseIssued(answer.certificates, publicKey)
      verifyEndEntity(leaf, { now: now(), buildDate })
      await advance({ certificates: [leaf, ...chain].map(({ der }) => toBase64(der)) })
      say(`got ${describe(leaf)}, valid until ${leaf.notAfter.toISOString().slice(0, 19)}Z`)
      return
    }
    const { waitFor, askAgainMs, otherwise } = answer
    if (now().getTime() + askAgainMs > until) {
      if (otherwise !== undefined) throw otherwise
      throw new HoldfastError('ISSUER_PENDING', `${waitFor}; then run the same command again`)
    }
    if (!hasSaid) say(`waiting: ${waitFor}`)
    hasSaid = true
    await sleep(askAgainMs, { signal }).catch(() => signal.throwIfAborted())
  }
}

/** All of an identity, beside its certificate, that Roles Anywhere judges. */
function formatSession(identity: Identity, env: Surroundings['env']): string {
  const { intermediates } = identity
  return JSON.stringify({
    ...parseSession(identity, env),
    intermediates: intermediates && resolve(intermediates),
  })
}

interface Issued {
  readonly certificate: Certificate
  readonly chain: readonly Certificate[]
}

/** One session with the certificate in a file, before it takes anything's place. */
async function tryCertificate(
  { identity }: EnrolmentPlan,
  around: EnrolmentSurroundings,
  uri: string,
  issued: Issued,
): Promise<void> {
  await around.writeFile(around.candidateFile, formatFile(issued))
  const candidate = { ...identity, privateKey: undefined, pkcs11Uri: uri, certificate: around.candidateFile }
  await createIdentityProvider(candidate, around)()
}

async function storeCertificate(
  plan: EnrolmentPlan,
  around: EnrolmentSurroundings,
  { keyUri, certificateFile }: UnfinishedEnrolment,
  issued: Issued,
): Promise<void> {
  if (certificateFile !== undefined) {
    await around.writeFile(certificateFile, formatFile(issued))
    around.say(`wrote it to ${certificateFile}`)
    return
  }
  const der = toBase64(issued.certificate.der)
  await withAdministration(adminSettings(plan), around, around, async (perform) => {
    const uri = withType(keyUri!, 'cert')
    const { certificates } = await perform('readCertificates', { uri, login: true })
    const former = certificates.filter(
      (stored) => stored.der !== der && isOfKey(stored.der, issued.certificate),
    )
    if (certificates.some((stored) => stored.der === der)) {
      // The end may have come between the new one and the removal of the others: two are one too many to choose from.
      for (const { uri: formerUri, der: formerDer } of former) {
        await perform('deleteObjects', { uri: formerUri, der: formerDer })
      }
      return
    }
    const chain = issued.chain.map((above) => toBase64(above.der))
    await perform('importCertificate', { uri: keyUri!, certificate: der, chain, replace: true })
    around.say('stored it beside its key')
  })
}

/** What the configuration is about to say must lead to this very certificate. It costs no PIN and no signature. */
async function verifyFound(
  { identity }: EnrolmentPlan,
  around: EnrolmentSurroundings,
  { uri, certificate, certificateFile }: Enrolled,
): Promise<void> {
  const source = createSource(
    { ...identity, privateKey: undefined, pkcs11Uri: uri, certificate: certificateFile },
    around,
  )
  await source.withSigner(async (signer) => {
    if (Buffer.compare(signer.certificate, certificate.der) === 0) return
    throw new HoldfastError(
      'CERTIFICATE_AMBIGUOUS',
      `${uri} leads to another certificate than the one that was issued: remove it with holdfast cert delete, then run the same command again`,
    )
  }, around)
}

async function finish(around: EnrolmentSurroundings, state: UnfinishedEnrolment): Promise<void> {
  await removeFile(around.candidateFile)
  if (state.requestFile !== undefined) await removeFile(state.requestFile)
  const { unfinished: _, replaced, ...record } = await around.load()
  const { former } = state
  // A key that stays has lost its former certificate in the token, but not one in a file.
  const isLeft = former !== undefined && !(former.keyStays && former.certificateFile === undefined)
  await around.save({ ...record, replaced: isLeft ? [...replaced, former] : replaced })
}

function adminSettings({ identity, token }: EnrolmentPlan): AdminSettings {
  return { ...identity, uris: [token] }
}

/** The URI of all that has the id of the key, or what of that is of one type. */
export function withType(uri: string, type?: string): string {
  const { object, type: _, ...rest }: Pkcs11Uri = parsePkcs11Uri(uri)
  const name = rest.id?.length || object === undefined ? {} : { object }
  return formatPkcs11Uri({ ...rest, ...name, ...(type === undefined ? {} : { type }) })
}

function isOfKey(der: string, certificate: Certificate): boolean {
  try {
    const { publicKeyInfo } = parseCertificate(fromBase64(der))
    return Buffer.compare(publicKeyInfo, certificate.publicKeyInfo) === 0
  } catch {
    return false
  }
}

function formatFile({ certificate, chain }: Issued): string {
  return [certificate, ...chain].map(({ der }) => formatPem('CERTIFICATE', der)).join('')
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

function fromBase64(text: string): Uint8Array {
  return Buffer.from(text, 'base64')
}
