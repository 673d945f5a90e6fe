/**
 * Changes keys of one identity in the text of a config file, and nothing else: comments, white space, line ends and
 * all other tables stay as a person wrote them.
 * @see https://toml.io/en/v1.0.0
 */

import { type AST, ParseError, parseTOML } from 'toml-eslint-parser'
import { HoldfastError } from '../errors.js'

/** New values by their keys; `undefined` takes a key away. */
export type IdentityChanges = Readonly<Record<string, string | number | boolean | undefined>>

/** What is put in the place of the characters from `start` up to `end`. */
interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** `key = value` of the identity, wherever it stands, and whether it has a line of its own in a `[identity.NAME]`. */
interface Pair {
  readonly key: string
  readonly node: AST.TOMLKeyValue
  readonly isLine: boolean
}

const BYTE_ORDER_MARK = '\u{feff}'

/**
 * The text with these values in the identity. Values that are there are replaced in their place; others are added at
 * the end of its table, and a table that is not there at the end of the text.
 * @param file for messages
 * @throws HoldfastError CONFIG_INVALID if the text is not TOML, or the identity is written in a way (inline table, dotted
 *   keys) that nothing can be added to or taken out of
 */
export function editIdentity(text: string, name: string, changes: IdentityChanges, file: string): string {
  if (text.startsWith(BYTE_ORDER_MARK)) {
    return BYTE_ORDER_MARK + editIdentity(text.slice(1), name, changes, file)
  }
  const nodes = parseNodes(text, file)
  const path = ['identity', name]
  const table = nodes.find((node) => node.type === 'TOMLTable' && isPath(node.resolvedKey, path)) as
    | AST.TOMLTable
    | undefined
  const pairs = findPairs(nodes, path)
  const isNew = table === undefined && pairs.length === 0 && !isMentioned(nodes, path)
  const lineEnd = /\r?\n/.exec(text)?.[0] ?? '\n'

  const edits: Edit[] = []
  const added: string[] = []
  for (const [key, value] of Object.entries(changes)) {
    const pair = pairs.find((known) => known.key === key)
    if (value === undefined) {
      if (pair?.isLine === false) throw rewrite(file, pair.node, name)
      if (pair !== undefined) edits.push({ ...lineOf(text, pair.node), text: '' })
    } else if (pair !== undefined) {
      const [start, end] = pair.node.value.range
      edits.push({ start, end, text: formatValue(value) })
    } else {
      if (table === undefined && !isNew) throw rewrite(file, pairs[0]?.node, name)
      added.push(`${key} = ${formatValue(value)}${lineEnd}`)
    }
  }
  if (added.length > 0 || (isNew && Object.keys(changes).length > 0)) {
    edits.push(addLines(text, table, isNew ? [formatHeader(text, name, lineEnd), ...added] : added, lineEnd))
  }
  return applyEdits(text, edits)
}

function parseNodes(text: string, file: string): readonly (AST.TOMLKeyValue | AST.TOMLTable)[] {
  try {
    return parseTOML(text, { tomlVersion: '1.0' }).body[0].body
  } catch (cause) {
    // The parser calls itself for each level, and the stack has an end.
    if (!(cause instanceof ParseError) && !(cause instanceof RangeError)) throw cause
    const place = cause instanceof ParseError ? `${cause.lineNumber}:${cause.column + 1}: ` : ''
    throw new HoldfastError('CONFIG_INVALID', `${file}:${place}${cause.message}`, { cause })
  }
}

function findPairs(nodes: readonly (AST.TOMLKeyValue | AST.TOMLTable)[], path: readonly string[]): Pair[] {
  const pairs: Pair[] = []
  const add = (node: AST.TOMLKeyValue, prefix: readonly (string | number)[], isLine: boolean) => {
    const keys = [...prefix, ...keysOf(node)]
    if (keys.length === path.length + 1 && isPath(keys.slice(0, -1), path)) {
      pairs.push({ key: String(keys.at(-1)), node, isLine })
    } else if (node.value.type === 'TOMLInlineTable') {
      for (const inner of node.value.body) add(inner, keys, false)
    }
  }
  for (const node of nodes) {
    if (node.type === 'TOMLKeyValue') add(node, [], false)
    else for (const inner of node.body) add(inner, node.resolvedKey, isPath(node.resolvedKey, path))
  }
  return pairs
}

/** True where a table of that path cannot be added, since `NAME = {}` or a key above it is there already. */
function isMentioned(nodes: readonly (AST.TOMLKeyValue | AST.TOMLTable)[], path: readonly string[]): boolean {
  const holds = (node: AST.TOMLKeyValue, prefix: readonly (string | number)[]): boolean => {
    const keys = [...prefix, ...keysOf(node)]
    return keys.length <= path.length && isPath(keys, path.slice(0, keys.length))
  }
  return nodes.some((node) =>
    node.type === 'TOMLKeyValue'
      ? holds(node, [])
      : node.body.some((inner) => holds(inner, node.resolvedKey)),
  )
}

function keysOf(node: AST.TOMLKeyValue): string[] {
  return node.key.keys.map((part) => (part.type === 'TOMLBare' ? part.name : part.value))
}

function isPath(one: readonly (string | number)[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((part, index) => part === other[index])
}

function rewrite(file: string, node: AST.TOMLKeyValue | undefined, name: string): HoldfastError {
  const place = node === undefined ? '' : `:${node.loc.start.line}:${node.loc.start.column + 1}`
  return new HoldfastError(
    'CONFIG_INVALID',
    `${file}${place}: write this identity as a table of its own, [identity.${name}] with each key on a line below, so that it can be changed`,
  )
}

/** The lines of a pair from its key on, with a comment behind it. */
function lineOf(text: string, node: AST.TOMLKeyValue): { start: number; end: number } {
  const start = text.lastIndexOf('\n', node.range[0] - 1) + 1
  return { start, end: endOfLine(text, node.range[1]) }
}

/** Behind the line end that follows. */
function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end === -1 ? text.length : end + 1
}

function addLines(
  text: string,
  table: AST.TOMLTable | undefined,
  lines: readonly string[],
  lineEnd: string,
): Edit {
  const last = table?.body.at(-1)?.range[1] ?? table?.key.range[1]
  const place = last === undefined ? text.length : endOfLine(text, last)
  const isOpen = place > 0 && text[place - 1] !== '\n'
  return { start: place, end: place, text: (isOpen ? lineEnd : '') + lines.join('') }
}

/** A header at the end of the text, an empty line before it. */
function formatHeader(text: string, name: string, lineEnd: string): string {
  const isApart = text === '' || /\n\r?\n$/.test(text)
  const key = /^[A-Za-z0-9_-]+$/.test(name) ? name : formatValue(name)
  return `${isApart ? '' : lineEnd}[identity.${key}]${lineEnd}`
}

/** JSON's escapes are TOML's too, except that TOML wants one for DEL. */
function formatValue(value: string | number | boolean): string {
  return JSON.stringify(value).replaceAll('\u{7f}', '\\u007f')
}

function applyEdits(text: string, edits: readonly Edit[]): string {
  return edits
    .toSorted((one, other) => other.start - one.start)
    .reduce((result, { start, end, text }) => result.slice(0, start) + text + result.slice(end), text)
}
