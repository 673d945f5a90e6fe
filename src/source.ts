/**
 * An identity's key becomes a signer source: a key in a token, or a key in a file. What cannot be meant is
 * refused here, before anything is opened.
 */

import { type Identity, isPkcs11Uri } from './core/config/identity.js'
import { HoldfastError } from './core/errors.js'
import { stateDirectories } from './core/pin/pin-record.js'
import {
  formatPkcs11Uri,
  type Pkcs11Uri,
  parsePkcs11Uri,
  unmatchableAttributes,
} from './core/pkcs11/pkcs11-uri.js'
import { DEFAULT_MODULE, type ModuleReference, parseModuleReference } from './core/pkcs11/token-protocol.js'
import type { SignerSource } from './core/signer.js'
import type { Certificate } from './core/x509/certificate.js'
import { createKeyFileSource, readCertificates } from './io/pem-file.js'
import { createTokenSource, type TokenChild } from './io/token-process.js'
import { asksPerson, chooseUserPin, givePin, type PinGiver, toChildPin } from './pin-answer.js'
import type { PinMemory } from './pin-memory.js'

const DEFAULT_TOKEN_TIMEOUT_SECONDS = 30

/** What a source needs of the process it is used in. */
export interface SourceSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly uid: number
  /** A Node executable, to run the token child. */
  readonly execPath: string
  /** A token child that was started early, if there is one left. */
  readonly takeChild?: (() => TokenChild | undefined) | undefined
  /** Keeps what a person gives for the rest of a run. */
  readonly pinMemory?: PinMemory | undefined
  /** Is asked in place of a terminal or an askpass program of this process. */
  readonly pinGiver?: PinGiver | undefined
  readonly warn: (text: string) => void
  readonly debug?: ((text: string) => void) | undefined
}

/**
 * The source of an identity's signatures.
 * @throws HoldfastError USAGE, URI_INVALID
 */
export function createSource(identity: Identity, surroundings: SourceSurroundings): SignerSource {
  const { certificate, privateKey, pkcs11Uri } = identity
  if (pkcs11Uri !== undefined && privateKey !== undefined) {
    throw new HoldfastError('USAGE', 'the key has two sources, --pkcs11-uri and --private-key: name one')
  }
  const key = privateKey ?? pkcs11Uri ?? (isPkcs11Uri(certificate) ? certificate : undefined)
  if (key === undefined) {
    throw new HoldfastError(
      'USAGE',
      'no key is named: give --pkcs11-uri URI for a key in a token, or --certificate FILE with --private-key FILE or URI',
    )
  }
  if (!isPkcs11Uri(key)) {
    if (certificate === undefined || isPkcs11Uri(certificate)) {
      throw new HoldfastError(
        'USAGE',
        'a key in a file needs its certificate in a file: give --certificate FILE',
      )
    }
    return createKeyFileSource(key, () => readCertificates(certificate), surroundings.warn)
  }
  const keyUri = parsePkcs11Uri(key)
  if (certificate === undefined || isPkcs11Uri(certificate)) {
    const certificateUri = certificate === undefined ? keyUri : parsePkcs11Uri(certificate)
    return createTokenKeySource(identity, surroundings, { keyUri, certificateUri })
  }
  return withCertificateFile(certificate, (der) =>
    createTokenKeySource(identity, surroundings, { keyUri, certificate: der }),
  )
}

/** The key is in a token, its certificate in a file, perhaps with the chain above it. */
function withCertificateFile(path: string, createSource: (der: Uint8Array) => SignerSource): SignerSource {
  return {
    async withSigner(use, options) {
      const { leaf, others } = chooseLeaf(await readCertificates(path))
      const chain = others.map(({ der }) => der)
      return createSource(leaf.der).withSigner((signer) => use({ ...signer, chain }), options)
    },
  }
}

