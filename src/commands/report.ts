/** What a command prints of its result: one line of JSON for a script, or lines for a person. */

import type { Context } from './context.js'

/** Prints the result. @throws HoldfastError OUTPUT_FAILED */
export async function report(
  asJson: boolean,
  json: object,
  lines: readonly string[],
  context: Context,
): Promise<void> {
  await context.stdout(asJson ? `${JSON.stringify(json)}\n` : `${lines.join('\n')}\n`)
}
