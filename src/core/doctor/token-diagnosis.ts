/**
 * Which token, certificate and key an identity means, told from a list of what the module shows; the rules are those of a
 * credential (core/pkcs11/token-search), but each is told apart. Computes only.
 */

import { HoldfastError } from '../errors.js'
import { formatTriesLeft, type PinSourceKind, verifyPinMayBeTried } from '../pin/pin.js'
import { wantsLogin } from '../pin/token-flags.js'
import type { KeyFacts, StoredCertificate, TokenFacts } from '../pkcs11/admin-protocol.js'
import { matchesObject, matchesSlot, matchesToken } from '../pkcs11/pkcs11-match.js'
import type { Pkcs11Uri } from '../pkcs11/pkcs11-uri.js'
import { chooseKey, findEndEntity, formatList, hintAtHexId } from '../pkcs11/token-search.js'
import { type Certificate, parseCertificate, signingAlgorithmOf } from '../x509/certificate.js'
import { readCandidates } from '../x509/chain.js'
import type { Examined, Trouble } from './diagnosis.js'
import { listed, quoted, shown, tell } from './told.js'

/** The URIs of an identity's objects. Without one for the certificate that is in a file. */
export interface ObjectUris {
  readonly keyUri: Pkcs11Uri
  readonly certificateUri: Pkcs11Uri | undefined
}

/** The tokens of a key and of its certificate: mostly the same. */
export interface MeantTokens {
  readonly key: TokenFacts
  readonly certificate: TokenFacts
}

/**
 * The tokens that the URIs mean: that of the key is the certificate's own if its URI allows that.
 * @throws HoldfastError TOKEN_NOT_FOUND, TOKEN_AMBIGUOUS
 */
export function examineToken(
  tokens: readonly TokenFacts[],
  { keyUri, certificateUri }: ObjectUris,
): Examined<MeantTokens> {
  const initialized = tokens.filter((token) => token.initialized)
  const ofKey = initialized.filter((token) => matches(token, keyUri))
  const ofBoth = ofKey.filter((token) => certificateUri === undefined || matches(token, certificateUri))
  const key = chooseOne(ofBoth.length > 0 ? ofBoth : ofKey, initialized, 'key')
  const certificate =
    ofBoth.length > 0
      ? key
      : chooseOne(
          initialized.filter((token) => matches(token, certificateUri!)),
          initialized,
          'certificate',
        )
  const others = certificate === key ? tell`` : tell`, its certificate in ${quoted(certificate.label)}`
  return {
    value: { key, certificate },
    message: tell`${quoted(key.label)} in slot ${key.slot} (${shown(key.manufacturer)} ${shown(key.model)}, serial ${shown(key.serial)})${others}; initialised tokens: ${initialized.length}`,
  }
}

function chooseOne(meant: readonly TokenFacts[], all: readonly TokenFacts[], what: string): TokenFacts {
  const [token, ...others] = meant
  if (token === undefined) {
    throw new HoldfastError(
      'TOKEN_NOT_FOUND',
      `no token matches the PKCS#11 URI of the ${what}: plug it in, or correct token, serial, model and manufacturer. Tokens present: ${listUris(all)}`,
    )
  }
  if (others.length === 0) return token
  throw new HoldfastError(
    'TOKEN_AMBIGUOUS',
    `${meant.length} tokens match the PKCS#11 URI of the ${what}: add serial or token to it: ${listUris(meant)}`,
  )
}

function matches(token: TokenFacts, uri: Pkcs11Uri): boolean {
  const { slotManufacturer: _, ...known } = uri
  const slot = { id: token.slot, manufacturer: '', description: token.slotDescription }
  return matchesToken(known, token) && matchesSlot(known, slot)
}

function listUris(tokens: readonly TokenFacts[]): string {
  return formatList(tokens.map(({ uri }) => uri))
}

/**
 * What the token says of its PIN.
 * @throws HoldfastError PIN_LOCKED, PIN_EXPIRED, PIN_PAD_UNSUPPORTED, PIN_FINAL_TRY
 */
export function examineTokenFlags({ flags, label }: TokenFacts, pin: PinSourceKind): Examined<undefined> {
  verifyPinMayBeTried(flags, pin, label)
  const tries = formatTriesLeft(flags)
  const troubles: Trouble[] =
    tries === undefined
      ? []
      : [{ status: 'warn', message: shown(tries), fix: tell`log in once with the right PIN` }]
  const wants = wantsLogin(flags) ? tell`a login` : tell`no login`
  return {
    value: undefined,
    message: tell`the token wants ${wants}, and its PIN is neither locked nor to be changed`,
    troubles,
  }
}

/** A certificate and, if it is in a token, its CKA_ID. */
export interface TokenCertificate {
  readonly certificate: Certificate
  readonly id: Uint8Array | undefined
  /** What lies beside it in the token or in its file, DER. */
  readonly others: readonly Uint8Array[]
}

