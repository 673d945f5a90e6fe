/**
 * What an enrolment or a renewal is to do: from the wishes of a user, what the configuration says, and for a renewal the
 * certificate that is in use.
 */

import { randomBytes } from 'node:crypto'
import { dirname, join, resolve } from 'node:path'
import { parseConfig, SETTINGS } from '../core/config/config.js'
import { editIdentity, type IdentityChanges } from '../core/config/config-edit.js'
import { type Identity, isPkcs11Uri, mergeIdentity } from '../core/config/identity.js'
import { keySettings } from '../core/enroll/enrolment.js'
import { HoldfastError } from '../core/errors.js'
import { KEY_TYPES, type KeyType } from '../core/pkcs11/admin-protocol.js'
import { formatPkcs11Uri, parsePkcs11Uri } from '../core/pkcs11/pkcs11-uri.js'
import { type Certificate, describe, parseCertificate } from '../core/x509/certificate.js'
import {
  createCertificateRequest,
  nameLike,
  nameRequest,
  parseAlternativeNames,
  type RequestedNames,
} from '../core/x509/certificate-request.js'
import { parseDistinguishedName } from '../core/x509/distinguished-name.js'
import { formatTimeLeft } from '../core/x509/expiry.js'
import { describeKeyType } from '../core/x509/key-type.js'
import type { Surroundings } from '../identity-provider.js'
import { isThere } from '../io/exchange-file.js'
import { parseSession } from '../provider.js'
import { createSource } from '../source.js'
import type { EnrolmentPlan } from './enrolment.js'
import type { Issuer } from './issuer.js'
import type { EnrolmentFiles } from './record.js'

/** What a user asks for. */
export interface Wishes {
  /** Of the identity. */
  readonly name: string
  /** Settings of the identity, as flags give them. */
  readonly flags: Identity
  /** Label or URI. */
  readonly token?: string | undefined
  readonly keyType?: KeyType | undefined
  readonly subject?: string | undefined
  /** Alternative names, as core/x509/certificate-request reads them. */
  readonly san?: string | undefined
  readonly certificateOut?: string | undefined
  /** Renew for the key that is there. */
  readonly sameKey: boolean
  /** Renew only if the certificate ends before that. */
  readonly expiresWithinMs?: number | undefined
  /** Enroll although the identity has a key. */
  readonly replace: boolean
  readonly waitMs: number
  readonly issuer: Issuer
}

/** What there is already. */
export interface Present {
  /** The identity of that name and its file. */
  readonly configured: { readonly file: string; readonly identity: Identity } | undefined
  /** The file that gets an identity that is in none. */
  readonly configFile: string
  readonly files: EnrolmentFiles
}

/** A certificate that need not be renewed yet. */
export interface NotDue {
  readonly certificate: Certificate
  /** Words for a person. */
  readonly why: string
}

/**
 * The plan to get a first key and certificate.
 * @throws HoldfastError USAGE, ARN_INVALID, URI_INVALID
 */
export async function planEnrolment(
  wishes: Wishes,
  { configured, configFile, files }: Present,
  { env, uid }: Surroundings,
): Promise<EnrolmentPlan> {
  const { name, flags, token, keyType = 'p-256', subject = `CN=${name}`, san } = wishes
  if (token === undefined) throw new HoldfastError('USAGE', 'name the token for the key with --token')
  const hasBegun = (await files.load()).unfinished !== undefined
  const former = configured?.identity
  const hasKey = (former?.pkcs11Uri ?? former?.privateKey) !== undefined
  if (hasKey && !hasBegun && !wishes.replace) {
    throw new HoldfastError(
      'USAGE',
      `${name} has a key already, in ${configured!.file}: renew it with --renew, or give it another one with --replace`,
    )
  }
  const tokenUri = isPkcs11Uri(token) ? token : formatPkcs11Uri({ token })
  refusePinValue(tokenUri)
  const certificateFile = wishes.certificateOut && resolve(wishes.certificateOut)
  if (!hasBegun) await verifyNew(certificateFile)
  const names = nameRequest(
    parseDistinguishedName(subject),
    san === undefined ? [] : parseAlternativeNames(san),
  )
  const identity = mergeIdentity(flags, former ?? {})
  // What is missing or wrong in it shall not come out when there is a key already.
  parseSession(identity, env)
  const wish = [`a ${keyType} key in ${formatPkcs11Uri(parsePkcs11Uri(tokenUri))}`, `subject ${subject}`]
  if (san !== undefined) wish.push(`alternative names ${san}`)
  if (certificateFile !== undefined) wish.push(`certificate in ${certificateFile}`)
  return {
    kind: 'enroll',
    wish: wish.join(', '),
    identity,
    token: tokenUri,
    newKey: { type: keyType, label: newLabel(name) },
    certificateFile,
    createRequest: (publicKey, sign) => createCertificateRequest(names, publicKey, sign),
    issuer: wishes.issuer,
    waitMs: wishes.waitMs,
    configure: configureWith(
      name,
      configured?.file ?? configFile,
      { files, uid },
      readSettings(flags, former),
    ),
  }
}

/**
 * The plan to get another certificate for the names of the one in use; or why there is no need.
 * @throws HoldfastError USAGE, CONFIG_NOT_FOUND, and those of reading the certificate in use
 */
