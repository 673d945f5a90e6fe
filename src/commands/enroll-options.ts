/** The flags of `holdfast enroll`, what is wrong with them, and who they say issues the certificate. */

import { resolve } from 'node:path'
import type { Options } from 'yargs'
import { IDENTITY_NAME } from '../core/config/config.js'
import { parseCommand } from '../core/enroll/command-words.js'
import { parseTimeSpan } from '../core/enroll/enrolment.js'
import { parseEstUrl } from '../core/enroll/est.js'
import { HoldfastError } from '../core/errors.js'
import { KEY_TYPES, type KeyType } from '../core/pkcs11/admin-protocol.js'
import { formatPem } from '../core/x509/pem.js'
import { createCommandIssuer, createEstIssuer, createPathIssuer, type Issuer } from '../enroll/issuer.js'
import type { EnrolmentFiles } from '../enroll/record.js'
import { readCertificates, readPrivateKey } from '../io/pem-file.js'
import { readPinFile } from '../io/pin-file.js'
import type { Context } from './context.js'

/** Parsed flags, beside those of an identity. */
export interface EnrollFlags {
  readonly name: string
  readonly token?: string | undefined
  readonly keyType?: KeyType | undefined
  readonly subject?: string | undefined
  readonly san?: string | undefined
  readonly certificateFrom?: string | undefined
  readonly issueCommand?: string | undefined
  readonly estUrl?: string | undefined
  readonly estCa?: string | undefined
  readonly estUser?: string | undefined
  readonly estPasswordFile?: string | undefined
  readonly estClientCert?: string | undefined
  readonly estClientKey?: string | undefined
  readonly wait?: number | undefined
  readonly certificateOut?: string | undefined
  readonly renew: boolean
  readonly sameKey: boolean
  readonly ifExpiresWithin?: string | undefined
  readonly removeOld: boolean
  readonly replace: boolean
  readonly abandon: boolean
  readonly json: boolean
}

const VALUES = {
  token: { type: 'string', describe: 'token for the key: its label or URI' },
  'key-type': { choices: KEY_TYPES, describe: 'kind of key to make [default: p-256; renewing: as it was]' },
  subject: { type: 'string', describe: 'subject of the certificate [default: CN=NAME]' },
  san: {
    type: 'string',
    describe:
      'alternative names: dns:HOST, ip:ADDRESS, uri:URI, email:ADDRESS, with commas between (\\, is one within a name)',
  },
  'certificate-from': {
    type: 'string',
    describe: 'file in which the certificate will appear; the request is put beside it, as FILE.csr',
  },
  'issue-command': {
    type: 'string',
    describe:
      'command that reads the request (PEM) on stdin and prints the certificate; it has no shell and no terminal',
  },
  'est-url': { type: 'string', describe: 'EST server (RFC 7030): https://HOST, or with the whole path' },
  'est-ca': { type: 'string', describe: 'PEM file of the CAs to trust for it, and to ask for a chain' },
  'est-user': { type: 'string', describe: 'user name for it' },
  'est-password-file': { type: 'string', describe: 'file whose first line is the password' },
  'est-client-cert': { type: 'string', describe: 'PEM file of a TLS client certificate' },
  'est-client-key': { type: 'string', describe: 'PEM file of its key; a key in a token cannot do TLS here' },
  wait: {
    type: 'number',
    describe: 'seconds to wait for the certificate [default: 0; 300 for --issue-command]',
  },
  'certificate-out': { type: 'string', describe: 'put the certificate into this file, not into the token' },
  'if-expires-within': {
    type: 'string',
    describe: 'with --renew: only if the certificate ends within 30d, 12h or the like',
  },
} as const

const SWITCHES = {
  renew: 'get a new key and certificate for the names of those in use',
  'same-key': 'with --renew: keep the key',
  'remove-old': 'remove first what the renewal before has replaced',
  replace: 'enroll although the identity has a key already',
  abandon: 'give up what has begun: remove its key and files',
  json: 'print one line of JSON',
} as const

/** The flags for yargs. */
export const ENROLL_OPTIONS: Readonly<Record<string, Options>> = {
  ...Object.fromEntries(
    Object.entries(VALUES).map(([name, option]) => [name, { ...option, requiresArg: true }]),
  ),
  ...Object.fromEntries(
    Object.entries(SWITCHES).map(([name, describe]) => [name, { type: 'boolean', default: false, describe }]),
  ),
}

