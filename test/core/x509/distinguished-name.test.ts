import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  findNameFault,
  findUntaggable,
  parseDistinguishedName,
} from '../../../src/core/x509/distinguished-name.js'

const parse = (text: string) => parseDistinguishedName(text).map(({ type, value }) => `${type}|${value}`)

describe('parseDistinguishedName', () => {
  it('reads attributes in their order', () => {
    assert.deepEqual(parse('CN=edge-1,OU=Plant 4,OU=Line 2,O=Example,C=DE'), [
      'CN|edge-1',
      'OU|Plant 4',
      'OU|Line 2',
      'O|Example',
      'C|DE',
    ])
  })
  it('takes blanks around attributes and small letters for types', () => {
    assert.deepEqual(parse(' cn = Köln 1 , o=Example '), ['CN|Köln 1', 'O|Example'])
  })
  it('takes what a backslash stands before for a part of the value', () => {
    assert.deepEqual(parse('O=Example\\, Inc.,CN=a\\\\b\\+c\\#'), ['O|Example, Inc.', 'CN|a\\b+c#'])
  })
  it('gives back every value that is escaped', () => {
    const value = fc.stringMatching(/^[a-z,+"\\<>;#=]{1,20}$/)
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 4 }), (values) => {
        const text = values.map((each) => `CN=${each.replaceAll(/[,+"\\<>;#=]/g, '\\$&')}`).join(',')
        assert.deepEqual(
          parse(text),
          values.map((each) => `CN|${each}`),
        )
      }),
    )
  })
  for (const text of [
    ...[
      '',
      'edge-1',
      '=edge',
      'CN=',
      'CN= ',
      'CN=a,',
      'CN=a,,O=b',
      ',CN=a',
      'CN=a;O=b',
      'CN=a+OU=b',
      'CN="a"',
    ],
    ...[
      'CN=#0c0161',
      'CN=a\\',
      'CN=a\\x',
      'FOO=a',
      '2.5.4.3=a',
      'C=Germany',
      'CN=a\u0007',
      `CN=${'a'.repeat(65)}`,
    ],
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseDistinguishedName(text), { code: 'USAGE' })
    })
  }
  it('says where it cannot go on', () => {
    assert.throws(() => parseDistinguishedName('CN=a,garbage'), { message: /from "garbage" on/ })
  })
  it('takes a CN of 64 characters', () => {
    assert.equal(parseDistinguishedName(`CN=${'ä'.repeat(64)}`).length, 1)
  })
})

describe('findNameFault', () => {
  it('finds an empty name', () => assert.equal(findNameFault([]), 'is empty'))
  it('finds nothing in a good one', () =>
    assert.equal(findNameFault([{ type: 'UID', value: 'x' }]), undefined))
})

describe('findUntaggable', () => {
  it('names the types whose values no session tag can have', () => {
    const attributes = [
      { type: 'CN', value: 'edge 1_.:/=+-@ä' },
      { type: 'O', value: 'Example, Inc.' },
      { type: 'OU', value: 'a'.repeat(257) },
    ]
    assert.deepEqual(findUntaggable(attributes), ['O', 'OU'])
  })
})
