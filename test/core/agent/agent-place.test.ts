/** Where the agent's sockets are. */

import assert from 'node:assert/strict'
import {
  findSystemAgentFolder,
  findUserAgentFolder,
  fitsSocketAddress,
  isControlSocket,
  listAgentFolders,
} from '../../../src/core/agent/agent-place.js'

describe('listAgentFolders', () => {
  it('has the user’s runtime folder first, then that of the system', () => {
    const folders = listAgentFolders({ XDG_RUNTIME_DIR: '/run/user/7' }, undefined)
    assert.deepEqual(folders, ['/run/user/7/holdfast', '/run/holdfast'])
  })

  it('has only the one that is named', () => {
    assert.deepEqual(listAgentFolders({ XDG_RUNTIME_DIR: '/run/user/7' }, '/x'), ['/x'])
  })

  it('ignores a runtime folder that is not absolute', () => {
    for (const folder of [undefined, '', 'run', './run']) {
      assert.equal(findUserAgentFolder({ XDG_RUNTIME_DIR: folder }), undefined)
    }
  })
})

describe('findSystemAgentFolder', () => {
  it('is the first that systemd has made, or the usual one', () => {
    assert.equal(findSystemAgentFolder({ RUNTIME_DIRECTORY: '/run/a:/run/b' }), '/run/a')
    assert.equal(findSystemAgentFolder({ RUNTIME_DIRECTORY: '' }), '/run/holdfast')
  })
})

describe('isControlSocket', () => {
  it('tells the agent’s own sockets from those of identities', () => {
    assert.ok(isControlSocket('/run/holdfast/control.sock') && isControlSocket('/x/agent.sock'))
    assert.ok(!isControlSocket('/run/holdfast/edge.sock') && !isControlSocket('/control.sock/edge.sock'))
  })
})

describe('fitsSocketAddress', () => {
  it('takes 107 bytes and not more', () => {
    assert.ok(fitsSocketAddress('x'.repeat(107)))
    assert.ok(!fitsSocketAddress('x'.repeat(108)) && !fitsSocketAddress('ä'.repeat(54)))
  })
})
