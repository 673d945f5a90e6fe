/**
 * `holdfast configure NAME`: makes an AWS profile that gets its credentials from Holdfast. It writes one line
 * into the AWS config file, and no other byte of it changes.
 */

import { isAbsolute, resolve } from 'node:path'
import type { Argv } from 'yargs'
import {
  findWinningKey,
  formatCommand,
  formatProfileHeader,
  isProfileSection,
} from '../core/aws-files/aws-config.js'
import { findValue, setValue } from '../core/aws-files/ini.js'
import { IDENTITY_NAME, SETTINGS, type Setting } from '../core/config/config.js'
import { type Identity, isPkcs11Uri } from '../core/config/identity.js'
import { HoldfastError } from '../core/errors.js'
import { parsePkcs11Uri, pinSourcePath } from '../core/pkcs11/pkcs11-uri.js'
import { awsConfigPath, awsCredentialsPath } from '../io/aws-files.js'
import { loadIdentity } from '../io/config-file.js'
import { editFile, readTextFile } from '../io/edited-file.js'
import { isExecutable, isOnPath } from '../io/executable.js'
import { parseSession } from '../provider.js'
import type { Context } from './context.js'
import { addAgentOptions, addIdentityOptions, type IdentityArguments, readIdentity } from './options.js'

/** Parsed flags. */
export interface ConfigureArguments extends IdentityArguments {
  readonly name: string
  readonly profile?: string | undefined
}

export function builder(argv: Argv): Argv {
  return addAgentOptions(
    addIdentityOptions(
      argv
        .positional('name', {
          type: 'string',
          demandOption: true,
          describe: 'an identity of the configuration file, and the name of the profile',
        })
        .option('profile', {
          type: 'string',
          requiresArg: true,
          describe: 'name of the AWS profile, if not that of the identity',
        }),
    ),
  )
    .example('holdfast configure edge', 'let the AWS profile edge use the identity edge')
    .example('holdfast configure edge --profile default', 'let commands without a profile use it')
}

/** @throws HoldfastError USAGE, URI_INVALID, ARN_INVALID, CONFIG_INVALID, CONFIG_UNREADABLE, OUTPUT_FAILED */
export async function run(argv: ConfigureArguments, context: Context): Promise<void> {
  const { name, profile = name } = argv
  if (!IDENTITY_NAME.test(name)) {
    throw new HoldfastError('USAGE', `${JSON.stringify(name)} cannot be the name of an identity`)
  }
  const header = formatProfileHeader(profile)
  const command = formatCommand([...(await findProgram(context)), ...(await formatArguments(argv, context))])

  const file = awsConfigPath(context.env)
  const credentialsFile = awsCredentialsPath(context.env)
  const credentials = await readTextFile(credentialsFile)
  const key = 'credential_process'
  const matches = isProfileSection(profile)
  let former: string | undefined
  const edit = (text: string) => {
    verifyUncontested(profile, { path: file, text }, { path: credentialsFile, text: credentials })
    former = findValue(text, matches, key)
    return setValue(text, { matches, newSection: header }, key, command)
  }
  await editFile(file, edit, {
    uid: context.uid,
    signal: context.signal,
  })
  const verb = former === undefined || former === command ? 'Wrote to' : `Replaced the former ${key} in`
  await context.stdout(`${verb} ${file}:\n\n[${header}]\n${key} = ${command}\n`)
}

/** The words that start this program from any folder. */
export async function findProgram({ env, execPath, programPath }: Context): Promise<string[]> {
  if (await isOnPath('holdfast', env.PATH)) return ['holdfast']
  const program = resolve(programPath)
  return (await isExecutable(program)) ? [program] : [execPath, program]
}

async function formatArguments(argv: ConfigureArguments, context: Context): Promise<string[]> {
  const config = argv.config === undefined ? undefined : resolve(argv.config)
  const flags = await readIdentity({ ...argv, name: undefined, config: undefined }, context)
  const words = SETTINGS.flatMap((setting) => formatFlag(setting, flags[setting.field as keyof Identity]))
  const agentDir = argv.agentDir === undefined ? [] : ['--agent-dir', resolve(argv.agentDir)]
  const run = [
    ...(argv.verifySsl ? [] : ['--no-verify-ssl']),
    ...(argv.agent === false ? ['--no-agent'] : []),
    ...agentDir,
  ]
  // Flags that name a key stand instead of an identity, and of its file; others change what the identity says.
  if (flags.pkcs11Uri !== undefined || flags.certificate !== undefined || flags.privateKey !== undefined) {
    parseSession(flags, {})
    return ['credential-process', ...words, ...run]
  }
  // Whoever installs a machine may write the configuration after this.
  await loadIdentity(argv.name, { env: context.env, uid: context.uid, configFile: config }).catch((error) => {
    if (!(error instanceof HoldfastError)) throw error
    context.stderr(`warning: the profile does not work yet: ${error.message}`)
  })
  const place = config === undefined ? [] : ['--config', config]
  return ['credential-process', argv.name, ...words, ...place, ...run]
}

function formatFlag({ key, kind }: Setting, value: string | number | boolean | undefined): string[] {
  if (value === undefined) return []
  if (typeof value === 'boolean') return [value ? `--${key}` : `--no-${key}`]
  const text = String(value)
  const isUri = isPkcs11Uri(text)
  if (kind === 'uri' || (kind === 'path or uri' && isUri)) verifyUri(key, text)
  const isPath =
    kind === 'path' || (kind === 'path or uri' && !isUri) || (kind === 'path or name' && text.includes('/'))
  return [`--${key}`, isPath ? resolve(text) : text]
}

function verifyUri(key: string, text: string): void {
  const { pinSource, pinValue } = parsePkcs11Uri(text)
  if (pinValue !== undefined) {
    throw new HoldfastError(
      'USAGE',
      `--${key} has a pin-value, and a PIN is not written into AWS config files: use --pin-file, or pin-source in the URI`,
    )
  }
  if (pinSource !== undefined && !isAbsolute(pinSourcePath(pinSource))) {
    throw new HoldfastError(
      'USAGE',
      `--${key}: AWS SDKs run commands in any folder, so write pin-source as an absolute path`,
    )
  }
}

interface AwsFile {
  readonly path: string
  readonly text: string
}

/** SDKs say nothing about it when other keys of a profile win, so it is said here. */
function verifyUncontested(profile: string, config: AwsFile, credentials: AwsFile): void {
  const winner = findWinningKey(profile, config.text, credentials.text)
  if (winner === undefined) return
  const { path } = winner.file === 'config' ? config : credentials
  throw new HoldfastError(
    'CONFIG_INVALID',
    `profile ${profile} has ${winner.key} in ${path}, which AWS SDKs silently prefer to credential_process: remove it there, or choose another name with --profile; nothing was written`,
  )
}
