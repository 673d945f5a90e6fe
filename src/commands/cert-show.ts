/**
 * `holdfast cert show [FILE]`: what stands in a certificate, whether its key is in the token, and what Roles Anywhere
 * would say of it.
 */

import type { Argv } from 'yargs'
import { HoldfastError } from '../core/errors.js'
import type { KeyFacts } from '../core/pkcs11/admin-protocol.js'
import { chooseCertificate, nameObject, readStored } from '../core/pkcs11/object-choice.js'
import { formatPrintable } from '../core/printable.js'
import type { Certificate } from '../core/x509/certificate.js'
import { readCertificateFacts } from '../core/x509/certificate-facts.js'
import { formatPem } from '../core/x509/pem.js'
import { readCertificates } from '../io/pem-file.js'
import { formatFacts, warnOfEnding } from './certificate-report.js'
import type { Context } from './context.js'
import { report } from './report.js'
import {
  CERTIFICATE_LOGIN_OPTION,
  formatObject,
  LOGIN_OPTIONS,
  OBJECT_OPTIONS,
  type ObjectArguments,
  parseObjectUri,
  parseTokenUri,
  SERIAL_OPTION,
  withToken,
} from './token-options.js'

interface ShowArguments extends ObjectArguments {
  readonly file?: string | undefined
  readonly serial?: string | undefined
  readonly login: boolean
}

export function builder(argv: Argv): Argv {
  return argv
    .positional('file', { type: 'string', describe: 'PEM or DER file, instead of a certificate in a token' })
    .options({ ...CERTIFICATE_LOGIN_OPTION, ...SERIAL_OPTION, ...OBJECT_OPTIONS, ...LOGIN_OPTIONS })
    .example('holdfast cert show --token edge --module tpm2 --id 01', 'a certificate in a token')
    .example('holdfast cert show edge-1.pem', 'a file, before it is imported')
    .example(
      'holdfast cert show edge-1.pem --token edge --module tpm2',
      'and whether its key is in the token',
    )
}

/** @throws HoldfastError USAGE, URI_INVALID, FILE_UNREADABLE, MODULE_*, TOKEN_*, PIN_*, CERTIFICATE_* */
export async function run(argv: ShowArguments, context: Context): Promise<void> {
  const { now, buildDate } = context
  const { certificate, uri, keys } = await find(argv, context)
  warnOfEnding(certificate, context)
  const facts = readCertificateFacts(certificate, { now: now(), buildDate })
  const publicKey = Buffer.from(certificate.publicKeyInfo).toString('base64')
  const key = keys?.find((candidate) => candidate.publicKey === publicKey)
  const json = {
    ...facts,
    ...(uri === undefined ? {} : { uri }),
    ...(keys === undefined ? {} : { key: key ?? null }),
    pem: formatPem('CERTIFICATE', certificate.der),
  }
  const lines = [
    ...formatFacts(facts),
    ...(keys === undefined ? [] : [`key in token     ${describeKey(key, argv.login)}`]),
    ...(uri === undefined ? [] : [`URI              ${uri}`]),
  ]
  await report(argv.json, json, lines.map(formatPrintable), context)
}

interface Found {
  readonly certificate: Certificate
  readonly uri?: string
  /** Those of the token; absent where no token was looked at. */
  readonly keys?: readonly KeyFacts[]
}

async function find(argv: ShowArguments, context: Context): Promise<Found> {
  const { file, login } = argv
  if (file === undefined) return findInToken(argv, context)
  if ((argv.id ?? argv.label ?? argv.serial) !== undefined) {
    throw new HoldfastError(
      'USAGE',
      'a file is named, and --id, --label or --serial, which choose in a token: leave out one or the other',
    )
  }
  const [certificate] = await readCertificates(file)
  if ((argv.token ?? argv.pkcs11Module ?? argv.slot) === undefined) return { certificate: certificate! }
  const uri = formatObject(parseTokenUri(argv))
  const { keys } = await withToken(argv, context, (administer) => administer('listObjects', { uri, login }))
  return { certificate: certificate!, keys }
}

async function findInToken(argv: ShowArguments, context: Context): Promise<Found> {
  const { login } = argv
  return withToken(argv, context, async (administer) => {
    const uri = formatObject(parseObjectUri(argv), 'cert')
    const { token, certificates } = await administer('readCertificates', { uri, login })
    const { stored, certificate } = chooseCertificate(readStored(certificates), argv.serial)
    if (certificate === undefined) {
      throw new HoldfastError(
        'CERTIFICATE_INVALID',
        `${stored.uri} is not an X.509 certificate that can be read`,
      )
    }
    const { keys } = await administer('listObjects', { uri: token.uri, login })
    return { certificate, uri: stored.uri, keys }
  })
}

function describeKey(key: KeyFacts | undefined, login: boolean): string {
  if (key?.isPrivate) return `yes, ${nameObject('key', key)}`
  if (key !== undefined) {
    const more = login
      ? 'the private one is not there'
      : 'the private one shows itself only after a login (--login)'
    return `its public key, ${nameObject('key', key)}; ${more}`
  }
  return login ? 'no' : 'none is seen without a login (--login)'
}
