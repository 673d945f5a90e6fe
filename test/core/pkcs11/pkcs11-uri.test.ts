/** The rows of p11-kit's own test of its parser, the rules of RFC 7512 that it does not check, and properties. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { HoldfastError } from '../../../src/core/errors.js'
import {
  formatPkcs11Uri,
  OBJECT_TYPES,
  type Pkcs11Uri,
  parsePkcs11Uri,
  pinSourcePath,
  unmatchableAttributes,
} from '../../../src/core/pkcs11/pkcs11-uri.js'

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}

function assertFault(text: string, position: number, message: RegExp) {
  assert.throws(
    () => parsePkcs11Uri(text),
    (error) => {
      assert.ok(error instanceof HoldfastError)
      assert.equal(error.code, 'URI_INVALID')
      assert.match(error.message, message)
      assert.match(error.message, new RegExp(`position ${position}:`))
      return true
    },
    text,
  )
}

describe('parsePkcs11Uri', () => {
  const accepted: [string, Pkcs11Uri][] = [
    ['pkcs11:', {}],
    ['PKCS11:', {}],
    ['PkCs11:token=edge', { token: 'edge' }],
    ['pkcs11:?', {}],
    ['pkcs11:?pin-source=/etc/pin', { pinSource: '/etc/pin' }],
    ['pkcs11:object=Test%20Label;type=cert', { object: 'Test Label', type: 'cert' }],
    ['pkcs11:object=Test%20Label;object-type=cert', { object: 'Test Label', type: 'cert' }],
    ['pkcs11:object=Test%20Label;objecttype=private', { object: 'Test Label', type: 'private' }],
    ['pkcs11:type=secretkey', { type: 'secret-key' }],
    ['pkcs11:type=secret-key', { type: 'secret-key' }],
    ['pkcs11:?pinfile=/etc/pin', { pinSource: '/etc/pin' }],
    ['pkcs11:object=;type=cert', { object: '', type: 'cert' }],
    ['pkcs11:id=;type=cert', { id: bytes(''), type: 'cert' }],
    ['pkcs11:id=%54%45%53%54%00', { id: bytes('5445535400') }],
    ['pkcs11:id=%97e1', { id: bytes('976531') }],
    ['pkcs11:id=%01%02%03%Ba%dd%Ca%fe', { id: bytes('010203baddcafe') }],
    ['\n pkcs11:\n\ttoken = my%20to\r\nken ;\n object=a\n  b\n', { token: 'my token', object: 'ab' }],
    ['pkcs11:? pin-value\t=\n1\n2', { pinValue: '12' }],
    ['pkcs11:library-version=2.101', { libraryVersion: { major: 2, minor: 101 } }],
    ['pkcs11:library-version=23', { libraryVersion: { major: 23, minor: 0 } }],
    ['pkcs11:library-version=254.254', { libraryVersion: { major: 254, minor: 254 } }],
    ['pkcs11:slot-id=67890', { slotId: 67890 }],
    ['pkcs11:slot-id=0', { slotId: 0 }],
    ['pkcs11:type=unknown', { type: 'unknown' }],
    ['pkcs11:x-blah=some-value', { vendorPath: [{ name: 'x-blah', value: 'some-value' }] }],
    ['pkcs11:?pin-source=blah%2Fblah', { pinSource: 'blah/blah' }],
    ['pkcs11:?pin-source=|my-pin-source', { pinSource: '|my-pin-source' }],
    ['pkcs11:?pin-value=blahblah%20', { pinValue: 'blahblah ' }],
    ['pkcs11:?pin-value=12&module-name=a', { pinValue: '12', moduleName: 'a' }],
    ['pkcs11:?module-name=my-module', { moduleName: 'my-module' }],
    ['pkcs11:?module-path=/usr/lib/m.so', { modulePath: '/usr/lib/m.so' }],
    [
      'pkcs11:?bbb=zzz&aaa=xxx&aaa=yyy',
      {
        vendorQuery: [
          { name: 'bbb', value: 'zzz' },
          { name: 'aaa', value: 'xxx' },
          { name: 'aaa', value: 'yyy' },
        ],
      },
    ],
    [
      "pkcs11:token=:[]@!$'()*+,=&?attr=:[]@!$'()*+,=/?",
      { token: ":[]@!$'()*+,=&", vendorQuery: [{ name: 'attr', value: ":[]@!$'()*+,=/?" }] },
    ],
    [
      'pkcs11:token=The%20Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil%2C%20Inc.;serial=;model=1.0' +
        ';library-manufacturer=a;library-description=b;slot-manufacturer=c;slot-description=d',
      {
        token: 'The Software PKCS#11 softtoken',
        manufacturer: 'Snake Oil, Inc.',
        serial: '',
        model: '1.0',
        libraryManufacturer: 'a',
        libraryDescription: 'b',
        slotManufacturer: 'c',
        slotDescription: 'd',
      },
    ],
    ['pkcs11:token=%F0%9F%94%91%C3%A9%EF%BB%BF', { token: '🔑é\u{feff}' }],
    ['pkcs11:token=%EF%BB%BFa', { token: '\u{feff}a' }],
    ['pkcs11:constructor=a', { vendorPath: [{ name: 'constructor', value: 'a' }] }],
  ]
  for (const [text, uri] of accepted) {
    it(`reads ${JSON.stringify(text)}`, () => {
      assert.deepEqual(parsePkcs11Uri(text), uri)
    })
  }

  const refused: [string, number, RegExp][] = [
    ['', 0, /starts with/],
    ['http:\\\\example.com\\test', 0, /starts with/],
    ['pkcs11', 0, /starts with/],
    ['xpkcs11:', 0, /starts with/],
    ['pkcs11:token', 7, /needs a "="/],
    ['pkcs11:token=a;serial', 15, /needs a "="/],
    ['pkcs11:token=a?module-name', 15, /needs a "="/],
    ['pkcs11:=a', 7, /name of an attribute/],
    ['pkcs11:to ken=a', 7, /name of an attribute/],
    ['pkcs11:?pin- value=12', 8, /name of an attribute/],
    ['pkcs11:token=my token', 15, /a blank in a value is written %20/],
    ['pkcs11:token=my \t token;id=%01', 15, /%20/],
    ['pkcs11:token=edge?pin-value=12 34', 30, /%20/],
    ['pkcs11:?p\nin-value=12', 8, /name of an attribute/],
    ['pkcs11:?a=b?pin- value=12', 11, /begins here/],
    ['pkcs11:to%6ben=a', 7, /name of an attribute/],
    ['pkcs11:object=Test%', 18, /two hexadecimal/],
    ['pkcs11:object=Test%;type=cert', 18, /two hexadecimal/],
    ['pkcs11:object=T%xxest', 15, /two hexadecimal/],
    ['pkcs11:object=%5 4', 14, /two hexadecimal/],
    ['pkcs11:token=Token%', 18, /two hexadecimal/],
    ['pkcs11:library-description=Library%', 34, /two hexadecimal/],
    ['pkcs11:?pin-value=blahblah%2', 26, /two hexadecimal/],
    ['pkcs11:?module-name=blah%2', 24, /two hexadecimal/],
    ['pkcs11:library-version=23.', 23, /library-version/],
    ['pkcs11:library-version=a.a', 23, /library-version/],
    ['pkcs11:library-version=.23', 23, /library-version/],
    ['pkcs11:library-version=1000', 23, /library-version/],
    ['pkcs11:library-version=2.1000', 23, /library-version/],
    ['pkcs11:library-version=255', 23, /library-version/],
    ['pkcs11:library-version=', 23, /library-version/],
    ['pkcs11:slot-id=123^456', 18, /percent-encoded: %5E/],
    ['pkcs11:slot-id=', 15, /decimal/],
    ['pkcs11:slot-id=-1', 15, /decimal/],
    ['pkcs11:slot-id=0x1', 15, /decimal/],
    ['pkcs11:slot-id=99999999999999999999', 15, /too large/],
    ['pkcs11:token=a;', 15, /beside/],
    ['pkcs11:;token=a', 7, /beside/],
    ['pkcs11:token=a;;serial=b', 15, /beside/],
    ['pkcs11:token=a; ;serial=b', 15, /beside/],
    ['pkcs11:token=a?module-name=b&', 29, /beside/],
    ['pkcs11:token=a?&module-name=b', 15, /beside/],
    ['pkcs11:token=a;token=a', 15, /token is given twice/],
    ['pkcs11:type=cert;objecttype=cert', 17, /type is given twice/],
    ['pkcs11:x-a=1;x-a=1', 13, /given twice/],
    ['pkcs11:?pin-source=a&pinfile=b', 21, /pin-source is given twice/],
    ['pkcs11:token=a?pin-source=a&pin-value=b', 14, /exclude each other/],
    ['pkcs11:token=a/b', 14, /%2F/],
    ['pkcs11:token=a#b', 14, /%23/],
    ['pkcs11:token=a"b', 14, /%22/],
    ['pkcs11:token=\u{e9}', 13, /percent-encoded$/],
    ['pkcs11:token=\u{d800}', 13, /percent-encoded$/],
    ['pkcs11:\u{a0}', 7, /needs a "="/],
    ['pkcs11:token=%00', 13, /NUL/],
    ['pkcs11:token=a\nb%00', 16, /NUL/],
    ['pkcs11:?pin-value=1%002', 19, /NUL/],
    ['pkcs11:token=Hello%FF%FE', 18, /UTF-8/],
    ['pkcs11:token=a%C3', 14, /UTF-8/],
    ['pkcs11:token=%ED%A0%80', 16, /UTF-8/],
    ['pkcs11:token=%C0%80', 13, /UTF-8/],
    ['pkcs11:?attr=%FF', 13, /UTF-8/],
    ['pkcs11:Token=a', 7, /lowercase/],
    ['pkcs11:?PIN-value=1', 8, /lowercase/],
    ['pkcs11:pin-value=1', 7, /after the "\?"/],
    ['pkcs11:module-path=a', 7, /after the "\?"/],
    ['pkcs11:?token=a', 8, /before the "\?"/],
    ['pkcs11:?pin=1', 8, /pin-source and pin-value/],
    ['pkcs11:?pinvalue=1', 8, /pin-source and pin-value/],
    ['pkcs11:PIN=1', 7, /pin-source and pin-value/],
    ['pkcs11:token=a&pin-value=1', 14, /inside another value/],
    ['pkcs11:?module-name=a?pin-value=1', 21, /inside another value/],
    ['pkcs11:?module-name=a;pin-value=1', 21, /percent-encoded/],
  ]
  for (const [text, position, message] of refused) {
    it(`refuses ${JSON.stringify(text)} at position ${position}`, () => {
      assertFault(text, position, message)
    })
  }

  it('keeps a PIN that holds what would end another value', () => {
    assert.equal(parsePkcs11Uri('pkcs11:?pin-value=a?pin=b').pinValue, 'a?pin=b')
  })

  it('either parses or throws URI_INVALID, whatever the text', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'pkcs11:',
        'token=',
        'id=',
        'pin-value=',
        'slot-id=',
        'library-version=',
        '?',
        '&',
        ';',
        '%',
      ),
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom(...'0123456789abcdefABCDEF%;&?= \n') }),
    )
    const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''))
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          text.map((rest) => `pkcs11:${rest}`),
        ),
        (candidate) => {
          try {
            const uri = parsePkcs11Uri(candidate)
            const { pinValue: _, ...shown } = uri
            assert.deepEqual(parsePkcs11Uri(formatPkcs11Uri(uri)), sortedVendor(shown))
          } catch (error) {
            assert.ok(error instanceof HoldfastError, String(error))
            assert.equal(error.code, 'URI_INVALID')
          }
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('never shows the PIN, however the URI around it is mistyped', () => {
    const pin = 'Zq7canaryPIN'
    const valid = `pkcs11:token=edge;id=%01?module-name=m&pin-value=${pin}`
    const edit = fc.record({
      at: fc.nat(valid.length),
      remove: fc.nat(3),
      insert: fc.constantFrom(
        '',
        ';',
        '&',
        '?',
        '%',
        '=',
        '#',
        '"',
        ' ',
        '\u{e9}',
        'P',
        '%00',
        '%FF',
        '|',
        '-',
      ),
    })
    let parsed = 0
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        let text = valid
        for (const { at, remove, insert } of edits) {
          const candidate = text.slice(0, at) + insert + text.slice(at + remove)
          // The PIN itself stays whole, so that it can be looked for.
          if (candidate.includes(pin)) text = candidate
        }
        const shown: string[] = []
        try {
          const uri = parsePkcs11Uri(text)
          parsed++
          if (uri.pinValue?.includes(pin)) shown.push(formatPkcs11Uri(uri), ...unmatchableAttributes(uri))
        } catch (error) {
          assert.ok(error instanceof HoldfastError)
          shown.push(error.message, String(error.cause))
        }
        for (const output of shown) assert.ok(!output.includes(pin), `${text} → ${output}`)
      }),
      { numRuns: 3000 },
    )
    assert.ok(parsed > 0)
  })
})

function sortedVendor(uri: Pkcs11Uri): Pkcs11Uri {
  const sort = (list: Pkcs11Uri['vendorPath']) =>
    [...(list ?? [])].sort((one, other) => Number(one.name > other.name) - Number(one.name < other.name))
  return {
    ...uri,
    ...(uri.vendorPath ? { vendorPath: sort(uri.vendorPath) } : {}),
    ...(uri.vendorQuery ? { vendorQuery: sort(uri.vendorQuery) } : {}),
  }
}

describe('formatPkcs11Uri', () => {
  it('writes the attributes in the order of p11-kit and sorts those of vendors', () => {
    assert.equal(
      formatPkcs11Uri(
        parsePkcs11Uri(
          'pkcs11:type=cert;object=o;id=ab;token=t;serial=s;manufacturer=m;model=o;slot-id=0;slot-manufacturer=sm' +
            ';slot-description=sd;library-version=2;library-manufacturer=lm;library-description=ld' +
            '?bbb=zzz&aaa=xxx&aaa=yyy&module-path=/p&module-name=n&pin-source=file:/etc/pin',
        ),
      ),
      'pkcs11:library-description=ld;library-manufacturer=lm;library-version=2.0;slot-description=sd' +
        ';slot-manufacturer=sm;slot-id=0;model=o;manufacturer=m;serial=s;token=t;id=%61%62;object=o;type=cert' +
        '?pin-source=file:/etc/pin&module-name=n&module-path=/p&aaa=xxx&aaa=yyy&bbb=zzz',
    )
  })

  it('encodes all but unreserved characters', () => {
    assert.equal(formatPkcs11Uri({ token: 'a b;c?d&e%~é' }), 'pkcs11:token=a%20b%3Bc%3Fd%26e%25~%C3%A9')
  })

  it('never writes the PIN', () => {
    assert.equal(formatPkcs11Uri(parsePkcs11Uri('pkcs11:token=t?pin-value=1234')), 'pkcs11:token=t')
  })

  it('is undone by parsePkcs11Uri', () => {
    const text = fc.string({ unit: 'binary' }).map((value) => value.replaceAll('\0', ''))
    const part = fc.integer({ min: 0, max: 254 })
    const vendorName = fc
      .string({ unit: fc.constantFrom(...'abcxyzABC019-_'), minLength: 1 })
      .map((name) => `x${name}`)
    const vendor = fc.array(fc.record({ name: vendorName, value: text }, { noNullPrototype: true }), {
      minLength: 1,
      maxLength: 4,
    })
    const uris = fc.record(
      {
        libraryDescription: text,
        libraryManufacturer: text,
        libraryVersion: fc.record({ major: part, minor: part }, { noNullPrototype: true }),
        slotDescription: text,
        slotManufacturer: text,
        slotId: fc.maxSafeNat(),
        model: text,
        manufacturer: text,
        serial: text,
        token: text,
        id: fc.uint8Array(),
        object: text,
        type: fc.oneof(
          fc.constantFrom(...OBJECT_TYPES),
          text.filter((word) => word !== 'secretkey'),
        ),
        vendorPath: vendor.filter((list) => new Set(list.map(({ name }) => name)).size === list.length),
        pinSource: text,
        moduleName: text,
        modulePath: text,
        vendorQuery: vendor,
      },
      { requiredKeys: [], noNullPrototype: true },
    )
    fc.assert(
      fc.property(uris, (uri) => {
        assert.deepEqual(parsePkcs11Uri(formatPkcs11Uri(uri)), sortedVendor(uri))
      }),
      { numRuns: 500 },
    )
  })
})

describe('unmatchableAttributes', () => {
  it('names what keeps a URI from matching anything', () => {
    const text = `pkcs11:type=unknown;x-blah=1;model=${'m'.repeat(17)};serial=${'s'.repeat(17)};token=${'t'.repeat(33)}`
    assert.deepEqual(unmatchableAttributes(parsePkcs11Uri(text)), [
      'model',
      'serial',
      'token',
      'type',
      'x-blah',
    ])
  })

  it('counts bytes, not characters', () => {
    assert.deepEqual(unmatchableAttributes({ model: 'é'.repeat(8) }), [])
    assert.deepEqual(unmatchableAttributes({ model: 'é'.repeat(9) }), ['model'])
  })

  it('is empty for attributes that are all known', () => {
    const text = `pkcs11:type=private;object=${'o'.repeat(200)};slot-description=${'d'.repeat(64)}?vendor=1`
    assert.deepEqual(unmatchableAttributes(parsePkcs11Uri(text)), [])
  })
})

describe('pinSourcePath', () => {
  for (const [source, path] of [
    ['/etc/token_pin', '/etc/token_pin'],
    ['pin.txt', 'pin.txt'],
    ['/etc/100%25', '/etc/100%25'],
    ['file:/etc/token_pin', '/etc/token_pin'],
    ['FILE:///etc/token_pin', '/etc/token_pin'],
    ['file://localhost/etc/token_pin', '/etc/token_pin'],
    ['file:/etc/my%20pin', '/etc/my pin'],
    ['file:/etc/my pin', '/etc/my pin'],
  ] as const) {
    it(`reads ${source}`, () => assert.equal(pinSourcePath(source), path))
  }

  for (const source of [
    '',
    '|cat /etc/pin',
    'https://example.com/pin',
    'file://server/etc/pin',
    'file:pin.txt',
    'file:',
    'file:/etc/pin?x=1',
    'file:/etc/pin#x',
    'file:/etc/%zz',
    'file:/etc/%FF',
    'file:/etc/a%00b',
  ]) {
    it(`refuses ${JSON.stringify(source)}`, () => {
      assert.throws(() => pinSourcePath(source), { name: 'HoldfastError', code: 'URI_INVALID' })
    })
  }
})
