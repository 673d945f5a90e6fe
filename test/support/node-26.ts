/**
 * The newest Node and npm, as npm packages, beside those that run the tests: npm 12 runs no install scripts.
 * They are installed once, into the git-ignored `.cache`.
 */

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { run } from './command.js'

const CACHE = resolve(import.meta.dirname, '../../.cache')
const PACKAGES = [`node-linux-${process.arch}@26.10.0`, 'npm@12.2.0']

/** A folder with `node`, `npm` and `npx`, and nothing else: a PATH of its own. */
export async function installNode26(): Promise<string> {
  const folder = join(CACHE, PACKAGES.join('-'))
  const bin = join(folder, 'node_modules/.bin')
  if (existsSync(bin)) return bin
  await mkdir(CACHE, { recursive: true })
  const stage = await mkdtemp(join(CACHE, 'node-26-'))
  try {
    await run('npm', [
      'install',
      '--prefix',
      stage,
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      ...PACKAGES,
    ])
    await rename(stage, folder)
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
  return bin
}