/**
 * The end-entity certificate that the URI means.
 * @param hidden whether some may be seen after a login only
 * @throws HoldfastError CERTIFICATE_NOT_FOUND, CERTIFICATE_AMBIGUOUS
 */
export function findTokenCertificate(
  token: TokenFacts,
  stored: readonly StoredCertificate[],
  uri: Pkcs11Uri,
  hidden: boolean,
): TokenCertificate {
  const all = stored.flatMap((object) => {
    const [id, der] = [Buffer.from(object.id, 'hex'), Buffer.from(object.der, 'base64')]
    try {
      return [{ token, label: object.label, id, certificate: parseCertificate(der) }]
    } catch {
      return [] // it must not hide the others
    }
  })
  const meant = all.filter(({ label, id }) => matchesObject(uri, { type: 'cert', label, id }))
  const found = findEndEntity(meant)
  if (found !== undefined) {
    const others = all.filter((other) => other !== found).map(({ certificate }) => certificate.der)
    return { certificate: found.certificate, id: found.id, others }
  }
  const list = stored.map(({ uri, der }) =>
    readCandidates([Buffer.from(der, 'base64')]).length > 0
      ? uri
      : `${uri} (it cannot be read: delete it, and import it again)`,
  )
  const hint = hintAtHexId(
    uri,
    stored.map(({ id }) => Buffer.from(id, 'hex')),
  )
  const more = hidden ? ' (without a login; some tokens show more after one)' : ''
  throw new HoldfastError(
    'CERTIFICATE_NOT_FOUND',
    `no certificate in the token matches the PKCS#11 URI: correct its id or object${hint}, import the certificate, or give it as a file with certificate (--certificate). Certificates seen${more}: ${formatList(list)}`,
  )
}

/**
 * Whether the key that the URI means is the certificate's.
 * @param hidden whether some keys may be seen after a login only
 * @throws HoldfastError KEY_NOT_FOUND, KEY_MISMATCH, KEY_AMBIGUOUS
 */
export function examineKey(
  token: TokenFacts,
  keys: readonly KeyFacts[],
  { certificate, id }: Pick<TokenCertificate, 'certificate' | 'id'>,
  { keyUri, hidden }: { readonly keyUri: Pkcs11Uri; readonly hidden: boolean },
): Examined<undefined> {
  const all = keys.map((key) => ({
    handle: key,
    label: key.label,
    id: Buffer.from(key.id, 'hex'),
    publicAttributes: {
      publicKeyInfo: key.publicKey === undefined ? undefined : Buffer.from(key.publicKey, 'base64'),
    },
  }))
  const meant = all.filter(({ label, id }) => matchesObject(keyUri, { type: 'private', label, id }))
  // The certificate's label need not be the key's: then its CKA_ID is what joins them.
  const byId =
    meant.length === 0 && keyUri.object !== undefined && id !== undefined
      ? all.filter((key) => Buffer.compare(key.id, id) === 0)
      : meant
  if (byId.length === 0 && hidden) {
    const trouble = {
      status: 'warn',
      message: tell`the token shows no key without a login, so it could not be compared with the certificate`,
    } as const
    return { value: undefined, message: trouble.message, troubles: [trouble] }
  }
  const { handle: key } = chooseKey(token, certificate, id, byId, { uri: keyUri, present: all })
  return {
    value: undefined,
    message: tell`${shown(key.type)}, ${shown(key.uri)}${key.isPrivate ? tell`` : tell` (its public half)`}`,
    troubles: findKeyTroubles(key),
  }
}

function findKeyTroubles({ attributes }: KeyFacts): Trouble[] {
  if (attributes.sign === false) {
    return [
      {
        status: 'fail',
        code: 'KEY_UNSUPPORTED',
        message: tell`the key may not be used for signatures`,
        fix: tell`use a key that was made with the usage sign`,
      },
    ]
  }
  const faults = [
    ...(attributes.extractable === true ? [tell`extractable`] : []),
    ...(attributes.sensitive === false ? [tell`not sensitive`] : []),
  ]
  if (faults.length === 0) return []
  return [
    {
      status: 'warn',
      message: tell`the key can leave the token, since it is ${listed(faults)}`,
      fix: tell`holdfast key generate makes one that cannot`,
    },
  ]
}

/** @throws HoldfastError KEY_UNSUPPORTED if the token cannot sign as the certificate's key must */
export function examineMechanism(token: TokenFacts, certificate: Certificate): Examined<undefined> {
  const algorithm = signingAlgorithmOf(certificate)
  if (token.signs.includes(algorithm === 'AWS4-X509-RSA-SHA256' ? 'rsa' : 'ec')) {
    return { value: undefined, message: tell`the token can sign for ${shown(algorithm)}` }
  }
  throw new HoldfastError(
    'KEY_UNSUPPORTED',
    `the token offers no mechanism for ${algorithm}: use a key of the other type, RSA or EC`,
  )
}
