/**
 * The flags of all commands that look into a token or change it: which token, which object in it, where its PINs are; and
 * the token child that they come to.
 */

import type { Options } from 'yargs'
import { type Administer, withAdministration } from '../administration.js'
import { isPkcs11Uri, verifyTimeout } from '../core/config/identity.js'
import { HoldfastError } from '../core/errors.js'
import { formatPkcs11Uri, type Pkcs11Uri, parsePkcs11Uri } from '../core/pkcs11/pkcs11-uri.js'
import type { Context } from './context.js'
import { DEBUG, FLAGS } from './options.js'

/** Parsed flags that name a token and its module. */
export interface TokenArguments {
  readonly token?: string | undefined
  readonly slot?: number | undefined
  readonly pkcs11Module?: string | undefined
  readonly allowUriModule?: boolean | undefined
  readonly tokenTimeout?: number | undefined
  readonly json: boolean
  readonly debug: boolean
}

/** Parsed flags of a command that logs in as user. */
export interface LoginArguments extends TokenArguments {
  readonly pinFile?: string | undefined
  readonly askpass?: string | undefined
  readonly stateDir?: string | undefined
  readonly pinGuard?: 'on' | 'off' | undefined
}

/** Parsed flags of a command that needs another PIN as well, or sets one. */
export interface PinArguments extends LoginArguments {
  readonly soPinFile?: string | undefined
  readonly newPinFile?: string | undefined
}

/** Parsed flags of a command that works on one object. */
export interface ObjectArguments extends LoginArguments {
  readonly id?: string | undefined
  readonly label?: string | undefined
}

/** Flags that name a token and its module. */
export const TOKEN_OPTIONS = {
  token: {
    type: 'string',
    requiresArg: true,
    describe: 'label of the token, or its pkcs11: URI [default: the only one]',
  },
  slot: { type: 'number', requiresArg: true, describe: 'number of the slot that the token is in' },
  'pkcs11-module': { ...FLAGS['pkcs11-module'], requiresArg: true },
  'allow-uri-module': FLAGS['allow-uri-module'],
  'token-timeout': {
    type: 'number',
    requiresArg: true,
    describe: 'seconds for all that the token does [default: 120]',
  },
  json: { type: 'boolean', default: false, describe: 'print one line of JSON' },
  debug: DEBUG,
} as const satisfies Record<string, Options>

const GUARD_OPTIONS = {
  askpass: { ...FLAGS.askpass, requiresArg: true },
  'state-dir': { ...FLAGS['state-dir'], requiresArg: true },
  'pin-guard': { ...FLAGS['pin-guard'], requiresArg: true },
} as const satisfies Record<string, Options>

/** Flags of a command that logs in as user. */
export const LOGIN_OPTIONS = {
  ...TOKEN_OPTIONS,
  'pin-file': { ...FLAGS['pin-file'], requiresArg: true },
  ...GUARD_OPTIONS,
} as const satisfies Record<string, Options>

/** Flags of a command that sets the user PIN. */
export const NEW_PIN_OPTIONS = {
  ...TOKEN_OPTIONS,
  'new-pin-file': {
    type: 'string',
    requiresArg: true,
    describe: 'file whose first line is the user PIN that is to be set',
  },
  ...GUARD_OPTIONS,
} as const satisfies Record<string, Options>

/** The flag for the security officer's PIN. */
export const SO_PIN_OPTION = {
  'so-pin-file': {
    type: 'string',
    requiresArg: true,
    describe: 'file whose first line is the PIN of the security officer',
  },
} as const satisfies Record<string, Options>

/** Flags that name an object of a token. */
export const OBJECT_OPTIONS = {
  id: { type: 'string', requiresArg: true, describe: 'id of the object, in hexadecimal' },
  label: { type: 'string', requiresArg: true, describe: 'label of the object' },
} as const satisfies Record<string, Options>

/** The flag of commands that seldom need a login: tokens show certificates to everybody, with few exceptions. */
export const CERTIFICATE_LOGIN_OPTION = {
  login: {
    type: 'boolean',
    default: false,
    describe: 'log in first, for a token that hides certificates or keys until then',
  },
} as const satisfies Record<string, Options>

/** The flag that tells certificates of one id and label from each other. */
export const SERIAL_OPTION = {
  serial: { type: 'string', requiresArg: true, describe: 'serial number of the certificate, in hexadecimal' },
} as const satisfies Record<string, Options>

/** The flag that repeats the name of what is to be lost. */
export const YES_OPTION = {
  yes: {
    type: 'string',
    requiresArg: true,
    describe: 'name of what is to be lost, instead of typing it when asked',
  },
} as const satisfies Record<string, Options>

/**
 * What `--token` and `--slot` mean; without them any token.
 * @throws HoldfastError URI_INVALID, USAGE
 */
export function parseTokenUri({ token, slot }: Pick<TokenArguments, 'token' | 'slot'>): Pkcs11Uri {
  const uri: Pkcs11Uri = token === undefined ? {} : isPkcs11Uri(token) ? parsePkcs11Uri(token) : { token }
  if (slot === undefined) return uri
  if (!Number.isSafeInteger(slot) || slot < 0) {
    throw new HoldfastError('USAGE', '--slot is a number: holdfast token list shows those of all tokens')
  }
  return { ...uri, slotId: slot }
}

/**
 * What `--token`, `--slot`, `--id` and `--label` mean.
 * @throws HoldfastError URI_INVALID, USAGE if the URI names another object than the flags
 */
export function parseObjectUri(argv: ObjectArguments): Pkcs11Uri {
  const uri = parseTokenUri(argv)
  const { id, label } = argv
  if ((id !== undefined && uri.id !== undefined) || (label !== undefined && uri.object !== undefined)) {
    throw new HoldfastError(
      'USAGE',
      'the object is named twice, in the URI of --token and by a flag: once is enough',
    )
  }
  return {
    ...uri,
    ...(id === undefined ? {} : { id: parseId(id) }),
    ...(label === undefined ? {} : { object: label }),
  }
}

/** The bytes of an id in hexadecimal. @throws HoldfastError USAGE */
export function parseId(id: string): Uint8Array {
  if (/^(?:[\da-f]{2})+$/i.test(id)) return Buffer.from(id, 'hex')
  throw new HoldfastError(
    'USAGE',
    '--id is written in hexadecimal, two digits for each byte, such as 01 or a1b2',
  )
}

/**
 * Text of a URI that crosses to the token child: of what the flags say without the PIN.
 * @param type word of the `type` attribute
 */
export function formatObject(uri: Pkcs11Uri, type?: 'private' | 'cert'): string {
  return formatPkcs11Uri(type === undefined ? uri : { ...uri, type })
}

/**
 * Lends the token child that the flags mean; what a person should know goes to stderr.
 * @throws HoldfastError USAGE, URI_INVALID, and those of the requests
 */
export async function withToken<T>(
  argv: PinArguments,
  context: Context,
  use: (administer: Administer) => Promise<T>,
): Promise<T> {
  const { token, tokenTimeout, debug } = argv
  verifyTimeout('--token-timeout', tokenTimeout)
  const settings = { ...argv, uris: isPkcs11Uri(token) ? [token] : [] }
  const surroundings = {
    ...context,
    warn: (text: string) => context.stderr(`warning: ${text}`),
    debug: debug ? (text: string) => context.stderr(`debug: ${text}`) : undefined,
  }
  return withAdministration(settings, surroundings, context, use)
}
