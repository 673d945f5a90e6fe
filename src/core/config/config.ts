/**
 * The config file: TOML with one table `[identity.NAME]` for each identity, whose keys are the flags of
 * `credential-process` without their dashes. Everything is checked here, each fault with its line and
 * column; reading the file and who may write it is io/config-file.
 * @see https://toml.io/en/v1.0.0
 */

import { dirname, resolve } from 'node:path'
import { type AST, ParseError, parseTOML } from 'toml-eslint-parser'
import { HoldfastError } from '../errors.js'
import { parsePkcs11Uri } from '../pkcs11/pkcs11-uri.js'
import { PIN_VALUE } from '../printable.js'
import { parseProfileArn, parseRoleArn, parseTrustAnchorArn } from '../roles-anywhere/arn.js'
import { SESSION_SECONDS } from '../roles-anywhere/create-session.js'
import { type Identity, isPkcs11Uri, MAX_TIMEOUT_SECONDS } from './identity.js'

type Kind =
  | 'text'
  | 'arn'
  | 'uri'
  | 'path'
  | 'path or uri'
  | 'path or name'
  | 'seconds'
  | 'boolean'
  | 'on or off'

/** An identity, and how the agent serves it. Only a config file says the latter, so it is no flag. */
export interface ServedIdentity extends Identity {
  /** The key wants a person for each signature, so it is used only when somebody asks. */
  readonly onDemand?: boolean | undefined
  /** Name or number of the group that may use the identity's socket of a system agent. */
  readonly socketGroup?: string | undefined
  /** Name or number of the user that a system agent runs as. */
  readonly agentUser?: string | undefined
}

/** One key of an identity. */
export interface Setting {
  readonly key: string
  /** The same in a {@link ServedIdentity}. */
  readonly field: keyof ServedIdentity
  readonly kind: Kind
}

const PARSE_ARN: Readonly<Record<string, (text: string, origin: string) => unknown>> = {
  'trust-anchor-arn': parseTrustAnchorArn,
  'profile-arn': parseProfileArn,
  'role-arn': parseRoleArn,
}

/** Other names by which people know a key. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ['pkcs11-lib', 'pkcs11-module'],
  ['module', 'pkcs11-module'],
])

/** All keys of an identity, in the order in which they are documented; all but the last three are also flags. */
export const SETTINGS: readonly Setting[] = [
  { key: 'pkcs11-uri', field: 'pkcs11Uri', kind: 'uri' },
  { key: 'pkcs11-module', field: 'pkcs11Module', kind: 'path or name' },
  { key: 'allow-uri-module', field: 'allowUriModule', kind: 'boolean' },
  { key: 'certificate', field: 'certificate', kind: 'path or uri' },
  { key: 'private-key', field: 'privateKey', kind: 'path or uri' },
  { key: 'intermediates', field: 'intermediates', kind: 'path' },
  { key: 'trust-anchor-arn', field: 'trustAnchorArn', kind: 'arn' },
  { key: 'profile-arn', field: 'profileArn', kind: 'arn' },
  { key: 'role-arn', field: 'roleArn', kind: 'arn' },
  { key: 'session-duration', field: 'sessionDuration', kind: 'seconds' },
  { key: 'role-session-name', field: 'roleSessionName', kind: 'text' },
  { key: 'region', field: 'region', kind: 'text' },
  { key: 'endpoint', field: 'endpoint', kind: 'text' },
  { key: 'use-fips-endpoint', field: 'useFipsEndpoint', kind: 'boolean' },
  { key: 'use-dualstack-endpoint', field: 'useDualstackEndpoint', kind: 'boolean' },
  { key: 'pin-file', field: 'pinFile', kind: 'path' },
  { key: 'askpass', field: 'askpass', kind: 'path' },
  { key: 'token-timeout', field: 'tokenTimeout', kind: 'seconds' },
  { key: 'timeout', field: 'timeout', kind: 'seconds' },
  { key: 'state-dir', field: 'stateDir', kind: 'path' },
  { key: 'pin-guard', field: 'pinGuard', kind: 'on or off' },
  { key: 'cache', field: 'cache', kind: 'boolean' },
  { key: 'on-demand', field: 'onDemand', kind: 'boolean' },
  { key: 'socket-group', field: 'socketGroup', kind: 'text' },
  { key: 'agent-user', field: 'agentUser', kind: 'text' },
]

