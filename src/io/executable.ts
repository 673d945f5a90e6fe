/** Looks for programs, as a shell would. */

import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'

/** True if there is a file at `path` that this user may execute. */
export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}

/**
 * True if `name` is found in the folders of `pathVariable`. Relative folders do not count: what is found
 * there depends on where one stands.
 */
export async function isOnPath(name: string, pathVariable: string | undefined): Promise<boolean> {
  for (const folder of (pathVariable ?? '').split(':')) {
    if (isAbsolute(folder) && (await isExecutable(join(folder, name)))) return true
  }
  return false
}
