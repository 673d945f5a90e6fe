/**
 * A SoftHSM token in a temporary folder of its own.
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findLibrary, run } from './command.js'
import { createTestToken, type TestToken, type TokenOptions } from './token.js'

/** How to make the token, and where. */
export interface SoftHsmOptions extends TokenOptions {
  /** Another token of the same SoftHSM: both are then seen through one environment, and go away with the first. */
  beside?: TestToken
}

/** A new, empty SoftHSM token. Labels may repeat: pkcs11-tool is pointed at its slot. */
export async function createSoftHsmToken({
  label = 'edge',
  pin = '12345678',
  soPin = '87654321',
  beside,
}: SoftHsmOptions = {}): Promise<TestToken> {
  const directory = beside?.directory ?? (await mkdtemp(join(tmpdir(), 'holdfast-softhsm-')))
  const env = { SOFTHSM2_CONF: join(directory, 'softhsm2.conf') }
  if (beside === undefined) {
    const tokens = join(directory, 'tokens')
    await mkdir(tokens)
    await writeFile(env.SOFTHSM2_CONF, `directories.tokendir = ${tokens}\nlog.level = ERROR\n`)
  }
  const token = ['--label', label, '--pin', pin, '--so-pin', soPin]
  const said = await run('softhsm2-util', ['--init-token', '--free', ...token], env)
  const slot = said.match(/slot (\d+)/)?.[1]
  if (slot === undefined) throw new Error(`softhsm2-util named no slot: ${said}`)
  const pinFile = join(directory, `pin-${slot}`)
  await writeFile(pinFile, `${pin}\n`, { mode: 0o600 })
  return createTestToken({
    label,
    pin,
    soPin,
    modulePath: findLibrary('softhsm/libsofthsm2.so'),
    env,
    pinFile,
    directory,
    select: ['--slot', slot],
    dispose: () => rm(directory, { recursive: true, force: true }),
  })
}
