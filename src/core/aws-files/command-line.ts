/**
 * How the line of a `credential_process` is read: the AWS CLI and boto3 split it themselves, as Python's shlex does; the
 * other SDKs hand it to `sh -c`. It computes the words of the first and finds what the second, or some parser of config
 * files, reads otherwise. What Windows makes of the line is left out.
 * @see https://docs.python.org/3/library/shlex.html#parsing-rules
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html (shell: quoting, expansions)
 */

/** Something that not everybody reads alike. */
export interface Hazard {
  /**
   * `continued`: the line ends with a backslash or goes on in the next one; `unclosed`: a quotation mark has no partner;
   * `operator`: a shell ends the command there, or does something else; `expanded`: a shell puts something else there;
   * `pattern`: so does a shell if there are files of such names; `comment`: a shell, or a parser of config files, takes the
   * rest for a comment.
   */
  readonly kind: 'continued' | 'unclosed' | 'operator' | 'expanded' | 'pattern' | 'comment'
  readonly character: string
}

/** A line taken apart. */
export interface SplitCommand {
  /** As Python's shlex gives them; where a quotation mark is not closed, as if it were at the end. */
  readonly words: readonly string[]
  /** Each at most once. */
  readonly hazards: readonly Hazard[]
}

/** Takes a line apart; also one of several lines, joined by LF. */
export function splitCommand(line: string): SplitCommand {
  const hazards = new Map<string, Hazard>()
  const add = (kind: Hazard['kind'], character: string) => hazards.set(kind + character, { kind, character })
  if (line.includes('\n') || line.trimEnd().endsWith('\\')) add('continued', '\\')
  const comment = /(?:^|\s)([#;])/.exec(line)?.[1]
  if (comment !== undefined) add('comment', comment)

  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!
    const hazard = findHazard(character, quote, word)
    if (hazard !== undefined) add(hazard, character)
    if (quote === '' && /\s/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
      continue
    }
    word ??= ''
    if (character === quote) quote = ''
    else if (quote === '' && (character === '"' || character === "'")) quote = character
    else if (character === '\\' && isEscape(quote, line[at + 1])) word += line[++at] ?? ''
    else word += character
  }
  if (word !== undefined) words.push(word)
  if (quote !== '') add('unclosed', quote)
  return { words, hazards: [...hazards.values()] }
}

/** In double quotes shlex lets a backslash escape these two only, outside of quotes everything. */
function isEscape(quote: string, next: string | undefined): boolean {
  return quote === '' || (quote === '"' && (next === '"' || next === '\\'))
}

/** @param word what has been read of the current word, undefined between words */
function findHazard(character: string, quote: string, word: string | undefined): Hazard['kind'] | undefined {
  if (quote !== "'" && /[$`]/.test(character)) return 'expanded'
  if (quote !== '') return undefined
  if (/[;&|<>()]/.test(character)) return 'operator'
  if (character === '~' && word === undefined) return 'expanded'
  if (/[*?[]/.test(character)) return 'pattern'
  return undefined
}
