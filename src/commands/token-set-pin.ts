/** `holdfast token set-pin`: changes the user PIN of a token. */

import type { Argv } from 'yargs'
import { nameToken } from '../core/pkcs11/token-facts.js'
import type { Context } from './context.js'
import { report } from './report.js'
import {
  formatObject,
  LOGIN_OPTIONS,
  NEW_PIN_OPTIONS,
  type PinArguments,
  parseTokenUri,
  withToken,
} from './token-options.js'

export function builder(argv: Argv): Argv {
  return argv
    .options({ ...LOGIN_OPTIONS, ...NEW_PIN_OPTIONS })
    .example('holdfast token set-pin --token edge --module tpm2', 'be asked for the old PIN and the new one')
    .example(
      'holdfast token set-pin --token edge --module tpm2 --pin-file /etc/holdfast/pin --new-pin-file /etc/holdfast/pin.new',
      'without a person; then move the file',
    )
}

/** @throws HoldfastError USAGE, MODULE_*, TOKEN_*, PIN_*, INTERRUPTED */
export async function run(argv: PinArguments, context: Context): Promise<void> {
  const uri = formatObject(parseTokenUri(argv))
  const { token } = await withToken(argv, context, (administer) => administer('setPin', { uri }))
  await report(argv.json, { token }, [`the user PIN of ${nameToken(token)} is changed`], context)
}
