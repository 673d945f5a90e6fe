/**
 * `holdfast csr`: a certificate signing request (PKCS#10) for a key in a token, signed there. Another implementation of
 * PKCS#10 than the one that made it verifies it before it is handed out.
 */

import type { Argv } from 'yargs'
import { HoldfastError } from '../core/errors.js'
import { formatPrintable } from '../core/printable.js'
import {
  createCertificateRequest,
  nameRequest,
  parseAlternativeNames,
} from '../core/x509/certificate-request.js'
import { parseDistinguishedName } from '../core/x509/distinguished-name.js'
import { formatPem } from '../core/x509/pem.js'
import { writeOutput } from '../io/output-file.js'
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

interface CsrArguments extends ObjectArguments {
  readonly subject: string
  readonly san?: string | undefined
  readonly out?: string | undefined
  readonly der: boolean
}

export function builder(argv: Argv): Argv {
  return argv
    .options({
      subject: {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'name to be certified, such as CN=edge-1,O=Example',
      },
      san: {
        type: 'string',
        requiresArg: true,
        describe:
          'alternative names: dns:HOST, ip:ADDRESS, uri:URI and email:ADDRESS, with commas between (\\, is one within a name)',
      },
      out: { type: 'string', requiresArg: true, describe: 'write the request to this file' },
      der: { type: 'boolean', default: false, describe: 'write DER instead of PEM; needs --out' },
      ...OBJECT_OPTIONS,
      ...LOGIN_OPTIONS,
    })
    .example(
      'holdfast csr --token edge --module tpm2 --id 01 --subject "CN=edge-1,O=Example" --out edge-1.csr',
      'for a CA that takes files',
    )
    .example(
      'holdfast csr --token edge --module tpm2 --subject CN=edge-1 --san dns:edge-1.example | holdfast ca sign --out edge-1.pem',
      'for a CA of your own',
    )
}

/** @throws HoldfastError USAGE, URI_INVALID, MODULE_*, TOKEN_*, PIN_*, KEY_*, SIGNATURE_INVALID, OUTPUT_FAILED */
export async function run(argv: CsrArguments, context: Context): Promise<void> {
  const { out } = argv
  if (argv.der && out === undefined) {
    throw new HoldfastError('USAGE', '--der needs a file to write to: give --out FILE')
  }
  const alternativeNames = argv.san === undefined ? [] : parseAlternativeNames(argv.san)
  const names = nameRequest(parseDistinguishedName(argv.subject), alternativeNames)
  const uri = formatObject(parseObjectUri(argv), 'private')
  const { key, der } = await withToken(argv, context, async (administer) => {
    const { key, publicKey } = await administer('publicKey', { uri })
    const sign = async (message: Uint8Array) => {
      const text = Buffer.from(message).toString('base64')
      return Buffer.from((await administer('sign', { uri: key.uri, message: text })).signature, 'base64')
    }
    return { key, der: await createCertificateRequest(names, Buffer.from(publicKey, 'base64'), sign) }
  })
  for (const note of await verifyRequest(der, key.uri)) context.stderr(`warning: ${note}`)
  const pem = formatPem('CERTIFICATE REQUEST', der)
  if (out !== undefined) writeOutput(out, argv.der ? der : pem)
  const lines = out === undefined ? [pem.trimEnd()] : [formatPrintable(`${out}: a request for ${key.uri}`)]
  await report(argv.json, { key, csr: pem, ...(out === undefined ? {} : { out }) }, lines, context)
}

/** What a CA would see. @returns what a person should know */
async function verifyRequest(der: Uint8Array, uri: string): Promise<readonly string[]> {
  const { readRequest } = await import('../ca/request.js')
  try {
    return (await readRequest(der)).notes
  } catch (cause) {
    if (!(cause instanceof HoldfastError) || cause.code !== 'CSR_INVALID') throw cause
    throw new HoldfastError(
      'SIGNATURE_INVALID',
      `the request that was signed with ${uri} does not verify: does the token show the public half of another key? ${cause.message}`,
      { cause },
    )
  }
}
