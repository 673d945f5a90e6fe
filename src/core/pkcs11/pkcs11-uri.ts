/**
 * PKCS#11 URIs (RFC 7512): parser and formatter.
 *
 * Stricter than p11-kit where leniency hides mistakes (repeats, empty components, raw characters, text that
 * is not UTF-8), equal to it otherwise: white space is stripped (but inside a name it is refused, and so are blanks
 * inside a value), attribute names are lowercase, the older spellings `objecttype`, `object-type`, `secretkey` and
 * `pinfile` are read, and an attribute that is not understood makes the URI match nothing. Matching is in
 * pkcs11-match; no PIN file is read here.
 */

import { HoldfastError } from '../errors.js'

/** The words of the `type` attribute (RFC 7512 section 2.3). */
export const OBJECT_TYPES = ['cert', 'data', 'private', 'public', 'secret-key'] as const
/** One of the words of the `type` attribute. */
export type ObjectType = (typeof OBJECT_TYPES)[number]

/** An attribute that RFC 7512 does not define. */
export interface VendorAttribute {
  readonly name: string
  readonly value: string
}

/**
 * A parsed URI. A field that is absent matches anything; one that is empty matches only an empty value.
 * Text is percent-decoded and free of NUL.
 */
export interface Pkcs11Uri {
  readonly libraryDescription?: string
  readonly libraryManufacturer?: string
  readonly libraryVersion?: { readonly major: number; readonly minor: number }
  readonly slotDescription?: string
  readonly slotManufacturer?: string
  readonly slotId?: number
  readonly model?: string
  readonly manufacturer?: string
  readonly serial?: string
  readonly token?: string
  readonly id?: Uint8Array
  readonly object?: string
  /** One of {@link ObjectType}, or a word that is not known, which matches nothing. */
  readonly type?: string
  /** Attributes of the path that are not known. One is enough for the URI to match nothing. */
  readonly vendorPath?: readonly VendorAttribute[]
  /** As written, still a `file:` URI, a path or a `|command`: see {@link pinSourcePath}. */
  readonly pinSource?: string
  /** A secret. {@link formatPkcs11Uri} leaves it out. */
  readonly pinValue?: string
  readonly moduleName?: string
  readonly modulePath?: string
  /** Attributes of the query that are not known, in the order given; names may repeat. They do not matter for matching. */
  readonly vendorQuery?: readonly VendorAttribute[]
}

interface Attribute {
  readonly name: string
  readonly field: Exclude<keyof Pkcs11Uri, 'vendorPath' | 'vendorQuery'>
  readonly part: 'path' | 'query'
  /** Size of the fixed field it is compared with, in bytes. */
  readonly maxBytes?: number
}

// In the order in which p11-kit formats them.
const ATTRIBUTES: readonly Attribute[] = [
  { name: 'library-description', field: 'libraryDescription', part: 'path', maxBytes: 32 },
  { name: 'library-manufacturer', field: 'libraryManufacturer', part: 'path', maxBytes: 32 },
  { name: 'library-version', field: 'libraryVersion', part: 'path' },
  { name: 'slot-description', field: 'slotDescription', part: 'path', maxBytes: 64 },
  { name: 'slot-manufacturer', field: 'slotManufacturer', part: 'path', maxBytes: 32 },
  { name: 'slot-id', field: 'slotId', part: 'path' },
  { name: 'model', field: 'model', part: 'path', maxBytes: 16 },
  { name: 'manufacturer', field: 'manufacturer', part: 'path', maxBytes: 32 },
  { name: 'serial', field: 'serial', part: 'path', maxBytes: 16 },
  { name: 'token', field: 'token', part: 'path', maxBytes: 32 },
  { name: 'id', field: 'id', part: 'path' },
  { name: 'object', field: 'object', part: 'path' },
  { name: 'type', field: 'type', part: 'path' },
  { name: 'pin-source', field: 'pinSource', part: 'query' },
  { name: 'pin-value', field: 'pinValue', part: 'query' },
  { name: 'module-name', field: 'moduleName', part: 'query' },
  { name: 'module-path', field: 'modulePath', part: 'query' },
]

