/**
 * The state on disk: one JSON file, replaced by rename, so that a reader or a crash never meets half of it.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { validationError } from './service-error.js'
import { createState, type EmulatorState } from './state.js'

/**
 * Reads a state file. Undefined if there is none.
 * @throws ServiceError ValidationException if it is not a state of this version; a system error if it cannot be read
 */
export function findStateFile(path: string): EmulatorState | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const value = parseText(text, path)
  // Only the outline is checked: nobody but the emulator writes this file.
  const empty: object = createState()
  const fits = Object.entries(empty).every(([name, part]) => typeof value[name] === typeof part)
  if (!fits || value.version !== 1) throw validationError(`${path} is not a state file of this emulator`)
  return value as unknown as EmulatorState
}

function parseText(text: string, path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Falls through to the same error: a state file that is not JSON is not one of ours.
  }
  throw validationError(`${path} is not a state file of this emulator`)
}

/**
 * Replaces the state file.
 * @throws a system error if the folder cannot be written
 */
export function writeStateFile(path: string, state: EmulatorState): void {
  const temporary = `${path}.new`
  const file = openSync(temporary, 'w', 0o600)
  try {
    writeSync(file, `${JSON.stringify(state, null, 2)}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
}
