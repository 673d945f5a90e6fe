/**
 * scripts/prepare where it cannot help itself: it says exactly what is missing, and installs nothing.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'mocha'

const NOBODY = '65534'

describe('scripts/prepare', () => {
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-prepare-'))
    await chmod(directory, 0o755)
    await mkdir(join(directory, 'scripts'))
    const script = join(directory, 'scripts/prepare')
    await copyFile(resolve(import.meta.dirname, '../../scripts/prepare'), script)
  })
  after(() => rm(directory, { recursive: true, force: true }))

  /** Runs it as nobody, with stand-ins for tools of the system. */
  async function prepare(tier: string, tools: Record<string, string>) {
    const bin = join(directory, 'bin')
    await rm(bin, { recursive: true, force: true })
    await mkdir(bin)
    for (const [name, script] of Object.entries(tools)) {
      await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    }
    const env = { PATH: `${bin}:/usr/bin:/bin` }
    const identity = ['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups']
    return spawnSync('setpriv', [...identity, join(directory, 'scripts/prepare'), tier], {
      env,
      encoding: 'utf8',
    })
  }
  const newNode = `exec ${process.execPath} "$@"`
  const oneMissing = 'for last; do :; done; [ "$last" = awscli ] || printf "ii "'

  it('prints the command that installs what is missing, and no more', async () => {
    const tools = { node: newNode, 'dpkg-query': oneMissing, sudo: 'exit 1' }
    const { stdout, stderr, status } = await prepare('demo', tools)
    assert.equal(stdout, '')
    assert.match(stderr, /sudo apt-get update && sudo apt-get install .* awscli$/m)
    assert.doesNotMatch(stderr, /softhsm2/)
    assert.equal(status, 1)
  })

  it('installs it with a sudo that asks for no password', async () => {
    const sudo = 'echo "sudo $*"; [ "$2" = true ] || exit 9'
    const { stdout, status } = await prepare('demo', { node: newNode, 'dpkg-query': oneMissing, sudo })
    assert.match(stdout, /installing awscli/)
    assert.equal(status, 9)
  })

  it('says which Node it needs, and which it found', async () => {
    const { stderr, status } = await prepare('demo', { node: 'echo v20.18.3; exit 1' })
    assert.match(stderr, /Node\.js 20\.19 or newer is needed, this is v20\.18\.3/)
    assert.equal(status, 1)
  })

  it('refuses a tier that it does not know', async () => {
    assert.equal((await prepare('most', { node: newNode })).status, 1)
  })
})
