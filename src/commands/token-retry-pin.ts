/**
 * `holdfast token retry-pin [LABEL]`: a person says that a PIN which a token refused may be tried again. No token is looked at.
 */

import type { Argv } from 'yargs'
import { HoldfastError } from '../core/errors.js'
import { stateDirectories } from '../core/pin/pin-record.js'
import { matchesToken } from '../core/pkcs11/pkcs11-match.js'
import { formatPrintable } from '../core/printable.js'
import { forgetPinRecords } from '../io/pin-guard/pin-guard.js'
import type { Context } from './context.js'
import { report } from './report.js'
import { parseTokenUri, TOKEN_OPTIONS } from './token-options.js'

interface RetryPinArguments {
  readonly label?: string | undefined
  readonly token?: string | undefined
  readonly stateDir?: string | undefined
  readonly json: boolean
}

export function builder(argv: Argv): Argv {
  return argv
    .positional('label', { type: 'string', describe: 'label of the token; without it, every token' })
    .option('token', {
      ...TOKEN_OPTIONS.token,
      describe: 'the same, as other commands take it: a label, or a pkcs11: URI',
    })
    .option('pkcs11-module', { ...TOKEN_OPTIONS['pkcs11-module'], hidden: true })
    .option('state-dir', {
      type: 'string',
      requiresArg: true,
      describe: 'folder of the record of tried PINs, if it is not the usual one',
    })
    .option('json', { type: 'boolean', default: false, describe: 'print one line of JSON' })
    .example('holdfast token retry-pin edge', 'after the PIN of the token "edge" has been corrected')
}

/**
 * Prints what was forgotten.
 * @throws HoldfastError USAGE, URI_INVALID, PIN_GUARD_UNAVAILABLE if a record cannot be removed or a folder not be trusted
 */
export async function run(
  { label, token: named, stateDir, json }: RetryPinArguments,
  context: Context,
): Promise<void> {
  if (label !== undefined && named !== undefined) {
    throw new HoldfastError(
      'USAGE',
      'the token is named twice, by its label and with --token: once is enough',
    )
  }
  const uri = parseTokenUri({ token: label ?? named })
  const directories = stateDirectories(context.env, context.uid, stateDir)
  const { forgotten, leftAlone } = await forgetPinRecords(
    directories,
    context.uid,
    (record) => record === undefined || (record.state !== 'good' && matchesToken(uri, record.token)),
  )
  const lines = forgotten.map(({ path, record }) =>
    record === undefined
      ? `forgot a damaged record, ${path}`
      : `forgot the PIN from ${record.source} for token "${record.token.label}" (${record.state})`,
  )
  if (forgotten.length === 0 && leftAlone.length === 0) {
    lines.push(`nothing is held against a PIN in ${directories.join(', ')}`)
  }
  const facts = forgotten.map(({ path, record }) => ({
    record: path,
    ...(record === undefined
      ? {}
      : { token: record.token.label, source: record.source, state: record.state }),
  }))
  if (json || lines.length > 0) await report(json, { forgotten: facts }, lines.map(formatPrintable), context)
  if (leftAlone.length > 0) {
    throw new HoldfastError(
      'PIN_GUARD_UNAVAILABLE',
      `not all is forgotten, because some folder is left alone: ${leftAlone.join('; ')}. Mend that, or name your own folder with --state-dir`,
    )
  }
}
