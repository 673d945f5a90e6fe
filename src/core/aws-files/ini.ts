/**
 * Edits keys of one section of an AWS config or credentials file and leaves every other byte alone: comments, order,
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

/** What stands between the brackets of each section, in their order. */
export function listSections(text: string): string[] {
  return parseLines(text).flatMap(({ kind, name }) => (kind === 'section' ? [name] : []))
}

/** A line because of which a file, or a key in it, is not read. */
export interface IniFault {
  /** From 1. */
  readonly line: number
  /**
   * Python's configparser refuses the whole file: a line that is `neither` section nor key, one `outside` of all sections, a
   * `second section` or a `second key` of one name in a section. It takes a `deeper` line for a part of the value above it.
   */
  readonly kind: 'neither' | 'outside' | 'second section' | 'second key' | 'deeper'
  /** Of the section or the key. */
  readonly name: string
}

/**
 * The first such line, or undefined.
 * @param key in lowercase: deeper lines that look as if they were to set it are faults
 * @see https://docs.python.org/3/library/configparser.html (`strict`)
 */
export function findIniFault(text: string, key: string): IniFault | undefined {
  const sections = new Set<string>()
  let keys: Set<string> | undefined
  for (const [index, { kind, name, value }] of parseLines(text).entries()) {
    const fault = (kind: IniFault['kind'], what = name): IniFault => ({ line: index + 1, kind, name: what })
    // Python does not take the byte order mark for blank.
    if (index === 0 && text.startsWith(BYTE_ORDER_MARK)) return fault('outside')
    if (kind === 'section') {
      if (sections.has(name) && name !== 'DEFAULT') return fault('second section')
      sections.add(name)
      keys = new Set()
    } else if (kind === 'continuation') {
      const deeper = classify(value)
      if (deeper.kind === 'key' && deeper.name === key) return fault('deeper', key)
    } else if (kind === 'key' || kind === 'other') {
      if (keys === undefined) return fault('outside')
      if (kind === 'other') return fault('neither')
      if (keys.has(name)) return fault('second key')
      keys.add(name)
    }
  }
  return undefined
}

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

/** The last comment of the section that begins so, without white space around it, or undefined. */
export function findComment(text: string, isSection: SectionTest, beginning: string): string | undefined {
  return findNote(parseLines(text), isSection, beginning)?.value
}

/** Which section is meant. */
export interface Section {
  readonly matches: SectionTest
  /** Text between the brackets if the section must be made. */
  readonly newSection: string
}

/** What shall stand in a section. */
export interface SectionEdit extends Section {
  /** By key in lowercase: the value, without line ends and white space around it; undefined takes the key away. */
  readonly values: Readonly<Record<string, string | undefined>>
  /** A comment above the keys; it takes the place of one that begins alike. */
  readonly note?: { readonly beginsWith: string; readonly text: string }
}

/** {@link editSection} of one key. */
export function setValue(text: string, section: Section, key: string, value: string): string {
  return editSection(text, { ...section, values: { [key]: value } })
}

/**
 * The text with `key = value` in the section: in place of the former value with all its lines, else below the
 * section's header, else in a new section at the end. Where section or key stand twice, the last one is meant.
 */
export function editSection(text: string, { matches, newSection, values, note }: SectionEdit): string {
  const lines = parseLines(text)
  const changed = new Map<Line, string>()
  const added: string[] = []
  const replace = (line: Line | undefined, content: string | undefined) => {
    if (line === undefined) added.push(...(content === undefined ? [] : [content]))
    else changed.set(line, content === undefined ? '' : line.indent + content + line.lineEnd)
  }
  for (const [key, value] of Object.entries(values)) {
    const index = findKey(lines, matches, key)
    if (index !== undefined) for (const line of continuationsOf(lines, index)) changed.set(line, '')
    replace(lines[index ?? -1], value === undefined ? undefined : `${key} = ${value}`)
  }
  if (note !== undefined) {
    const former = findNote(lines, matches, note.beginsWith)
    // It stays where it is, unless keys come elsewhere.
    if (former !== undefined) changed.set(former, '')
    if (former === undefined || added.length > 0) added.unshift(note.text)
    else replace(former, note.text)
  }
  const newline = lines[0]?.lineEnd === '\r\n' ? '\r\n' : '\n'
  const join = (some: readonly Line[]) =>
    some.map((line) => changed.get(line) ?? line.text + line.lineEnd).join('')
  if (added.length === 0) return join(lines)
  const header = lines.findLastIndex((line) => line.kind === 'section' && matches(line.name))
  if (header === -1) return appendSection(text, lines, [`[${newSection}]`, ...added], newline)
  // As deep as what follows, which would otherwise become part of this value.
  const next = lines.slice(header + 1).find(({ kind }) => kind !== 'blank' && kind !== 'comment')
  const before = join(lines.slice(0, header + 1))
  const block = added.map((line) => (next?.indent ?? '') + line + newline).join('')
  return `${lines[header]!.lineEnd === '' ? before + newline : before}${block}${join(lines.slice(header + 1))}`
}

