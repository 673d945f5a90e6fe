/** `holdfast ca sign CSR`: issues a certificate for a signing request. */

import type { Argv } from 'yargs'
import type { IssuedCertificate } from '../ca/register.js'
import { formatPrintable } from '../core/printable.js'
import { formatTime, verifyValidity } from '../core/x509/certificate.js'
import { parseDistinguishedName } from '../core/x509/distinguished-name.js'
import { caDirectory } from '../io/ca-folder.js'
import { writeOutput } from '../io/output-file.js'
import { readSmallFile } from '../io/pem-file.js'
import { readStandardInput } from '../io/standard-input.js'
import { keyOptions, SIGNING_OPTIONS, type SigningArguments, verifyDays } from './ca-options.js'
import type { Context } from './context.js'
import { report } from './report.js'

interface CaSignArguments extends SigningArguments {
  readonly csr?: string | undefined
  readonly subject?: string | undefined
  readonly days: number
  readonly out?: string | undefined
}

const MAX_REQUEST_BYTES = 64 * 1024

export function builder(argv: Argv): Argv {
  return argv
    .positional('csr', {
      type: 'string',
      describe: 'file with the certificate signing request (PKCS#10, PEM or DER); without it, stdin',
    })
    .options({
      ...SIGNING_OPTIONS,
      subject: {
        type: 'string',
        requiresArg: true,
        describe: 'name to certify instead of the requested one',
      },
      days: { type: 'number', requiresArg: true, default: 90, describe: 'how long the certificate is valid' },
      out: { type: 'string', requiresArg: true, describe: 'write the certificate to this file' },
    })
    .example('holdfast ca sign edge.csr --out edge.pem', 'certify a machine for 90 days')
    .example(
      'holdfast ca sign --subject "CN=edge-1,O=Example" --days 7 < edge.csr > edge.pem',
      'certify the key under another name for a week',
    )
}

/** @throws HoldfastError USAGE, FILE_UNREADABLE, CSR_*, CA_*, KEY_UNSUPPORTED, CERTIFICATE_*, CLOCK_WRONG, PIN_*, PASSPHRASE_INCORRECT, those of a token, OUTPUT_FAILED */
export async function run(argv: CaSignArguments, context: Context): Promise<void> {
  const { env, uid, now, buildDate } = context
  verifyDays(argv.days)
  const subject = argv.subject === undefined ? undefined : parseDistinguishedName(argv.subject)
  const { openAuthority } = await import('../ca/authority.js')
  const { withAuthorityKey } = await import('../ca/key.js')
  const { issueCertificate } = await import('../ca/register.js')
  const { readRequest } = await import('../ca/request.js')
  const authority = openAuthority(caDirectory(env, argv.ca), uid)
  verifyValidity(authority.certificate, { now: now(), buildDate })
  const request = await readRequest(await readRequestBytes(argv.csr, context), subject)
  for (const note of request.notes) context.stderr(`warning: ${note}`)

  const issued = await withAuthorityKey(authority, keyOptions(argv, context), (signer) =>
    issueCertificate(authority, signer, request, { now: now(), buildDate, days: argv.days, uid }),
  )
  if (issued.notAfter.getTime() === authority.certificate.notAfter.getTime()) {
    context.stderr(`warning: the certificate ends with the CA, at ${formatTime(issued.notAfter)}`)
  }
  if (argv.out !== undefined) writeOutput(argv.out, issued.pem, issued.path)
  await reportIssued(argv, issued, context)
}

async function reportIssued(
  { json, out }: CaSignArguments,
  issued: IssuedCertificate,
  context: Context,
): Promise<void> {
  const { serialNumber, subject, alternativeNames, pem, path } = issued
  const [notBefore, notAfter] = [formatTime(issued.notBefore), formatTime(issued.notAfter)]
  const names = alternativeNames === '' ? subject : `${subject} (${alternativeNames})`
  const summary = `${out}: ${names}, serial number ${serialNumber}, valid until ${notAfter}`
  await report(
    json,
    { serialNumber, subject, alternativeNames, notBefore, notAfter, certificate: pem, record: path },
    [out === undefined ? pem.trimEnd() : formatPrintable(summary)],
    context,
  )
}

async function readRequestBytes(
  path: string | undefined,
  { signal, stderr: say }: Context,
): Promise<Uint8Array> {
  const what = 'certificate signing request'
  if (path === undefined) return readStandardInput(what, { maxBytes: MAX_REQUEST_BYTES, signal, say })
  return (await readSmallFile(path, what)).bytes
}
