/** `holdfast key generate`: makes a key pair in a token, whose private half can sign and never leave. */

import type { Argv } from 'yargs'
import { KEY_TYPES, type KeyType } from '../core/pkcs11/admin-protocol.js'
import { findKeyFaults } from '../core/pkcs11/key-facts.js'
import { nameObject } from '../core/pkcs11/object-choice.js'
import { nameToken } from '../core/pkcs11/token-facts.js'
import { formatPrintable } from '../core/printable.js'
import { formatPem } from '../core/x509/pem.js'
import type { Context } from './context.js'
import { report } from './report.js'
import {
  formatObject,
  LOGIN_OPTIONS,
  type LoginArguments,
  parseId,
  parseTokenUri,
  withToken,
} from './token-options.js'

interface GenerateArguments extends LoginArguments {
  readonly type: KeyType
  readonly label: string
  readonly id?: string | undefined
}

export function builder(argv: Argv): Argv {
  return argv
    .options({
      label: { type: 'string', requiresArg: true, demandOption: true, describe: 'label of the key' },
      id: {
        type: 'string',
        requiresArg: true,
        describe: 'id of the key, in hexadecimal [default: the first that is free]',
      },
      type: { choices: KEY_TYPES, default: 'p-256', requiresArg: true, describe: 'kind of key' },
      ...LOGIN_OPTIONS,
    })
    .example('holdfast key generate --token edge --module tpm2 --label line-4', 'make a P-256 key on a TPM')
    .example(
      'holdfast key generate --token edge --module softhsm --pin-file /etc/holdfast/pin --label line-4 --type rsa-3072 --id a1',
      'make an RSA key under an id of your own',
    )
}

/** @throws HoldfastError USAGE, URI_INVALID, MODULE_*, TOKEN_*, PIN_*, OBJECT_EXISTS, KEY_UNSUPPORTED, KEY_INVALID */
export async function run(argv: GenerateArguments, context: Context): Promise<void> {
  const { type, label } = argv
  const id = argv.id === undefined ? {} : { id: Buffer.from(parseId(argv.id)).toString('hex') }
  const uri = formatObject(parseTokenUri(argv))
  const { token, key } = await withToken(argv, context, (administer) =>
    administer('generateKey', { uri, type, label, ...id }),
  )
  const faults = findKeyFaults(key)
  if (faults.length > 0) context.stderr(`warning: of this key the token says: ${faults.join('; ')}`)
  const publicKey = formatPem('PUBLIC KEY', Buffer.from(key.publicKey ?? '', 'base64'))
  const lines = [`made ${nameObject('key', key)} of type ${key.type} in ${nameToken(token)}`, key.uri]
  await report(argv.json, { token, key, publicKeyPem: publicKey }, lines.map(formatPrintable), context)
}
