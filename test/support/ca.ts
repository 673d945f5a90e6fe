/**
 * A local CA in a home folder of its own, and the requests of machines, made by OpenSSL.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './command.js'
import { type ProgramOptions, type ProgramResult, runHoldfast } from './program.js'

/** A home with the file of a passphrase. */
export interface CaHome {
  readonly home: string
  /** Folder of the CA. */
  readonly directory: string
  readonly certificateFile: string
  readonly passphraseFile: string
  /** Runs `holdfast ca`, with the file of the passphrase where one is needed, unless it is to be left out. */
  ca(
    args: readonly string[],
    options?: ProgramOptions & { withoutPassphrase?: boolean },
  ): Promise<ProgramResult>
  /** What such a run prints as JSON; it must succeed. */
  caJson(...args: string[]): Promise<Record<string, string>>
  /** Makes a key and a request. @returns the request's file; the key's is beside it, with `.key` for `.csr` */
  request(name: string, subject: string, ...options: string[]): Promise<string>
  dispose(): Promise<void>
}

/** A home in which there is no CA yet. */
export async function createCaHome(): Promise<CaHome> {
  const home = await mkdtemp(join(tmpdir(), 'holdfast-ca-'))
  const directory = join(home, '.local/share/holdfast/ca')
  const passphraseFile = join(home, 'passphrase')
  await writeFile(passphraseFile, 'correct horse battery staple\n', { mode: 0o600 })
  const ca: CaHome['ca'] = (args, { withoutPassphrase = false, ...options } = {}) => {
    const needsPassphrase =
      !withoutPassphrase &&
      ['init', 'sign', 'crl'].includes(args[0]!) &&
      !args.some((arg) => arg === '--passphrase-file' || arg === '--askpass')
    const more = needsPassphrase ? ['--passphrase-file', passphraseFile] : []
    return runHoldfast(['ca', ...args, ...more], { home, ...options })
  }
  return {
    home,
    directory,
    certificateFile: join(directory, 'ca.pem'),
    passphraseFile,
    ca,
    async caJson(...args) {
      const { stdout, stderr, status } = await ca([...args, '--json'])
      assert.equal(status, 0, stderr)
      assert.match(stdout, /^\{.*\}\n$/)
      return JSON.parse(stdout)
    },
    async request(name, subject, ...options) {
      const file = join(home, `${name}.csr`)
      const key = options.includes('-newkey') ? [] : ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
      const out = ['-nodes', '-keyout', join(home, `${name}.key`), '-out', file]
      await run('openssl', ['req', '-new', ...key, ...out, '-subj', subject, ...options])
      return file
    },
    dispose: () => rm(home, { recursive: true, force: true }),
  }
}
