/** A SoftHSM without a token, as a package leaves it, in a temporary folder with a home beside it. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findLibrary } from './command.js'

/** Where it is, and how to use it. */
export interface EmptySoftHsm {
  readonly directory: string
  readonly home: string
  readonly modulePath: string
  readonly env: Readonly<Record<string, string>>
  /** Writes a PIN that nobody else can read, and gives the path of its file. */
  layPin(name: string, pin: string): Promise<string>
  dispose(): Promise<void>
}

/** A new one. */
export async function createEmptySoftHsm(): Promise<EmptySoftHsm> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-empty-'))
  const [tokens, home, conf] = ['tokens', 'home', 'softhsm2.conf'].map((name) => join(directory, name))
  await Promise.all([mkdir(tokens!), mkdir(home!)])
  await writeFile(conf!, `directories.tokendir = ${tokens}\nlog.level = ERROR\n`)
  return {
    directory,
    home: home!,
    modulePath: findLibrary('softhsm/libsofthsm2.so'),
    env: { SOFTHSM2_CONF: conf! },
    async layPin(name, pin) {
      const path = join(directory, name)
      await writeFile(path, `${pin}\n`, { mode: 0o600 })
      return path
    },
    dispose: () => rm(directory, { recursive: true, force: true }),
  }
}
