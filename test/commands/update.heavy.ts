/**
 * Credentials files where writing is hard: a full disk, a file that is mounted alone, a read-only file system, other users, 10 MB.
 */

import assert from 'node:assert/strict'
import { chown, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../support/command.js'
import { createEdge, type Edge } from '../support/edge.js'
import { assertFailure } from '../support/outcome.js'
import { runHoldfast } from '../support/program.js'

const OTHERS = '[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = kept\n'

describe('holdfast update', function () {
  this.timeout(120_000)
  let edge: Edge
  let home: string
  let folder: string
  let file: string
  let mounts: string[]
  before(async () => {
    edge = await createEdge()
  })
  after(() => edge.dispose())
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'holdfast-update-'))
    folder = join(home, '.aws')
    file = join(folder, 'credentials')
    mounts = []
    await mkdir(folder, { mode: 0o700 })
  })
  afterEach(async () => {
    for (const path of mounts.reverse()) await run('umount', [path])
    await rm(home, { recursive: true })
  })

  const mount = async (path: string, ...args: string[]) => {
    await run('mount', [...args, path])
    mounts.push(path)
  }
  const update = (...more: string[]) =>
    runHoldfast(['update', ...edge.args, '--once', '--profile', 'edge', ...more], { home, env: edge.env })
  const read = () => readFile(file, 'utf8')

  it('says that the disk is full, and loses nothing', async () => {
    await mount(folder, '-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'tmpfs')
    const text = `${OTHERS}# ${'x'.repeat(40_000)}\n`
    await writeFile(file, text, { mode: 0o600 })
    assertFailure(await update(), 'OUTPUT_FAILED', 7, /no space is left \(ENOSPC\); it is as it was/)
    assert.equal(await read(), text)
    assert.deepEqual(await readdir(folder), ['credentials'])
  })

  it('says that a file which is mounted alone cannot be replaced', async () => {
    const outside = join(home, 'outside')
    await writeFile(outside, OTHERS, { mode: 0o600 })
    await writeFile(file, '')
    await mount(file, '--bind', outside)
    assertFailure(await update(), 'OUTPUT_FAILED', 7, /it is mounted alone, .*: mount its folder instead/)
    assert.equal(await readFile(outside, 'utf8'), OTHERS)
    assert.deepEqual(await readdir(folder), ['credentials'])
  })

  it('says that the file system is read-only', async () => {
    await writeFile(file, OTHERS)
    await mount(folder, '--bind', folder)
    await run('mount', ['-o', 'remount,ro,bind', folder])
    assertFailure(await update(), 'OUTPUT_FAILED', 7, /its file system is read-only/)
  })

  it('keeps the group and the mode, also behind a link', async () => {
    const outside = join(home, 'outside')
    await writeFile(outside, OTHERS, { mode: 0o640 })
    await chown(outside, 0, 5678)
    await symlink(outside, file)
    assert.equal((await update()).status, 0)
    const { gid, mode } = await stat(outside)
    assert.deepEqual([gid, mode & 0o777], [5678, 0o640])
    assert.match(await read(), /^\[edge\]$/m)
  })

  it('writes nothing as root through the folder of a user', async () => {
    await writeFile(file, OTHERS)
    await chown(folder, 1234, 1234)
    assertFailure(await update(), 'OUTPUT_FAILED', 7, /belongs to uid 1234/)
    assert.equal(await read(), OTHERS)
  })

  it('leaves 10 MB and lines of 64 KiB as they are', async () => {
    const text = `${OTHERS}# ${'x'.repeat(65_536)}\n`.repeat(150)
    await writeFile(file, text)
    assert.equal((await update()).status, 0)
    assert.ok((await read()).startsWith(`${text}\n[edge]\n`))
  })
})