// Spellings from the drafts before RFC 7512.
const OLDER_NAMES: ReadonlyMap<string, string> = new Map([
  ['objecttype', 'type'],
  ['object-type', 'type'],
  ['pinfile', 'pin-source'],
])

// RFC 7512 section 2.3: what may stand in a value without being percent-encoded.
const RAW = { path: /[\w.~:[\]@!$'()*+,=&-]/, query: /[\w.~:[\]@!$'()*+,=/?|-]/ }
const WHITE_SPACE = /[ \t\n\v\f\r]/
const BLANK = /^[ \t\n\v\f\r]*$/

// Messages give a position and the names of standard attributes, never another part of the text: wherever
// a URI is mistyped, that part could be the PIN.
function fault(position: number, what: string): HoldfastError {
  return new HoldfastError('URI_INVALID', `PKCS#11 URI, position ${position}: ${what}`)
}

interface DecodedValue {
  readonly bytes: Uint8Array
  /** Where each byte was written, and one more for the end of the value. */
  readonly positions: readonly number[]
}

/**
 * Parses a PKCS#11 URI. Positions in error messages count UTF-16 code units of `text` from 0; no message
 * quotes a value of the URI, so that none can hold its PIN.
 * @throws HoldfastError URI_INVALID
 * @see https://www.rfc-editor.org/rfc/rfc7512#section-2.3
 */
export function parsePkcs11Uri(text: string): Pkcs11Uri {
  const scheme = /^[ \t\n\v\f\r]*pkcs11:/i.exec(text)
  if (scheme === null) throw fault(0, 'a PKCS#11 URI starts with "pkcs11:"')
  const question = text.indexOf('?', scheme[0].length)
  const pathEnd = question === -1 ? text.length : question

  const fields: Record<string, unknown> = {}
  const vendorPath: VendorAttribute[] = []
  const vendorQuery: VendorAttribute[] = []
  const read = (part: 'path' | 'query', start: number, end: number) => {
    const { name, attribute, valueStart } = readName(text, part, start, end)
    const value = decodeValue(text, part, valueStart, end, attribute)
    if (attribute !== undefined) {
      if (Object.hasOwn(fields, attribute.field)) throw fault(start, `${attribute.name} is given twice`)
      fields[attribute.field] = convert(attribute, value)
    } else if (part === 'query') {
      vendorQuery.push({ name, value: decodeText(value) })
    } else {
      if (vendorPath.some((other) => other.name === name)) throw fault(start, 'an attribute is given twice')
      vendorPath.push({ name, value: decodeText(value) })
    }
  }
  for (const [start, end] of components(text, scheme[0].length, pathEnd, ';')) read('path', start, end)
  if (question !== -1) {
    for (const [start, end] of components(text, question + 1, text.length, '&')) read('query', start, end)
  }
  if (fields.pinSource !== undefined && fields.pinValue !== undefined) {
    throw fault(question, 'pin-source and pin-value exclude each other') // RFC 7512 section 2.4
  }
  return {
    ...fields,
    ...(vendorPath.length > 0 ? { vendorPath } : {}),
    ...(vendorQuery.length > 0 ? { vendorQuery } : {}),
  }
}

/** Start and end of each component; none at all if the whole part is empty. */
function components(text: string, start: number, end: number, separator: string): [number, number][] {
  const found: [number, number][] = []
  if (BLANK.test(text.slice(start, end))) return found
  let position = start
  for (const component of text.slice(start, end).split(separator)) {
    if (BLANK.test(component)) throw fault(position, `nothing stands beside this "${separator}"`)
    found.push([position, position + component.length])
    position += component.length + 1
  }
  return found
}

