/** `holdfast token init`: an empty token gets a label, a PIN for its security officer and one for its user. */

import type { Argv } from 'yargs'
import { HoldfastError } from '../core/errors.js'
import { chooseDoomedToken, chooseEmptySlot, nameToken, verifyLabelFree } from '../core/pkcs11/token-facts.js'
import { formatPrintable } from '../core/printable.js'
import { confirmLoss } from './confirmation.js'
import type { Context } from './context.js'
import { report } from './report.js'
import {
  NEW_PIN_OPTIONS,
  type PinArguments,
  parseTokenUri,
  SO_PIN_OPTION,
  withToken,
  YES_OPTION,
} from './token-options.js'

interface InitArguments extends PinArguments {
  readonly label: string
  readonly force: boolean
  readonly yes?: string | undefined
}

export function builder(argv: Argv): Argv {
  return argv
    .options({
      label: {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'label of the token that is to be',
      },
      ...NEW_PIN_OPTIONS,
      ...SO_PIN_OPTION,
      force: {
        type: 'boolean',
        default: false,
        describe: 'initialise a token again, which destroys all that is in it',
      },
      ...YES_OPTION,
    })
    .example(
      'holdfast token init --module tpm2 --label edge --so-pin-file /root/so-pin --new-pin-file /etc/holdfast/pin',
      'make a token on the TPM',
    )
    .example('holdfast token init --module softhsm --label edge', 'be asked for both PINs')
    .example('holdfast token init --module softhsm --label edge --token edge --force', 'start anew')
}

/** @throws HoldfastError USAGE, MODULE_*, TOKEN_*, PIN_*, INTERRUPTED */
export async function run(argv: InitArguments, context: Context): Promise<void> {
  const { label, force, yes } = argv
  if (argv.token !== undefined && !force) {
    throw new HoldfastError(
      'USAGE',
      '--token names a token that is initialised already: say with --force that it may be lost, or leave it out to take an empty one',
    )
  }
  const uri = parseTokenUri(argv)
  const token = await withToken(argv, context, async (administer) => {
    const { tokens } = await administer('listTokens', {})
    const chosen = force ? chooseDoomedToken(tokens, uri) : chooseEmptySlot(tokens, uri.slotId)
    verifyLabelFree(tokens, label, force ? chosen : undefined)
    if (force) {
      const what = `destroy all keys and certificates in ${nameToken(chosen)}`
      await confirmLoss({ what, names: [chosen.label], given: yes }, context)
    }
    const replaces = force ? { replaces: { label: chosen.label, serial: chosen.serial } } : {}
    return (await administer('initToken', { slot: chosen.slot, label, ...replaces })).token
  })
  const lines = [`initialised ${nameToken(token)}`, token.uri]
  await report(argv.json, { token }, lines.map(formatPrintable), context)
}
