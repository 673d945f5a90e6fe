/**
 * Keys in a token: making, listing and using them. A key is made sensitive, not extractable and for signatures only,
 * and what the token made of that is read back. No secret attribute is ever asked for.
 * @see PKCS#11 v2.40 base specification §4.9, §5.13 (C_GenerateKeyPair)
 */

import { randomBytes } from 'node:crypto'
import { type ITemplate, KeyType as KeyKind, MechanismEnum, NamedCurve } from 'graphene-pk11'
import pkcs11js from 'pkcs11js'
import { HoldfastError } from '../../core/errors.js'
import type { KeyFacts, KeyType, ReplyOf, RequestOf } from '../../core/pkcs11/admin-protocol.js'
import { formatObjectUri, matchesObject } from '../../core/pkcs11/pkcs11-match.js'
import { type Pkcs11Uri, parsePkcs11Uri } from '../../core/pkcs11/pkcs11-uri.js'
import { findPublicKey } from '../../core/pkcs11/public-key.js'
import { describeToken, type FoundKey, formatList } from '../../core/pkcs11/token-search.js'
import type { SigningAlgorithm } from '../../core/signer.js'
import { describeKeyType } from '../../core/x509/key-type.js'
import { call } from '../token/module.js'
import { listKeys, readKey } from '../token/search.js'
import type { PresentToken } from '../token/session.js'
import { chooseMechanism, signOnce } from '../token/token.js'
import { findTouchNotice } from '../token/touch.js'
import { readTokenFacts } from './tokens.js'
import { alreadyThere, type Workbench } from './workbench.js'

/** Attributes of a private key that say what can become of it, by the names in {@link KeyFacts}. */
const ATTRIBUTES: Readonly<Record<string, number>> = {
  sensitive: pkcs11js.CKA_SENSITIVE,
  alwaysSensitive: pkcs11js.CKA_ALWAYS_SENSITIVE,
  extractable: pkcs11js.CKA_EXTRACTABLE,
  neverExtractable: pkcs11js.CKA_NEVER_EXTRACTABLE,
  local: pkcs11js.CKA_LOCAL,
  private: pkcs11js.CKA_PRIVATE,
  sign: pkcs11js.CKA_SIGN,
  decrypt: pkcs11js.CKA_DECRYPT,
  unwrap: pkcs11js.CKA_UNWRAP,
  derive: pkcs11js.CKA_DERIVE,
  alwaysAuthenticate: pkcs11js.CKA_ALWAYS_AUTHENTICATE,
}

/** A key object and what is said of it. */
interface ListedKey {
  readonly found: FoundKey<Buffer>
  readonly facts: KeyFacts
}

/** The keys of a token that the URI means: the private ones, and public ones of whose private half nothing is seen. */
export function findKeys(bench: Workbench, token: PresentToken, uri: Pkcs11Uri): ListedKey[] {
  const { sessions } = bench
  const publicKeys = sessions
    .objects(token, [{ type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_PUBLIC_KEY }])
    .map((handle) => readKey(sessions, token, handle))
  const privateKeys = listKeys(sessions, token, undefined)
  const lonely = publicKeys.filter(({ id }) => !privateKeys.some((key) => Buffer.compare(key.id, id) === 0))
  const isMeant = ({ label, id }: FoundKey<Buffer>) => matchesObject(uri, { type: 'private', label, id })
  return [
    ...privateKeys.filter(isMeant).map((found) => {
      const halves = publicKeys.filter(({ id }) => Buffer.compare(id, found.id) === 0)
      const publicKey =
        findPublicKey(found.publicAttributes) ??
        (halves.length === 1 ? findPublicKey(halves[0]!.publicAttributes) : undefined)
      return { found, facts: describeKey(bench, token, found, { publicKey, isPrivate: true }) }
    }),
    ...lonely.filter(isMeant).map((found) => {
      const publicKey = findPublicKey(found.publicAttributes)
      return { found, facts: describeKey(bench, token, found, { publicKey, isPrivate: false }) }
    }),
  ]
}

