/**
 * `holdfast enroll NAME`: a key in a token, a certificate for it, one accepted session, and the identity in the
 * configuration; and `--renew`, the same again before the certificate ends.
 */

import { setTimeout as delay } from 'node:timers/promises'
import type { Argv } from 'yargs'
import type { Identity } from '../core/config/identity.js'
import type { EnrolmentRecord, UnfinishedEnrolment } from '../core/enroll/enrolment.js'
import { HoldfastError } from '../core/errors.js'
import { stateDirectories } from '../core/pin/pin-record.js'
import { quoteForShell } from '../core/shell.js'
import { type Certificate, formatSerial, formatTime } from '../core/x509/certificate.js'
import { abandon, type Cleanup, removeReplaced } from '../enroll/cleanup.js'
import { type Enrolled, type EnrolmentSurroundings, enroll } from '../enroll/enrolment.js'
import { type NotDue, planEnrolment, planRenewal } from '../enroll/plan.js'
import { type EnrolmentFiles, withEnrolmentFiles } from '../enroll/record.js'
import { findIdentity, listConfigFiles, loadIdentities } from '../io/config-file.js'
import { createPinMemory } from '../pin-memory.js'
import { warnOfEnding } from './certificate-report.js'
import type { Context } from './context.js'
import {
  chooseIssuer,
  ENROLL_OPTIONS,
  type EnrollFlags,
  PUBLIC_MODE,
  readTimes,
  verifyEnrollFlags,
} from './enroll-options.js'
import { addIdentityOptions, type IdentityArguments, readIdentity } from './options.js'

/** Parsed flags. */
export interface EnrollArguments extends EnrollFlags, IdentityArguments {
  readonly name: string
}

/** What an identity gets from its enrolment, and so is not given to it. */
const NOT_GIVEN = ['pkcs11-uri', 'certificate', 'private-key']

export function builder(argv: Argv): Argv {
  return addIdentityOptions(
    argv
      .positional('name', {
        type: 'string',
        demandOption: true,
        describe: 'name of the identity in the configuration file',
      })
      .options(ENROLL_OPTIONS),
    NOT_GIVEN,
  )
    .example(
      'holdfast enroll edge --token edge --module tpm2 --pin-file /etc/holdfast/pin --subject "CN=edge-1,O=Example" --issue-command "holdfast ca sign --passphrase-file /etc/holdfast/ca-passphrase" --trust-anchor-arn ARN --profile-arn ARN --role-arn ARN',
      'a key in a TPM, a certificate of the local CA',
    )
    .example(
      'holdfast enroll edge --renew --if-expires-within 30d --remove-old --est-url https://est.example.com --est-ca ca.pem --est-user edge --est-password-file /etc/holdfast/est',
      'renew if it is time, for a timer',
    )
}

/** @throws HoldfastError of every kind */
export async function run(argv: EnrollArguments, context: Context): Promise<void> {
  verifyEnrollFlags(argv)
  const { name } = argv
  const flags = await readIdentity({ ...argv, name: undefined, config: undefined }, context)
  const config = { env: context.env, uid: context.uid, configFile: argv.config }
  const configured = await findIdentity(name, config)
  const configFile = configured?.file ?? listConfigFiles(config)[0]!
  const identity = { ...configured?.identity, ...definedOf(flags) }
  const directories = stateDirectories(context.env, context.uid, identity.stateDir)
  const pinMemory = createPinMemory()
  const enrolling = withEnrolmentFiles(name, { ...context, directories }, async (files) => {
    const issuer = await chooseIssuer(argv, identity.timeout, files, context)
    const around = { ...surroundings(argv, context, files), pinMemory }
    const cleanup: Cleanup = {
      settings: identity,
      identities: await loadIdentities(config).catch(noneOf),
      around,
    }
    if (argv.abandon) return reportRemoved(argv, await abandon(cleanup), context)
    if (issuer === undefined) return reportRemoved(argv, await removeReplaced(cleanup), context)
    if (argv.removeOld) await removeReplacedFirst(cleanup)

    const plan = argv.renew ? planRenewal : planEnrolment
    const wishes = { ...argv, flags, issuer, ...readTimes(argv) }
    try {
      const planned = await plan(wishes, { configured, configFile, files }, around)
      if ('why' in planned) return await reportNotDue(argv, planned, context)
      const enrolled = await enroll(planned, around)
      await report(argv, enrolled, configFile, await files.load(), context)
    } catch (error) {
      const { unfinished } = await files.load()
      if (unfinished !== undefined) warnUnfinished(name, unfinished, error, context)
      throw error
    }
  })
  await enrolling.finally(() => pinMemory.wipe())
}

