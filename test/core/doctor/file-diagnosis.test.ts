import assert from 'node:assert/strict'
import { type FileFacts, findFileTroubles } from '../../../src/core/doctor/file-diagnosis.js'
import { tell } from '../../../src/core/doctor/told.js'

const UID = 1000
const facts = (changes: Partial<FileFacts>): FileFacts => ({
  path: '/etc/x',
  uid: UID,
  gid: UID,
  mode: 0o100600,
  risks: [],
  ...changes,
})
const fixesOf = (changes: Partial<FileFacts>, isSecret = false) =>
  findFileTroubles(tell`the file`, facts(changes), { uid: UID, isSecret }).map(({ fix }) => fix)

describe('findFileTroubles', () => {
  it("finds nothing in a file that is the user's or root's alone", () => {
    assert.deepEqual(fixesOf({}, true), [])
    assert.deepEqual(fixesOf({ uid: 0, gid: 0, mode: 0o100640 }, true), [])
    assert.deepEqual(fixesOf({ mode: 0o100644 }), [])
  })

  it('finds whoever else can write it', () => {
    assert.deepEqual(fixesOf({ mode: 0o100602 }), ['chmod go-w /etc/x'])
    assert.deepEqual(fixesOf({ mode: 0o100620, gid: 50 }), ['chmod go-w /etc/x'])
    assert.deepEqual(fixesOf({ mode: 0o100620 }), [])
  })

  it('finds whoever else can read a secret', () => {
    assert.deepEqual(fixesOf({ mode: 0o100604 }, true), ['chmod 600 /etc/x'])
    assert.deepEqual(fixesOf({ mode: 0o100640, gid: 50 }, true), ['chmod 600 /etc/x'])
  })

  it('finds a strange owner, and a risk on the way', () => {
    assert.deepEqual(fixesOf({ uid: 7 }), ['chown 1000 /etc/x'])
    const risk = { path: '/etc', by: 'everyone', id: 0, isRootsChoice: false } as const
    assert.deepEqual(fixesOf({ risks: [risk] }), ['chmod o-w /etc'])
  })
})