function describeKey(
  { sessions }: Workbench,
  token: PresentToken,
  { handle, id, label }: FoundKey<Buffer>,
  { publicKey, isPrivate }: { publicKey: Uint8Array | undefined; isPrivate: boolean },
): KeyFacts {
  const attributes = Object.entries(isPrivate ? ATTRIBUTES : {}).flatMap(([name, type]) => {
    const value = sessions.attribute(token, handle, type)
    return value?.length ? [[name, value[0] === 1] as const] : []
  })
  return {
    uri: formatObjectUri(token.info, { type: 'private', label, id }),
    id: Buffer.from(id).toString('hex'),
    label,
    type: publicKey === undefined ? 'unknown' : describeKeyType(publicKey),
    ...(publicKey === undefined ? {} : { publicKey: Buffer.from(publicKey).toString('base64') }),
    isPrivate,
    attributes: Object.fromEntries(attributes),
  }
}

/**
 * The one key among those that were found.
 * @throws HoldfastError KEY_NOT_FOUND, KEY_AMBIGUOUS
 */
export function chooseOne(token: PresentToken, keys: readonly ListedKey[]): ListedKey {
  const [only, ...others] = keys
  if (only !== undefined && others.length === 0) return only
  if (only === undefined) {
    throw new HoldfastError(
      'KEY_NOT_FOUND',
      `no key in ${describeToken(token.info)} matches: holdfast key list shows ids and labels`,
    )
  }
  const list = formatList(keys.map(({ facts }) => facts.uri))
  throw new HoldfastError('KEY_AMBIGUOUS', `${keys.length} keys match; name one by its id or label: ${list}`)
}

/** @throws HoldfastError TOKEN_*, PIN_*, KEY_NOT_FOUND, KEY_AMBIGUOUS, KEY_UNSUPPORTED */
export async function readPublicKey(
  bench: Workbench,
  { uri }: RequestOf<'publicKey'>,
): Promise<ReplyOf<'publicKey'>> {
  const token = bench.token(uri)
  const find = () => findKeys(bench, token, { ...parsePkcs11Uri(uri), type: 'private' })
  let keys = find()
  if (keys.length === 0 || keys.some(({ facts }) => facts.publicKey === undefined)) {
    await bench.login(token)
    keys = find()
  }
  const { facts } = chooseOne(token, keys)
  if (facts.publicKey === undefined) {
    throw new HoldfastError(
      'KEY_UNSUPPORTED',
      `${describeToken(token.info)} does not show the public half of ${facts.uri}: is it an RSA key, or one on P-256, P-384 or P-521?`,
    )
  }
  return { token: readTokenFacts(bench, token), key: facts, publicKey: facts.publicKey }
}

/** @throws HoldfastError TOKEN_*, PIN_*, KEY_NOT_FOUND, KEY_AMBIGUOUS, KEY_UNSUPPORTED */
export async function signWith(
  bench: Workbench,
  { uri, message }: RequestOf<'sign'>,
): Promise<ReplyOf<'sign'>> {
  const { module, sessions, library, surroundings } = bench
  const token = bench.token(uri)
  const meant: Pkcs11Uri = { ...parsePkcs11Uri(uri), type: 'private' }
  const findKey = () => {
    const keys = findKeys(bench, token, meant).filter(({ facts }) => facts.isPrivate)
    return chooseOne(token, keys).found
  }
  const signature = await signOnce(module, sessions, token, Buffer.from(message, 'base64'), {
    findKey,
    chooseMechanism: (key) => chooseMechanism(module, sessions, token, key, readAlgorithm(bench, token, key)),
    announce: (key) => {
      const notice = findTouchNotice(library, sessions, token, key)
      if (notice !== undefined) surroundings.warn(notice)
    },
  })
  return { signature: Buffer.from(signature).toString('base64') }
}

function readAlgorithm({ sessions }: Workbench, token: PresentToken, key: Buffer): SigningAlgorithm {
  const kind = sessions.attribute(token, key, pkcs11js.CKA_KEY_TYPE)?.[0]
  if (kind === pkcs11js.CKK_RSA) return 'AWS4-X509-RSA-SHA256'
  if (kind === pkcs11js.CKK_EC) return 'AWS4-X509-ECDSA-SHA256'
  throw new HoldfastError(
    'KEY_UNSUPPORTED',
    `the key in ${describeToken(token.info)} is neither an RSA nor an EC key: name another`,
  )
}

