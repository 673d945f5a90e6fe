/** What a YubiKey says of the touch that a key wants. */

import assert from 'node:assert/strict'
import { findAttestedTouchPolicy, findTouchPolicy } from '../../../src/core/pkcs11/touch-policy.js'

describe('findTouchPolicy', () => {
  it('knows Yubico’s numbers, and makes nothing of others', () => {
    assert.deepEqual([0, 1, 2, 3, 4, -1, undefined].map(findTouchPolicy), [
      undefined,
      'never',
      'always',
      'cached',
      undefined,
      undefined,
      undefined,
    ])
  })
})

describe('findAttestedTouchPolicy', () => {
  const extension = (policies: string) => Buffer.from(`3011060a2b0601040182c40a03080402${policies}`, 'hex')
  it('reads the second byte of the extension', () => {
    assert.equal(findAttestedTouchPolicy(extension('0302')), 'always')
    assert.equal(findAttestedTouchPolicy(extension('0201')), 'never')
    assert.equal(findAttestedTouchPolicy(Buffer.concat([Buffer.alloc(40, 6), extension('0103')])), 'cached')
  })
  it('says nothing without the extension, and of one that is cut off or longer', () => {
    assert.equal(findAttestedTouchPolicy(Buffer.alloc(0)), undefined)
    assert.equal(findAttestedTouchPolicy(extension('03')), undefined)
    const other = extension('0302')
    other[11] = 9 // another extension
    assert.equal(findAttestedTouchPolicy(other), undefined)
    const longer = extension('030202')
    longer[15] = 3
    assert.equal(findAttestedTouchPolicy(longer), undefined)
  })
})
