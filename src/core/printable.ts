/**
 * Text from outside (token labels, file names, another program's words) made safe to print on one line.
 * A token's label may hold escape sequences that would move the cursor, line ends that would forge a log
 * line, or bidirectional marks that would make it read as another one.
 */

/** `text` with control, format, surrogate and unassigned characters and line separators shown as `\u{…}`. */
export function formatPrintable(text: string): string {
  return text.replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}

/**
 * What stands before the PIN in a URI that holds one (RFC 7512's `pin-value`), up to the equals sign: the source of a
 * regular expression for the flags `gi`. White space may stand anywhere, also as JSON escapes it: a message may quote what
 * no parser takes.
 */
export const PIN_VALUE = [...'pin-value='].join(String.raw`(?:\s|\\u\w{4}|\\.)*`)

/**
 * Text from outside as part of one line: white space is folded, the rest is cut after `maxLength` characters, and the
 * result is printable.
 */
export function formatForeignText(text: string, maxLength: number): string {
  const folded = text.replaceAll(/\s+/g, ' ').trim()
  return formatPrintable(folded.length > maxLength ? `${folded.slice(0, maxLength)}…` : folded)
}
