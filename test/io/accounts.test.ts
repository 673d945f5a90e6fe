/** Numbers of users and groups. */

import assert from 'node:assert/strict'
import { findGroupId, findUserId } from '../../src/io/accounts.js'

describe('findUserId', () => {
  it('finds a user by name, and takes a number for itself', () => {
    assert.equal(findUserId('root'), 0)
    assert.equal(findUserId('nobody'), 65_534)
    assert.equal(findUserId('54321'), 54_321)
  })

  it('finds none that is not there, or that only looks like one', () => {
    for (const name of ['no-such-user', '', 'root:x', '/root', '-1', '0x0', '99999999999']) {
      assert.equal(findUserId(name), undefined, name)
    }
  })
})

describe('findGroupId', () => {
  it('finds a group by name', () => {
    assert.equal(findGroupId('root'), 0)
    assert.equal(findGroupId('no-such-group'), undefined)
  })
})
