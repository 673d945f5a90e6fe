/** Words of a command that a person is told to run in a POSIX shell. */

/** The word, in single quotes if a shell would otherwise make something else of it. */
export function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
