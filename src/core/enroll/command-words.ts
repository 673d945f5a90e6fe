/**
 * A command in one text, split into its program and arguments as a POSIX shell splits it, and no further: nothing is
 * expanded, and what only a shell could do is refused rather than passed on as a word.
 * @see POSIX.1-2024, Shell Command Language, §2.2 (quoting)
 */

import { HoldfastError } from '../errors.js'

/** White space; `'…'`; `"…"` with `\` before `"`, `\`, `$` and a backtick; `\` before any character; others. */
const PIECE = /(\s+)|'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)/gsy
/** Outside single quotes these do something in a shell. */
const FOR_A_SHELL = /[|&;<>()$`*?[\]{}~#]/

/**
 * The words of `text`, at least one.
 * @param flag what gave the text, for messages; the text itself is not repeated
 * @throws HoldfastError USAGE if a quote has no end, or a shell is needed
 */
export function parseCommand(text: string, flag: string): string[] {
  const refuse = (what: string) => new HoldfastError('USAGE', `${flag} ${what}`)
  const words: string[] = []
  let word: string | undefined
  PIECE.lastIndex = 0
  while (PIECE.lastIndex < text.length) {
    const match = PIECE.exec(text)
    if (match === null) throw refuse('has a quote or a backslash without what belongs to it')
    const [, white, single, double, escaped, plain] = match
    if (white !== undefined) {
      if (word !== undefined) words.push(word)
      word = undefined
      continue
    }
    const forShell = FOR_A_SHELL.exec(plain ?? '') ?? /(?<!\\)[$`]/.exec(double ?? '')
    if (forShell !== null) {
      throw refuse(
        `has a ${forShell[0]}, and no shell is there to read it: put it into single quotes, or into a script of yours`,
      )
    }
    word = (word ?? '') + (single ?? double?.replaceAll(/\\(["\\$`])/g, '$1') ?? escaped ?? plain)
  }
  if (word !== undefined) words.push(word)
  if (words[0] === undefined || words[0] === '') throw refuse('names no program')
  return words
}
