/**
 * The units of scripts/systemd: systemd itself reads them, and says how much a service could do.
 */

import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { run } from '../support/command.js'

const UNITS = resolve(import.meta.dirname, '../../scripts/systemd')
const PROGRAM = resolve(import.meta.dirname, '../../dist/bin.cjs')

describe('scripts/systemd', () => {
  let folder: string
  let units: string[]
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-systemd-'))
    units = []
    for (const name of (await readdir(UNITS)).filter((file) => /\.(service|socket|timer)$/.test(file))) {
      // A template is looked at as the instance of one identity, and holdfast where it is here.
      const unit = join(folder, name.replace('@.', '@edge.'))
      units.push(unit)
      await copyFile(join(UNITS, name), join(folder, name))
      const text = await readFile(join(UNITS, name), 'utf8')
      await writeFile(unit, text.replaceAll(/^(Exec\w+=)holdfast /gm, `$1${PROGRAM} `))
    }
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('holds units that systemd understands', async () => {
    assert.ok(units.length >= 2)
    assert.equal(await run('systemd-analyze', ['verify', '--man=no', ...units]), '')
  })

  it('would not pass with a setting that systemd does not know', async () => {
    const wrong = join(folder, 'wrong.service')
    await writeFile(
      wrong,
      `${await readFile(units.find((unit) => unit.endsWith('.service'))!, 'utf8')}\nProtectSistem=yes\n`,
    )
    await assert.rejects(run('sh', ['-c', `! systemd-analyze verify --man=no ${wrong} 2>&1 | grep Unknown`]))
  })

  it('holds services that systemd calls safe', async () => {
    for (const unit of units.filter((name) => name.endsWith('.service'))) {
      const said = await run('systemd-analyze', ['security', '--offline=true', '--no-pager', unit])
      const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(said)?.[1])
      assert.ok(exposure <= 3, `${unit}: ${exposure}`)
    }
  })

  it('gives the service flags that the command has', async () => {
    const help = await run('node', [PROGRAM, 'enroll', '--help'])
    const text = await readFile(join(UNITS, 'holdfast-renew@.service'), 'utf8')
    const command = /^ExecStart=(.*)$/m.exec(text)![1]!
    const flags = command.match(/--[a-z-]+/g)!
    assert.ok(flags.length >= 3)
    for (const flag of flags) assert.ok(help.includes(flag), flag)
  })
})
