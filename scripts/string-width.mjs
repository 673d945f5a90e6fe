/**
 * Takes the place of the package string-width in the bundle, where only yargs uses it, to lay out the help
 * text. The package compiles a large expression for emoji and starts an Intl.Segmenter when it is loaded, which
 * costs every run more than a signature does; the help text has only narrow characters.
 *
 * @param {string} text
 * @returns {number} columns that it takes on a terminal
 */
export default function stringWidth(text) {
  return text.length
}