/** What a name of an identity looks like: it is typed in shells and stands in AWS config files. */
export const IDENTITY_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/

/** Where something stands in the file, as the parser counts: lines from 1, columns from 0. */
interface Place {
  readonly line: number
  readonly column: number
}

type Fault = (place: Place, what: string, cause?: unknown) => HoldfastError

/** One `key = value`, wherever TOML lets it be written; or a table, which has no value and may be empty. */
interface Entry {
  readonly path: readonly string[]
  readonly place: Place
  readonly value?: AST.TOMLValue | AST.TOMLArray
}

/**
 * Parses a config file. Relative paths are resolved against the folder of `file`.
 * @param file absolute path, for messages and as the base of relative paths
 * @throws HoldfastError CONFIG_INVALID, beginning with `file:line:column`; no message quotes a value but
 *   that of an ARN
 */
export function parseConfig(text: string, file: string): Map<string, ServedIdentity> {
  const fault: Fault = (place, what, cause) =>
    new HoldfastError(
      'CONFIG_INVALID',
      `${file}:${place.line}:${place.column + 1}: ${what}`,
      cause === undefined ? {} : { cause },
    )
  const identities = new Map<string, Record<string, unknown>>()
  for (const { path, place, value } of parseEntries(text, fault)) {
    const [top = '', name, key, ...rest] = path
    if (top !== 'identity') {
      throw fault(place, `unknown key ${JSON.stringify(top)}: a config file has only tables [identity.NAME]`)
    }
    if (name === undefined && value === undefined) continue // [identity], which may stand above the others
    if (name === undefined || (key === undefined && value !== undefined)) {
      throw fault(place, 'an identity is a table: write [identity.NAME] and its keys below')
    }
    if (!IDENTITY_NAME.test(name)) {
      throw fault(
        place,
        `the name of an identity has only letters, digits, "_", "-" and ".", and begins with none of the last two`,
      )
    }
    const identity = identities.get(name) ?? { origin: `identity "${name}" in ${file}` }
    identities.set(name, identity)
    if (key === undefined) continue
    const setting = SETTINGS.find((known) => known.key === key)
    if (setting === undefined) throw fault(place, `unknown key ${JSON.stringify(key)}${suggest(key)}`)
    if (rest.length > 0 || value === undefined) throw fault(place, `${key} is a value, not a table`)
    identity[setting.field] = readValue(setting, value, dirname(file), fault)
  }
  return identities
}

/** True if a URI of the identity has a `pin-value`, so that whoever reads the config file has the PIN. */
export function holdsPin(identity: Identity): boolean {
  return [identity.pkcs11Uri, identity.certificate, identity.privateKey].some(
    (text) => isPkcs11Uri(text) && parsePkcs11Uri(text).pinValue !== undefined,
  )
}

