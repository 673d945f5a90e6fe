/**
 * What must be in a value that came as JSON from somewhere else: small checks, and larger ones made of them. Parts that
 * nobody asked for are let through.
 */

/** True for a value of the wanted form. */
export type Shape = (value: unknown) => boolean

/** Any text. */
export const TEXT: Shape = (value) => typeof value === 'string'
/** True or false. */
export const FLAG: Shape = (value) => typeof value === 'boolean'
/** A whole number, not negative. */
export const COUNT: Shape = (value) => Number.isSafeInteger(value) && (value as number) >= 0

/** One of the texts. */
export function oneOf(...texts: readonly string[]): Shape {
  return (value) => texts.some((text) => text === value)
}

/** What is absent, or has the form. */
export function optional(shape: Shape): Shape {
  return (value) => value === undefined || shape(value)
}

/** A list whose parts all have the form. */
export function listOf(shape: Shape): Shape {
  return (value) => Array.isArray(value) && value.every(shape)
}

/** An object whose fields have these forms. */
export function record(fields: Readonly<Record<string, Shape>>): Shape {
  return (value) => {
    if (typeof value !== 'object' || value === null) return false
    const own = (name: string) =>
      Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
    return Object.entries(fields).every(([name, shape]) => shape(own(name)))
  }
}
