/**
 * The token of docker-compose.yml, which all tests share: SoftHSM in a container, reached through
 * p11-kit-client and a unix socket. Its objects belong to whoever has it at the moment.
 */

import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { findLibrary } from './command.js'
import { createTestToken, type TestToken } from './token.js'

const ROOT = resolve(import.meta.dirname, '../..')

let taken = false

/**
 * The container's token, emptied. One at a time: `dispose` empties it again and gives it back. `environment`
 * may name the socket and the PIN's file in P11_KIT_SERVER_ADDRESS and HOLDFAST_TEST_PIN_FILE.
 */
export async function createDockerToken(environment: NodeJS.ProcessEnv = process.env): Promise<TestToken> {
  if (taken) throw new Error('the token in Docker is taken: give this test a SoftHSM token of its own')
  const socket = join(ROOT, '.cache/docker/p11-kit/pkcs11')
  const { P11_KIT_SERVER_ADDRESS = `unix:path=${socket}`, HOLDFAST_TEST_PIN_FILE = 'test/docker/pin' } =
    environment
  const path = P11_KIT_SERVER_ADDRESS.replace('unix:path=', '')
  if (!existsSync(path)) throw new Error(`${path} does not exist: docker-compose.yml says how to start it`)

  const directory = await mkdtemp(join(tmpdir(), 'holdfast-docker-'))
  const pin = readFileSync(resolve(ROOT, HOLDFAST_TEST_PIN_FILE), 'utf8').trim()
  const pinFile = join(directory, 'pin')
  await writeFile(pinFile, `${pin}\n`, { mode: 0o600 })
  const token = createTestToken({
    label: 'edge',
    pin,
    soPin: 'known to nobody',
    modulePath: findLibrary('pkcs11/p11-kit-client.so'),
    env: { P11_KIT_SERVER_ADDRESS },
    pinFile,
    directory,
    select: ['--token-label', 'edge'],
    dispose: async () => {
      await empty(token)
      await rm(directory, { recursive: true, force: true })
      taken = false
    },
  })
  await empty(token)
  taken = true
  return token
}

async function empty({ pkcs11Tool }: TestToken): Promise<void> {
  for (const type of ['cert', 'pubkey', 'privkey']) {
    const listed = await pkcs11Tool('--list-objects', '--type', type)
    for (const [, id] of listed.matchAll(/^ +ID: +([0-9a-f]+)$/gm)) {
      await pkcs11Tool('--delete-object', '--type', type, '--id', id!)
    }
  }
}
