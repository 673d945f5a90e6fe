/**
 * Certificate objects of a token: listing, importing beside a key, and removing them; and removing keys.
 * @see PKCS#11 v2.40 base specification §4.6.3 (X.509 public key certificate objects)
 */

import { createHash, verify } from 'node:crypto'
import { CertificateType, ObjectClass } from 'graphene-pk11'
import pkcs11js from 'pkcs11js'
import { HoldfastError } from '../../core/errors.js'
import type { ReplyOf, RequestOf, StoredCertificate } from '../../core/pkcs11/admin-protocol.js'
import { compareKey } from '../../core/pkcs11/key-match.js'
import { formatObjectUri, matchesObject } from '../../core/pkcs11/pkcs11-match.js'
import { type Pkcs11Uri, parsePkcs11Uri } from '../../core/pkcs11/pkcs11-uri.js'
import { chooseKey, describeToken, formatList } from '../../core/pkcs11/token-search.js'
import {
  type Certificate,
  commonNameOf,
  describe,
  parseCertificate,
  publicKeyOf,
} from '../../core/x509/certificate.js'
import { formatUnsignedInteger } from '../../core/x509/der.js'
import { call } from '../token/module.js'
import { readKey } from '../token/search.js'
import type { PresentToken } from '../token/session.js'
import { chooseOne, findKeys, signWith } from './keys.js'
import { readTokenFacts } from './tokens.js'
import { alreadyThere, type Workbench } from './workbench.js'

interface ListedCertificate {
  readonly handle: Buffer
  readonly stored: StoredCertificate
}

function findCertificates(bench: Workbench, token: PresentToken, uri: Pkcs11Uri): ListedCertificate[] {
  const { sessions } = bench
  const handles = sessions.objects(token, [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_CERTIFICATE },
    { type: pkcs11js.CKA_TOKEN, value: true },
  ])
  return handles.flatMap((handle) => {
    const label = sessions.attribute(token, handle, pkcs11js.CKA_LABEL)?.toString('utf8') ?? ''
    const id = sessions.attribute(token, handle, pkcs11js.CKA_ID) ?? Buffer.alloc(0)
    if (!matchesObject(uri, { type: 'cert', label, id })) return []
    const der = sessions.attribute(token, handle, pkcs11js.CKA_VALUE) ?? Buffer.alloc(0)
    const stored = {
      uri: formatObjectUri(token.info, { type: 'cert', label, id }),
      id: id.toString('hex'),
      label,
      der: der.toString('base64'),
    }
    return [{ handle, stored }]
  })
}

/** @throws HoldfastError TOKEN_*, PIN_* */
export async function readCertificates(
  bench: Workbench,
  { uri, login }: RequestOf<'readCertificates'>,
): Promise<ReplyOf<'readCertificates'>> {
  const token = bench.token(uri)
  if (login) await bench.login(token)
  const certificates = findCertificates(bench, token, parsePkcs11Uri(uri)).map(({ stored }) => stored)
  return { token: readTokenFacts(bench, token), certificates }
}

/** @throws HoldfastError TOKEN_*, PIN_* */
export async function listObjects(
  bench: Workbench,
  request: RequestOf<'listObjects'>,
): Promise<ReplyOf<'listObjects'>> {
  const { certificates, token } = await readCertificates(bench, request)
  const keys = findKeys(bench, bench.token(request.uri), parsePkcs11Uri(request.uri))
  return { token, certificates, keys: keys.map(({ facts }) => facts) }
}

