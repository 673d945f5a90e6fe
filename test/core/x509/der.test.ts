/** The DER reader against encodings of X.690, and ECDSA signatures against node:crypto. */

import assert from 'node:assert/strict'
import { generateKeyPairSync, sign, verify } from 'node:crypto'
import fc from 'fast-check'
import {
  formatEcdsaSignature,
  formatElement,
  parseEcdsaSignature,
  parseInteger,
  parseOid,
  readElement,
  readElements,
} from '../../../src/core/x509/der.js'
import { element, integer, integerContent } from '../../support/handmade-certificate.js'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

describe('readElement', () => {
  it('gives tag, content and the whole', () => {
    const bytes = hex('04 02 aabb')
    assert.deepEqual(readElement(bytes), { tag: 4, content: hex('aabb'), whole: bytes })
  })

  for (const length of [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000]) {
    it(`reads a content of ${length} bytes`, () => {
      const { content, whole } = readElement(element(0x04, Buffer.alloc(length, 0xab)))
      assert.equal(content.length, length)
      assert.ok(whole.length > length)
    })
  }

  for (const [problem, text] of [
    ['nothing', ''],
    ['a tag alone', '30'],
    ['a content that is cut off', '04 03 aabb'],
    ['a length that is cut off', '04 82 01'],
    ['a length of indefinite form', '30 80 0000'],
    ['a length of more than four bytes', '04 85 0000000001 aa'],
    ['a short length in the long form', '04 81 01 aa'],
    ['a long length with a leading zero', `04 82 0080 ${'aa'.repeat(0x80)}`],
    ['a tag of several bytes', '1f 81 01 00'],
    ['bytes behind the element', '04 01 aa 00'],
    ['a length beyond all memory', '04 84 ffffffff aa'],
  ] as const) {
    it(`refuses ${problem}`, () => {
      assert.throws(() => readElement(hex(text)), RangeError)
    })
  }
})

