/**
 * What in a user's AWS files and environment keeps AWS SDKs from credentials that Holdfast would give them: keys that
 * silently win, and a `credential_process` that not all SDKs read alike. Names of keys and variables are told, never their
 * values.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
 */

import {
  findContinuedCommand,
  findWinningKey,
  formatCommand,
  listProcessProfiles,
  listStraySections,
  type ProcessProfile,
} from '../aws-files/aws-config.js'
import { type Hazard, splitCommand } from '../aws-files/command-line.js'
import { findIniFault, type IniFault } from '../aws-files/ini.js'
import { HoldfastError } from '../errors.js'
import { PIN_VALUE } from '../printable.js'
import type { Trouble } from './diagnosis.js'
import { quoted, shown, type Told, tell } from './told.js'

/** The two files, with empty texts where they are not. */
export interface AwsFiles {
  readonly configPath: string
  readonly config: string
  readonly credentialsPath: string
  readonly credentials: string
}

/** The profiles whose `credential_process` runs Holdfast, by whatever name. */
export function findHoldfastProfiles(files: AwsFiles, programPath: string): ProcessProfile[] {
  return listProcessProfiles(files.config, files.credentials).filter(({ command }) => {
    return /\bholdfast\b/.test(command) || command.includes(programPath)
  })
}

/** Lines and sections of the files because of which SDKs do not find a profile. */
export function findFileTroubles(files: AwsFiles): Trouble[] {
  const { configPath, config, credentialsPath, credentials } = files
  const faults = [
    [configPath, findIniFault(config, 'credential_process')],
    [credentialsPath, findIniFault(credentials, 'credential_process')],
  ] as const
  return [
    ...faults.flatMap(([path, fault]) => (fault === undefined ? [] : describeFault(shown(path), fault))),
    ...listStraySections(config).map((header): Trouble => {
      const name = header.trim().replace(/^profile\s+/i, '')
      return {
        status: 'warn',
        message: tell`[${shown(header)}] in ${shown(configPath)} has a credential_process, and is not taken for a profile`,
        fix: tell`write [${name === 'default' ? tell`default` : tell`profile ${shown(name)}`}]`,
      }
    }),
  ]
}

function describeFault(path: Told, { line, kind, name }: IniFault): Trouble {
  const what: Readonly<Record<IniFault['kind'], Told>> = {
    neither: tell`is neither [section] nor key = value`,
    outside: tell`stands before the first [section], or the file begins with a byte order mark`,
    'second section': tell`begins [${shown(name)}] a second time`,
    'second key': tell`sets ${shown(name)} a second time in its section`,
    deeper: tell`begins with blanks, so its ${shown(name)} is taken for a part of the value above it`,
  }
  const message = tell`line ${line} of ${path} ${what[kind]}`
  return {
    status: 'fail',
    code: 'CONFIG_INVALID',
    message: kind === 'deeper' ? message : tell`${message}, and the AWS CLI and boto3 refuse the whole file`,
    fix: kind === 'deeper' ? tell`take away the blanks` : tell`correct or remove that line`,
  }
}

/** Keys of the profile because of which SDKs do not run its command. */
export function findKeyTroubles({ name, file }: ProcessProfile, files: AwsFiles): Trouble[] {
  const { configPath, config, credentialsPath, credentials } = files
  const profile = tell`profile ${quoted(name)}`
  if (file === 'credentials') {
    return [
      {
        status: 'fail',
        code: 'CONFIG_INVALID',
        message: tell`${profile} has its credential_process in ${shown(credentialsPath)}, where the AWS CLI does not look for it`,
        fix: tell`move the line to [${name === 'default' ? tell`default` : tell`profile ${shown(name)}`}] in ${shown(configPath)}`,
      },
    ]
  }
  const winner = findWinningKey(name, config, credentials)
  if (winner === undefined) return []
  const place = shown(winner.file === 'config' ? configPath : credentialsPath)
  return [
    {
      status: 'fail',
      code: 'CONFIG_INVALID',
      message: tell`${profile} has ${shown(winner.key)} in ${place}, which AWS SDKs silently prefer to credential_process`,
      fix: tell`remove ${shown(winner.key)} from that profile in ${place}, and what belongs to it`,
    },
  ]
}

