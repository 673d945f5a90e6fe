/** `holdfast key delete`: removes a key pair from a token, for ever. */

import type { Argv } from 'yargs'
import { chooseKey, nameObject } from '../core/pkcs11/object-choice.js'
import { nameToken } from '../core/pkcs11/token-facts.js'
import { formatPrintable } from '../core/printable.js'
import { confirmLoss } from './confirmation.js'
import type { Context } from './context.js'
import { report } from './report.js'
import {
  formatObject,
  LOGIN_OPTIONS,
  OBJECT_OPTIONS,
  type ObjectArguments,
  parseObjectUri,
  withToken,
  YES_OPTION,
} from './token-options.js'

interface DeleteArguments extends ObjectArguments {
  readonly yes?: string | undefined
}

export function builder(argv: Argv): Argv {
  return argv
    .options({ ...OBJECT_OPTIONS, ...LOGIN_OPTIONS, ...YES_OPTION })
    .example('holdfast key delete --token edge --module tpm2 --id 01', 'be asked for the name of the key')
    .example('holdfast key delete --token edge --module tpm2 --id 01 --yes line-4', 'in a script')
}

/** @throws HoldfastError USAGE, URI_INVALID, MODULE_*, TOKEN_*, PIN_*, KEY_NOT_FOUND, KEY_AMBIGUOUS, INTERRUPTED */
export async function run(argv: DeleteArguments, context: Context): Promise<void> {
  const uri = formatObject(parseObjectUri(argv), 'private')
  const { name, deleted } = await withToken(argv, context, async (administer) => {
    const { token, keys } = await administer('listObjects', { uri, login: true })
    const key = chooseKey(keys)
    const what = `remove ${nameObject('key', key)} from ${nameToken(token)}`
    await confirmLoss({ what, names: [key.label, key.id], given: argv.yes }, context)
    return { name: nameObject('key', key), ...(await administer('deleteObjects', { uri: key.uri })) }
  })
  await report(argv.json, { deleted }, [`removed ${name}`, ...deleted].map(formatPrintable), context)
}