export async function planRenewal(
  wishes: Wishes,
  { configured, configFile, files }: Present,
  around: Surroundings,
): Promise<EnrolmentPlan | NotDue> {
  const { name, flags, sameKey } = wishes
  if (configured === undefined) {
    throw new HoldfastError(
      'CONFIG_NOT_FOUND',
      `no identity ${name} to renew in ${configFile}: enroll it first`,
    )
  }
  const identity = mergeIdentity(flags, configured.identity)
  const uri = findKeyUri(name, identity)
  parseSession(identity, around.env)
  const { unfinished } = await files.load()
  // Once a renewal has begun, the token may hold two certificates of one key: the record knows which was in use.
  const { former } = unfinished ?? {}
  const certificate =
    former === undefined
      ? await readCertificateInUse(identity, around)
      : parseCertificate(Buffer.from(former.certificate, 'base64'))
  const leftMs = certificate.notAfter.getTime() - around.now().getTime()
  if (wishes.expiresWithinMs !== undefined && leftMs > wishes.expiresWithinMs && unfinished === undefined) {
    const why = `${describe(certificate)} of ${name} is valid for another ${formatTimeLeft(leftMs)}`
    return { certificate, why: `${why}: nothing to do` }
  }
  const type =
    wishes.keyType ?? KEY_TYPES.find((known) => known === describeKeyType(certificate.publicKeyInfo))
  const label = newLabel(name)
  const certificateInUse = isPkcs11Uri(identity.certificate) ? undefined : identity.certificate
  const certificateFile =
    wishes.certificateOut === undefined
      ? certificateInUse && join(dirname(certificateInUse), `${label}.pem`)
      : resolve(wishes.certificateOut)
  if (unfinished === undefined) await verifyNew(certificateFile)
  const names: RequestedNames = nameLike(certificate)
  const wish = sameKey
    ? 'a new certificate for the same key'
    : `a new ${wishes.keyType ?? 'key'} and certificate`
  return {
    kind: 'renew',
    wish: wishes.certificateOut === undefined ? wish : `${wish} in ${certificateFile}`,
    identity,
    token: formatTokenUri(uri),
    newKey: sameKey ? undefined : { type: type ?? 'p-256', label },
    certificateFile,
    createRequest: (publicKey, sign) => createCertificateRequest(names, publicKey, sign),
    issuer: wishes.issuer,
    waitMs: wishes.waitMs,
    former: former ?? {
      uri: formatPkcs11Uri(parsePkcs11Uri(uri)),
      certificate: Buffer.from(certificate.der).toString('base64'),
      ...(certificateInUse === undefined ? {} : { certificateFile: certificateInUse }),
    },
    configure: configureWith(
      name,
      configured.file,
      { files, uid: around.uid },
      readSettings(flags, configured.identity),
    ),
  }
}

/** What is in a file may be in use, and would be lost before it is known whether the new certificate is accepted. */
async function verifyNew(certificateFile: string | undefined): Promise<void> {
  if (certificateFile === undefined || !(await isThere(certificateFile))) return
  throw new HoldfastError('USAGE', `${certificateFile} is there already: name another file, or remove it`)
}

/** The URI of the key in a token that the identity uses. */
function findKeyUri(name: string, { pkcs11Uri, privateKey, certificate }: Identity): string {
  const uri = pkcs11Uri ?? privateKey ?? certificate
  if (isPkcs11Uri(uri)) {
    refusePinValue(uri)
    return uri
  }
  throw new HoldfastError(
    'USAGE',
    `the key of ${name} is not in a token, so it is not renewed here: give it one that is with holdfast enroll ${name} --replace --token LABEL`,
  )
}

function refusePinValue(uri: string): void {
  if (parsePkcs11Uri(uri).pinValue === undefined) return
  throw new HoldfastError(
    'USAGE',
    'the URI has a pin-value, which would be lost, since no PIN is written into the configuration: use --pin-file, or pin-source in the URI',
  )
}

/** The token of the key, with the places of module and PIN. */
function formatTokenUri(uri: string): string {
  const { id: _, object: __, type: ___, ...token } = parsePkcs11Uri(uri)
  return formatPkcs11Uri(token)
}

/** Found as every session finds it. */
async function readCertificateInUse(identity: Identity, around: Surroundings): Promise<Certificate> {
  const read = createSource(identity, around).withSigner(async (signer) => signer.certificate, around)
  return parseCertificate(await read)
}

/** A label that no other key has, so that the key is found again after a crash. */
function newLabel(name: string): string {
  return `${name}-${randomBytes(3).toString('hex')}`
}

/** What the flags say, as it stands in a config file: with whole paths, and without what they push aside. */
function readSettings(flags: Identity, former: Identity = {}): IdentityChanges {
  const settings: Record<string, string | number | boolean | undefined> = {}
  const merged = mergeIdentity(flags, former)
  for (const { key, field, kind } of SETTINGS) {
    const name = field as keyof Identity
    const value = flags[name]
    if (value === undefined) {
      if (former[name] !== undefined && merged[name] === undefined) settings[key] = undefined
      continue
    }
    const isPath = kind === 'path' || (kind === 'path or name' && String(value).includes('/'))
    settings[key] = isPath ? resolve(String(value)) : value
  }
  return settings
}

function configureWith(
  name: string,
  file: string,
  { files, uid }: { readonly files: EnrolmentFiles; readonly uid: number },
  settings: IdentityChanges,
): EnrolmentPlan['configure'] {
  return async (uri, certificateFile) => {
    const edit = (text: string) => {
      const edited = editIdentity(text, name, { ...keySettings(uri, certificateFile), ...settings }, file)
      // It must be a file that every command can read.
      parseConfig(edited.replace(/^\u{feff}/u, ''), file)
      return edited
    }
    // What root writes is for all users of the machine, above all that of the agent. It holds no PIN.
    await files.edit(file, edit, uid === 0 ? 0o644 : 0o600)
  }
}
