/** Checks of values that came as JSON. */

import assert from 'node:assert/strict'
import { COUNT, FLAG, listOf, oneOf, optional, record, type Shape, TEXT } from '../../src/core/json-shape.js'

const CASES: Record<string, { shape: Shape; takes: unknown[]; refuses: unknown[] }> = {
  TEXT: { shape: TEXT, takes: ['', 'a'], refuses: [1, null, undefined, ['a']] },
  FLAG: { shape: FLAG, takes: [true, false], refuses: ['true', 1, null] },
  COUNT: { shape: COUNT, takes: [0, 4294967295], refuses: [-1, 1.5, 2 ** 53, NaN, '1'] },
  oneOf: { shape: oneOf('a', 'b'), takes: ['a', 'b'], refuses: ['c', '', undefined] },
  optional: { shape: optional(TEXT), takes: ['a', undefined], refuses: [null, 1] },
  listOf: { shape: listOf(TEXT), takes: [[], ['a', 'b']], refuses: [['a', 1], 'a', { 0: 'a' }, null] },
  record: {
    shape: record({ a: TEXT, b: optional(COUNT) }),
    takes: [{ a: '' }, { a: 'x', b: 1, c: null }],
    refuses: [
      {},
      { a: 1 },
      { a: 'x', b: 'y' },
      null,
      undefined,
      'a',
      Object.create({ a: 'inherited' }),
      JSON.parse('{"__proto__":{"a":"x"}}'),
    ],
  },
}

for (const [name, { shape, takes, refuses }] of Object.entries(CASES)) {
  describe(name, () => {
    for (const value of takes) it(`takes ${JSON.stringify(value)}`, () => assert.equal(shape(value), true))
    for (const [index, value] of refuses.entries()) {
      it(`refuses ${JSON.stringify(value)} (${index})`, () => assert.equal(shape(value), false))
    }
  })
}

describe('record', () => {
  it('does not take what every object inherits for a field', () => {
    assert.equal(record({ toString: () => true })({}), true)
    assert.equal(record({ constructor: (value: unknown) => value !== undefined })({}), false)
  })
})
