/** Flags of a token, as PKCS#11 numbers them. */

import assert from 'node:assert/strict'
import { verifyPinMayBeTried } from '../../../src/core/pin/pin.js'
import {
  hasPinPad,
  hasUserPin,
  readPinFlags,
  wantsLogin,
  withoutPinToBeChanged,
} from '../../../src/core/pin/token-flags.js'

describe('readPinFlags', () => {
  const NONE = { isLocked: false, isToBeChanged: false, hasOneTry: false, hasFewTries: false }
  for (const [user, name] of [
    [0x10000, 'hasFewTries'],
    [0x20000, 'hasOneTry'],
    [0x40000, 'isLocked'],
    [0x80000, 'isToBeChanged'],
  ] as const) {
    it(`tells ${name} of the user and of the security officer apart`, () => {
      assert.deepEqual(readPinFlags(user, 'user'), { ...NONE, [name]: true })
      assert.deepEqual(readPinFlags(user, 'so'), NONE)
      assert.deepEqual(readPinFlags(user << 4, 'so'), { ...NONE, [name]: true })
      assert.deepEqual(readPinFlags(user << 4, 'user'), NONE)
    })
  }
})

describe('wantsLogin, hasUserPin and hasPinPad', () => {
  it('are told by their flag alone', () => {
    for (const [tells, flag] of [
      [wantsLogin, 0x4],
      [hasUserPin, 0x8],
      [hasPinPad, 0x100],
    ] as const) {
      assert.deepEqual([tells(flag), tells(~flag), tells(0)], [true, false, false])
    }
  })
})

describe('withoutPinToBeChanged', () => {
  it('lets a PIN be tried for its own change, and nothing else', () => {
    verifyPinMayBeTried(withoutPinToBeChanged(0x8040d), 'file', 'edge')
    assert.throws(() => verifyPinMayBeTried(withoutPinToBeChanged(0xc040d), 'file', 'edge'), {
      code: 'PIN_LOCKED',
    })
  })
})