function readName(text: string, part: 'path' | 'query', start: number, end: number) {
  const equals = text.indexOf('=', start)
  if (equals === -1 || equals >= end) throw fault(start, 'an attribute needs a "=" and a value')
  const words = text.slice(start, equals).split(/[ \t\n\v\f\r]+/)
  // p11-kit strips white space here, too; but whoever looks for pin-value, as system logs do, looks for it in one piece.
  const name = words.filter((word) => word !== '').join(' ')
  if (!/^[A-Za-z0-9_-]+$/.test(name)) {
    throw fault(start, 'the name of an attribute has only letters, digits, "-" and "_"')
  }
  const standardName = OLDER_NAMES.get(name) ?? name
  const attribute = ATTRIBUTES.find((known) => known.name === standardName)
  if (attribute === undefined) {
    const lowercase = ATTRIBUTES.find((known) => known.name === name.toLowerCase())
    if (lowercase !== undefined) throw fault(start, `write ${lowercase.name} in lowercase`)
    // A vendor attribute is shown and formatted: a mistyped pin-value must not become one.
    if (/^pin/i.test(name)) throw fault(start, 'the attributes for a PIN are pin-source and pin-value')
  } else if (attribute.part !== part) {
    const side = attribute.part === 'path' ? 'before' : 'after'
    throw fault(start, `${attribute.name} belongs ${side} the "?"`)
  }
  return { name, attribute, valueStart: equals + 1 }
}

function decodeValue(
  text: string,
  part: 'path' | 'query',
  start: number,
  end: number,
  attribute: Attribute | undefined,
): DecodedValue {
  const isPin = attribute?.field === 'pinValue'
  const swallowed = isPin ? -1 : text.slice(start, end).search(/[&?]\s*pin[\w\s-]*=/i)
  if (swallowed !== -1) {
    throw fault(start + swallowed, 'a PIN attribute begins here, inside another value')
  }
  // p11-kit strips it, too, and then finds no token that is called so. Where a line ends, white space is of the file that the URI is in.
  const blank = text.slice(start, end).search(/(?<=\S)[ \t]+(?=\S)/)
  const bytes: number[] = []
  const positions: number[] = []
  for (let position = start; position < end; position++) {
    const character = text[position] ?? ''
    if (position === start + blank) throw fault(position, 'a blank in a value is written %20')
    if (WHITE_SPACE.test(character)) continue
    positions.push(position)
    if (character === '%') {
      const digits = text.slice(position + 1, Math.min(position + 3, end))
      if (!/^[0-9A-Fa-f]{2}$/.test(digits)) throw fault(position, '"%" needs two hexadecimal digits')
      bytes.push(Number.parseInt(digits, 16))
      position += 2
    } else if (RAW[part].test(character)) {
      bytes.push(character.charCodeAt(0))
    } else {
      const example = isPin || !/[!-~]/.test(character) ? '' : `: ${percentEncode(character)}`
      throw fault(position, `this character must be percent-encoded${example}`)
    }
  }
  positions.push(end)
  return { bytes: Uint8Array.from(bytes), positions }
}

function convert(attribute: Attribute, value: DecodedValue): unknown {
  const start = value.positions[0] ?? 0
  if (attribute.field === 'id') return value.bytes
  const text = decodeText(value)
  if (attribute.field === 'type') return text === 'secretkey' ? 'secret-key' : text
  if (attribute.field === 'slotId') {
    if (!/^[0-9]+$/.test(text)) throw fault(start, 'slot-id is a decimal number')
    if (!Number.isSafeInteger(Number(text))) throw fault(start, 'slot-id is too large')
    return Number(text)
  }
  if (attribute.field === 'libraryVersion') {
    const version = /^([0-9]{1,3})(?:\.([0-9]{1,3}))?$/.exec(text)
    const [major, minor] = [Number(version?.[1]), Number(version?.[2] ?? 0)]
    // 255 would fit the byte, but p11-kit keeps it for "not given" and refuses it.
    if (version === null || major > 254 || minor > 254) {
      throw fault(start, 'library-version is MAJOR or MAJOR.MINOR, each at most 254')
    }
    return { major, minor }
  }
  return text
}

