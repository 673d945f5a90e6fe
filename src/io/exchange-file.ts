/** Files that come and go while an enrolment is under way: whether one is there, where one may be, and taking one away. */

import { constants, lstatSync, readlinkSync } from 'node:fs'
import { access, mkdir, unlink } from 'node:fs/promises'
import { HoldfastError } from '../core/errors.js'
import { findPathRisks, formatPathRisk } from '../core/path-trust.js'

/** True if something of that name is there. */
export async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

/**
 * Takes a file away. @returns false if there was none
 * @throws HoldfastError OUTPUT_FAILED
 */
export async function removeFile(path: string): Promise<boolean> {
  try {
    await unlink(path)
    return true
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return false
    throw new HoldfastError('OUTPUT_FAILED', `${path} cannot be removed (${code})`, { cause })
  }
}

/**
 * Refuses a path on the way to which others than `uid` and root could put something else.
 * @throws HoldfastError CONFIG_UNSAFE
 */
export function verifyHands(path: string, uid: number): void {
  const risks = findPathRisks(path, uid, { lstatSync, readlinkSync })
  const risk = risks.find(({ isRootsChoice }) => !isRootsChoice)
  if (risk === undefined) return
  throw new HoldfastError('CONFIG_UNSAFE', `${path} is not used: ${formatPathRisk(risk)}`)
}

/** Makes a folder, and those above it, open to nobody else. @returns whether it is there and can be written */
export async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await access(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}