/** @throws HoldfastError TOKEN_*, PIN_*, KEY_*, OBJECT_EXISTS, CERTIFICATE_INVALID, CERTIFICATE_UNSUITABLE */
export async function importCertificate(
  bench: Workbench,
  { uri, certificate: der, chain, replace }: RequestOf<'importCertificate'>,
): Promise<ReplyOf<'importCertificate'>> {
  const certificate = parseCertificate(Buffer.from(der, 'base64'))
  const token = bench.token(uri)
  await bench.login(token)
  const key = await findKeyOf(bench, token, parsePkcs11Uri(uri), certificate)
  const present = findCertificates(bench, token, {})
  const former = present.filter(({ stored }) => stored.der !== der && isOfSameKey(stored, certificate))
  const twin = present.find(({ stored }) => stored.der === der)
  if (twin !== undefined && !(replace && former.length > 0)) {
    throw alreadyThere(describe(certificate), token.info, 'there is nothing to do')
  }
  if (former.length > 0 && !replace) {
    throw alreadyThere(
      'a certificate of this key',
      token.info,
      `replace it with --replace, or remove it with holdfast cert delete: ${formatList(former.map(({ stored }) => stored.uri))}`,
    )
  }
  const missing = chain.filter((other) => !present.some(({ stored }) => stored.der === other))
  // The certificate itself comes last: once it is there, all is.
  const wanted: NewCertificate[] = missing.map(placeAuthority)
  if (twin === undefined) wanted.push({ certificate, id: Buffer.from(key.id, 'hex'), label: key.label })
  const created = createAll(bench, token, wanted)
  for (const { handle } of former) destroy(bench, token, handle)
  return {
    token: readTokenFacts(bench, token),
    key,
    certificate: twin?.stored ?? created.at(-1)!,
    chain: created.slice(0, missing.length),
    replaced: former.map(({ stored }) => stored),
  }
}

/** A certificate that is to be, and where. */
interface NewCertificate {
  readonly certificate: Certificate
  readonly id: Buffer
  readonly label: string
}

/** Never the id of a key, since ids join certificates with keys. */
function placeAuthority(der: string): NewCertificate {
  const certificate = parseCertificate(Buffer.from(der, 'base64'))
  const id = createHash('sha256').update(certificate.publicKeyInfo).digest().subarray(0, 20)
  return { certificate, id, label: commonNameOf(certificate) ?? 'CA' }
}

/** All of them, or if one cannot be stored none. */
function createAll(
  bench: Workbench,
  token: PresentToken,
  wanted: readonly NewCertificate[],
): StoredCertificate[] {
  const created: ListedCertificate[] = []
  try {
    for (const place of wanted) created.push(createCertificate(bench, token, place))
  } catch (error) {
    for (const { handle } of created) destroy(bench, token, handle)
    throw error
  }
  return created.map(({ stored }) => stored)
}

/** The key whose public half the certificate has. Where the token does not show it, a signature tells. */
async function findKeyOf(bench: Workbench, token: PresentToken, uri: Pkcs11Uri, certificate: Certificate) {
  const keys = findKeys(bench, token, { ...uri, type: 'private' }).filter(({ facts }) => facts.isPrivate)
  const found = chooseKey(
    token.info,
    certificate,
    undefined,
    keys.map((key) => key.found),
  )
  const { facts } = keys.find((key) => key.found === found)!
  const shown = facts.publicKey
  if (shown !== undefined && Buffer.from(certificate.publicKeyInfo).toString('base64') === shown) return facts
  if (shown === undefined && compareKey(certificate, found.publicAttributes) === 'same') return facts
  const message = Buffer.from('holdfast: does this key belong to the certificate?')
  const { signature } = await signWith(bench, { uri: facts.uri, message: message.toString('base64') })
  if (verify('sha256', message, publicKeyOf(certificate), Buffer.from(signature, 'base64'))) return facts
  throw new HoldfastError(
    'KEY_MISMATCH',
    `${describe(certificate)} does not belong to ${facts.uri}: import the certificate that was issued for the key`,
  )
}

/** True for another certificate of the same key; one that cannot be parsed is nobody's. */
function isOfSameKey({ der }: StoredCertificate, { publicKeyInfo }: Certificate): boolean {
  try {
    const other = parseCertificate(Buffer.from(der, 'base64'))
    return !other.isCa && Buffer.compare(other.publicKeyInfo, publicKeyInfo) === 0
  } catch {
    return false
  }
}

