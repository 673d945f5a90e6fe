/**
 * Where the private key of a CA is: in its folder, encrypted with a passphrase, or in a token, and then the folder says
 * which. Lends what signs with it. Nobody is asked for a passphrase or a PIN before that is needed.
 */

import { randomBytes } from 'node:crypto'
import { join, resolve } from 'node:path'
import { withAdministration } from '../administration.js'
import { HoldfastError } from '../core/errors.js'
import type { KeyType } from '../core/pkcs11/admin-protocol.js'
import { parsePkcs11Uri } from '../core/pkcs11/pkcs11-uri.js'
import { ENCRYPTION_RANDOM_BYTES, encryptPrivateKey, findPrivateKey } from '../core/x509/encrypted-key.js'
import { findCaFile } from '../io/ca-folder.js'
import type { Authority } from './authority.js'
import { keyIdOf } from './issue.js'
import { obtainNewPassphrase, obtainPassphrase, type PassphraseOptions } from './passphrase.js'
import { type CaSigner, createKeySigner, generateKey } from './signer.js'

/** How to get at a key. */
export interface KeyOptions extends PassphraseOptions {
  /** The file of the token's PIN, if the URI of the key names none. */
  readonly pinFile: string | undefined
  readonly pkcs11Module: string | undefined
  /** A Node executable, to run the token child. */
  readonly execPath: string
}

/** The file in the CA's folder that leads to its key. */
export interface KeyRecord {
  readonly name: string
  readonly text: string
}

/** Lends what signs with a CA's new key, and what its folder must have. */
export type UseNewKey<T> = (signer: CaSigner, record: KeyRecord) => Promise<T>

interface TokenKey {
  readonly uri: string
  /** Path of the module, or what else `--pkcs11-module` takes. */
  readonly module?: string | undefined
}

const recordName = (publicKeyInfo: Uint8Array, extension: 'pem' | 'json') =>
  `key-${keyIdOf(publicKeyInfo)}.${extension}`

/**
 * Makes a key outside any token, and encrypts it with a new passphrase.
 * @throws HoldfastError USAGE, PIN_*, INTERRUPTED
 */
export async function withNewKey<T>(type: KeyType, options: KeyOptions, use: UseNewKey<T>): Promise<T> {
  refuse(
    options,
    ['pinFile', 'pkcs11Module'],
    'the key is to be in a file: name one in a token with --key-uri',
  )
  const passphrase = await obtainNewPassphrase(options)
  const key = await generateKey(type)
  const text = encryptPrivateKey(key, passphrase.bytes, randomBytes(ENCRYPTION_RANDOM_BYTES))
  passphrase.bytes.fill(0)
  const signer = createKeySigner(key)
  return use(signer, { name: recordName(signer.publicKeyInfo, 'pem'), text })
}

/**
 * Uses the key in a token as that of a new CA.
 * @throws HoldfastError USAGE, URI_INVALID, those of a token
 */
export async function withKeyInToken<T>(uri: string, options: KeyOptions, use: UseNewKey<T>): Promise<T> {
  refuse(options, ['passphraseFile'], 'the key is in a token, which has a PIN: --pin-file')
  if (parsePkcs11Uri(uri).pinValue !== undefined) {
    throw new HoldfastError(
      'USAGE',
      '--key-uri is written down, so it may have a pin-source, and no pin-value',
    )
  }
  const { pkcs11Module } = options
  // A file name without a folder, or a word, is not a path.
  const module = pkcs11Module?.includes('/') ? resolve(pkcs11Module) : pkcs11Module
  return withToken({ uri, module }, options, async (signer) => {
    const name = recordName(signer.publicKeyInfo, 'json')
    return use(signer, { name, text: `${JSON.stringify({ uri, module })}\n` })
  })
}

/**
 * Lends what signs for a CA.
 * @throws HoldfastError USAGE, PASSPHRASE_INCORRECT, PIN_*, those of a token, CA_DAMAGED, CA_UNSAFE, FILE_UNREADABLE
 */
export async function withAuthorityKey<T>(
  { directory, certificate }: Authority,
  options: KeyOptions,
  use: (signer: CaSigner) => Promise<T>,
): Promise<T> {
  const { publicKeyInfo } = certificate
  const [inFile, inToken] = [recordName(publicKeyInfo, 'pem'), recordName(publicKeyInfo, 'json')]
  const text = findCaFile(directory, inToken, options.uid)
  if (text !== undefined) {
    refuse(options, ['passphraseFile'], 'the key of this CA is in a token, which has a PIN: --pin-file')
    return withToken(parseTokenKey(text, join(directory, inToken)), options, use, publicKeyInfo)
  }
  refuse(options, ['pinFile', 'pkcs11Module'], 'the key of this CA is in a file: --passphrase-file')
  const path = join(directory, inFile)
  const pem = findCaFile(directory, inFile, options.uid)
  if (pem !== undefined) return use(await unlock(pem, path, publicKeyInfo, options))
  throw new HoldfastError('CA_DAMAGED', `the key of the CA, ${path}, is gone: restore it from a backup`)
}

function refuse(options: KeyOptions, names: readonly (keyof KeyOptions)[], why: string): void {
  if (names.some((name) => options[name] !== undefined)) throw new HoldfastError('USAGE', why)
}

async function unlock(
  pem: string,
  path: string,
  publicKeyInfo: Uint8Array,
  options: KeyOptions,
): Promise<CaSigner> {
  const passphrase = await obtainPassphrase(path, options)
  const key = findPrivateKey(pem, passphrase.bytes)
  passphrase.bytes.fill(0)
  if (key === undefined) {
    throw new HoldfastError(
      'PASSPHRASE_INCORRECT',
      `the passphrase from ${passphrase.origin} does not open ${path}: it is another one, or the file is damaged`,
    )
  }
  const signer = createKeySigner(key)
  if (Buffer.compare(signer.publicKeyInfo, publicKeyInfo) === 0) return signer
  throw new HoldfastError(
    'CA_DAMAGED',
    `${path} is not the key of the CA's certificate: restore it from a backup`,
  )
}

function parseTokenKey(text: string, path: string): TokenKey {
  try {
    const { uri, module } = JSON.parse(text)
    if (typeof uri === 'string' && (module === undefined || typeof module === 'string'))
      return { uri, module }
  } catch {
    // Not JSON.
  }
  throw new HoldfastError('CA_DAMAGED', `${path} is damaged: restore it from a backup`)
}

/** @param known DER SubjectPublicKeyInfo, if the token need not be asked for it */
async function withToken<T>(
  { uri, module }: TokenKey,
  options: KeyOptions,
  use: (signer: CaSigner) => Promise<T>,
  known?: Uint8Array,
): Promise<T> {
  const { pinFile, askpass, signal } = options
  const settings = { uris: [uri], pinFile, askpass, pkcs11Module: options.pkcs11Module ?? module }
  return withAdministration(settings, options, { signal }, async (perform) =>
    use({
      publicKeyInfo: known ?? Buffer.from((await perform('publicKey', { uri })).publicKey, 'base64'),
      async sign(message) {
        const { signature } = await perform('sign', { uri, message: Buffer.from(message).toString('base64') })
        return Buffer.from(signature, 'base64')
      },
    }),
  )
}
