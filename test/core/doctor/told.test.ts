import assert from 'node:assert/strict'
import fc from 'fast-check'
import { asJson, listed, quoted, saidBy, shown, tell } from '../../../src/core/doctor/told.js'
import { HoldfastError } from '../../../src/core/errors.js'

const URI = 'pkcs11:token=edge?pin-value=Zq7-canary'

describe('tell', () => {
  it('joins words, texts, numbers and times', () => {
    const date = new Date('2026-01-02T03:04:05.678Z')
    assert.equal(tell`a ${shown('b')} ${3} ${date}`, 'a b 3 2026-01-02T03:04:05Z')
  })

  it('takes no text that was not made here', () => {
    // @ts-expect-error: a plain text might hold anything.
    assert.equal(tell`a ${'b'}`, 'a b')
  })
})

describe('shown, quoted, saidBy and asJson', () => {
  const doors: [name: string, door: (text: string) => string][] = [
    ['shown', (text) => shown(text)],
    ['quoted', (text) => quoted(text)],
    ['saidBy', (text) => saidBy(new HoldfastError('USAGE', text))],
    ['listed', (text) => listed([shown(text), quoted(text)])],
  ]
  for (const [name, door] of doors) {
    it(`${name} leaves no PIN in a URI`, () => {
      for (const uri of [URI, URI.toUpperCase(), `${URI}&x=1`, URI.replace('value', 'val\tue')]) {
        assert.doesNotMatch(door(uri), /canary/i, uri)
        assert.match(door(uri), /token=edge/i)
      }
    })

    it(`${name} gives one line without control characters`, () => {
      fc.assert(
        fc.property(fc.string({ unit: 'binary' }), (text) => {
          assert.doesNotMatch(door(text), /[\p{C}\p{Zl}\p{Zp}]/u)
        }),
      )
    })
  }

  it('are short', () => {
    assert.ok(quoted('x'.repeat(999)).length < 100)
    assert.ok(shown('x'.repeat(999)).length < 400)
  })

  it('asJson gives JSON that can be read back', () => {
    assert.deepEqual(JSON.parse(asJson({ a: ['"', 'ü'] })), { a: ['"', 'ü'] })
  })
})