/** Which certificate of a file is the key's, where the key is in a token: the first that is no CA's. */
export function chooseLeaf(certificates: readonly Certificate[]): {
  readonly leaf: Certificate
  readonly others: readonly Certificate[]
} {
  const leaf = certificates.find(({ isCa }) => !isCa) ?? certificates[0]!
  return { leaf, others: certificates.filter((other) => other !== leaf) }
}

interface TokenObjects {
  readonly keyUri: Pkcs11Uri
  readonly certificateUri?: Pkcs11Uri
  /** DER. */
  readonly certificate?: Uint8Array
}

function createTokenKeySource(
  identity: Identity,
  surroundings: SourceSurroundings,
  { keyUri, certificateUri, certificate }: TokenObjects,
): SignerSource {
  const uris = [...new Set(certificateUri === undefined ? [keyUri] : [keyUri, certificateUri])]
  verifyMatchable(uris)
  const format = (uri: Pkcs11Uri, type: string) => formatPkcs11Uri({ ...uri, type })
  const { env, uid } = surroundings
  const request = {
    module: chooseModule(identity, uris),
    keyUri: format(keyUri, 'private'),
    ...(certificateUri === undefined ? {} : { certificateUri: format(certificateUri, 'cert') }),
    ...(certificate === undefined ? {} : { certificate: Buffer.from(certificate).toString('base64') }),
    guard: {
      enabled: identity.pinGuard !== 'off',
      directories: stateDirectories(env, uid, identity.stateDir),
    },
    timeoutMs: (identity.tokenTimeout ?? DEFAULT_TOKEN_TIMEOUT_SECONDS) * 1000,
  }
  return {
    async withSigner(use, options) {
      const pin = await chooseUserPin(identity, uris, surroundings)
      const giver = asksPerson(pin) ? surroundings.pinGiver : undefined
      const source = createTokenSource({
        ...surroundings,
        request: {
          ...request,
          pin: { ...toChildPin(pin), ...(giver && { kind: giver.kind, name: giver.name }) },
        },
        givePin: (need, { signal }) => giver?.give(need) ?? givePin(pin, need, surroundings, { signal }),
      })
      return source.withSigner(use, options)
    },
  }
}

/** @throws HoldfastError URI_INVALID for URIs that no object can match */
export function verifyMatchable(uris: readonly Pkcs11Uri[]): void {
  const foreign = uris.find(({ type }) => type === 'secret-key' || type === 'data')
  if (foreign !== undefined) {
    throw new HoldfastError(
      'URI_INVALID',
      `the PKCS#11 URI says type=${foreign.type}, which is neither a private key nor a certificate: leave the type out`,
    )
  }
  const names = new Set(uris.flatMap(unmatchableAttributes))
  if (names.size === 0) return
  throw new HoldfastError(
    'URI_INVALID',
    `no object can match the PKCS#11 URI because of what it says for ${[...names].join(', ')}: the attribute or its type is unknown, or its value too long`,
  )
}

/**
 * The module to load. A URI may come from anywhere, so it chooses the code that is loaded only by leave.
 * @throws HoldfastError USAGE
 */
export function chooseModule(
  identity: Pick<Identity, 'pkcs11Module' | 'allowUriModule'>,
  uris: readonly Pkcs11Uri[],
): ModuleReference {
  if (identity.pkcs11Module !== undefined) return parseModuleReference(identity.pkcs11Module)
  const named = uris.find(
    ({ modulePath, moduleName }) => modulePath !== undefined || moduleName !== undefined,
  )
  if (named === undefined) return { path: DEFAULT_MODULE }
  if (identity.allowUriModule !== true) {
    throw new HoldfastError(
      'USAGE',
      'the PKCS#11 URI names the module to load: allow that with --allow-uri-module, or name the module with --pkcs11-module',
    )
  }
  const { modulePath, moduleName } = named
  if (moduleName !== undefined) return { name: moduleName, directory: modulePath }
  return { path: modulePath! }
}
