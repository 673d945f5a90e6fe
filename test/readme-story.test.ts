/**
 * "From an empty token to credentials" of README.md, run in a shell as it stands, by a user with an empty home: all
 * that is changed is the name of the module, and the serial number that a person would copy.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')

/** The shell commands of the section, block by block. */
function readBlocks(): string[] {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const section = /^## From an empty token to credentials$([\s\S]*?)^## /m.exec(readme)![1]!
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, commands]) => commands!)
}

describe('README.md, from an empty token to credentials', function () {
  this.timeout(120_000)
  let home: string
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'holdfast-story-'))
    mkdirSync(join(home, 'bin'))
    // A copy, since another user may not look into the checkout.
    cpSync(join(ROOT, 'dist'), join(home, 'dist'), { recursive: true })
    symlinkSync(join(home, 'dist/bin.cjs'), join(home, 'bin/holdfast'))
  })
  afterEach(() => rmSync(home, { recursive: true, force: true }))

  it('leads there as it is written, with SoftHSM', () => {
    const blocks = readBlocks()
    assert.equal(blocks.length, 5)
    const script = blocks
      .join('')
      .replace('module=tpm2 ', 'module=softhsm ')
      .replace('ca revoke SERIAL', `ca revoke "$(holdfast ca list | tail -1 | cut -d ' ' -f 1)"`)
    // Root's configuration would be the machine's.
    const nobody = 65_534
    const user = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}
    if (user.uid !== undefined) chownSync(home, nobody, nobody)
    const { status, stdout, stderr } = spawnSync('bash', ['-e', '-u', '-o', 'pipefail'], {
      ...user,
      cwd: home,
      env: { HOME: home, PATH: `${join(home, 'bin')}:${dirname(process.execPath)}:/usr/bin:/bin` },
      input: `trap 'kill $(jobs -p)' EXIT\n${script}`,
      encoding: 'utf8',
    })
    assert.equal(status, 0, `${stdout}\n${stderr}`)
    assert.match(stdout, /edge is enrolled:[\s\S]*"AccessKeyId": "ASIA[\s\S]*edge is renewed:/)
    assert.match(stdout, /^removed pkcs11:token=edge;id=%01$/m)
    assert.match(stdout, /^crl\.pem: list 1 with 1 revoked/m)
    assert.doesNotMatch(stdout, /^(fail|warn|skip) /m)
  })
})
