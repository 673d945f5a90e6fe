/**
 * `holdfast version`: what `--version` prints, by the name that AWS's own helper has for it.
 */

import type { Argv } from 'yargs'
import type { Context } from './context.js'

export function builder(argv: Argv): Argv {
  return argv.example('holdfast version', 'for a report, or a script that wants a certain one')
}

/** @throws HoldfastError OUTPUT_FAILED */
export async function run(_: object, { version, stdout }: Context): Promise<void> {
  await stdout(`${version}\n`)
}