function decodeText({ bytes, positions }: DecodedValue): string {
  const nul = bytes.indexOf(0)
  if (nul !== -1) throw fault(positions[nul] ?? 0, 'text cannot contain NUL')
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let text = ''
  let index = 0
  try {
    for (; index < bytes.length; index++) {
      text += decoder.decode(bytes.subarray(index, index + 1), { stream: true })
    }
    return text + decoder.decode()
  } catch {
    const position = positions[Math.min(index, bytes.length - 1)] ?? 0
    throw fault(position, 'the text is not UTF-8')
  }
}

/**
 * The URI as text, without its PIN. Attributes stand in p11-kit's order, vendor attributes sorted by name.
 * Parsing it gives back what was formatted, but for the PIN.
 */
export function formatPkcs11Uri(uri: Pkcs11Uri): string {
  const parts = { path: [] as string[], query: [] as string[] }
  for (const { name, field, part } of ATTRIBUTES) {
    const value = uri[field]
    if (value === undefined || field === 'pinValue') continue
    parts[part].push(`${name}=${formatValue(value, part)}`)
  }
  for (const part of ['path', 'query'] as const) {
    const vendor = [...((part === 'path' ? uri.vendorPath : uri.vendorQuery) ?? [])]
    vendor.sort((one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0))
    parts[part].push(...vendor.map(({ name, value }) => `${name}=${formatValue(value, part)}`))
  }
  const query = parts.query.length > 0 ? `?${parts.query.join('&')}` : ''
  return `pkcs11:${parts.path.join(';')}${query}`
}

function formatValue(value: NonNullable<Pkcs11Uri[Attribute['field']]>, part: 'path' | 'query'): string {
  if (value instanceof Uint8Array) return percentEncode(value) // every byte, as RFC 7512 recommends
  if (typeof value === 'object') return `${value.major}.${value.minor}`
  return percentEncode(String(value), part === 'query' ? /[\w.~/:-]/ : /[\w.~-]/)
}

function percentEncode(value: string | Uint8Array, raw?: RegExp): string {
  let text = ''
  for (const byte of Buffer.from(value as string)) {
    const character = String.fromCharCode(byte)
    text += raw?.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}

/**
 * The path of the file that a `pin-source` names: a bare path as it is, or the absolute path of a `file:` URI
 * of this host, percent-decoded once more as RFC 8089 wants it.
 * @throws HoldfastError URI_INVALID for `|command`, another scheme, another host, a `file:` URI without an absolute path
 * @see https://www.rfc-editor.org/rfc/rfc7512#section-2.4
 */
export function pinSourcePath(pinSource: string): string {
  const refuse = (what: string) => new HoldfastError('URI_INVALID', `pin-source: ${what}`)
  if (pinSource === '') throw refuse('the path is empty')
  if (pinSource.startsWith('|'))
    throw refuse('commands ("|…") are not run; name a file, or use an askpass program')
  if (!/^file:/i.test(pinSource)) {
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(pinSource)) throw refuse('only file: URIs and paths can be read')
    return pinSource
  }
  const match = /^file:(?:\/\/([^/]*))?(\/[^?#]*)$/i.exec(pinSource)
  if (match === null) throw refuse('a file: URI is file:/ABSOLUTE/PATH')
  if (!/^(localhost)?$/i.test(match[1] ?? '')) throw refuse('the file: URI names another host')
  try {
    const path = decodeURIComponent(match[2] ?? '')
    if (!path.includes('\0')) return path
  } catch {
    // decodeURIComponent has only one reason to fail
  }
  throw refuse('the file: URI is badly percent-encoded (a "%" in a file name is %2525 here)')
}

/**
 * Names of the attributes because of which the URI can match nothing: unknown ones in the path, an unknown
 * `type`, text longer than the field it is compared with.
 */
export function unmatchableAttributes(uri: Pkcs11Uri): string[] {
  const names = ATTRIBUTES.filter(({ field, maxBytes }) => {
    const value = uri[field]
    if (field === 'type') return value !== undefined && !OBJECT_TYPES.some((known) => known === value)
    return maxBytes !== undefined && typeof value === 'string' && Buffer.byteLength(value) > maxBytes
  }).map(({ name }) => name)
  return [...names, ...(uri.vendorPath ?? []).map(({ name }) => name)]
}
