/** Which token is meant, and what its flags say. */

import assert from 'node:assert/strict'
import type { TokenFacts } from '../../../src/core/pkcs11/admin-protocol.js'
import {
  chooseDoomedToken,
  chooseEmptySlot,
  chooseListed,
  describePin,
  nameToken,
} from '../../../src/core/pkcs11/token-facts.js'

const fact = (changes: Partial<TokenFacts>): TokenFacts => ({
  slot: 1,
  slotDescription: '',
  initialized: true,
  label: 'edge',
  manufacturer: 'm',
  model: 'm',
  serial: '1',
  flags: 0x40d,
  minPinLength: 4,
  maxPinLength: 64,
  generates: [],
  signs: [],
  uri: 'pkcs11:',
  ...changes,
})
const edge = fact({})
const other = fact({ slot: 2, label: 'other', serial: '2' })
const empty = fact({ slot: 3, label: '', serial: '', initialized: false, flags: 5 })

describe('describePin', () => {
  for (const [flags, user, so] of [
    [0x40d, 'set', 'set'],
    [0x405, 'not set', 'set'],
    [0x1040d, 'few tries left', 'set'],
    [0x3040d, 'one try left', 'set'],
    [0x7040d, 'locked', 'set'],
    [0x8040d, 'to be changed', 'set'],
    [0x10040d, 'set', 'few tries left'],
    [0x30040d, 'set', 'one try left'],
    [0x70040d, 'set', 'locked'],
    [0x80040d, 'set', 'to be changed'],
  ] as const) {
    it(`says "${user}" and "${so}" of 0x${flags.toString(16)}`, () => {
      assert.deepEqual([describePin(fact({ flags }), 'user'), describePin(fact({ flags }), 'so')], [user, so])
    })
  }
  it('says that an empty token has no PIN', () => {
    assert.deepEqual([describePin(empty, 'user'), describePin(empty, 'so')], ['not set', 'not set'])
  })
})

describe('chooseListed', () => {
  const tokens = [edge, other, empty]

  it('goes by label, serial and slot', () => {
    for (const uri of [{ token: 'edge' }, { serial: '1' }, { slotId: 1 }]) {
      assert.deepEqual(chooseListed(tokens, uri), [edge])
    }
    assert.deepEqual(chooseListed(tokens, { slotId: 3 }), [empty])
  })

  it('takes all, or none, where nothing is named', () => {
    assert.deepEqual(chooseListed(tokens, {}), tokens)
    assert.deepEqual(chooseListed([], {}), [])
  })

  it('refuses what is not there', () => {
    for (const uri of [{ token: 'edg' }, { serial: '3' }, { slotId: 4 }, { slotId: 1, token: 'other' }]) {
      assert.throws(() => chooseListed(tokens, uri), { code: 'TOKEN_NOT_FOUND' })
      assert.throws(() => chooseListed([], uri), { code: 'TOKEN_NOT_FOUND' })
    }
  })
})

describe('chooseEmptySlot', () => {
  it('takes the only empty one, or the one that is named', () => {
    const second = { ...empty, slot: 4 }
    assert.equal(chooseEmptySlot([edge, empty], undefined), empty)
    assert.equal(chooseEmptySlot([edge, empty, second], 4), second)
    assert.throws(() => chooseEmptySlot([empty, second], undefined), {
      code: 'TOKEN_AMBIGUOUS',
      message: /slot 3, the empty slot 4/,
    })
  })
  it('takes no token that is initialised', () => {
    assert.throws(() => chooseEmptySlot([edge], undefined), {
      code: 'TOKEN_INITIALIZED',
      message: /"edge".*--force/,
    })
    assert.throws(() => chooseEmptySlot([edge, empty], 1), { code: 'TOKEN_INITIALIZED' })
    assert.throws(() => chooseEmptySlot([edge, empty], 9), { code: 'TOKEN_NOT_FOUND', message: /in slot 9/ })
    assert.throws(() => chooseEmptySlot([], undefined), { code: 'TOKEN_NOT_FOUND' })
  })
})

describe('chooseDoomedToken', () => {
  it('takes just the one that is meant', () => {
    assert.equal(chooseDoomedToken([edge, other, empty], { token: 'other' }), other)
    assert.equal(chooseDoomedToken([edge, empty], {}), edge)
    assert.throws(() => chooseDoomedToken([edge, other], {}), { code: 'TOKEN_AMBIGUOUS' })
    assert.throws(() => chooseDoomedToken([edge, empty], { slotId: 3 }), { code: 'TOKEN_NOT_FOUND' })
  })
})

describe('nameToken', () => {
  it('shows a label on one line, whatever it holds', () => {
    assert.equal(nameToken(fact({ label: 'a\n\u202eb' })), 'token "a\\n\\u{202e}b" (serial 1)')
  })
})
