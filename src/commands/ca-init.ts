/** `holdfast ca init`: makes a CA, and says how it becomes the trust anchor of an AWS account. */

import type { Argv } from 'yargs'
import { CA_KEY_TYPES, type CaKeyType } from '../ca/signer.js'
import { formatTime, verifyClock } from '../core/certificate.js'
import { parseDistinguishedName } from '../core/distinguished-name.js'
import { quoteForShell } from '../core/shell.js'
import { caDirectory } from '../io/ca-folder.js'
import {
  passphraseOptions,
  report,
  resourceName,
  SIGNING_OPTIONS,
  type SigningArguments,
  verifyDays,
} from './ca-options.js'
import type { Context } from './context.js'

const DAY_MS = 86_400_000
/** So that its first certificates can begin before it was made. */
const BACKDATE_MS = 5 * 60_000
interface CaInitArguments extends SigningArguments {
  readonly subject: string
  readonly keyType: CaKeyType
  readonly days: number
}

export function builder(argv: Argv): Argv {
  return argv
    .options({
      ...SIGNING_OPTIONS,
      subject: {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'name of the CA',
      },
      'key-type': {
        choices: CA_KEY_TYPES,
        requiresArg: true,
        default: 'p-256',
        describe: 'kind of key to make',
      },
      days: { type: 'number', requiresArg: true, default: 3650, describe: 'how long the CA is valid' },
    })
    .example(
      'holdfast ca init --subject "CN=Example Edge CA,O=Example"',
      'make a CA in the usual folder, and ask for a new passphrase',
    )
}

/** @throws HoldfastError USAGE, CA_EXISTS, CA_UNSAFE, CLOCK_WRONG, PIN_*, OUTPUT_FAILED */
export async function run(argv: CaInitArguments, context: Context): Promise<void> {
  const { env, uid, now, buildDate } = context
  const subject = parseDistinguishedName(argv.subject)
  verifyDays(argv.days)
  const madeAt = now().getTime()
  verifyClock({ now: new Date(madeAt), buildDate })
  const directory = caDirectory(env, argv.ca)
  const { createAuthority, keyPath, verifyVacant } = await import('../ca/authority.js')
  verifyVacant(directory, uid)

  const { obtainNewPassphrase } = await import('../ca/passphrase.js')
  const passphrase = await obtainNewPassphrase(passphraseOptions(argv, context))
  const notBefore = new Date(madeAt - BACKDATE_MS)
  const notAfter = new Date(madeAt + argv.days * DAY_MS)
  const ca = { directory, subject, keyType: argv.keyType, notBefore, notAfter, uid }
  const authority = await createAuthority(ca, passphrase).finally(() => passphrase.bytes.fill(0))

  const file = `${directory}/ca.pem`
  const createTrustAnchor = formatCreateTrustAnchor(resourceName(subject), file)
  const json = {
    directory,
    subject: argv.subject,
    certificate: authority.pem,
    certificateFile: file,
    keyFile: keyPath(authority),
    notAfter: formatTime(notAfter),
    createTrustAnchor,
  }
  await report(
    argv.json,
    json,
    [
      `Made a CA, valid until ${formatTime(notAfter)}:`,
      `  certificate  ${file}`,
      `  private key  ${keyPath(authority)} (encrypted)`,
      'Keep a copy of the folder and of the passphrase: without them nothing can be signed or revoked any more.',
      '',
      'Make it the trust anchor of your AWS account:',
      `  ${createTrustAnchor}`,
      'Then sign requests:',
      `  holdfast ca sign ${argv.ca === undefined ? '' : `--ca ${quoteForShell(directory)} `}edge.csr --out edge.pem`,
    ],
    context,
  )
}

/** @see https://docs.aws.amazon.com/cli/latest/reference/rolesanywhere/create-trust-anchor.html */
function formatCreateTrustAnchor(name: string, file: string): string {
  const certificate = `$(cat ${quoteForShell(file)})`
  const source = `sourceType=CERTIFICATE_BUNDLE,sourceData={x509CertificateData=${certificate}}`
  return `aws rolesanywhere create-trust-anchor --name ${quoteForShell(name)} --enabled --source "${source}"`
}
