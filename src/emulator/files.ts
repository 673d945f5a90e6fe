/**
 * Files of the emulator: read whole, and replaced by rename, so that a reader or a crash never meets half
 * of one.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'

/**
 * The text of a file. Undefined if there is none.
 * @throws a system error if it cannot be read
 */
export function findText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Makes `text` the contents of a file.
 * @param mode permissions of the file
 * @throws a system error if the folder cannot be written
 */
export function replaceText(path: string, text: string, mode: number): void {
  const temporary = `${path}.new`
  const file = openSync(temporary, 'w', mode)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
}
