/** `holdfast ca init`: makes a CA, and says how it becomes the trust anchor of an AWS account. */

import { join } from 'node:path'
import type { Argv } from 'yargs'
import type { KeyRecord } from '../ca/key.js'
import type { CaSigner } from '../ca/signer.js'
import { HoldfastError } from '../core/errors.js'
import { KEY_TYPES, type KeyType } from '../core/pkcs11/admin-protocol.js'
import { quoteForShell } from '../core/shell.js'
import { formatTime, verifyClock } from '../core/x509/certificate.js'
import { type NameAttribute, parseDistinguishedName } from '../core/x509/distinguished-name.js'
import { caDirectory } from '../io/ca-folder.js'
import { keyOptions, resourceName, SIGNING_OPTIONS, type SigningArguments, verifyDays } from './ca-options.js'
import type { Context } from './context.js'
import { report } from './report.js'

const DAY_MS = 86_400_000
/** So that its first certificates can begin before it was made. */
const BACKDATE_MS = 5 * 60_000

interface CaInitArguments extends SigningArguments {
  readonly subject: string
  readonly keyType?: KeyType | undefined
  readonly keyUri?: string | undefined
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
        describe: 'name of the CA, such as "CN=Example Edge CA,O=Example"',
      },
      'key-type': {
        choices: KEY_TYPES,
        requiresArg: true,
        describe: 'kind of key to make [default: p-256]',
      },
      'key-uri': {
        type: 'string',
        requiresArg: true,
        describe: 'RFC 7512 URI of a key in a token, to use instead of making one',
      },
      days: { type: 'number', requiresArg: true, default: 3650, describe: 'how long the CA is valid' },
    })
    .example(
      'holdfast ca init --subject "CN=Example Edge CA,O=Example"',
      'make a CA in the usual folder, and ask for a new passphrase',
    )
    .example(
      'holdfast ca init --subject "CN=Example Edge CA" --key-uri "pkcs11:token=ca;id=%01" --pkcs11-module opensc',
      'with a key that stays in its token',
    )
}

/** @throws HoldfastError USAGE, URI_INVALID, CA_EXISTS, CA_UNSAFE, CLOCK_WRONG, PIN_*, those of a token, OUTPUT_FAILED */
export async function run(argv: CaInitArguments, context: Context): Promise<void> {
  const { uid, buildDate } = context
  const subject = parseDistinguishedName(argv.subject)
  verifyDays(argv.days)
  const now = context.now()
  verifyClock({ now, buildDate })
  const directory = caDirectory(context.env, argv.ca)
  const { createAuthority, verifyVacant } = await import('../ca/authority.js')
  verifyVacant(directory, uid)

  const notBefore = new Date(now.getTime() - BACKDATE_MS)
  const notAfter = new Date(now.getTime() + argv.days * DAY_MS)
  const { pem, keyFile } = await withKey(argv, context, async (signer, key) => {
    const ca = await createAuthority({ directory, subject, notBefore, notAfter, uid }, signer, key)
    return { pem: ca.pem, keyFile: join(directory, key.name) }
  })
  await reportCa(argv, { directory, subject, notAfter, pem, keyFile }, context)
}

async function withKey<T>(
  argv: CaInitArguments,
  context: Context,
  use: (signer: CaSigner, record: KeyRecord) => Promise<T>,
): Promise<T> {
  const { withKeyInToken, withNewKey } = await import('../ca/key.js')
  const { keyType, keyUri } = argv
  const options = keyOptions(argv, context)
  if (keyUri === undefined) return withNewKey(keyType ?? 'p-256', options, use)
  if (keyType === undefined) return withKeyInToken(keyUri, options, use)
  throw new HoldfastError('USAGE', '--key-type is for a key that is to be made, and --key-uri names one')
}

interface MadeCa {
  readonly directory: string
  readonly subject: readonly NameAttribute[]
  readonly notAfter: Date
  readonly pem: string
  readonly keyFile: string
}

async function reportCa(argv: CaInitArguments, made: MadeCa, context: Context): Promise<void> {
  const { directory, keyFile, pem } = made
  const certificateFile = join(directory, 'ca.pem')
  const notAfter = formatTime(made.notAfter)
  const createTrustAnchor = formatCreateTrustAnchor(resourceName(made.subject), certificateFile)
  const folder = argv.ca === undefined ? '' : `--ca ${quoteForShell(directory)} `
  await report(
    argv.json,
    {
      directory,
      subject: argv.subject,
      certificate: pem,
      certificateFile,
      keyFile,
      notAfter,
      createTrustAnchor,
    },
    [
      `Made a CA, valid until ${notAfter}:`,
      `  certificate  ${certificateFile}`,
      `  private key  ${argv.keyUri === undefined ? `${keyFile} (encrypted)` : 'in its token'}`,
      argv.keyUri === undefined
        ? 'Keep a copy of the folder and of the passphrase: without them nothing can be signed or revoked any more.'
        : 'Keep a copy of the folder: without it nothing can be revoked any more.',
      '',
      'Make it the trust anchor of your AWS account:',
      `  ${createTrustAnchor}`,
      'Then sign requests:',
      `  holdfast ca sign ${folder}edge.csr --out edge.pem`,
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
