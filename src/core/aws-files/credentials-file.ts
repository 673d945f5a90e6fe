/**
 * A profile of the shared credentials file whose three keys are kept up to date: they are set, and taken away once they
 * have expired. A comment above them says whose they are and when they expire, for people and for the next run. How
 * lines are edited is core/aws-files/ini.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
 */

import { type Credentials, formatExpiration } from '../credentials.js'
import { HoldfastError } from '../errors.js'
import { isProfileName } from './aws-config.js'
import { editSection, findComment, findValue, type Section } from './ini.js'

const ID = 'aws_access_key_id'
const SECRET = 'aws_secret_access_key'
const TOKEN = 'aws_session_token'

const NOTE = '# holdfast update:'

/**
 * @throws HoldfastError USAGE if not every SDK could look the profile up
 */
export function verifyCredentialsProfile(profile: string): void {
  // Python's parsers take [DEFAULT] for what all sections have.
  if (isProfileName(profile) && profile !== 'DEFAULT') return
  throw new HoldfastError(
    'USAGE',
    `profile ${JSON.stringify(profile)}: use only letters, digits and _ @ + . % : / - in its name, and not DEFAULT`,
  )
}

/** As botocore looks for it: a header with blanks within the brackets is that of another profile. */
function sectionOf(profile: string): Section {
  return { matches: (header) => header === profile, newSection: profile }
}

/** The text with these credentials in the profile, and a note of their expiry. */
export function setCredentials(text: string, profile: string, credentials: Credentials): string {
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = credentials
  return editSection(text, {
    ...sectionOf(profile),
    values: { [ID]: accessKeyId, [SECRET]: secretAccessKey, [TOKEN]: sessionToken },
    note: { beginsWith: NOTE, text: `${NOTE} ${accessKeyId} expires at ${formatExpiration(expiration)}` },
  })
}

/**
 * The text without the profile's credentials if they are those that {@link setCredentials} wrote there, and have expired;
 * else the same text.
 */
export function dropExpired(text: string, profile: string, now: Date): string {
  const section = sectionOf(profile)
  const note = findComment(text, section.matches, NOTE) ?? ''
  const [, id, expiration = ''] = / (\S+) expires at (\S+)$/.exec(note) ?? []
  const isTheirs = id !== undefined && findValue(text, section.matches, ID) === id
  if (!isTheirs || !(Date.parse(expiration) <= now.getTime())) return text
  return editSection(text, {
    ...section,
    values: { [ID]: undefined, [SECRET]: undefined, [TOKEN]: undefined },
    note: { beginsWith: NOTE, text: `${NOTE} ${id} expired at ${expiration} and was removed` },
  })
}

/**
 * True if the profile has an access key without a session token. Such a key lives until somebody deletes it, and AWS
 * never shows its secret half again; one with a token would have expired anyway.
 */
export function hasLongLivedKey(text: string, profile: string): boolean {
  const [id, secret, token] = [ID, SECRET, TOKEN].map((key) =>
    findValue(text, sectionOf(profile).matches, key),
  )
  return Boolean(id || secret) && !token
}
