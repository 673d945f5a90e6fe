/** `holdfast token list`: which tokens a module shows, how their PINs are doing, and what they can do. */

import type { Argv } from 'yargs'
import { hasPinPad } from '../core/pin/token-flags.js'
import type { TokenFacts } from '../core/pkcs11/admin-protocol.js'
import { chooseListed, describePin } from '../core/pkcs11/token-facts.js'
import { formatList } from '../core/pkcs11/token-search.js'
import { formatPrintable } from '../core/printable.js'
import type { Context } from './context.js'
import { report } from './report.js'
import { parseTokenUri, TOKEN_OPTIONS, type TokenArguments, withToken } from './token-options.js'

export function builder(argv: Argv): Argv {
  return argv
    .options(TOKEN_OPTIONS)
    .example('holdfast token list --module tpm2', 'the tokens of a TPM, and the slot for a new one')
    .example('holdfast token list --module softhsm --json', 'for a script')
}

/** @throws HoldfastError MODULE_*, TOKEN_*, URI_INVALID, USAGE */
export async function run(argv: TokenArguments, context: Context): Promise<void> {
  const uri = parseTokenUri(argv)
  const { module, tokens } = await withToken(argv, context, (administer) => administer('listTokens', {}))
  const meant = chooseListed(tokens, uri)
  const json = {
    module,
    tokens: meant.map((token) => ({
      ...token,
      userPin: describePin(token, 'user'),
      soPin: describePin(token, 'so'),
      pinPad: hasPinPad(token.flags),
    })),
  }
  const about = `${module.description}, version ${module.version}: ${module.path}`
  const lines = meant.flatMap((token) => ['', ...describe(token)])
  await report(
    argv.json,
    json,
    [about, ...(lines.length === 0 ? ['no token'] : lines)].map(formatPrintable),
    context,
  )
}

function describe(token: TokenFacts): string[] {
  const { slot, label, model, manufacturer, serial, generates, signs, uri } = token
  const about = [model, manufacturer, serial && `serial ${serial}`].filter((part) => part !== '')
  const first = token.initialized ? `token ${JSON.stringify(label)}` : 'empty, for holdfast token init'
  return [
    `slot ${slot}: ${first} (${about.join(', ')})`,
    ...(token.initialized
      ? [
          `  user PIN: ${describePin(token, 'user')}; SO PIN: ${describePin(token, 'so')}${hasPinPad(token.flags) ? '; wants its PIN on a PIN pad' : ''}`,
        ]
      : []),
    `  makes keys: ${formatList(generates)}; signs with: ${formatList(signs)}`,
    ...(token.initialized ? [`  ${uri}`] : []),
  ]
}
