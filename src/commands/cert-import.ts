/** `holdfast cert import [FILE]`: puts a certificate, and the chain above it, into the token that has its key. */

import type { Argv } from 'yargs'
import { HoldfastError } from '../core/errors.js'
import { nameObject, readStored } from '../core/pkcs11/object-choice.js'
import { nameToken } from '../core/pkcs11/token-facts.js'
import { formatPrintable } from '../core/printable.js'
import { type Certificate, describe, verifyEndEntity } from '../core/x509/certificate.js'
import { parseCertificates, readCertificates } from '../io/pem-file.js'
import { readStandardInput } from '../io/standard-input.js'
import { describeEntry, warnOfEnding } from './certificate-report.js'
import type { Context } from './context.js'
import { report } from './report.js'
import {
  formatObject,
  LOGIN_OPTIONS,
  OBJECT_OPTIONS,
  type ObjectArguments,
  parseObjectUri,
  withToken,
} from './token-options.js'

interface ImportArguments extends ObjectArguments {
  readonly file?: string | undefined
  readonly intermediates?: string | undefined
  readonly replace: boolean
}

const MAX_INPUT_BYTES = 1024 * 1024

export function builder(argv: Argv): Argv {
  return argv
    .positional('file', {
      type: 'string',
      describe: 'PEM or DER file with the certificate, also with the chain above it; without it, stdin',
    })
    .options({
      intermediates: {
        type: 'string',
        requiresArg: true,
        describe: 'PEM file with intermediate CA certificates to put beside it',
      },
      replace: {
        type: 'boolean',
        default: false,
        describe: 'then remove the certificates that the key had before',
      },
      ...OBJECT_OPTIONS,
      ...LOGIN_OPTIONS,
    })
    .example('holdfast cert import edge-1.pem --token edge --module tpm2', 'put it beside its key')
    .example(
      'holdfast ca sign edge-1.csr | holdfast cert import --token edge --module tpm2',
      'from a CA of your own',
    )
    .example(
      'holdfast cert import edge-1.pem --token edge --module tpm2 --replace',
      'instead of the one that ends soon',
    )
}

/** @throws HoldfastError USAGE, URI_INVALID, FILE_UNREADABLE, MODULE_*, TOKEN_*, PIN_*, CERTIFICATE_*, KEY_*, OBJECT_EXISTS */
export async function run(argv: ImportArguments, context: Context): Promise<void> {
  const certificates = await readAll(argv, context)
  const leaf = chooseLeaf(certificates)
  warnOfFaults(leaf, context)
  const chain = certificates.filter((certificate) => certificate !== leaf)
  const uri = formatObject(parseObjectUri(argv))
  const imported = await withToken(argv, context, (administer) =>
    administer('importCertificate', {
      uri,
      certificate: encode(leaf),
      chain: [...new Set(chain.map(encode))],
      replace: argv.replace,
    }),
  )
  const { token, key, certificate, replaced } = imported
  const json = {
    token,
    key,
    certificate: describeEntry(readStored([certificate])[0]!, context),
    chain: readStored(imported.chain).map((entry) => describeEntry(entry, context)),
    replaced: readStored(replaced).map((entry) => describeEntry(entry, context)),
  }
  const lines = [
    `${describe(leaf)} is now beside ${nameObject('key', key)} in ${nameToken(token)}`,
    certificate.uri,
    ...imported.chain.map((other) => `with it ${nameObject('certificate', other)}`),
    ...readStored(replaced).map(
      (other) => `removed ${other.certificate ? describe(other.certificate) : 'one'}`,
    ),
  ]
  await report(argv.json, json, lines.map(formatPrintable), context)
}

async function readAll(
  argv: ImportArguments,
  { signal, stderr: say }: Context,
): Promise<readonly Certificate[]> {
  const { file, intermediates } = argv
  const certificates =
    file === undefined
      ? parseCertificates(
          await readStandardInput('certificate', { maxBytes: MAX_INPUT_BYTES, signal, say }),
          'stdin',
        )
      : await readCertificates(file)
  return intermediates === undefined
    ? certificates
    : [...certificates, ...(await readCertificates(intermediates))]
}

function encode({ der }: Certificate): string {
  return Buffer.from(der).toString('base64')
}

/** @throws HoldfastError CERTIFICATE_AMBIGUOUS */
function chooseLeaf(certificates: readonly Certificate[]): Certificate {
  const leaves = certificates.filter(({ isCa }) => !isCa)
  if (leaves.length > 1) {
    throw new HoldfastError(
      'CERTIFICATE_AMBIGUOUS',
      `there are ${leaves.length} certificates that are no CA's: ${leaves.map(describe).join(', ')}; import one at a time, with the chain above it`,
    )
  }
  return leaves[0] ?? certificates[0]!
}

/** Whoever imports it may have a reason: what is wrong is said, and not forbidden. */
function warnOfFaults(certificate: Certificate, context: Context): void {
  const { now, buildDate, stderr } = context
  try {
    verifyEndEntity(certificate, { now: now(), buildDate })
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    stderr(`warning: Roles Anywhere would refuse it: ${error.message}`)
    return
  }
  warnOfEnding(certificate, context)
}
