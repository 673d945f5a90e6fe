/**
 * Edits one key of an AWS config or credentials file and leaves every other byte alone: comments, order,
 * line ends, odd spacing. Reads lines as Python's configparser does (botocore, the AWS CLI), the strictest of
 * the parsers that such a file must please; writes only what all of them read alike.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
 */

interface Line {
  /** Without its line end. */
  readonly text: string
  /** Empty at the end of a file that lacks the last line end. */
  readonly lineEnd: string
  readonly kind: 'blank' | 'comment' | 'section' | 'key' | 'continuation' | 'other'
  readonly indent: string
  /** Name of the section, or of the key in lowercase. */
  readonly name: string
  /** Of a key what follows the delimiter, of a continuation the text without its indent. */
  readonly value: string
}

/** Decides by the text between the brackets whether a section is meant. */
export type SectionTest = (header: string) => boolean

/**
 * The value of a key, its lines joined by LF, or undefined. Where section or key stand twice, the last one
 * counts.
 * @param key in lowercase
 */
export function findValue(text: string, isSection: SectionTest, key: string): string | undefined {
  const lines = parseLines(text)
  const index = findKey(lines, isSection, key)
  if (index === undefined) return undefined
  return [lines[index]!, ...continuationsOf(lines, index)].map(({ value }) => value).join('\n')
}

/**
 * The text with `key = value` in the section: in place of the former value with all its lines, else as the
 * section's first line, else in a new section at the end.
 * @param newSection text between the brackets if the section must be made
 * @param key in lowercase
 * @param value without line ends and white space around it
 */
export function setValue(
  text: string,
  section: { readonly matches: SectionTest; readonly newSection: string },
  key: string,
  value: string,
): string {
  const lines = parseLines(text)
  const newline = lines.find(({ lineEnd }) => lineEnd !== '')?.lineEnd ?? '\n'
  const index = findKey(lines, section.matches, key)
  if (index !== undefined) {
    const former = lines[index]!
    const dropped = new Set(continuationsOf(lines, index))
    const mark = former.text.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK : ''
    const changed = { ...former, text: `${mark}${former.indent}${key} = ${value}` }
    return join(lines.flatMap((line) => (dropped.has(line) ? [] : line === former ? [changed] : [line])))
  }
  const header = lines.findLastIndex((line) => line.kind === 'section' && section.matches(line.name))
  if (header !== -1) {
    // As deep as what follows, which would otherwise become part of this value.
    const next = lines.slice(header + 1).find(({ kind }) => kind !== 'blank' && kind !== 'comment')
    const line = `${next?.indent ?? ''}${key} = ${value}${newline}`
    const before = join(lines.slice(0, header + 1))
    return `${lines[header]!.lineEnd === '' ? before + newline : before}${line}${join(lines.slice(header + 1))}`
  }
  const last = lines.at(-1)
  const lineBreak = last === undefined || last.lineEnd !== '' || last.text === BYTE_ORDER_MARK ? '' : newline
  const gap = last === undefined || last.kind === 'blank' ? '' : newline
  return `${text}${lineBreak}${gap}[${section.newSection}]${newline}${key} = ${value}${newline}`
}

const BYTE_ORDER_MARK = '\u{feff}'

function parseLines(text: string): Line[] {
  const lines: Line[] = []
  let key: { indent: string } | undefined
  let goesOn = false
  for (const raw of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    const lineEnd = /(?:\r?\n)?$/.exec(raw)![0]
    const line = { text: raw.slice(0, raw.length - lineEnd.length), lineEnd, name: '' }
    const bare = line.text.startsWith(BYTE_ORDER_MARK) ? line.text.slice(1) : line.text
    const value = bare.trim()
    const indent = bare.slice(0, bare.length - bare.trimStart().length)
    if (value === '' || /^[#;]/.test(value)) {
      lines.push({ ...line, kind: value === '' ? 'blank' : 'comment', indent, value })
      goesOn = false
      continue
    }
    // The second form is a shell's continuation, which people paste here; no AWS key begins with a dash.
    if (key !== undefined && (indent.length > key.indent.length || (goesOn && value.startsWith('-')))) {
      lines.push({ ...line, kind: 'continuation', indent, value })
    } else {
      const classified = classify(value)
      key = classified.kind === 'key' ? { indent } : undefined
      lines.push({ ...line, indent, ...classified })
    }
    goesOn = value.endsWith('\\')
  }
  return lines
}

function classify(value: string): Pick<Line, 'kind' | 'name' | 'value'> {
  const header = /^\[([^\]]+)\]/.exec(value)
  if (header !== null) return { kind: 'section', name: header[1]!, value }
  const pair = /^([^=:]+)[=:](.*)$/.exec(value)
  if (pair !== null) return { kind: 'key', name: pair[1]!.trim().toLowerCase(), value: pair[2]!.trim() }
  return { kind: 'other', name: '', value }
}

function findKey(lines: readonly Line[], isSection: SectionTest, key: string): number | undefined {
  let inside = false
  let found: number | undefined
  for (const [index, { kind, name }] of lines.entries()) {
    if (kind === 'section') inside = isSection(name)
    else if (inside && kind === 'key' && name === key) found = index
  }
  return found
}

function continuationsOf(lines: readonly Line[], index: number): Line[] {
  const end = lines.findIndex(({ kind }, at) => at > index && ['section', 'key', 'other'].includes(kind))
  return lines.slice(index + 1, end === -1 ? lines.length : end).filter(({ kind }) => kind === 'continuation')
}

function join(lines: readonly Line[]): string {
  return lines.map(({ text, lineEnd }) => text + lineEnd).join('')
}
