/**
 * Text that may be shown to anybody. It is made of the program's own words; what comes from elsewhere gets into it only
 * through the few doors below, each of which takes PINs away, shortens, and makes printable. The compiler refuses any
 * other text in its place.
 */

import type { HoldfastError } from '../errors.js'
import { formatForeignText, formatPrintable, PIN_VALUE } from '../printable.js'
import { formatTime } from '../x509/certificate.js'

declare const TOLD: unique symbol

/** A text that was made here. */
export type Told = string & { readonly [TOLD]: true }

/** Own words, with told texts, numbers and times between them. */
export function tell(words: TemplateStringsArray, ...parts: readonly (Told | number | Date)[]): Told {
  const texts = parts.map((part) => (part instanceof Date ? formatTime(part) : String(part)))
  return String.raw({ raw: words }, ...texts) as Told
}

/** A path, a URI, a host name. */
export function shown(text: string, maxLength = 300): Told {
  return formatForeignText(withoutPin(text, '[^&]*'), maxLength) as Told
}

/** A name or a label, in quotation marks. */
export function quoted(text: string): Told {
  return `"${shown(text, 80)}"` as Told
}

/** Texts with commas between them. */
export function listed(texts: readonly Told[]): Told {
  return texts.join(', ') as Told
}

/** The message of an error: by the rules for all errors it has no secret in it. */
export function saidBy({ message }: HoldfastError): Told {
  return formatPrintable(withoutPin(message, '[^&\\s"\']*')) as Told
}

/** Data that consists of public things, such as a policy. */
export function asJson(value: unknown): Told {
  return formatPrintable(JSON.stringify(value)) as Told
}

/** @param pin what a PIN may consist of, where the text does not end with it */
function withoutPin(text: string, pin: string): string {
  return text.replaceAll(new RegExp(PIN_VALUE + pin, 'gi'), 'pin-value=…')
}