/** Variables that SDKs look at before any profile, unless the program itself names one. */
const WINNING_VARIABLES = ['AWS_ACCESS_KEY_ID', 'AWS_WEB_IDENTITY_TOKEN_FILE']

/** Variables because of which SDKs look at no profile. */
export function findVariableTroubles(env: Readonly<Record<string, string | undefined>>): Trouble[] {
  return WINNING_VARIABLES.filter((name) => env[name]).map((name) => ({
    status: 'warn',
    message: tell`${shown(name)} is set, and AWS SDKs prefer it to every profile that is not named by --profile or in code (AWS_PROFILE does not count)`,
    fix: tell`unset ${shown(name)}`,
  }))
}

const SHELL_SDKS = tell`a shell, to which the AWS SDKs for JavaScript, Go, Java, .NET, Ruby and Rust hand the line,`

/** What of the profile's command not all SDKs read alike. */
export function findCommandTroubles(profile: ProcessProfile): Trouble[] {
  const { words, hazards } = splitCommand(profile.command)
  const named = tell`the credential_process of profile ${quoted(profile.name)}`
  const fix = suggestCommand(words, hazards)
  const fail = (message: Told): Trouble => ({ status: 'fail', code: 'CONFIG_INVALID', message, fix })
  const troubles = hazards.map(({ kind, character }): Trouble => {
    if (kind === 'pattern') {
      const message = tell`${named} has ${quoted(character)} outside of quotation marks, where ${SHELL_SDKS} looks for files of such names`
      return { status: 'warn', message, fix }
    }
    return fail(tell`${named} ${DESCRIPTIONS[kind](quoted(character))}`)
  })
  if (new RegExp(PIN_VALUE, 'i').test(profile.command)) {
    troubles.push(fail(tell`${named} has a PIN in a pin-value, which every process can see while it runs`))
  }
  return troubles
}

const CONFIGURE = tell`put the values into [identity.NAME] of the configuration file, and run: holdfast configure NAME`

const DESCRIPTIONS: Readonly<Record<Exclude<Hazard['kind'], 'pattern'>, (character: Told) => Told>> = {
  continued: () => tell`goes on in a further line, and AWS config files have no line continuation`,
  unclosed: (mark) => tell`has a quotation mark ${mark} that is not closed, and no SDK can split it`,
  operator: (mark) =>
    tell`has ${mark} outside of quotation marks, where ${SHELL_SDKS} ${/[<>]/.test(mark) ? tell`redirects what is read or written` : tell`ends the command`}; the AWS CLI and boto3 do not`,
  expanded: (mark) =>
    tell`has ${mark}, for which ${SHELL_SDKS} puts something else; the AWS CLI and boto3 take it as it stands`,
  comment: (mark) =>
    tell`has ${mark} behind a blank, where some SDKs take the rest of the line for a comment`,
}

/** The line as it should be, as far as that can be told: what a shell was to do is for no SDK. */
function suggestCommand(given: readonly string[], hazards: readonly Hazard[]): Told {
  const comment = given.findIndex((word) => /^[#;]/.test(word))
  const words = comment === -1 ? given : given.slice(0, comment)
  const isForShell =
    hazards.some(({ character }) => '~<>|'.includes(character)) || words.some((word) => /^[;&]+$/.test(word))
  if (isForShell) return CONFIGURE
  const whole = findContinuedCommand(words)?.words ?? words
  const withoutPin = whole.map((word) =>
    word.replaceAll(new RegExp(`${PIN_VALUE}[^&]*`, 'gi'), 'pin-source=file:PATH'),
  )
  try {
    return tell`credential_process = ${shown(formatCommand(withoutPin), 2000)}`
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    return CONFIGURE
  }
}
