/** Which folders may hold the agent's sockets. */

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { geteuid } from 'node:process'
import { findSocketFolderFault, makeSocketFolder } from '../../../src/io/agent-socket/folder.js'

const uid = geteuid!()

describe('findSocketFolderFault', () => {
  let home: string
  beforeEach(() => {
    home = mkdtempSync(join(homedir(), '.holdfast-test-'))
  })
  afterEach(() => rmSync(home, { recursive: true }))

  const make = (name: string, mode = 0o700) => {
    const folder = join(home, name)
    mkdirSync(folder)
    chmodSync(folder, mode)
    return folder
  }

  it('finds none in a folder of one’s own, also through a link of one’s own', () => {
    const folder = make('a', 0o755)
    assert.equal(findSocketFolderFault(folder, { uid }), undefined)
    const link = join(home, 'link')
    symlinkSync(folder, link)
    assert.equal(findSocketFolderFault(link, { uid }), undefined)
  })

  it('finds it where others can write', () => {
    assert.match(findSocketFolderFault(make('all', 0o777), { uid })!, /chmod (o|go)-w/)
    assert.match(findSocketFolderFault(make('sticky', 0o1777), { uid })!, /write/)
    const above = make('above', 0o1777)
    mkdirSync(join(above, 'own'), { mode: 0o700 })
    assert.match(findSocketFolderFault(join(above, 'own'), { uid })!, /anybody can make folders in .*\/above/)
  })

  it('finds it below /tmp, whoever has made the folder, and behind a link from elsewhere', () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-folder-'))
    const link = join(home, 'link')
    symlinkSync(folder, link)
    for (const path of [folder, link])
      assert.match(findSocketFolderFault(path, { uid })!, /anybody can make folders/)
    rmSync(folder, { recursive: true })
  })

  it('finds it in a folder of somebody else, but for the agent’s own user', () => {
    const folder = make('a', 0o755)
    // Seen by another user, what is ours is somebody else's.
    const other = 54_321
    if (uid === 0) return assert.equal(findSocketFolderFault(folder, { uid: other }), undefined)
    assert.match(findSocketFolderFault(folder, { uid: other })!, new RegExp(`belongs to uid ${uid}`))
    assert.equal(findSocketFolderFault(folder, { uid: other, agentUid: uid }), undefined)
  })
})

describe('makeSocketFolder', () => {
  let home: string
  beforeEach(() => {
    home = mkdtempSync(join(homedir(), '.holdfast-test-'))
  })
  afterEach(() => rmSync(home, { recursive: true }))
  const modeOf = (path: string) => statSync(path).mode & 0o777

  it('makes one that only its user can enter, and closes one that others can', () => {
    const folder = join(home, 'holdfast')
    makeSocketFolder(folder, 0o700, uid)
    assert.equal(modeOf(folder), 0o700)
    chmodSync(folder, 0o755)
    makeSocketFolder(folder, 0o700, uid)
    assert.equal(modeOf(folder), 0o700)
  })

  it('leaves a narrower one as it is', () => {
    const folder = join(home, 'holdfast')
    mkdirSync(folder, { mode: 0o700 })
    makeSocketFolder(folder, 0o755, uid)
    assert.equal(modeOf(folder), 0o700)
  })

  it('refuses a file, a place that is not there, and one below /tmp', () => {
    const file = join(home, 'file')
    writeFileSync(file, '')
    const below = mkdtempSync(join(tmpdir(), 'holdfast-folder-'))
    for (const path of [file, join(home, 'no/where'), join(below, 'x')]) {
      assert.throws(() => makeSocketFolder(path, 0o700, uid), { code: 'SOCKET_UNUSABLE' }, path)
    }
    rmSync(below, { recursive: true })
  })
})