/** What cannot be removed must not keep a certificate from being renewed before it ends. */
async function removeReplacedFirst(cleanup: Cleanup): Promise<void> {
  const { say, warn, signal, pinMemory } = cleanup.around
  try {
    const removed = await removeReplaced(cleanup)
    for (const what of removed) say(`removed ${what}, which had been replaced`)
  } catch (error) {
    if (!(error instanceof HoldfastError) || signal.aborted) throw error
    pinMemory?.wipe()
    warn(`what had been replaced is not removed: ${error.message} (${error.code})`)
  }
}

/** What there is now, and what can be done about it. */
function warnUnfinished(
  name: string,
  { kind, keyUri, accepted, former }: UnfinishedEnrolment,
  error: unknown,
  { stderr }: Context,
): void {
  const saysIt = error instanceof HoldfastError && ['ISSUER_PENDING', 'USAGE'].includes(error.code)
  if (saysIt || keyUri === undefined) return
  const what = kind === 'renew' ? 'the renewal' : 'the enrolment'
  const isExchange = accepted !== undefined && former?.keyStays === true
  const state = isExchange
    ? 'its certificate may have taken the place of the former one already'
    : 'nothing that is in use has changed'
  stderr(
    `warning: ${what} of ${name} has begun, with ${keyUri}, and ${state}: run the same command again to go on, or holdfast enroll ${name} --abandon to remove what it has made`,
  )
}

function surroundings(
  { verifySsl, debug }: EnrollArguments,
  context: Context,
  files: EnrolmentFiles,
): EnrolmentSurroundings {
  const warned = new Set<string>()
  return {
    ...context,
    ...files,
    verifyTls: verifySsl,
    // The token is used several times, and has the same to say each time.
    warn: (text) => {
      if (!warned.has(text)) context.stderr(`warning: ${text}`)
      warned.add(text)
    },
    debug: debug ? (text) => context.stderr(`debug: ${text}`) : undefined,
    say: context.stderr,
    sleep: (milliseconds, options) => delay(milliseconds, undefined, options),
    writeFile: (path, text) => files.edit(path, () => text, PUBLIC_MODE),
  }
}

function definedOf(flags: Identity): Identity {
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined))
}

function noneOf(error: unknown): Map<string, Identity> {
  if (error instanceof HoldfastError && error.code === 'CONFIG_NOT_FOUND') return new Map()
  throw error
}

async function report(
  { name, renew, config, json }: EnrollArguments,
  { uri, certificate, certificateFile }: Enrolled,
  configFile: string,
  { replaced }: EnrolmentRecord,
  { stdout }: Context,
): Promise<void> {
  const place = config === undefined ? '' : ` --config ${quoteForShell(configFile)}`
  const next = `holdfast configure ${name}${place}`
  const removeOld = `holdfast enroll ${name}${place} --remove-old`
  const former = replaced.at(-1)
  if (json) {
    const facts = {
      name,
      renewed: renew,
      key: uri,
      certificate: certificateFacts(certificate),
      certificateFile,
      config: configFile,
    }
    const commands = { next, ...(former === undefined ? {} : { replaced: former.uri, removeOld }) }
    return stdout(`${JSON.stringify({ ...facts, ...commands })}\n`)
  }
  const lines = [
    `${name} is ${renew ? 'renewed' : 'enrolled'}:`,
    `  key          ${uri}`,
    `  certificate  serial ${formatSerial(certificate)}, until ${formatTime(certificate.notAfter)}, ${certificateFile === undefined ? 'in the token' : `in ${certificateFile}`}`,
    `  identity     [identity.${name}] in ${configFile}`,
    ...(renew ? [] : [`Next, let an AWS profile use it: ${next}`]),
    ...(former === undefined ? [] : [`The former pair is kept. Once nothing uses it: ${removeOld}`]),
  ]
  return stdout(`${lines.join('\n')}\n`)
}

function reportNotDue(
  { name, json }: EnrollArguments,
  { certificate, why }: NotDue,
  context: Context,
): Promise<void> {
  warnOfEnding(certificate, context)
  const facts = { name, renewed: false, certificate: certificateFacts(certificate) }
  return context.stdout(json ? `${JSON.stringify(facts)}\n` : `${why}\n`)
}

function reportRemoved(
  { name, json }: EnrollArguments,
  removed: readonly string[],
  { stdout }: Context,
): Promise<void> {
  const lines =
    removed.length === 0 ? ['there was nothing to remove'] : removed.map((what) => `removed ${what}`)
  return stdout(json ? `${JSON.stringify({ name, removed })}\n` : `${lines.join('\n')}\n`)
}

function certificateFacts(certificate: Certificate) {
  return { serial: formatSerial(certificate), notAfter: formatTime(certificate.notAfter) }
}