function appendSection(text: string, lines: readonly Line[], added: readonly string[], newline: string) {
  const last = lines.at(-1)
  const lineBreak = last === undefined || last.lineEnd !== '' || last.text === BYTE_ORDER_MARK ? '' : newline
  const gap = last === undefined || last.kind === 'blank' ? '' : newline
  return `${text}${lineBreak}${gap}${added.map((line) => line + newline).join('')}`
}

const BYTE_ORDER_MARK = '\u{feff}'

/** What Python's str.strip() takes away; unlike JavaScript's trim() not the byte order mark. */
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/

function indentOf(text: string): string {
  let length = 0
  while (length < text.length && SPACE.test(text[length]!)) length++
  return text.slice(0, length)
}

function strip(text: string): string {
  let end = text.length
  while (end > 0 && SPACE.test(text[end - 1]!)) end--
  return text.slice(indentOf(text).length, end)
}

function parseLines(text: string): Line[] {
  const lines: Line[] = []
  let keyIndent: string | undefined
  let goesOn = false
  // Python takes a carriage return alone for a line end, too.
  for (const [whole] of text.matchAll(/[^\r\n]*(?:\r\n|[\r\n])|[^\r\n]+$/g)) {
    const content = whole.replace(/[\r\n]+$/, '')
    const lineEnd = whole.slice(content.length)
    const bare = lines.length === 0 && content.startsWith(BYTE_ORDER_MARK) ? content.slice(1) : content
    const value = strip(bare)
    const indent = value === '' ? '' : indentOf(bare)
    let { kind, name, rest } = classify(value)
    // The second form is a shell's continuation, which people paste here; no AWS key begins with a dash.
    const isDeeper = keyIndent !== undefined && indent.length > keyIndent.length
    if (kind !== 'blank' && kind !== 'comment') {
      if (isDeeper || (keyIndent !== undefined && goesOn && value.startsWith('-'))) {
        ;[kind, name, rest] = ['continuation', '', value]
      } else {
        keyIndent = kind === 'key' ? indent : undefined
      }
    }
    goesOn = kind !== 'comment' && value.endsWith('\\')
    lines.push({ text: content, lineEnd, kind, indent, name, value: rest })
  }
  return lines
}

function classify(value: string): Pick<Line, 'kind' | 'name'> & { rest: string } {
  if (value === '') return { kind: 'blank', name: '', rest: '' }
  if (value.startsWith('#') || value.startsWith(';')) return { kind: 'comment', name: '', rest: value }
  const header = /^\[(.+)\]/s.exec(value)
  if (header !== null) return { kind: 'section', name: header[1]!, rest: value }
  const delimiter = value.search(/[=:]/)
  if (delimiter < 1) return { kind: 'other', name: '', rest: value }
  const name = strip(value.slice(0, delimiter)).toLowerCase()
  return { kind: 'key', name, rest: strip(value.slice(delimiter + 1)) }
}

function findKey(lines: readonly Line[], isSection: SectionTest, key: string): number | undefined {
  const found = findLastLine(lines, isSection, ({ kind, name }) => kind === 'key' && name === key)
  return found === -1 ? undefined : found
}

function findNote(lines: readonly Line[], isSection: SectionTest, beginning: string): Line | undefined {
  const isNote = ({ kind, value }: Line) => kind === 'comment' && value.startsWith(beginning)
  return lines[findLastLine(lines, isSection, isNote)]
}

/** Index of the last line of the section, wherever it goes on, that passes the test, or -1. */
function findLastLine(lines: readonly Line[], isSection: SectionTest, test: (line: Line) => boolean): number {
  let inside = false
  let found = -1
  for (const [index, line] of lines.entries()) {
    if (line.kind === 'section') inside = isSection(line.name)
    else if (inside && test(line)) found = index
  }
  return found
}

function continuationsOf(lines: readonly Line[], index: number): Line[] {
  const end = lines.findIndex(({ kind }, at) => at > index && ['section', 'key', 'other'].includes(kind))
  return lines.slice(index + 1, end === -1 ? lines.length : end).filter(({ kind }) => kind === 'continuation')
}
