/** Lines of the agent's log. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formatLogLine } from '../../../src/core/agent/log-line.js'

const TIME = new Date('2026-01-02T03:04:05.678Z')

describe('formatLogLine', () => {
  it('writes key=value, with quotation marks where they are needed', () => {
    const fields = { identity: 'edge', message: 'no "network" here', count: 2, left: undefined, empty: '' }
    assert.equal(
      formatLogLine('text', TIME, 'refresh-failed', fields),
      String.raw`2026-01-02T03:04:05.678Z refresh-failed identity=edge message="no \"network\" here" count=2 empty=""`,
    )
  })

  it('writes one JSON object', () => {
    assert.deepEqual(JSON.parse(formatLogLine('json', TIME, 'ready', { n: 1, no: undefined })), {
      time: TIME.toISOString(),
      event: 'ready',
      n: 1,
    })
  })

  it('shows what terminals would obey', () => {
    const message = 'a\u0085\u2028\u202e\u{e0001}\u001b'
    const line = formatLogLine('json', TIME, 'x', { message })
    assert.match(line, /"a\\u0085\\u2028\\u202e\\udb40\\udc01\\u001b"/)
    assert.equal(JSON.parse(line).message, message)
  })

  it('is one line, whatever a text from outside holds', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('text' as const, 'json' as const),
        fc.string({ unit: 'binary' }),
        (format, message) => {
          assert.doesNotMatch(formatLogLine(format, TIME, 'x', { message }), /[\n\r\u0085\u2028\u2029\u001b]/)
        },
      ),
    )
  })
})
