/**
 * AWS's own clients for Python at pinned versions, in a virtual environment that is made once, in the
 * git-ignored `.cache`.
 */

import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { run } from './command.js'

const CACHE = resolve(import.meta.dirname, '../../.cache')
const REQUIREMENTS = resolve(import.meta.dirname, '../interop/requirements.txt')
const VERSION = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 16)
const FOLDER = join(CACHE, `python-${VERSION}`)

/** The Python that has them, once `installPythonClients` has ended. */
export const PYTHON = join(FOLDER, 'bin/python')

/** Makes the virtual environment, from PyPI, if it is not there. */
export async function installPythonClients(): Promise<void> {
  if (existsSync(PYTHON)) return
  await mkdir(CACHE, { recursive: true })
  const stage = await mkdtemp(join(CACHE, 'python-'))
  try {
    await run('python3', ['-m', 'venv', stage])
    // Wheels only: nothing of a package runs while it is installed.
    const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary', ':all:']
    await run(join(stage, 'bin/python'), [...pip, '--requirement', REQUIREMENTS], {}, 240_000)
    // Scripts would still name the former folder; modules are found wherever it is.
    await rename(stage, FOLDER)
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
}
