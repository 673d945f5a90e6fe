/** `holdfast ca revoke SERIAL|FILE`: records that a certificate is revoked, for the lists that are signed from then on. */

import type { Argv } from 'yargs'
import { REVOCATION_REASONS, type RevocationReason } from '../ca/revocation.js'
import { findSerialNumber } from '../ca/serial-number.js'
import { HoldfastError } from '../core/errors.js'
import { quoteForShell } from '../core/shell.js'
import { type Certificate, formatTime } from '../core/x509/certificate.js'
import { caDirectory } from '../io/ca-folder.js'
import { isThere } from '../io/exchange-file.js'
import { readCertificates } from '../io/pem-file.js'
import { CA_OPTIONS, type CaArguments } from './ca-options.js'
import type { Context } from './context.js'
import { report } from './report.js'

interface CaRevokeArguments extends CaArguments {
  readonly certificate: string
  readonly reason: RevocationReason
}

export function builder(argv: Argv): Argv {
  return argv
    .positional('certificate', {
      type: 'string',
      demandOption: true,
      describe: 'serial number, 32 hexadecimal digits, or file with the certificate',
    })
    .options({
      ...CA_OPTIONS,
      reason: {
        choices: REVOCATION_REASONS,
        requiresArg: true,
        default: 'unspecified',
        describe: 'why, for the list',
      },
    })
    .example('holdfast ca revoke edge.pem --reason keyCompromise', 'the key of this machine may be stolen')
}

/** @throws HoldfastError CERTIFICATE_*, CA_*, FILE_UNREADABLE, OUTPUT_FAILED */
export async function run(argv: CaRevokeArguments, context: Context): Promise<void> {
  const { env, uid, now } = context
  const { openAuthority } = await import('../ca/authority.js')
  const { identifyIssued, readIssued, revokeCertificate } = await import('../ca/register.js')
  const authority = openAuthority(caDirectory(env, argv.ca), uid)
  const serialNumber =
    findSerialNumber(argv.certificate) ??
    identifyIssued(authority, await readNamedCertificate(argv.certificate), uid)
  const { subject } = readIssued(authority, serialNumber, uid)
  const { isNew, revokedAt, reason } = revokeCertificate(authority, {
    serialNumber,
    revokedAt: now(),
    reason: argv.reason,
    uid,
  })
  const json = { serialNumber, subject, revokedAt: formatTime(revokedAt), reason, isNew }
  const what = `${serialNumber} (${subject})`
  const ca = argv.ca === undefined ? '' : ` --ca ${quoteForShell(authority.directory)}`
  await report(
    argv.json,
    json,
    [
      isNew
        ? `Revoked ${what}: ${reason}`
        : `${what} has been revoked since ${formatTime(revokedAt)}: ${reason}`,
      'Roles Anywhere knows of it when it has the next list:',
      `  holdfast ca crl${ca}`,
    ],
    context,
  )
}

async function readNamedCertificate(path: string): Promise<Certificate> {
  if (await isThere(path)) return (await readCertificates(path))[0]!
  throw new HoldfastError(
    'CERTIFICATE_NOT_FOUND',
    `${path} is neither a file nor a serial number of this CA, which has 32 hexadecimal digits: holdfast ca list shows them`,
  )
}
