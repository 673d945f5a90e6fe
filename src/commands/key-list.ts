/** `holdfast key list`: the keys in a token, and whether each can do no more than sign. */

import type { Argv } from 'yargs'
import type { KeyFacts } from '../core/pkcs11/admin-protocol.js'
import { findKeyFaults } from '../core/pkcs11/key-facts.js'
import { nameObject } from '../core/pkcs11/object-choice.js'
import { formatPrintable } from '../core/printable.js'
import type { Context } from './context.js'
import { report } from './report.js'
import {
  formatObject,
  LOGIN_OPTIONS,
  OBJECT_OPTIONS,
  type ObjectArguments,
  parseObjectUri,
  withToken,
} from './token-options.js'

interface ListArguments extends ObjectArguments {
  readonly login: boolean
}

export function builder(argv: Argv): Argv {
  return argv
    .options({
      login: {
        type: 'boolean',
        default: true,
        describe: 'log in; with --no-login only what the token shows to everybody',
      },
      ...OBJECT_OPTIONS,
      ...LOGIN_OPTIONS,
    })
    .example('holdfast key list --token edge --module tpm2', 'all keys')
    .example('holdfast key list --token edge --module tpm2 --no-login --json', 'public keys, for a script')
}

/** @throws HoldfastError USAGE, URI_INVALID, MODULE_*, TOKEN_*, PIN_* */
export async function run(argv: ListArguments, context: Context): Promise<void> {
  const uri = formatObject(parseObjectUri(argv), 'private')
  const { token, keys } = await withToken(argv, context, (administer) =>
    administer('listObjects', { uri, login: argv.login }),
  )
  const json = { token, keys: keys.map((key) => ({ ...key, faults: findKeyFaults(key) })) }
  const lines = keys.flatMap(describe)
  await report(argv.json, json, (lines.length === 0 ? ['no key'] : lines).map(formatPrintable), context)
}

function describe(key: KeyFacts): string[] {
  const faults = findKeyFaults(key)
  const half = key.isPrivate ? '' : ', of which only the public half is seen'
  return [
    `${nameObject('key', key)}: ${key.type}${half}`,
    ...(faults.length === 0 ? [] : [`  ${faults.join('; ')}`]),
    `  ${key.uri}`,
  ]
}
