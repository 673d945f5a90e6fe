/** `holdfast token unblock`: the security officer sets the user PIN of a token, also one that is locked. */

import type { Argv } from 'yargs'
import { nameToken } from '../core/pkcs11/token-facts.js'
import type { Context } from './context.js'
import { report } from './report.js'
import {
  formatObject,
  NEW_PIN_OPTIONS,
  type PinArguments,
  parseTokenUri,
  SO_PIN_OPTION,
  withToken,
} from './token-options.js'

export function builder(argv: Argv): Argv {
  return argv
    .options({ ...NEW_PIN_OPTIONS, ...SO_PIN_OPTION })
    .example('holdfast token unblock --token edge --module tpm2', 'be asked for the SO PIN and the new one')
    .example(
      'holdfast token unblock --token edge --module tpm2 --so-pin-file /root/so-pin --new-pin-file /etc/holdfast/pin',
      'without a person',
    )
}

/** @throws HoldfastError USAGE, MODULE_*, TOKEN_*, PIN_*, INTERRUPTED */
export async function run(argv: PinArguments, context: Context): Promise<void> {
  const uri = formatObject(parseTokenUri(argv))
  const { token } = await withToken(argv, context, (administer) => administer('unblockPin', { uri }))
  await report(argv.json, { token }, [`the user PIN of ${nameToken(token)} is set`], context)
}
