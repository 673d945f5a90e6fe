/**
 * An identity's key becomes a signer source: a key in a token, or a key in a file. What cannot be meant is
 * refused here, before anything is opened.
 */

import { HoldfastError } from './core/errors.js'
import { type Identity, isPkcs11Uri } from './core/identity.js'
import {
  choosePinSource,
  formatPinPrompt,
  formatPinSource,
  type NamedPinSource,
  PIN_WAYS,
  type PinSource,
} from './core/pin.js'
import { stateDirectories } from './core/pin-record.js'
import {
  formatPkcs11Uri,
  type Pkcs11Uri,
  parsePkcs11Uri,
  pinSourcePath,
  unmatchableAttributes,
} from './core/pkcs11-uri.js'
import type { SignerSource } from './core/signer.js'
import {
  DEFAULT_MODULE,
  type ModuleReference,
  type PinNeed,
  parseModuleReference,
} from './core/token-protocol.js'
import { withDeadline } from './io/deadline.js'
import { createKeyFileSource, readCertificates } from './io/pem-file.js'
import { findSystemdCredential } from './io/pin-file.js'
import { createTokenSource, type TokenChild } from './io/token-process.js'

const DEFAULT_TOKEN_TIMEOUT_SECONDS = 30

/** How long a person may take to give a PIN. What is to be signed has its date by then, which is good for 5 minutes. */
const PERSON_LIMIT_SECONDS = 120

/** Stands between the token and the person that a terminal or an askpass program would ask. */
export interface PinGiver {
  /** How the PIN came, or would: what the guard of tried PINs goes by. */
  readonly kind: 'terminal' | 'askpass'
  /** What messages call it. */
  readonly name: string
  /** The PIN, which then belongs to the caller. */
  give(need: PinNeed): Promise<Uint8Array>
}

/** What a source needs of the process it is used in. */
export interface SourceSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly uid: number
  /** A Node executable, to run the token child. */
  readonly execPath: string
  /** A token child that was started early, if there is one left. */
  readonly takeChild?: (() => TokenChild | undefined) | undefined
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
      const certificates = await readCertificates(path)
      const leaf = certificates.find(({ isCa }) => !isCa) ?? certificates[0]!
      const chain = certificates.filter((other) => other !== leaf).map(({ der }) => der)
      return createSource(leaf.der).withSigner((signer) => use({ ...signer, chain }), options)
    },
  }
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
      const pin = await choosePin(identity, uris, surroundings)
      const giver = asksPerson(pin) ? surroundings.pinGiver : undefined
      const childPin = {
        kind: giver?.kind ?? pin.kind,
        name: giver?.name ?? formatPinSource(pin),
        ...('path' in pin ? { path: pin.path } : {}),
      }
      const source = createTokenSource({
        ...surroundings,
        request: { ...request, pin: childPin },
        givePin: (need, { signal }) => giver?.give(need) ?? givePin(pin, need, surroundings, { signal }),
      })
      return source.withSigner(use, options)
    },
  }
}

function verifyMatchable(uris: readonly Pkcs11Uri[]): void {
  const names = new Set(uris.flatMap(unmatchableAttributes))
  if (names.size === 0) return
  throw new HoldfastError(
    'URI_INVALID',
    `no object can match the PKCS#11 URI because of what it says for ${[...names].join(', ')}: the attribute or its type is unknown, or its value too long`,
  )
}

/** A URI may come from anywhere, so it chooses the code that is loaded only by leave. */
function chooseModule(identity: Identity, uris: readonly Pkcs11Uri[]): ModuleReference {
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

/**
 * Where the PIN of an identity's token would come from; undefined for a key in a file.
 * @throws HoldfastError USAGE, URI_INVALID
 */
export async function findPinSource(
  identity: Identity,
  surroundings: Pick<SourceSurroundings, 'env' | 'warn'>,
): Promise<PinSource | undefined> {
  const key = identity.privateKey ?? identity.pkcs11Uri ?? identity.certificate
  if (!isPkcs11Uri(key)) return undefined
  const uris = [key, identity.certificate].filter(isPkcs11Uri)
  return choosePin(identity, uris.map(parsePkcs11Uri), surroundings)
}

/** True if a person, or a program that may ask one, gives the PIN. */
export function asksPerson({ kind }: PinSource): boolean {
  return kind === 'terminal' || kind === 'askpass'
}

async function choosePin(
  identity: Identity,
  uris: readonly Pkcs11Uri[],
  surroundings: Pick<SourceSurroundings, 'env' | 'warn'>,
): Promise<PinSource> {
  const { env, warn } = surroundings
  const named: NamedPinSource[] = []
  if (identity.pinFile !== undefined) {
    named.push({ from: '--pin-file', source: { kind: 'file', path: identity.pinFile } })
  }
  for (const { pinSource, pinValue } of uris) {
    if (pinSource !== undefined) {
      named.push({ from: 'pin-source', source: { kind: 'file', path: pinSourcePath(pinSource) } })
    }
    if (pinValue !== undefined) {
      named.push({ from: 'pin-value', source: { kind: 'pin-value', pin: Buffer.from(pinValue) } })
    }
  }
  const chosen = choosePinSource(named, {
    systemdCredential: await findSystemdCredential(env),
    environment: env.HOLDFAST_PIN,
    askpass: identity.askpass ?? env.HOLDFAST_ASKPASS,
  })
  if (chosen.kind === 'pin-value') {
    warn(
      'the PIN stands in the PKCS#11 URI (pin-value), where other users and logs may see it: use pin-source=file:PATH',
    )
  }
  return chosen
}

/**
 * Gets a PIN that the token child cannot read itself: from a person, a program, the environment or the URI. It belongs
 * to the caller.
 * @throws HoldfastError PIN_NEEDED, PIN_INVALID, PIN_SOURCE_UNREADABLE, INTERRUPTED
 */
export async function givePin(
  source: PinSource,
  need: PinNeed,
  { env }: Pick<SourceSurroundings, 'env'>,
  { signal }: { signal: AbortSignal },
): Promise<Uint8Array> {
  const prompt = formatPinPrompt(need.token, need.flags)
  const timeoutMs = PERSON_LIMIT_SECONDS * 1000
  const expired = new HoldfastError(
    'PIN_NEEDED',
    `the token wants a PIN, and the ${formatPinSource(source)} gave none within ${PERSON_LIMIT_SECONDS} s`,
  )
  switch (source.kind) {
    case 'environment':
    case 'pin-value':
      return Uint8Array.from(source.pin)
    case 'askpass': {
      const { runAskpass } = await import('./io/askpass.js')
      return withDeadline({ signal, timeoutMs, expired }, (deadline) =>
        runAskpass(source.program, prompt, { signal: deadline, env }),
      )
    }
    case 'terminal': {
      const { askTerminal } = await import('./io/terminal.js')
      return withDeadline({ signal, timeoutMs, expired }, (deadline) =>
        askTerminal(prompt, { signal: deadline }),
      )
    }
    default:
      throw new HoldfastError('PIN_NEEDED', `the token wants a PIN. Ways to give one: ${PIN_WAYS}`)
  }
}
