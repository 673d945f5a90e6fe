/** The emulator's files, in a folder where somebody else may have been before. */

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findText, replaceText } from '../../src/emulator/files.js'

describe('replaceText', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-files-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('replaces the file, and leaves nothing else', () => {
    const path = join(folder, 'state.json')
    for (const text of ['first', 'second']) {
      replaceText(path, text, 0o600)
      assert.equal(findText(path), text)
    }
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.deepEqual(readdirSync(folder), ['state.json'])
  })

  it('does not write through a link beside the file', () => {
    const victim = join(folder, 'victim')
    replaceText(victim, 'mine', 0o600)
    symlinkSync(victim, join(folder, 'state.json.new'))
    replaceText(join(folder, 'state.json'), 'key', 0o600)
    assert.equal(readFileSync(victim, 'utf8'), 'mine')
  })

  it('leaves no half file behind when it fails', () => {
    mkdirSync(join(folder, 'state.json'))
    assert.throws(() => replaceText(join(folder, 'state.json'), 'text', 0o600), { code: 'EISDIR' })
    assert.deepEqual(readdirSync(folder), ['state.json'])
  })
})