function parseEntries(text: string, fault: Fault): Entry[] {
  let program: AST.TOMLProgram
  try {
    program = parseTOML(text, { tomlVersion: '1.0' })
  } catch (error) {
    // The parser calls itself for each level, and the stack has an end.
    if (error instanceof RangeError) {
      throw fault({ line: 1, column: 0 }, 'its arrays or tables are nested too deeply', error)
    }
    if (!(error instanceof ParseError)) throw error
    throw fault({ line: error.lineNumber, column: error.column }, error.message, error)
  }
  const entries: Entry[] = []
  const add = (node: AST.TOMLKeyValue, prefix: readonly string[]) => {
    const path = [
      ...prefix,
      ...node.key.keys.map((part) => (part.type === 'TOMLBare' ? part.name : part.value)),
    ]
    const place = node.key.loc.start
    if (node.value.type === 'TOMLInlineTable') {
      entries.push({ path, place })
      for (const inner of node.value.body) add(inner, path)
    } else {
      entries.push({ path, place, value: node.value })
    }
  }
  for (const node of program.body[0].body) {
    if (node.type === 'TOMLKeyValue') {
      add(node, [])
    } else {
      const place = node.key.loc.start
      if (node.kind === 'array') throw fault(place, 'write [identity.NAME] in single brackets')
      const path = node.resolvedKey.map(String)
      entries.push({ path, place })
      for (const inner of node.body) add(inner, path)
    }
  }
  return entries
}

function readValue(
  { key, kind }: Setting,
  value: AST.TOMLValue | AST.TOMLArray,
  folder: string,
  faultAt: Fault,
): string | number | boolean {
  const fault = (what: string, cause?: unknown) => faultAt(value.loc.start, `${key} ${what}`, cause)
  const plain = value.type === 'TOMLValue' ? value.value : undefined
  if (kind === 'boolean') {
    if (typeof plain === 'boolean') return plain
    throw fault('is true or false, without quotes')
  }
  if (kind === 'seconds') {
    const { min, max } = key === 'session-duration' ? SESSION_SECONDS : { min: 1, max: MAX_TIMEOUT_SECONDS }
    const isInteger = value.type === 'TOMLValue' && value.kind === 'integer'
    if (isInteger && Number(plain) >= min && Number(plain) <= max) return Number(plain)
    throw fault(`is a whole number of seconds, from ${min} to ${max}, without quotes`)
  }
  if (typeof plain !== 'string') throw fault('is a text, in quotes')
  if (plain === '') throw fault('is empty: leave it out instead')
  if (kind === 'uri' || (kind === 'path or uri' && isPkcs11Uri(plain))) {
    try {
      parsePkcs11Uri(plain)
    } catch (error) {
      throw fault(`is not valid: ${error instanceof HoldfastError ? error.message : ''}`, error)
    }
    return plain
  }
  if (/\p{Cc}/u.test(plain)) throw fault('has a line end or another control character in it')
  if (kind === 'arn') {
    try {
      PARSE_ARN[key]!(plain, key)
    } catch (error) {
      const { message } = error as Error
      throw faultAt(
        value.loc.start,
        message.replace(new RegExp(`${PIN_VALUE}.*`, 'is'), 'pin-value=…'),
        error,
      )
    }
    return plain
  }
  if (kind === 'on or off') {
    if (plain === 'on' || plain === 'off') return plain
    throw fault('is "on" or "off"')
  }
  if (kind === 'text' || (kind === 'path or name' && !plain.includes('/'))) return plain
  if (plain.startsWith('~')) throw fault('begins with "~", which only a shell expands: write the whole path')
  return resolve(folder, plain)
}

/** ` (did you mean "…"?)` or nothing. */
function suggest(word: string): string {
  // camelCase, snake_case and kebab-case are the same mistake.
  const kebab = word.replace(/(?<=[a-z0-9])(?=[A-Z])|_/g, '-').toLowerCase()
  const meant = OTHER_NAMES.get(kebab) ?? kebab
  const [nearest] = SETTINGS.map(({ key }) => ({ key, distance: editDistance(meant, key) })).sort(
    (one, other) => one.distance - other.distance,
  )
  if (nearest === undefined || nearest.distance > Math.max(2, nearest.key.length / 3)) return ''
  return ` (did you mean "${nearest.key}"?)`
}

/** Insertions, removals and replacements that turn one word into the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const replaced = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1)
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1))
    }
    previous = current
  }
  return previous[to.length]!
}
