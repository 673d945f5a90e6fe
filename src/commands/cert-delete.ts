/** `holdfast cert delete`: removes a certificate from a token; its key stays. */

import type { Argv } from 'yargs'
import { chooseCertificate, nameObject, readStored } from '../core/pkcs11/object-choice.js'
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
  SERIAL_OPTION,
  withToken,
  YES_OPTION,
} from './token-options.js'

interface DeleteArguments extends ObjectArguments {
  readonly serial?: string | undefined
  readonly yes?: string | undefined
}

export function builder(argv: Argv): Argv {
  return argv
    .options({ ...SERIAL_OPTION, ...OBJECT_OPTIONS, ...LOGIN_OPTIONS, ...YES_OPTION })
    .example(
      'holdfast cert delete --token edge --module tpm2 --id 01',
      'be asked for the name of the certificate',
    )
    .example(
      'holdfast cert delete --token edge --module tpm2 --id 01 --serial 1f --yes line-4',
      'in a script',
    )
}

/** @throws HoldfastError USAGE, URI_INVALID, MODULE_*, TOKEN_*, PIN_*, CERTIFICATE_NOT_FOUND, CERTIFICATE_AMBIGUOUS, INTERRUPTED */
export async function run(argv: DeleteArguments, context: Context): Promise<void> {
  const uri = formatObject(parseObjectUri(argv), 'cert')
  const { name, deleted } = await withToken(argv, context, async (administer) => {
    const { token, certificates } = await administer('readCertificates', { uri, login: true })
    const { stored } = chooseCertificate(readStored(certificates), argv.serial)
    const name = nameObject('certificate', stored)
    const what = `remove ${name} from ${nameToken(token)}`
    await confirmLoss({ what, names: [stored.label, stored.id], given: argv.yes }, context)
    return { name, ...(await administer('deleteObjects', { uri: stored.uri, der: stored.der })) }
  })
  await report(argv.json, { deleted }, [`removed ${name}`, ...deleted].map(formatPrintable), context)
}
