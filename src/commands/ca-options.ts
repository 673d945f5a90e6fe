/** The flags that the commands of the local CA share, and what they come to. */

import type { Options } from 'yargs'
import { HoldfastError } from '../core/errors.js'
import type { NameAttribute } from '../core/x509/distinguished-name.js'
import type { Context } from './context.js'

/** Parsed flags of every command of the CA. */
export interface CaArguments {
  readonly ca?: string | undefined
  readonly json: boolean
}

/** Parsed flags of those that sign. */
export interface SigningArguments extends CaArguments {
  readonly passphraseFile?: string | undefined
  readonly askpass?: string | undefined
  readonly pinFile?: string | undefined
  readonly pkcs11Module?: string | undefined
}

/** Flags of every command of the CA. */
export const CA_OPTIONS = {
  ca: {
    type: 'string',
    requiresArg: true,
    describe: 'folder of the CA [default: ~/.local/share/holdfast/ca]',
  },
  json: { type: 'boolean', default: false, describe: 'print one line of JSON' },
} as const satisfies Record<string, Options>

/** Flags of those that sign. */
export const SIGNING_OPTIONS = {
  ...CA_OPTIONS,
  'passphrase-file': {
    type: 'string',
    requiresArg: true,
    describe: 'file whose first line is the passphrase of the CA’s key',
  },
  askpass: { type: 'string', requiresArg: true, describe: 'program that prints the passphrase or the PIN' },
  'pin-file': {
    type: 'string',
    requiresArg: true,
    describe: 'file whose first line is the PIN, for a key in a token',
  },
  'pkcs11-module': {
    type: 'string',
    requiresArg: true,
    alias: ['pkcs11-lib', 'module'],
    describe: 'PKCS#11 module, for a key in a token',
  },
} as const satisfies Record<string, Options>

const MAX_DAYS = 36_500

/** @throws HoldfastError USAGE unless it is a whole number of days, up to a hundred years */
export function verifyDays(days: number): void {
  if (Number.isInteger(days) && days >= 1 && days <= MAX_DAYS) return
  throw new HoldfastError('USAGE', `--days must be a whole number from 1 to ${MAX_DAYS}`)
}

/** Where the key, and what opens it, may come from. */
export function keyOptions(argv: SigningArguments, context: Context) {
  const { passphraseFile, askpass, pinFile, pkcs11Module } = argv
  const { env, uid, execPath, signal } = context
  const warn = (text: string) => context.stderr(`warning: ${text}`)
  return { passphraseFile, askpass, pinFile, pkcs11Module, env, uid, execPath, signal, warn }
}

/**
 * A name for what is made of the CA in AWS: that of the CA, as far as AWS allows.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/APIReference/API_CreateTrustAnchor.html
 */
export function resourceName(subject: readonly NameAttribute[]): string {
  const name = subject.find(({ type }) => type === 'CN') ?? subject[0]
  return name?.value.replaceAll(/[^ a-zA-Z0-9\-_]/g, '-') ?? 'holdfast'
}
