/**
 * Finds the certificate and its private key among the tokens of a module.
 * @see draft-woodhouse-cert-best-practice §8 for the order of search
 */

import pkcs11js from 'pkcs11js'
import { HoldfastError } from '../../core/errors.js'
import { wantsLogin } from '../../core/pin/token-flags.js'
import {
  formatObjectUri,
  matchesObject,
  matchesSlot,
  matchesToken,
  unpad,
} from '../../core/pkcs11/pkcs11-match.js'
import type { Pkcs11Uri } from '../../core/pkcs11/pkcs11-uri.js'
import {
  chooseKey,
  describeToken,
  type FoundCertificate,
  type FoundKey,
  findEndEntity,
  formatList,
  hintAtHexId,
} from '../../core/pkcs11/token-search.js'
import { ATTESTATION_LABEL } from '../../core/pkcs11/touch-policy.js'
import { type Certificate, parseCertificate } from '../../core/x509/certificate.js'
import type { PresentToken, Sessions } from './session.js'

/** CKA_PUBLIC_KEY_INFO, PKCS#11 v2.40 §4.9; the binding has no name for it. */
const CKA_PUBLIC_KEY_INFO = 0x129

function matching(tokens: readonly PresentToken[], uri: Pkcs11Uri): PresentToken[] {
  return tokens.filter(({ info, slotInfo }) => matchesToken(uri, info) && matchesSlot(uri, slotInfo))
}

function describeAll(tokens: readonly PresentToken[], withSlots = false): string {
  return formatList(
    tokens.map(
      ({ info, slotInfo }) =>
        `${describeToken(info)} (${withSlots ? `slot-id ${slotInfo.id}, ` : ''}manufacturer ${JSON.stringify(unpad(info.manufacturer))}, serial ${JSON.stringify(unpad(info.serial))})`,
    ),
  )
}

function tokenNotFound(tokens: readonly PresentToken[], { slotId }: Pkcs11Uri): HoldfastError {
  const hasSlot = slotId !== undefined
  const empty =
    tokens.length === 0
      ? ' (holdfast token list shows an empty one, too, and holdfast token init gives it a label)'
      : ''
  return new HoldfastError(
    'TOKEN_NOT_FOUND',
    `no token is as it was named; plug it in, or correct its label, or ${hasSlot ? 'slot-id, ' : ''}token, serial, model and manufacturer of the PKCS#11 URI. Tokens present: ${describeAll(tokens, hasSlot)}${empty}`,
  )
}

/** A certificate that was found, where, and what lies beside it. */
export interface CertificateHit {
  readonly token: PresentToken
  /** CKA_ID of the certificate object. */
  readonly id: Uint8Array
  readonly certificate: Certificate
  /** The token's other certificates, DER. */
  readonly chain: readonly Uint8Array[]
}

/**
 * The certificate that the URI means, found without login where the token allows that.
 * @throws HoldfastError TOKEN_NOT_FOUND, CERTIFICATE_NOT_FOUND, CERTIFICATE_AMBIGUOUS
 */
export async function findCertificate(
  tokens: readonly PresentToken[],
  certificateUri: Pkcs11Uri,
  sessions: Sessions,
): Promise<CertificateHit> {
  const candidates = matching(tokens, certificateUri)
  if (candidates.length === 0) throw tokenNotFound(tokens, certificateUri)
  const list = () => candidates.flatMap((token) => listCertificates(token, sessions))
  let present = list()
  let hit = chooseCertificate(candidates, certificateUri, present)
  if (hit !== undefined) return hit
  const [only, ...others] = candidates
  // Some tokens show certificates only after login. With several tokens, a login would be a guess.
  if (only !== undefined && others.length === 0 && wantsLogin(only.info.flags)) {
    await sessions.login(only)
    present = list()
    hit = chooseCertificate(candidates, certificateUri, present)
    if (hit !== undefined) return hit
  }
  const hint = hintAtHexId(
    certificateUri,
    present.map(({ id }) => id),
  )
  const there = formatList(
    present.map(({ token, label, id }) => formatObjectUri(token, { type: 'cert', label, id })),
  )
  throw new HoldfastError(
    'CERTIFICATE_NOT_FOUND',
    `no certificate in ${describeAll(candidates)} matches the PKCS#11 URI: correct its id or object${hint}, import the certificate, or give it as a file with --certificate. Certificates there: ${there}`,
  )
}

/** The one that is meant among all that these tokens have. */
function chooseCertificate(
  tokens: readonly PresentToken[],
  uri: Pkcs11Uri,
  all: readonly FoundCertificate[],
): CertificateHit | undefined {
  const hit = findEndEntity(
    all.filter((found) => matchesObject(uri, { type: 'cert', label: found.label, id: found.id })),
  )
  if (hit === undefined) return undefined
  const token = tokens.find(({ info }) => info === hit.token)!
  const chain = all.filter((other) => other !== hit && other.token === hit.token)
  return {
    token,
    id: hit.id,
    certificate: hit.certificate,
    chain: chain.map(({ certificate }) => certificate.der),
  }
}

