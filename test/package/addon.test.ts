/** Where the built program looks for the native addon, and where it does not. */

import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { runHoldfast } from '../support/program.js'

const DIST = resolve(import.meta.dirname, '../../dist')
const OWN = `pkcs11-${process.platform}-${process.arch}.node`
const INSTALLED = 'pkcs11js/build/Release/pkcs11.node'

describe('the native addon', () => {
  let directory: string
  /** A package whose dist has no addon. */
  let home: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-addon-'))
    home = join(directory, 'node_modules/app/node_modules/holdfast')
    await cp(DIST, join(home, 'dist'), { recursive: true })
    await rm(join(home, 'dist', OWN))
  })
  after(() => rm(directory, { recursive: true }))

  /** The code of the error of a run with an addon at `path`: another than ADDON_MISSING if it was loaded. */
  async function codeWith(path: string, env = {}): Promise<string | undefined> {
    const file = join(directory, path)
    await mkdir(dirname(file), { recursive: true })
    await cp(join(DIST, OWN), file)
    const arn = (service: string, rest: string) => `arn:aws:${service}:eu-central-1:111122223333:${rest}`
    const { stderr } = await runHoldfast(
      [
        ...['credential-process', '--pkcs11-uri', 'pkcs11:token=a', '--pkcs11-module', '/nonexistent.so'],
        ...['--trust-anchor-arn', arn('rolesanywhere', 'trust-anchor/a')],
        ...['--profile-arn', arn('rolesanywhere', 'profile/a')],
        ...['--role-arn', 'arn:aws:iam::111122223333:role/a', '--endpoint', 'http://127.0.0.1:9'],
      ],
      { program: join(home, 'dist/bin.cjs'), home: directory, env },
    )
    await rm(file)
    return /\((\w+)\)\n$/.exec(stderr)?.[1]
  }

  for (const folder of [
    'node_modules/app/node_modules/holdfast/node_modules',
    'node_modules/app/node_modules',
    'node_modules',
  ]) {
    it(`is taken from ${folder}`, async () => {
      assert.equal(await codeWith(join(folder, INSTALLED)), 'MODULE_NOT_FOUND')
    })
  }

  it('is not taken from any other folder, the home, or NODE_PATH', async () => {
    assert.equal(
      await codeWith(join('node_modules/app/node_modules/holdfast/dist/node_modules', INSTALLED)),
      'ADDON_MISSING',
    )
    assert.equal(await codeWith(join('.node_modules', INSTALLED)), 'ADDON_MISSING')
    const env = { NODE_PATH: join(directory, 'path') }
    assert.equal(await codeWith(join('path', INSTALLED), env), 'ADDON_MISSING')
  })
})
