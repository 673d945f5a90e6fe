/** `holdfast ca crl`: signs the list of revoked certificates, and says how Roles Anywhere gets it. */

import type { Argv } from 'yargs'
import type { RevocationList } from '../ca/register.js'
import { quoteForShell } from '../core/shell.js'
import { formatTime, verifyValidity } from '../core/x509/certificate.js'
import { caDirectory } from '../io/ca-folder.js'
import { writeOutput } from '../io/output-file.js'
import { keyOptions, SIGNING_OPTIONS, type SigningArguments, verifyDays } from './ca-options.js'
import type { Context } from './context.js'
import { report } from './report.js'

interface CaCrlArguments extends SigningArguments {
  readonly days: number
  readonly out?: string | undefined
}

/** Of ImportCrl and UpdateCrl. @see https://docs.aws.amazon.com/rolesanywhere/latest/APIReference/API_ImportCrl.html */
const MAX_LIST_BYTES = 300_000

export function builder(argv: Argv): Argv {
  return argv
    .options({
      ...SIGNING_OPTIONS,
      days: { type: 'number', requiresArg: true, default: 7, describe: 'until the next list at the latest' },
      out: { type: 'string', requiresArg: true, describe: 'write the list to this file, too' },
    })
    .example('holdfast ca crl --out crl.pem', 'sign a list of all revoked certificates')
}

/** @throws HoldfastError USAGE, CA_*, CERTIFICATE_EXPIRED, CLOCK_WRONG, PIN_*, PASSPHRASE_INCORRECT, those of a token, OUTPUT_FAILED */
export async function run(argv: CaCrlArguments, context: Context): Promise<void> {
  const { env, uid, now, buildDate } = context
  verifyDays(argv.days)
  const { openAuthority } = await import('../ca/authority.js')
  const { withAuthorityKey } = await import('../ca/key.js')
  const { issueList } = await import('../ca/register.js')
  const authority = openAuthority(caDirectory(env, argv.ca), uid)
  verifyValidity(authority.certificate, { now: now(), buildDate })
  const list = await withAuthorityKey(authority, keyOptions(argv, context), (signer) =>
    issueList(authority, signer, { days: argv.days, uid, now: now() }),
  )
  if (argv.out !== undefined) writeOutput(argv.out, list.pem, list.path)
  if (list.pem.length > MAX_LIST_BYTES) {
    context.stderr(
      `warning: the list has ${list.pem.length} bytes, and Roles Anywhere takes ${MAX_LIST_BYTES}`,
    )
  }
  await reportList(argv, list, context)
}

async function reportList(argv: CaCrlArguments, list: RevocationList, context: Context): Promise<void> {
  const { number, revoked, pem } = list
  const file = argv.out ?? list.path
  const data = `--crl-data ${quoteForShell(`fileb://${file}`)}`
  const importCrl = `aws rolesanywhere import-crl --name holdfast-crl --enabled ${data} --trust-anchor-arn TRUST_ANCHOR_ARN`
  const updateCrl = `aws rolesanywhere update-crl --crl-id CRL_ID ${data}`
  const [thisUpdate, nextUpdate] = [formatTime(list.thisUpdate), formatTime(list.nextUpdate)]
  const bytes = pem.length
  await report(
    argv.json,
    { number, thisUpdate, nextUpdate, revoked, bytes, crl: pem, file, importCrl, updateCrl },
    [
      `${file}: list ${number} with ${revoked} revoked, until ${nextUpdate}, ${bytes} of ${MAX_LIST_BYTES} bytes`,
      'Hand it to Roles Anywhere, the first one with',
      `  ${importCrl}`,
      'and each later one in its place, with the crlId that this has printed:',
      `  ${updateCrl}`,
    ],
    context,
  )
}
