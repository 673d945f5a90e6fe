/** `holdfast ca list`: the certificates that the CA has issued, and which of them are good. */

import type { Argv } from 'yargs'
import { formatPrintable } from '../core/printable.js'
import { formatTime } from '../core/x509/certificate.js'
import { caDirectory } from '../io/ca-folder.js'
import { CA_OPTIONS, type CaArguments } from './ca-options.js'
import type { Context } from './context.js'
import { report } from './report.js'

export function builder(argv: Argv): Argv {
  return argv
    .options(CA_OPTIONS)
    .example('holdfast ca list', 'serial number, state, end and subject of each certificate')
}

/** @throws HoldfastError CA_*, FILE_UNREADABLE */
export async function run(argv: CaArguments, context: Context): Promise<void> {
  const { env, uid, now } = context
  const { openAuthority } = await import('../ca/authority.js')
  const { listIssued, listRevocations } = await import('../ca/register.js')
  const authority = openAuthority(caDirectory(env, argv.ca), uid)
  const revocations = listRevocations(authority, uid)
  const certificates = listIssued(authority, uid).map(
    ({ serialNumber, subject, notBefore, notAfter, pem }) => {
      const revocation = revocations.get(serialNumber)
      return {
        serialNumber,
        state: revocation !== undefined ? 'revoked' : notAfter < now() ? 'expired' : 'valid',
        subject,
        notBefore: formatTime(notBefore),
        notAfter: formatTime(notAfter),
        ...(revocation && { revokedAt: formatTime(revocation.revokedAt), reason: revocation.reason }),
        certificate: pem,
      }
    },
  )
  const lines = certificates.map(
    ({ serialNumber, state, notAfter, subject }) =>
      `${serialNumber}  ${state.padEnd(7)}  ${notAfter}  ${formatPrintable(subject)}`,
  )
  const none = `the CA in ${authority.directory} has issued nothing yet`
  await report(argv.json, { certificates }, lines.length === 0 ? [none] : lines, context)
}
