/** `holdfast cert list`: the certificates in a token. */

import type { Argv } from 'yargs'
import { readStored } from '../core/pkcs11/object-choice.js'
import { formatPrintable } from '../core/printable.js'
import { describeEntry, formatEntry, warnOfEnding } from './certificate-report.js'
import type { Context } from './context.js'
import { report } from './report.js'
import {
  CERTIFICATE_LOGIN_OPTION,
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
    .options({ ...CERTIFICATE_LOGIN_OPTION, ...OBJECT_OPTIONS, ...LOGIN_OPTIONS })
    .example('holdfast cert list --token edge --module tpm2', 'all certificates')
    .example('holdfast cert list --token edge --module tpm2 --json', 'for a script')
}

/** @throws HoldfastError USAGE, URI_INVALID, MODULE_*, TOKEN_*, PIN_* */
export async function run(argv: ListArguments, context: Context): Promise<void> {
  const uri = formatObject(parseObjectUri(argv), 'cert')
  const { token, certificates } = await withToken(argv, context, (administer) =>
    administer('readCertificates', { uri, login: argv.login }),
  )
  const found = readStored(certificates)
  for (const { certificate } of found) warnOfEnding(certificate, context)
  const json = { token, certificates: found.map((entry) => describeEntry(entry, context)) }
  const lines = found.flatMap((entry) => formatEntry(entry, context))
  await report(
    argv.json,
    json,
    (lines.length === 0 ? ['no certificate'] : lines).map(formatPrintable),
    context,
  )
}