/** @throws HoldfastError TOKEN_*, PIN_*, OBJECT_EXISTS, KEY_UNSUPPORTED, KEY_INVALID */
export async function generateKey(
  bench: Workbench,
  { uri, type, label, id }: RequestOf<'generateKey'>,
): Promise<ReplyOf<'generateKey'>> {
  const token = bench.token(uri)
  const facts = readTokenFacts(bench, token)
  if (!facts.generates.includes(type)) {
    throw new HoldfastError(
      'KEY_UNSUPPORTED',
      `${describeToken(token.info)} does not make keys of type ${type}: it makes ${formatList(facts.generates)}`,
    )
  }
  await bench.login(token)
  const newId = id === undefined ? findFreeId(bench, token) : verifyFree(bench, token, Buffer.from(id, 'hex'))
  const key = makeKey(bench, token, { type, label, id: newId })
  return { token: facts, key }
}

function isTaken({ sessions }: Workbench, token: PresentToken, id: Buffer): boolean {
  return sessions.objects(token, [{ type: pkcs11js.CKA_ID, value: id }]).length > 0
}

function verifyFree(bench: Workbench, token: PresentToken, id: Buffer): Buffer {
  if (!isTaken(bench, token, id)) return id
  throw alreadyThere(
    `an object with id ${id.toString('hex')}`,
    token.info,
    'choose another id, or leave it out to get one that is free',
  )
}

function findFreeId(bench: Workbench, token: PresentToken): Buffer {
  for (let number = 1; number < 0xff; number++) {
    const id = Buffer.of(number)
    if (!isTaken(bench, token, id)) return id
  }
  return randomBytes(8)
}

const CURVES: Readonly<Partial<Record<KeyType, string>>> = { 'p-256': 'secp256r1', 'p-384': 'secp384r1' }

function makeKey(
  bench: Workbench,
  token: PresentToken,
  { type, label, id }: { type: KeyType; label: string; id: Buffer },
): KeyFacts {
  const curve = CURVES[type]
  const kind: ITemplate =
    curve === undefined
      ? { keyType: KeyKind.RSA, modulusBits: Number(type.slice(4)), publicExponent: Buffer.of(1, 0, 1) }
      : { keyType: KeyKind.EC, paramsEC: NamedCurve.getByName(curve).value }
  const common = { token: true, label, id }
  const session = bench.session(token)
  const what = `making a key in ${describeToken(token.info)}`
  const pair = call(what, () =>
    session.generateKeyPair(
      curve === undefined ? MechanismEnum.RSA_PKCS_KEY_PAIR_GEN : MechanismEnum.EC_KEY_PAIR_GEN,
      // Not `verify`: tpm2-pkcs11 gives a key whose public half may verify the right to decrypt as well.
      { ...common, ...kind, private: false },
      {
        ...common,
        keyType: kind.keyType!,
        private: true,
        sensitive: true,
        extractable: false,
        sign: true,
        unwrap: false,
        derive: false,
        ...(canBeBarredFromDecryption(bench, type) ? { decrypt: false } : {}),
      },
    ),
  )
  try {
    const key = chooseOne(token, findKeys(bench, token, { id, object: label, type: 'private' })).facts
    verifyNewKey(key, type, canBeBarredFromDecryption(bench, type))
    return key
  } catch (error) {
    for (const half of [pair.privateKey, pair.publicKey]) call(what, () => half.destroy())
    throw error
  }
}

/**
 * tpm2-pkcs11 signs with an RSA key by decrypting: it takes no RSA key without that right, and is left with a TPM object
 * of no use where it is asked for one.
 */
function canBeBarredFromDecryption({ library }: Workbench, type: KeyType): boolean {
  return !(type.startsWith('rsa-') && library.manufacturer.startsWith('tpm2-software'))
}

/** What a new key must be. A token that does not tell of an attribute is believed. */
const WANTED: Readonly<Record<string, boolean>> = {
  sensitive: true,
  extractable: false,
  private: true,
  sign: true,
  decrypt: false,
  unwrap: false,
  derive: false,
}

function verifyNewKey(
  { uri, type: made, attributes, isPrivate }: KeyFacts,
  type: KeyType,
  mayNotDecrypt: boolean,
): void {
  const wrong = Object.entries(WANTED)
    .filter(([name]) => name !== 'decrypt' || mayNotDecrypt)
    .filter(([name, wanted]) => (attributes[name] ?? wanted) !== wanted)
  const faults = [
    ...(isPrivate ? [] : ['only its public half is seen']),
    ...(made === type ? [] : [`its type is ${made}`]),
    ...wrong.map(([name]) => `${name} is ${attributes[name]}`),
  ]
  if (faults.length === 0) return
  throw new HoldfastError(
    'KEY_INVALID',
    `the token made another key than was asked for (${formatList(faults)}); it was removed: ${uri}`,
  )
}
