/** Whether there may be an agent, going by the names in the folders of sockets. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mayHaveAgent } from '../../../src/io/agent-socket/presence.js'

describe('mayHaveAgent', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-presence-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const put = (file: string) => writeFileSync(join(folder, file), '')

  it('is false where there is no socket, or no folder', () => {
    put('cache')
    assert.equal(mayHaveAgent({}, { folder }), false)
    assert.equal(mayHaveAgent({}, { folder, name: 'edge' }), false)
    assert.equal(mayHaveAgent({}, { folder: join(folder, 'none') }), false)
  })

  for (const file of ['agent.sock', 'control.sock', 'edge.sock']) {
    it(`is true where only ${file} is there`, () => {
      put(file)
      assert.equal(mayHaveAgent({}, { folder }), true)
      assert.equal(mayHaveAgent({}, { folder, name: 'edge' }), true)
    })
  }

  it('is false for an identity where only the socket of another one is there', () => {
    put('other.sock')
    assert.equal(mayHaveAgent({}, { folder, name: 'edge' }), false)
  })
})
