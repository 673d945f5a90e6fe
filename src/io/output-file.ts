/** A result that somebody wants in a file: it appears there at once and whole, in place of what was there. */

import { randomUUID } from 'node:crypto'
import { lstatSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { HoldfastError } from '../core/errors.js'
import { describeFault } from './disk.js'

/**
 * Writes a file that everybody may read. A link or a device is not replaced: somebody else may have laid it there, or mean
 * the one that all programs use.
 * @param original where the same is kept, so that it is not lost if this fails
 * @throws HoldfastError OUTPUT_FAILED; what was there is then untouched
 */
export function writeOutput(path: string, content: Uint8Array | string, original?: string): void {
  const temporary = `${path}.${randomUUID()}`
  try {
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false)
      throw new Error('it is not a regular file')
    writeFileSync(temporary, content, { mode: 0o644, flag: 'wx', flush: true })
    renameSync(temporary, path)
  } catch (cause) {
    rmSync(temporary, { force: true })
    const why = describeFault(cause)
    const fault = original === undefined ? `: ${why}` : ` (${why}); what was to be in it is in ${original}`
    throw new HoldfastError('OUTPUT_FAILED', `${path} cannot be written${fault}`, { cause })
  }
}