describe('readElements', () => {
  it('gives nothing for nothing', () => {
    assert.deepEqual(readElements(Buffer.alloc(0)), [])
  })

  it('gives back what was written one behind the other', () => {
    const contents = fc.array(fc.tuple(fc.constantFrom(2, 4, 0x30, 0xa0), fc.uint8Array({ maxLength: 300 })))
    fc.assert(
      fc.property(contents, (written) => {
        const read = readElements(Buffer.concat(written.map(([tag, content]) => element(tag, content))))
        assert.deepEqual(
          read.map(({ tag, content }) => [tag, Buffer.from(content)]),
          written.map(([tag, content]) => [tag, Buffer.from(content)]),
        )
      }),
    )
  })

  it('refuses a last element that is cut off', () => {
    assert.throws(() => readElements(hex('04 01 aa 04 02 aa')), RangeError)
  })

  it('answers any bytes with elements that fill them, or with a RangeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          assert.deepEqual(Buffer.concat(readElements(bytes).map(({ whole }) => whole)), Buffer.from(bytes))
        } catch (error) {
          assert.ok(error instanceof RangeError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('parseOid', () => {
  for (const [text, content] of [
    ['2.5.29.15', '551d0f'],
    ['1.2.840.113549.1.1.11', '2a864886f70d01010b'],
    ['0.9.2342.19200300.100.1.1', '0992268993f22c640101'],
    ['2.999.3', '883703'],
    ['0.0', '00'],
    ['1.39', '4f'],
    ['2.0', '50'],
    ['2.25.340282366920938463463374607431768211455', '6983ffffffffffffffffffffffffffffffffff7f'],
  ] as const) {
    it(`reads ${text}`, () => {
      assert.equal(parseOid(hex(content)), text)
    })
  }

  for (const [problem, content] of [
    ['nothing', ''],
    ['an arc without an end', '551d8f'],
    ['an arc that is not minimal', '551d800f'],
    ['more than 64 bytes', '01'.repeat(65)],
  ] as const) {
    it(`refuses ${problem}`, () => {
      assert.throws(() => parseOid(hex(content)), RangeError)
    })
  }

  it('reads 64 bytes', () => {
    assert.equal(parseOid(hex('01'.repeat(64))).split('.').length, 65)
  })
})

describe('parseInteger', () => {
  it('reads numbers of either sign and any length', () => {
    fc.assert(
      fc.property(fc.bigInt(-(2n ** 300n), 2n ** 300n), (value) => {
        assert.equal(parseInteger(integerContent(value)), value)
      }),
    )
  })

  for (const [text, value] of [
    ['00', 0n],
    ['7f', 127n],
    ['0080', 128n],
    ['80', -128n],
    ['ff7f', -129n],
    ['ff', -1n],
  ] as const) {
    it(`reads ${text} as ${value}`, () => {
      assert.equal(parseInteger(hex(text)), value)
    })
  }

  for (const text of ['', '0000', '007f', 'ffff', 'ff80']) {
    it(`refuses "${text}", which is not the shortest form`, () => {
      assert.throws(() => parseInteger(hex(text)), RangeError)
    })
  }
})

describe('formatEcdsaSignature', () => {
  // So many that the sign bits of r and s, and with them the lengths, differ.
  for (const [namedCurve, size, count] of [
    ['P-256', 64, 500],
    ['P-384', 96, 100],
    ['P-521', 132, 100],
  ] as const) {
    it(`makes of ${namedCurve} signatures what node:crypto verifies as DER`, () => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve })
      const lengths = new Set<number>()
      for (let index = 0; index < count; index++) {
        const message = Buffer.from(`message ${index}`)
        const rs = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })
        assert.equal(rs.length, size)
        const signature = formatEcdsaSignature(rs)
        lengths.add(signature.length)
        assert.ok(verify('sha256', message, { key: publicKey, dsaEncoding: 'der' }, signature))
        assert.ok(!verify('sha256', Buffer.from('another'), publicKey, signature))
      }
      assert.ok(lengths.size >= 3, `lengths seen: ${[...lengths]}`)
    })

    it(`gives back the bytes of a ${namedCurve} signature that node:crypto wrote as DER`, () => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve })
      for (let index = 0; index < count; index++) {
        const signature = sign('sha256', Buffer.from(`${index}`), privateKey)
        const numbers = readElements(readElement(signature).content).map(({ content }) =>
          parseInteger(content),
        )
        const rs = numbers.map((number) => number.toString(16).padStart(size, '0')).join('')
        assert.deepEqual(Buffer.from(formatEcdsaSignature(hex(rs))), signature)
      }
    })
  }

  it('writes any r and s as the shortest INTEGERs, never negative', () => {
    const half = fc.integer({ min: 1, max: 66 })
    const input = half.chain((length) => fc.uint8Array({ minLength: 2 * length, maxLength: 2 * length }))
    fc.assert(
      fc.property(input, (rs) => {
        const [r, s] = [rs.subarray(0, rs.length / 2), rs.subarray(rs.length / 2)].map((bytes) =>
          BigInt(`0x${Buffer.from(bytes).toString('hex')}`),
        )
        assert.deepEqual(Buffer.from(formatEcdsaSignature(rs)), element(0x30, integer(r!), integer(s!)))
      }),
      { numRuns: 1000 },
    )
  })

  it('writes r and s of one byte, of zeros and of ones', () => {
    assert.deepEqual(Buffer.from(formatEcdsaSignature(hex('01 7f'))), hex('30 06 020101 02017f'))
    assert.deepEqual(Buffer.from(formatEcdsaSignature(hex('0000 0080'))), hex('30 07 020100 02020080'))
    assert.deepEqual(
      Buffer.from(formatEcdsaSignature(Buffer.alloc(132, 0xff))),
      element(0x30, ...[1, 2].map(() => integer(2n ** 528n - 1n))),
    )
  })

  for (const length of [0, 1, 63, 65, 133, 134, 1024]) {
    it(`refuses ${length} bytes`, () => {
      assert.throws(() => formatEcdsaSignature(Buffer.alloc(length, 1)), RangeError)
    })
  }

  it('accepts 132 bytes, two numbers of P-521', () => {
    assert.ok(formatEcdsaSignature(Buffer.alloc(132, 1)))
  })
})

describe('formatElement', () => {
  it('writes what readElement reads, with lengths in their shortest form', () => {
    for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
      const content = Buffer.alloc(length, 7)
      const bytes = formatElement(0x04, content.subarray(0, length >> 1), content.subarray(length >> 1))
      assert.deepEqual(Buffer.from(bytes), element(0x04, content))
      assert.deepEqual(Buffer.from(readElement(bytes).content), content)
    }
  })
})

describe('parseEcdsaSignature', () => {
  it('gives back r‖s', () => {
    const half = fc.integer({ min: 2, max: 66 })
    const input = half.chain((length) => fc.uint8Array({ minLength: 2 * length, maxLength: 2 * length }))
    fc.assert(
      fc.property(input, (rs) => {
        const size = rs.length / 2
        fc.pre([rs.subarray(0, size), rs.subarray(size)].every((number) => number.some((byte) => byte !== 0)))
        assert.deepEqual(Buffer.from(parseEcdsaSignature(formatEcdsaSignature(rs), size)), Buffer.from(rs))
      }),
    )
  })

  it('refuses what is no signature of that size', () => {
    assert.ok(parseEcdsaSignature(hex('30 06 020101 020101'), 1))
    const wrong = ['31 06 020101 020101', '30 03 020101', '30 06 040101 020101', '30 06 020100 020101']
    const sizes = ['30 07 02020101 020101', '30 06 0201ff 020101', '30 06 020101 020101 00']
    for (const der of [...wrong, ...sizes]) {
      assert.throws(() => parseEcdsaSignature(hex(der), 1), RangeError, der)
    }
  })
})
