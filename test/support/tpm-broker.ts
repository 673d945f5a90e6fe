/**
 * A resource manager before a software TPM: tpm2-abrmd on a D-Bus of its own. Needs root, and the Debian packages
 * tpm2-abrmd, libtss2-tcti-tabrmd0 and dbus-daemon.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { run } from './command.js'
import { until } from './outcome.js'
import type { TpmToken } from './swtpm.js'

/** A broker that can be ended and started again. */
export interface TpmBroker {
  /** What makes tpm2-pkcs11 go through it. */
  readonly env: Readonly<Record<string, string>>
  start(): Promise<void>
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>
  dispose(): Promise<void>
}

/** From now on nobody else can reach the token's TPM: it takes one connection. */
export async function startTpmBroker(token: TpmToken): Promise<TpmBroker> {
  const bus = await run('dbus-daemon', ['--session', '--fork', '--print-address=1', '--print-pid=1'])
  const [address, busPid] = bus.trim().split('\n')
  const env = { DBUS_SESSION_BUS_ADDRESS: address!, TPM2_PKCS11_TCTI: 'tabrmd:bus_type=session' }
  let daemon: ChildProcess | undefined
  const kill = async () => {
    const running = daemon
    daemon = undefined
    if (running === undefined || running.exitCode !== null) return
    const ended = new Promise((resolve) => running.once('exit', resolve))
    running.kill('SIGKILL')
    await ended
  }
  const start = async () => {
    const args = ['--session', '--allow-root', '--flush-all', `--tcti=${token.tcti}`]
    daemon = spawn('tpm2-abrmd', args, { env: { ...process.env, ...env }, stdio: 'ignore' })
    daemon.unref()
    process.once('exit', () => daemon?.kill('SIGKILL'))
    const answers = () =>
      run('tpm2_getrandom', ['--hex', '1', '-T', 'tabrmd:bus_type=session'], env).then(
        () => true,
        () => false,
      )
    await until(answers)
  }
  const dispose = async () => {
    await kill()
    try {
      process.kill(Number(busPid))
    } catch {
      // It has ended by itself.
    }
  }
  try {
    await start()
  } catch (error) {
    await dispose()
    throw error
  }
  return { env, start, kill, dispose }
}
