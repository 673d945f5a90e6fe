/**
 * What AWS SDKs make of a profile: how its section is called, which keys silently win over its
 * `credential_process`, how that key's command is split into words, and what is left of a command that goes
 * on over several lines.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
 */

import { HoldfastError } from '../errors.js'
import { PIN_VALUE } from '../printable.js'
import { findValue, listSections, type SectionTest } from './ini.js'

/** Names that every SDK can look up without quotes. */
const PROFILE_NAME = /^[\w@+.%:/-]+$/

/** Keys for which SDKs do not look at credential_process, and what they make of them. */
const WINNING_KEYS = [
  'aws_access_key_id',
  'role_arn',
  'sso_session',
  'sso_start_url',
  'web_identity_token_file',
]

/** True for a name that every SDK can look up. */
export function isProfileName(name: string): boolean {
  return PROFILE_NAME.test(name)
}

/**
 * The text between the brackets for a profile of the config file: `profile NAME`, and `default` alone.
 * @throws HoldfastError USAGE
 */
export function formatProfileHeader(profile: string): string {
  if (isProfileName(profile)) return profile === 'default' ? profile : `profile ${profile}`
  throw new HoldfastError(
    'USAGE',
    `profile ${JSON.stringify(profile)}: use only letters, digits and _ @ + . % : / - in its name`,
  )
}

/** Recognises the section of a profile in the config file, also where the name is quoted. */
export function isProfileSection(profile: string): SectionTest {
  return (header) => findProfileName(header) === profile
}

function findProfileName(header: string): string | undefined {
  if (header.trim() === 'default') return 'default'
  const match = /^profile\s+(?:"([^"]*)"|'([^']*)'|(\S+))$/.exec(header.trim())
  return match?.[1] ?? match?.[2] ?? match?.[3]
}

/** A profile that gets its credentials from a program. */
export interface ProcessProfile {
  readonly name: string
  /** Where its `credential_process` stands: some SDKs look for it in the config file only. */
  readonly file: 'config' | 'credentials'
  /** The value of that key, its lines joined by LF. */
  readonly command: string
}

/** What stands between the brackets of a section that has a `credential_process` and that SDKs take for no profile. */
export function listStraySections(config: string): string[] {
  return listSections(config).filter((header) => {
    // Python's SDKs do not take blanks away.
    const isProfile = header === header.trim() && findProfileName(header) !== undefined
    return !isProfile && findValue(config, (other) => other === header, 'credential_process') !== undefined
  })
}

/** The profiles of both files that have a `credential_process`. */
export function listProcessProfiles(config: string, credentials: string): ProcessProfile[] {
  const inConfig = listSections(config).flatMap((header) => findProfileName(header) ?? [])
  const list = (file: ProcessProfile['file'], names: readonly string[]) =>
    [...new Set(names)].flatMap((name) => {
      const [text, matches]: [string, SectionTest] =
        file === 'config'
          ? [config, isProfileSection(name)]
          : [credentials, (header) => header.trim() === name]
      const command = findValue(text, matches, 'credential_process')
      return command === undefined ? [] : [{ name, file, command }]
    })
  const inCredentials = listSections(credentials).map((header) => header.trim())
  return [...list('config', inConfig), ...list('credentials', inCredentials)]
}

/**
 * The key in one of the two files because of which SDKs ignore the `credential_process` that the profile has
 * in the config file, if there is one.
 */
export function findWinningKey(
  profile: string,
  config: string,
  credentials: string,
): { readonly key: string; readonly file: 'config' | 'credentials' } | undefined {
  for (const key of WINNING_KEYS) {
    if (findValue(config, isProfileSection(profile), key) !== undefined) return { key, file: 'config' }
  }
  for (const key of [...WINNING_KEYS, 'credential_process']) {
    const value = findValue(credentials, (header) => header.trim() === profile, key)
    if (value !== undefined) return { key, file: 'credentials' }
  }
  return undefined
}

/**
 * One line that splits into exactly these words under `sh -c`, Python's shlex and the C runtime's rules, and
 * in which no parser of config files sees a comment. Words are quoted with double quotes where that is needed.
 * @throws HoldfastError USAGE if a word has characters that these do not all read alike
 */
export function formatCommand(words: readonly string[]): string {
  return words.map(quote).join(' ')
}

function quote(word: string): string {
  if (/^[A-Za-z0-9_./:-]+$/.test(word)) return word
  // Not in double quotes: what a shell expands there, and line ends; nor what is not ASCII, as encodings differ.
  // " #" and " ;" begin a comment for some parsers of config files, in quotes or not.
  const fault = word === '' ? 'is empty' : (/[^ !#%-[\]^_a-~]/.exec(word)?.[0] ?? / [#;]/.exec(word)?.[0])
  if (fault === undefined) return `"${word}"`
  throw new HoldfastError(
    'USAGE',
    word === ''
      ? 'an empty value cannot stand in credential_process'
      : `${JSON.stringify(word)} cannot stand in credential_process, since ${JSON.stringify(fault)} is not read alike by all AWS SDKs: put it into [identity.NAME] of the configuration file, and give only that name here`,
  )
}

/** What was meant by a command that stands on several lines of an AWS config file. */
export interface ContinuedCommand {
  /** Without line ends and backslashes, and with a `pin-source` in place of a PIN. */
  readonly words: readonly string[]
  /** True if an SDK read the first line only; what followed is not known. */
  readonly cut: boolean
}

/**
 * Recognises what SDKs make of a command that goes on after a backslash, as it may in a shell, or undefined.
 * Python's keep the line end as a part of the next argument (`\n--role-arn`); those that read the file line
 * by line hand over the first line, and its backslash as the end of the last argument.
 * @param args without the program
 */
export function findContinuedCommand(args: readonly string[]): ContinuedCommand | undefined {
  if (!args.some((arg) => arg.includes('\n') || arg.endsWith('\\'))) return undefined
  const words = args
    // In quotes a shell joins the two lines; outside, Python has taken the backslash away.
    .map((arg) =>
      arg
        .replaceAll('\\\n', '')
        .replaceAll(new RegExp(`${PIN_VALUE}(?:(?!\\n-)[^&])*`, 'gi'), 'pin-source=file:PATH'),
    )
    .flatMap((arg) => arg.split('\n'))
    .map((word) => word.replace(/\\$/, ''))
    .filter((word) => word !== '')
  return { words, cut: args.at(-1)!.endsWith('\\') }
}
