/** Frames between the program and its token child, and errors that cross it. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type ErrorCode, HoldfastError } from '../../../src/core/errors.js'
import {
  type Frame,
  type FromChild,
  formatFailure,
  formatFrame,
  parseFailure,
  parseFrame,
  parseFromChild,
} from '../../../src/core/pkcs11/token-protocol.js'

/** Reads frames as a pipe gives them, in chunks. */
function readChunks(chunks: readonly Buffer[]): { frames: Frame[]; rest: Buffer } {
  const frames: Frame[] = []
  let received = Buffer.alloc(0)
  for (const chunk of chunks) {
    received = Buffer.concat([received, chunk])
    for (let parsed = parseFrame(received); parsed !== undefined; parsed = parseFrame(received)) {
      frames.push(parsed.frame)
      received = Buffer.from(parsed.rest)
    }
  }
  return { frames, rest: received }
}

/** What JSON makes of a value: -0 becomes 0. */
const json = fc.jsonValue().map((value) => ({ json: JSON.parse(JSON.stringify(value)) as unknown }))
const bytes = fc.uint8Array({ maxLength: 300 }).map((content) => ({ bytes: Buffer.from(content) }))

describe('parseFrame', () => {
  it('reads what formatFrame wrote, in whatever chunks it comes', () => {
    const cuts = fc.array(fc.nat(2000), { maxLength: 20 })
    fc.assert(
      fc.property(fc.array(fc.oneof(json, bytes), { maxLength: 6 }), cuts, (frames, positions) => {
        const whole = Buffer.concat(frames.map(formatFrame))
        const ends = [...new Set([...positions, whole.length])]
          .filter((position) => position <= whole.length)
          .sort((a, b) => a - b)
        const chunks = ends.map((end, index) => whole.subarray(index === 0 ? 0 : ends[index - 1], end))
        assert.deepEqual(readChunks(chunks), { frames, rest: Buffer.alloc(0) })
      }),
    )
  })

  it('waits for every byte of a frame', () => {
    for (const frame of [
      { json: { signed: true } },
      { bytes: Buffer.from('PIN') },
      { bytes: Buffer.alloc(0) },
    ]) {
      const whole = formatFrame(frame)
      for (let length = 0; length < whole.length; length++) {
        assert.equal(parseFrame(whole.subarray(0, length)), undefined)
      }
      assert.deepEqual(parseFrame(whole)?.frame, frame)
    }
  })

  it('leaves what stands behind the frame', () => {
    const two = Buffer.concat([formatFrame({ json: 1 }), formatFrame({ json: 2 })])
    assert.deepEqual(parseFrame(two), { frame: { json: 1 }, rest: formatFrame({ json: 2 }) })
  })

  for (const [what, frame] of Object.entries({
    'the text of a module that prints': Buffer.from('libtss2: error opening the device\n'),
    'a kind that does not exist': Buffer.from('00000001 58 00'.replaceAll(' ', ''), 'hex'),
    'a length of more than 16 MiB': Buffer.from('01000001 42'.replaceAll(' ', ''), 'hex'),
    'a JSON frame that is no JSON': Buffer.from('00000001 4a 7b'.replaceAll(' ', ''), 'hex'),
    'an empty JSON frame': Buffer.from('00000000 4a'.replaceAll(' ', ''), 'hex'),
  })) {
    it(`refuses ${what}`, () => {
      assert.throws(() => parseFrame(frame), {
        code: 'MODULE_FAILED',
        message: /^the token process sent something that is not a message/,
      })
    })
  }

  it('waits for a frame of 16 MiB', () => {
    assert.equal(parseFrame(Buffer.from('0100000042', 'hex')), undefined)
  })

  it('answers any bytes with a frame, a wait or MODULE_FAILED', () => {
    const header = fc
      .tuple(fc.nat(3), fc.constantFrom(0x4a, 0x42, 0))
      .map(([length, kind]) => [0, 0, 0, length, kind])
    const junk = fc.oneof(fc.constant([]), header)
    fc.assert(
      fc.property(junk, fc.uint8Array({ maxLength: 12 }), (start, end) => {
        try {
          parseFrame(Buffer.from([...start, ...end]))
        } catch (error) {
          assert.ok(error instanceof HoldfastError && error.code === 'MODULE_FAILED', String(error))
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('does not quote what it cannot read, which might be a secret', () => {
    const payload = Buffer.from('hunter2')
    const frame = Buffer.concat([Buffer.of(0, 0, 0, payload.length, 0x4a), payload])
    try {
      parseFrame(frame)
      assert.fail()
    } catch (error) {
      assert.ok(error instanceof HoldfastError)
      assert.doesNotMatch(`${error.stack} ${error.cause}`, /hunter2/)
    }
  })
})

describe('parseFromChild', () => {
  const token = { manufacturer: 'm', model: 'm', serial: '1', label: 'l' }
  const opened = { certificate: 'AA==', chain: ['AA=='] }
  for (const message of [
    { opened },
    { needPin: { token, flags: 5, role: 'user' } },
    { needPin: { token: { ...token, store: '/s' }, flags: 5, role: 'new-so' } },
    { performed: { tokens: [] } },
    { warning: 'text' },
    { signed: true },
    { failed: { code: 'TOKEN_FAILED', message: 'text' } },
  ]) {
    it(`takes ${JSON.stringify(message)}`, () => {
      assert.deepEqual(parseFromChild({ json: message }), message)
    })
  }

  for (const message of [
    null,
    5,
    'signed',
    [],
    {},
    { failed: null },
    { failed: { code: 'TOKEN_FAILED' } },
    { failed: { code: 1, message: 'text' } },
    { opened: null },
    { opened: { ...opened, chain: [1] } },
    { opened: { ...opened, chain: 'AA==' } },
    { opened: { ...opened, certificate: undefined } },
    { needPin: 5 },
    { needPin: { token, flags: '5', role: 'user' } },
    { needPin: { token, flags: 5 } },
    { needPin: { token, flags: 5, role: 'context' } },
    { needPin: { token: { ...token, label: null }, flags: 5, role: 'user' } },
    { needPin: { token: { ...token, store: 1 }, flags: 5, role: 'user' } },
    { performed: 'text' },
    { warning: 1 },
    { signed: false },
    { signed: true, warning: 'text' },
    { toString: 'text' },
    JSON.parse('{"__proto__":{"signed":true}}'),
  ]) {
    it(`refuses ${JSON.stringify(message)}`, () => {
      assert.throws(() => parseFromChild({ json: message }), { code: 'MODULE_FAILED' })
    })
  }

  it('refuses bytes where a message should be', () => {
    assert.throws(() => parseFromChild({ bytes: Buffer.from('{"signed":true}') }), { code: 'MODULE_FAILED' })
  })

  it('cuts a warning after 500 characters', () => {
    assert.deepEqual(parseFromChild({ json: { warning: 'x'.repeat(501) } }), { warning: 'x'.repeat(500) })
  })
})

describe('parseFailure', () => {
  /** What arrives of an error that crosses the pipe. */
  function cross(error: unknown): HoldfastError {
    const { frame } = parseFrame(formatFrame({ json: formatFailure(error) })) ?? assert.fail()
    const message = ('json' in frame ? frame.json : assert.fail()) as FromChild
    return parseFailure('failed' in message ? message.failed : assert.fail())
  }

  for (const code of ['PIN_INCORRECT', 'TOKEN_NOT_FOUND', 'KEY_AMBIGUOUS'] as const satisfies ErrorCode[]) {
    it(`keeps ${code} and its message`, () => {
      const error = cross(new HoldfastError(code, `what "${code}" says`, { cause: new Error('inside') }))
      assert.ok(error instanceof HoldfastError)
      assert.deepEqual([error.code, error.message], [code, `what "${code}" says`])
    })
  }

  for (const [what, thrown, text] of [
    ['another error', new TypeError('x is not a function'), 'TypeError: x is not a function'],
    ['something that is no error', 'out of order', 'out of order'],
    ['nothing', undefined, 'undefined'],
  ] as const) {
    it(`makes MODULE_FAILED of ${what}, with its words`, () => {
      const error = cross(thrown)
      assert.deepEqual([error.code, error.message], ['MODULE_FAILED', `the token process failed: ${text}`])
    })
  }

  for (const code of ['NO_SUCH_CODE', '', 'toString', '__proto__', 'pin_incorrect']) {
    it(`makes MODULE_FAILED of the unknown code "${code}"`, () => {
      const error = parseFailure({ code, message: 'text' })
      assert.deepEqual([error.code, error.message], ['MODULE_FAILED', 'text'])
    })
  }
})
