import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formatForeignText, formatPrintable, PIN_VALUE } from '../../src/core/printable.js'

describe('formatPrintable', () => {
  it('leaves text alone', () =>
    assert.equal(formatPrintable('Schlüssel 1 "é" 鍵 \\'), 'Schlüssel 1 "é" 鍵 \\'))
  it('shows what a terminal would obey or a reader would not see', () => {
    assert.equal(
      formatPrintable('\u0000\n\u001b\u007f\u009b\u200b\u202e\u2028\ud800'),
      ['\\u{0}\\u{a}\\u{1b}\\u{7f}\\u{9b}\\u{200b}\\u{202e}\\u{2028}\\u{d800}'].join(''),
    )
  })
  it('gives one line without control characters for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.doesNotMatch(formatPrintable(text), /[\p{C}\p{Zl}\p{Zp}]/u)
      }),
    )
  })
})

describe('PIN_VALUE', () => {
  const matches = (text: string) => new RegExp(PIN_VALUE, 'i').test(text)
  it('finds the attribute in any case, with white space anywhere', () => {
    for (const text of [
      '?pin-value=1',
      '?pin- value=1',
      '?PIN-Value\t=1',
      '&\np i\nn-va lue =1',
      'pin-value\\t\\u000b=1',
    ]) {
      assert.ok(matches(text), JSON.stringify(text))
    }
  })
  it('finds nothing else', () => {
    for (const text of ['pin-value', 'pin-source=1', 'pin-x-value=1', 'pinvalue=1']) {
      assert.ok(!matches(text), text)
    }
  })
})

describe('formatForeignText', () => {
  it('folds white space and escapes what a terminal would obey or hide', () => {
    assert.equal(formatForeignText(' a\r\n\tb ', 9), 'a b')
    assert.equal(formatForeignText('\u001b[31mred\u0007', 99), '\\u{1b}[31mred\\u{7}')
    assert.equal(formatForeignText('a\u202eb\u200bc\ud800', 99), 'a\\u{202e}b\\u{200b}c\\u{d800}')
  })

  it('cuts what is too long', () => assert.equal(formatForeignText('abcdef', 3), 'abc…'))
})
