/**
 * The state on disk: one JSON file that nobody but the emulator writes.
 */
import { findText, replaceText } from './files.js'
import { validationError } from './service-error.js'
import { createState, type EmulatorState } from './state.js'

/**
 * Reads a state file. Undefined if there is none.
 * @throws ServiceError ValidationException if it is not a state of this version; a system error if it cannot be read
 */
export function findStateFile(path: string): EmulatorState | undefined {
  const text = findText(path)
  if (text === undefined) return undefined
  const value = parseObject(text)
  // Only the outline is checked: every part is there and of its kind.
  const fits = Object.entries(createState()).every(([name, part]) => typeof value?.[name] === typeof part)
  if (!fits || value?.version !== 1) throw validationError(`${path} is not a state file of this emulator`)
  return value as unknown as EmulatorState
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/**
 * Replaces the state file.
 * @throws a system error if the folder cannot be written
 */
export function writeStateFile(path: string, state: EmulatorState): void {
  replaceText(path, `${JSON.stringify(state, null, 2)}\n`, 0o600)
}
