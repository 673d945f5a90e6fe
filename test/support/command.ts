/**
 * Runs the tools that tests need (OpenSC, SoftHSM, OpenSSL, …) and finds the files that Debian puts in
 * places that differ by architecture. A tool that is missing or fails is an error with what it said.
 */

import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execFileAsync = promisify(execFile)

/** Standard output of `command`. Throws, with what it wrote, if its exit status is not 0 or the time is up. */
export async function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  timeoutMs = 60_000,
): Promise<string> {
  try {
    const { stdout } = await execFileAsync(command, args, {
      env: { ...process.env, ...env },
      timeout: timeoutMs,
      maxBuffer: 16 << 20,
    })
    return stdout
  } catch (cause) {
    const { message, stdout } = cause as Error & { stdout?: string }
    throw new Error(`${message}\n${stdout ?? ''}`, { cause })
  }
}

/** Path of a shared object, by the names it has below a library folder (`/usr/lib`, `/usr/lib/x86_64-linux-gnu`, …). */
export function findLibrary(...names: string[]): string {
  const folders = ['/usr/local/lib', '/usr/lib', '/usr/lib64']
  const multiarch = readdirSync('/usr/lib')
    .filter((name) => name.endsWith('-linux-gnu'))
    .map((name) => join('/usr/lib', name))
  const candidates = [...folders, ...multiarch].flatMap((folder) => names.map((name) => join(folder, name)))
  const found = candidates.find((path) => existsSync(path))
  if (found === undefined) throw new Error(`none of these exists: ${candidates.join(' ')}; run scripts/test`)
  return found
}
