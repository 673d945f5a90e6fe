/**
 * Checks of JSON values against the shapes of the service's API model, with the texts that AWS services
 * give to a value that breaks a constraint. Unknown members are ignored, as the service does.
 */
import { validationError } from './service-error.js'

/** Checks `value`, which stands at `at`, and adds a sentence to `faults` for each broken constraint. */
export type Shape<T> = (value: unknown, at: string, faults: string[]) => T

/** The value that a shape lets through. */
export type Of<S> = S extends Shape<infer T> ? T : never

function fault(value: unknown, at: string, constraint: string): string {
  const shown =
    value === undefined || value === null
      ? 'null'
      : `'${typeof value === 'string' ? value : JSON.stringify(value)}'`
  return `Value ${shown} at '${at}' failed to satisfy constraint: Member must ${constraint}`
}

interface StringLimits {
  readonly min?: number
  readonly max?: number
  readonly pattern?: RegExp
}

/** A string; lengths count UTF-16 units, which is exact for the ASCII that the patterns allow. */
export function string({
  min = 0,
  max = Number.POSITIVE_INFINITY,
  pattern,
}: StringLimits = {}): Shape<string> {
  return (value, at, faults) => {
    if (typeof value !== 'string') {
      faults.push(fault(value, at, value === undefined || value === null ? 'not be null' : 'be a string'))
      return ''
    }
    if (value.length < min) faults.push(fault(value, at, `have length greater than or equal to ${min}`))
    if (value.length > max) faults.push(fault(value, at, `have length less than or equal to ${max}`))
    if (pattern !== undefined && !new RegExp(`^(?:${pattern.source})$`, pattern.flags).test(value)) {
      faults.push(fault(value, at, `satisfy regular expression pattern: ${pattern.source}`))
    }
    return value
  }
}

/** A whole number between `min` and `max`. */
export function integer({ min, max }: { min: number; max: number }): Shape<number> {
  return (value, at, faults) => {
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      faults.push(fault(value, at, value === undefined || value === null ? 'not be null' : 'be an integer'))
      return min
    }
    if (value < min) faults.push(fault(value, at, `have value greater than or equal to ${min}`))
    if (value > max) faults.push(fault(value, at, `have value less than or equal to ${max}`))
    return value
  }
}

/** True or false. */
export const boolean: Shape<boolean> = (value, at, faults) => {
  if (typeof value === 'boolean') return value
  faults.push(fault(value, at, value === undefined || value === null ? 'not be null' : 'be a boolean'))
  return false
}

/** One of a closed set of strings. */
export function oneOf<const T extends string>(values: readonly T[]): Shape<T> {
  return (value, at, faults) => {
    if (!values.includes(value as T))
      faults.push(fault(value, at, `satisfy enum value set: [${values.join(', ')}]`))
    return value as T
  }
}

/** At most `max` values of one shape. */
export function list<T>(member: Shape<T>, max = Number.POSITIVE_INFINITY): Shape<T[]> {
  return (value, at, faults) => {
    if (!Array.isArray(value)) {
      faults.push(fault(value, at, value === undefined || value === null ? 'not be null' : 'be a list'))
      return []
    }
    if (value.length > max) faults.push(fault(value, at, `have length less than or equal to ${max}`))
    return value.map((item, index) => member(item, `${at}.${index + 1}.member`, faults))
  }
}

/** A value that may be left out, or be null, which comes out as undefined. */
export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return (value, at, faults) => (value === undefined || value === null ? undefined : shape(value, at, faults))
}

/** An object with known members. */
export function structure<M extends Record<string, Shape<unknown>>>(
  members: M,
): Shape<{ [K in keyof M]: Of<M[K]> }> {
  return (value, at, faults) => {
    const given = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (!given)
      faults.push(fault(value, at, value === undefined || value === null ? 'not be null' : 'be a structure'))
    const source = given ? (value as Record<string, unknown>) : {}
    return Object.fromEntries(
      Object.entries(members).map(([name, shape]) => [
        name,
        shape(source[name], at === '' ? name : `${at}.${name}`, given ? faults : []),
      ]),
    ) as { [K in keyof M]: Of<M[K]> }
  }
}

/**
 * Returns `value` as its shape has it.
 * @throws ServiceError ValidationException, with every broken constraint in one message
 */
export function parseShape<T>(shape: Shape<T>, value: unknown): T {
  const faults: string[] = []
  const parsed = shape(value, '', faults)
  if (faults.length > 0) {
    throw validationError(
      `${faults.length} validation error${faults.length === 1 ? '' : 's'} detected: ${faults.join('; ')}`,
    )
  }
  return parsed
}

/**
 * Returns the JSON value of a request body; an empty body is an empty object.
 * @throws ServiceError ValidationException if it is not UTF-8 or not JSON
 */
export function parseJsonBody(body: Uint8Array): unknown {
  if (body.length === 0) return {}
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    throw validationError('The request body is not valid JSON')
  }
}
