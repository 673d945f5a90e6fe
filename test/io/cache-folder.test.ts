/** The folder of cached credentials in a runtime folder of its own, in memory. */

import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCacheFolder, readEntry, writeEntry } from '../../src/io/cache-folder.js'

const uid = process.geteuid!()

describe('the cache folder', () => {
  let runtime: string
  let cache: string
  beforeEach(() => {
    runtime = mkdtempSync('/dev/shm/holdfast-cache-')
    cache = join(runtime, 'holdfast/cache')
  })
  afterEach(() => rmSync(runtime, { recursive: true }))
  const open = (user = uid) => openCacheFolder({ XDG_RUNTIME_DIR: runtime }, user)
  const obstacle = (user?: number) => {
    const folder = open(user)
    assert.ok('obstacle' in folder)
    return folder.obstacle
  }

  describe('openCacheFolder', () => {
    it('makes the folder for this user only', () => {
      for (const folder of [open(), open()]) assert.deepEqual(folder, { path: cache })
      for (const path of [cache, join(runtime, 'holdfast')]) assert.equal(statSync(path).mode & 0o777, 0o700)
    })

    it('needs a runtime folder', () => {
      for (const XDG_RUNTIME_DIR of [undefined, '', 'relative']) {
        assert.deepEqual(openCacheFolder({ XDG_RUNTIME_DIR }, uid), {
          obstacle: 'XDG_RUNTIME_DIR names no folder for it',
        })
      }
    })

    it('refuses one on a disk', () => {
      const disk = mkdtempSync(join(tmpdir(), 'holdfast-cache-'))
      try {
        const folder = openCacheFolder({ XDG_RUNTIME_DIR: disk }, uid)
        assert.match('obstacle' in folder ? folder.obstacle : '', /is on a disk/)
      } finally {
        rmSync(disk, { recursive: true })
      }
    })

    it('refuses one that others can enter', () => {
      open()
      chmodSync(cache, 0o710)
      assert.equal(obstacle(), `${cache} is open to others: chmod go= ${cache}`)
    })

    it('refuses one on whose way others can change something', () => {
      open()
      chmodSync(runtime, 0o777)
      assert.match(obstacle(), /everyone can replace what is in folder/)
    })

    it('refuses one that belongs to another user', () => {
      open()
      if (uid === 0) chownSync(cache, 1234, 1234)
      assert.match(obstacle(uid === 0 ? 0 : uid + 1), /belongs to uid/)
    })

    it('refuses what is no folder', () => {
      mkdirSync(join(runtime, 'holdfast'))
      writeFileSync(cache, '')
      assert.match(obstacle(), /EEXIST/)
    })
  })

  describe('readEntry and writeEntry', () => {
    it('gives back what was written, in a file for this user only', () => {
      open()
      writeEntry(cache, 'a.json', 'old')
      writeEntry(cache, 'a.json', 'new')
      assert.equal(readEntry(join(cache, 'a.json'), uid), 'new')
      assert.equal(statSync(join(cache, 'a.json')).mode & 0o777, 0o600)
      assert.deepEqual(readdirSync(cache), ['a.json'])
    })

    it('believes no file that others could have written or read, no link, no folder and no huge file', () => {
      open()
      const path = (name: string) => join(cache, name)
      for (const name of ['group', 'owner', 'huge', 'good']) writeEntry(cache, name, 'x')
      chmodSync(path('group'), 0o620)
      if (uid === 0) chownSync(path('owner'), 1234, 1234)
      writeFileSync(path('huge'), 'x'.repeat(65 * 1024))
      symlinkSync(path('good'), path('link'))
      mkdirSync(path('folder'))
      const user = uid === 0 ? 0 : uid + 1
      assert.equal(readEntry(path('owner'), user), undefined)
      for (const name of ['group', 'huge', 'link', 'folder', 'none']) {
        assert.equal(readEntry(path(name), uid), undefined, name)
      }
      assert.equal(readEntry(path('good'), uid), 'x')
    })

    it('clears away what nobody has renewed for longer than a session lasts', () => {
      open()
      for (const [name, hours] of [
        ['old.json', 13],
        ['new.json', 11],
      ] as const) {
        writeEntry(cache, name, 'x')
        const then = Date.now() / 1000 - hours * 3600
        utimesSync(join(cache, name), then, then)
      }
      writeEntry(cache, 'a.json', 'x')
      assert.ok(existsSync(join(cache, 'new.json')))
      assert.ok(!existsSync(join(cache, 'old.json')))
    })
  })
})
