import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createLineEditor } from '../../../src/core/pin/typed-line.js'

/** What comes of chunks, as text. */
const type = (...chunks: (string | Uint8Array)[]) => {
  const editor = createLineEditor()
  let line = editor.type(Buffer.alloc(0))
  for (const chunk of chunks) if (line.state === 'typing') line = editor.type(Buffer.from(chunk))
  return line.state === 'done' ? Buffer.from(line.bytes).toString() : line.state
}

describe('createLineEditor', () => {
  it('gives the line when Enter is typed, and not before', () => {
    assert.equal(type('12', '34'), 'typing')
    assert.equal(type('12', '34\r'), '1234')
    assert.equal(type('1234\n'), '1234')
    assert.equal(type('\r'), '')
  })
  it('takes a character away, however many bytes it has', () => {
    assert.equal(type('12\u007f3\b4\r'), '14')
    assert.equal(type('aé\u007f鍵\u007f😀\u007fb\r'), 'ab')
    assert.equal(type('\u007f\u007f1\r'), '1')
  })
  it('forgets the line with Ctrl-U and Ctrl-W', () => {
    assert.equal(type('wrong\u001512\r'), '12')
    assert.equal(type('wrong\u001712\r'), '12')
  })
  it('tells a cancelled line from a finished one', () => {
    assert.equal(type('12\u0003'), 'interrupted')
    assert.equal(type('12\u001c'), 'interrupted')
    assert.equal(type('\u0004'), 'ended')
    assert.equal(type('12\u00043\r'), '123')
    assert.equal(type('12\u007f\u007f\u0004'), 'ended')
  })
  it('keeps nothing of arrow keys, function keys, other controls, and the brackets around a paste', () => {
    assert.equal(type('1\u001b[A2\u001b[1;5C3\u001bOP4\u001b[[A5\u001b[15~6\r'), '123456')
    assert.equal(type('\u001b[200~1234\u001b[201~\r'), '1234')
    assert.equal(type('1\u00002\t3\u001a4\r'), '1234')
  })
  it('takes the first line of a paste', () => {
    assert.equal(type('\u001b[200~1234\nrm -rf\n\u001b[201~'), '1234')
  })
  it('does not let a lone Escape swallow what is typed next', () => {
    assert.equal(type('\u001b', '1234\r'), '1234')
    assert.equal(type('\u001b\u001b[A1\r'), '1')
    assert.equal(type('\u001b[1\u0003'), 'interrupted')
  })
  it('refuses a line that is too long, and takes the longest one that is not', () => {
    assert.equal(type('1'.repeat(1025)), 'too-long')
    assert.equal(type('1'.repeat(1024), '\r').length, 1024)
  })
  it('does not care how the bytes are cut', () => {
    const bytes = fc.oneof(
      fc.constantFrom('\u001b', '[', 'O', '\u007f', '\u0015', '~', '1;5', '\u0004'),
      fc.string({ unit: 'grapheme', maxLength: 3 }),
    )
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 12 }), (parts) => {
        const all = Buffer.from(`${parts.join('')}\r`)
        assert.equal(type(...Array.from(all, (byte) => Uint8Array.of(byte))), type(all))
      }),
    )
  })
  it('overwrites what was typed', () => {
    const editor = createLineEditor()
    editor.type(Buffer.from('1234'))
    editor.wipe()
    const line = editor.type(Buffer.from('\r'))
    assert.deepEqual(line, { state: 'done', bytes: new Uint8Array() })
  })
})