/** @throws HoldfastError USAGE for flags that do not go together */
export function verifyEnrollFlags(argv: EnrollFlags): void {
  const refuse = (isWrong: boolean, what: string) => {
    if (isWrong) throw new HoldfastError('USAGE', what)
  }
  refuse(!IDENTITY_NAME.test(argv.name), `${JSON.stringify(argv.name)} cannot be the name of an identity`)
  const given = (flag: keyof EnrollFlags) => argv[flag] !== undefined && argv[flag] !== false
  for (const flag of ['sameKey', 'ifExpiresWithin'] as const) {
    refuse(given(flag) && !argv.renew, `--${toFlag(flag)} is for --renew`)
  }
  for (const flag of ['token', 'subject', 'san', 'replace'] as const) {
    refuse(given(flag) && argv.renew, `--${toFlag(flag)} is not for --renew, which keeps token and names`)
  }
  refuse(argv.sameKey && argv.keyType !== undefined, '--key-type is not for --same-key')
  refuse(given('estUser') !== given('estPasswordFile'), 'give both --est-user and --est-password-file')
  refuse(given('estClientCert') !== given('estClientKey'), 'give both --est-client-cert and --est-client-key')
  for (const flag of ['estCa', 'estUser', 'estClientCert'] as const) {
    refuse(given(flag) && !given('estUrl'), `--${toFlag(flag)} is for --est-url`)
  }
  const { wait } = argv
  refuse(
    wait !== undefined && !(Number.isInteger(wait) && wait >= 0 && wait <= 86_400),
    '--wait is a number of seconds, up to 86400',
  )
  const issuers = (['certificateFrom', 'issueCommand', 'estUrl'] as const).filter(given)
  refuse(
    issuers.length > 1,
    `the certificate has ${issuers.length} sources, ${issuers.map((flag) => `--${toFlag(flag)}`).join(' and ')}: name one`,
  )
  refuse(
    issuers.length === 0 && !argv.abandon && (argv.renew || !argv.removeOld),
    'say where the certificate comes from: --certificate-from, --issue-command or --est-url',
  )
}

function toFlag(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

const DEFAULT_TIMEOUT_SECONDS = 30
const DEFAULT_COMMAND_SECONDS = 300
/** Of files that hold nothing secret, and that others shall read. */
export const PUBLIC_MODE = 0o644

/** The times among the flags, in milliseconds. @throws HoldfastError USAGE */
export function readTimes({ wait = 0, ifExpiresWithin }: EnrollFlags) {
  return {
    waitMs: wait * 1000,
    expiresWithinMs:
      ifExpiresWithin === undefined ? undefined : parseTimeSpan(ifExpiresWithin, '--if-expires-within'),
  }
}

/**
 * Who issues the certificate; undefined where none is wanted.
 * @param timeoutSeconds for each answer of a server
 * @throws HoldfastError USAGE, FILE_UNREADABLE, CERTIFICATE_*, KEY_*, PIN_*
 */
export async function chooseIssuer(
  argv: EnrollFlags,
  timeoutSeconds: number | undefined,
  { edit }: EnrolmentFiles,
  context: Context,
): Promise<Issuer | undefined> {
  const { certificateFrom, issueCommand, estUrl, wait = DEFAULT_COMMAND_SECONDS } = argv
  const { env } = context
  if (certificateFrom !== undefined) {
    const writeRequest = (path: string, text: string) => edit(path, () => text, PUBLIC_MODE)
    return createPathIssuer(resolve(certificateFrom), writeRequest)
  }
  if (issueCommand !== undefined) {
    return createCommandIssuer(parseCommand(issueCommand, '--issue-command'), { env, timeoutMs: wait * 1000 })
  }
  if (estUrl === undefined) return undefined
  const timeoutMs = (timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS) * 1000
  const warn = (text: string) => context.stderr(`warning: ${text}`)
  const client = { ...context, url: parseEstUrl(estUrl), ...(await readEstFiles(argv, context, warn)) }
  return createEstIssuer(client, { timeoutMs, warn })
}

async function readEstFiles(argv: EnrollFlags, { uid, env }: Context, warn: (text: string) => void) {
  const { estCa, estUser, estPasswordFile, estClientCert, estClientKey } = argv
  const readPem = async (path: string) =>
    (await readCertificates(path)).map(({ der }) => formatPem('CERTIFICATE', der)).join('')
  const readPassword = async (path: string) => {
    const credentialsDirectory = env.CREDENTIALS_DIRECTORY
    const words = {
      name: 'password',
      need: 'the EST server wants a password',
      ways: '--est-password-file FILE',
    }
    const { pin, warnings } = await readPinFile(path, { uid, credentialsDirectory, words })
    for (const warning of warnings) warn(warning)
    return Buffer.from(pin).toString('utf8')
  }
  const readKey = async (path: string) =>
    (await readPrivateKey(path, warn)).export({ type: 'pkcs8', format: 'pem' }).toString()
  const login =
    estUser === undefined || estPasswordFile === undefined
      ? undefined
      : { user: estUser, password: await readPassword(estPasswordFile) }
  const clientCertificate =
    estClientCert === undefined || estClientKey === undefined
      ? undefined
      : { certificate: await readPem(estClientCert), key: await readKey(estClientKey) }
  return { ca: estCa && (await readPem(estCa)), login, clientCertificate }
}
