/**
 * Distinguished names as a person types them on a command line: `CN=edge-1,OU=Plant 4,O=Example`, a part of RFC 4514.
 * Left out are names of several attributes (`+`), hexadecimal values (`#`) and attributes by OID. The order is that of
 * the certificate, as with OpenSSL, and not turned round as RFC 4514 has it.
 */

import { HoldfastError } from '../errors.js'
import { formatForeignText } from '../printable.js'

/** One attribute of a name: the short name of its type, in capitals, and its text. */
export interface NameAttribute {
  readonly type: string
  readonly value: string
}

const TYPES = ['CN', 'OU', 'O', 'L', 'ST', 'C', 'DC', 'E']

/** A type, and a value in which a backslash stands before each character that would otherwise mean something. */
const ATTRIBUTE = /\s*([A-Za-z]+)\s*=\s*((?:\\[ ,+"\\<>;#=]|[^\\,+"<>;#])+?)\s*(,|$)/y

/**
 * The attributes of a name in the order of the text.
 * @throws HoldfastError USAGE if the text is not a name, or names an attribute with a value that certificates cannot have
 */
export function parseDistinguishedName(text: string): NameAttribute[] {
  const attributes: NameAttribute[] = []
  let at = 0
  let separator: string
  do {
    ATTRIBUTE.lastIndex = at
    const match = ATTRIBUTE.exec(text)
    if (match === null) {
      throw unreadable(text, `cannot be read from "${formatForeignText(text.slice(at), 40)}" on`)
    }
    const [type, value] = [match[1]!.toUpperCase(), match[2]!.replaceAll(/\\(.)/g, '$1')]
    if (!TYPES.includes(type)) throw unreadable(text, `has an unknown attribute ${type}`)
    attributes.push({ type, value })
    separator = match[3]!
    at = ATTRIBUTE.lastIndex
  } while (separator === ',')
  const fault = findNameFault(attributes)
  if (fault !== undefined) throw unreadable(text, fault)
  return attributes
}

function unreadable(text: string, fault: string): HoldfastError {
  return new HoldfastError(
    'USAGE',
    `the name "${formatForeignText(text, 200)}" ${fault}: write it like CN=edge-1,OU=Plant 4,O=Example, with the attributes ${TYPES.join(', ')} and a backslash before a comma that belongs to a value`,
  )
}

/** X.520's upper bounds, in characters (RFC 5280, appendix A.1). */
const UPPER_BOUNDS: Readonly<Record<string, number>> = { CN: 64, OU: 64, O: 64, L: 128, ST: 128 }

/** Why a certificate should not have these attributes in its subject, or undefined if it may. */
export function findNameFault(attributes: readonly NameAttribute[]): string | undefined {
  if (attributes.length === 0) return 'is empty'
  for (const { type, value } of attributes) {
    if (value.trim() === '') return `has an empty ${type}`
    if (/\p{C}/u.test(value)) return `has a control character in its ${type}`
    const bound = UPPER_BOUNDS[type]
    if (bound !== undefined && [...value].length > bound)
      return `has a ${type} of more than ${bound} characters`
    if (type === 'C' && !/^[A-Za-z]{2}$/.test(value))
      return 'has a C that is not a country code of two letters'
  }
  return undefined
}

/** STS's pattern for the value of a session tag. */
const SESSION_TAG_VALUE = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u

/**
 * The types of attributes whose value Roles Anywhere cannot make a session tag of, so that no trust policy can name it.
 * @see https://docs.aws.amazon.com/STS/latest/APIReference/API_Tag.html
 */
export function findUntaggable(attributes: readonly NameAttribute[]): string[] {
  return attributes.filter(({ value }) => !SESSION_TAG_VALUE.test(value)).map(({ type }) => type)
}
