/**
 * Files of the emulator: read whole, and replaced by rename, so that a reader or a crash never meets half
 * of one.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'

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
  // In a folder like /tmp somebody else could have put a link where the name was known before.
  const temporary = `${path}.${randomBytes(6).toString('hex')}`
  const file = openSync(temporary, 'wx', mode)
  try {
    try {
      writeSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