/**
 * Certificates of a token. ykcs11 shows an attestation certificate beside each real one, with the same id
 * and the same key; they are made on reading and never what is meant.
 */
function listCertificates(token: PresentToken, sessions: Sessions): FoundCertificate[] {
  const objects = sessions.objects(token, [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_CERTIFICATE },
    { type: pkcs11js.CKA_TOKEN, value: true },
  ])
  return objects.flatMap((object) => {
    const value = sessions.attribute(token, object, pkcs11js.CKA_VALUE)
    const label = sessions.attribute(token, object, pkcs11js.CKA_LABEL)?.toString('utf8') ?? ''
    const id = sessions.attribute(token, object, pkcs11js.CKA_ID) ?? Buffer.alloc(0)
    if (value === undefined || label.startsWith(ATTESTATION_LABEL)) return []
    try {
      return [{ token: token.info, label, id, certificate: parseCertificate(value) }]
    } catch {
      // One certificate that cannot be parsed must not hide the others.
      return []
    }
  })
}

/**
 * The token that must hold the key: the certificate's own if the URI allows it, else the only one that matches.
 * @throws HoldfastError TOKEN_NOT_FOUND, TOKEN_AMBIGUOUS
 */
export function chooseKeyToken(
  tokens: readonly PresentToken[],
  keyUri: Pkcs11Uri,
  certificateToken: PresentToken | undefined,
): PresentToken {
  const candidates = matching(tokens, keyUri)
  if (certificateToken !== undefined && candidates.includes(certificateToken)) return certificateToken
  const [only, ...others] = candidates
  if (only === undefined) throw tokenNotFound(tokens, keyUri)
  if (others.length > 0) {
    throw new HoldfastError(
      'TOKEN_AMBIGUOUS',
      `${candidates.length} tokens match the PKCS#11 URI; add serial or token to it: ${describeAll(candidates)}`,
    )
  }
  return only
}

/**
 * The private key of `certificate`. Private keys of most tokens are visible only after login.
 * @param certificateId CKA_ID of the certificate object, if it is in a token
 * @throws HoldfastError KEY_NOT_FOUND, KEY_MISMATCH, KEY_AMBIGUOUS
 */
export function findKey(
  sessions: Sessions,
  token: PresentToken,
  uri: Pkcs11Uri,
  certificate: Certificate,
  certificateId: Uint8Array | undefined,
): FoundKey<Buffer> {
  const keys = listKeys(sessions, token, uri.id)
  const named = keys.filter((key) => matchesObject(uri, { type: 'private', label: key.label, id: key.id }))
  // The certificate's label need not be the key's: then its CKA_ID is what joins them.
  const byId =
    named.length === 0 && uri.object !== undefined && certificateId !== undefined
      ? keys.filter(({ id }) => Buffer.compare(id, certificateId) === 0)
      : named
  const present = byId.length > 0 || uri.id === undefined ? keys : listKeys(sessions, token, undefined)
  return chooseKey(token.info, certificate, certificateId, byId, { uri, present })
}

/** The private keys of a token, all or those with an id. */
export function listKeys(
  sessions: Sessions,
  token: PresentToken,
  id: Uint8Array | undefined,
): FoundKey<Buffer>[] {
  const keys = sessions.objects(token, [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_PRIVATE_KEY },
    ...(id === undefined ? [] : [{ type: pkcs11js.CKA_ID, value: Buffer.from(id) }]),
  ])
  return keys.map((handle) => {
    const key = readKey(sessions, token, handle)
    const { ecPoint = readPublicPoint(sessions, token, key.id) } = key.publicAttributes
    return { ...key, publicAttributes: { ...key.publicAttributes, ecPoint } }
  })
}

/** What one key object, private or public, shows of itself. */
export function readKey(
  sessions: Sessions,
  token: PresentToken,
  handle: Buffer,
): FoundKey<Buffer> & { readonly id: Buffer } {
  const attribute = (type: number) => sessions.attribute(token, handle, type)
  return {
    handle,
    id: attribute(pkcs11js.CKA_ID) ?? Buffer.alloc(0),
    label: attribute(pkcs11js.CKA_LABEL)?.toString('utf8') ?? '',
    publicAttributes: {
      publicKeyInfo: attribute(CKA_PUBLIC_KEY_INFO),
      modulus: attribute(pkcs11js.CKA_MODULUS),
      publicExponent: attribute(pkcs11js.CKA_PUBLIC_EXPONENT),
      ecParams: attribute(pkcs11js.CKA_EC_PARAMS),
      ecPoint: attribute(pkcs11js.CKA_EC_POINT),
    },
  }
}

/** SoftHSM shows the point only on the public key object. */
function readPublicPoint(sessions: Sessions, token: PresentToken, id: Buffer): Buffer | undefined {
  const [publicKey] = sessions.objects(token, [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_PUBLIC_KEY },
    { type: pkcs11js.CKA_ID, value: id },
  ])
  return publicKey && sessions.attribute(token, publicKey, pkcs11js.CKA_EC_POINT)
}