function createCertificate(
  bench: Workbench,
  token: PresentToken,
  { certificate, id, label }: NewCertificate,
): ListedCertificate {
  const { der, subject, issuer } = certificate
  const what = `storing ${describe(certificate)} in ${describeToken(token.info)}`
  const object = call(what, () =>
    bench.session(token).create({
      class: ObjectClass.CERTIFICATE,
      certType: CertificateType.X_509,
      token: true,
      private: false,
      label,
      id,
      subject: Buffer.from(subject),
      issuer: Buffer.from(issuer),
      serial: Buffer.from(formatSerial(certificate)),
      value: Buffer.from(der),
    }),
  )
  const value = bench.sessions.attribute(token, object.handle, pkcs11js.CKA_VALUE)
  if (value === undefined || Buffer.compare(value, der) !== 0) {
    destroy(bench, token, object.handle)
    throw new HoldfastError('TOKEN_FAILED', `${what} failed: the token gives it back changed; it was removed`)
  }
  const stored = {
    uri: formatObjectUri(token.info, { type: 'cert', label, id }),
    id: id.toString('hex'),
    label,
    der: Buffer.from(der).toString('base64'),
  }
  return { handle: object.handle, stored }
}

/** CKA_SERIAL_NUMBER is the DER of the INTEGER. */
function formatSerial(certificate: Certificate): Uint8Array {
  const { serialNumber } = certificate
  if (serialNumber < 0n) {
    throw new HoldfastError(
      'CERTIFICATE_UNSUITABLE',
      `${describe(certificate)} has a negative serial number: have it issued again with a positive one (RFC 5280 section 4.1.2.2)`,
    )
  }
  const hex = serialNumber.toString(16)
  return formatUnsignedInteger(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'))
}

function destroy(bench: Workbench, token: PresentToken, handle: Buffer): void {
  call(`removing an object of ${describeToken(token.info)}`, () =>
    bench.module.C_DestroyObject(bench.sessions.open(token), handle),
  )
}

/** @throws HoldfastError TOKEN_*, PIN_*, KEY_*, CERTIFICATE_NOT_FOUND, CERTIFICATE_AMBIGUOUS */
export async function deleteObjects(
  bench: Workbench,
  { uri, der }: RequestOf<'deleteObjects'>,
): Promise<ReplyOf<'deleteObjects'>> {
  const token = bench.token(uri)
  await bench.login(token)
  const meant = parsePkcs11Uri(uri)
  const handles =
    meant.type === 'cert'
      ? [chooseCertificate(token, findCertificates(bench, token, meant), der)]
      : findHalves(bench, token, meant)
  for (const { handle } of handles) destroy(bench, token, handle)
  return { token: readTokenFacts(bench, token), deleted: handles.map((object) => object.uri) }
}

interface Doomed {
  readonly handle: Buffer
  readonly uri: string
}

function chooseCertificate(
  token: PresentToken,
  found: readonly ListedCertificate[],
  der: string | undefined,
): Doomed {
  const [only, ...others] = found.filter(({ stored }) => der === undefined || stored.der === der)
  if (only === undefined) {
    throw new HoldfastError(
      'CERTIFICATE_NOT_FOUND',
      `no certificate in ${describeToken(token.info)} matches: holdfast cert list shows ids and labels`,
    )
  }
  if (others.length > 0) {
    throw new HoldfastError(
      'CERTIFICATE_AMBIGUOUS',
      `${others.length + 1} certificates match; name one by its id, label or serial number: ${formatList(found.map(({ stored }) => stored.uri))}`,
    )
  }
  return { handle: only.handle, uri: only.stored.uri }
}

/** The private key that is meant, and its public key if there is one. */
function findHalves(bench: Workbench, token: PresentToken, meant: Pkcs11Uri): Doomed[] {
  const { sessions } = bench
  const { found, facts } = chooseOne(token, findKeys(bench, token, { ...meant, type: 'private' }))
  const halves = sessions
    .objects(token, [
      { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_PUBLIC_KEY },
      { type: pkcs11js.CKA_ID, value: Buffer.from(found.id) },
    ])
    .map((handle) => readKey(sessions, token, handle))
    .filter(({ handle, label }) => label === found.label && !handle.equals(found.handle))
  return [
    { handle: found.handle, uri: facts.uri },
    ...halves.map(({ handle, label, id }) => ({
      handle,
      uri: formatObjectUri(token.info, { type: 'public', label, id }),
    })),
  ]
}
