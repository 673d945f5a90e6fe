/**
 * A tpm2-pkcs11 token on a software TPM of its own: swtpm on unix sockets in a temporary folder, so that
 * tests may run beside each other. The token is made through PKCS#11, as a user would.
 *
 * There is no resource manager between them: a program that is killed in mid-use leaves its TPM sessions.
 */

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findLibrary, run } from './command.js'
import { createTestToken, type TestToken, type TokenOptions } from './token.js'

/** What is said on stderr of a TPM without a resource manager, such as this one. */
export const TPM_WARNING = /^holdfast: warning: nothing manages the TPM's sessions at TPM2_PKCS11_TCTI=.*\n$/

/** A TPM without a token, which can be looked at from outside. */
export interface Tpm {
  /** For `tpm2_* -T` and `TPM2TOOLS_TCTI`. */
  readonly tcti: string
  readonly modulePath: string
  readonly env: Readonly<Record<string, string>>
  readonly directory: string
  /** The code of each command that reached the TPM until now, e.g. 0x15d for TPM2_Sign. */
  commands(): Promise<number[]>
  dispose(): Promise<void>
}

/** A token whose TPM can be looked at from outside. */
export type TpmToken = TestToken & Tpm

/** A new TPM, in which there is nothing yet. */
export async function createTpm(): Promise<Tpm> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-tpm-'))
  const [state, store] = [join(directory, 'state'), join(directory, 'store')]
  await Promise.all([mkdir(state), mkdir(store)])
  const [socket, log] = [join(directory, 'tpm'), join(directory, 'log')]
  const stopTpm = await startTpm(state, socket, log)
  const tcti = `swtpm:path=${socket}`
  return {
    tcti,
    modulePath: findLibrary('pkcs11/libtpm2_pkcs11.so'),
    env: { TPM2_PKCS11_TCTI: tcti, TPM2_PKCS11_STORE: store, TSS2_LOG: 'all+NONE' },
    directory,
    commands: async () => commandCodes(await readFile(log, 'latin1')),
    dispose: async () => {
      stopTpm()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** A new, empty token on a new TPM. */
export async function createTpmToken({
  label = 'edge',
  pin = '12345678',
  soPin = '87654321',
}: TokenOptions = {}): Promise<TpmToken> {
  const tpm = await createTpm()
  const tool = (...args: string[]) => run('pkcs11-tool', ['--module', tpm.modulePath, ...args], tpm.env)
  await tool('--slot-index', '0', '--init-token', '--label', label, '--so-pin', soPin)
  const officer = ['--token-label', label, '--login', '--login-type', 'so', '--so-pin', soPin]
  await tool(...officer, '--init-pin', '--new-pin', pin)
  const pinFile = join(tpm.directory, 'pin')
  await writeFile(pinFile, `${pin}\n`, { mode: 0o600 })
  const token = createTestToken({ ...tpm, label, pin, soPin, pinFile, select: ['--token-label', label] })
  return { ...tpm, ...token }
}

/** Starts swtpm, which goes into the background once it listens; gives what ends it. */
async function startTpm(state: string, socket: string, log: string): Promise<() => void> {
  const pidFile = `${socket}.pid`
  const sockets = ['--server', `type=unixio,path=${socket}`, '--ctrl', `type=unixio,path=${socket}.ctrl`]
  const start = ['--flags', 'not-need-init,startup-clear', '--daemon', '--pid', `file=${pidFile}`]
  const files = ['--tpmstate', `dir=${state}`, '--log', `file=${log},level=20`]
  await run('swtpm', ['socket', '--tpm2', ...sockets, ...start, ...files])
  const pid = Number(await readFile(pidFile, 'utf8'))
  const stop = () => {
    process.off('exit', stop)
    process.kill(pid)
  }
  process.on('exit', stop)
  return stop
}

/** Command codes from swtpm's log, which shows each command's bytes: tag (2), size (4), code (4), … */
function commandCodes(log: string): number[] {
  const commands = log.matchAll(/SWTPM_IO_Read: length \d+\n ((?:[0-9A-F]{2} ){10})/g)
  return [...commands].map(([, bytes]) => Number.parseInt(bytes!.replaceAll(' ', '').slice(12, 20), 16))
}
