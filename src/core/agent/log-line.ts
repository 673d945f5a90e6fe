/** The agent's journal: one line for each event, for people and programs alike. */

import { formatPrintable } from '../printable.js'

/** What a line may say. Undefined is left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

/** The forms of a line: `time event key=value …`, or one JSON object. */
export const LOG_FORMATS = ['text', 'json'] as const

/** One of {@link LOG_FORMATS}. */
export type LogFormat = (typeof LOG_FORMATS)[number]

/** One line, without its end. Texts from outside cannot end it. */
export function formatLogLine(format: LogFormat, time: Date, event: string, fields: LogFields): string {
  const said = Object.entries(fields).filter(([, value]) => value !== undefined)
  const at = time.toISOString()
  if (format === 'json')
    return escapeUnprintable(JSON.stringify({ time: at, event, ...Object.fromEntries(said) }))
  return [at, event, ...said.map(([key, value]) => `${key}=${formatValue(String(value))}`)].join(' ')
}

/** JSON leaves some characters as they are that terminals and other programs take for a line's end, or obey. */
function escapeUnprintable(json: string): string {
  return json.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    [...Array(character.length).keys()]
      .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}

/** What stands without quotes. */
const PLAIN = /^[\w./:@+,-]+$/

function formatValue(text: string): string {
  if (PLAIN.test(text)) return text
  const printable = formatPrintable(text)
  return PLAIN.test(printable) ? printable : JSON.stringify(printable)
}
