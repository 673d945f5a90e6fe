/** Error codes and their exit status. */

import assert from 'node:assert/strict'
import { type ErrorCode, HoldfastError, isErrorCode } from '../../src/core/errors.js'

describe('HoldfastError', () => {
  for (const [code, status] of [
    ['USAGE', 2],
    ['URI_INVALID', 2],
    ['CONFIG_INVALID', 2],
    ['TOKEN_NOT_FOUND', 3],
    ['PIN_INCORRECT', 3],
    ['MODULE_CRASHED', 3],
    ['KEY_MISMATCH', 4],
    ['CERTIFICATE_EXPIRED', 4],
    ['REFUSED_ROLE', 5],
    ['CLOCK_WRONG', 6],
    ['DEADLINE_EXCEEDED', 6],
    ['OUTPUT_FAILED', 7],
  ] as const satisfies readonly (readonly [ErrorCode, number])[]) {
    it(`ends the program with ${status} for ${code}`, () => {
      assert.equal(new HoldfastError(code, 'text').exitStatus, status)
    })
  }

  it('keeps code, message and cause', () => {
    const cause = new Error('outside')
    const error = new HoldfastError('TLS_FAILED', 'inside', { cause })
    assert.deepEqual(
      [error.name, error.code, error.message, error.cause],
      ['HoldfastError', 'TLS_FAILED', 'inside', cause],
    )
    assert.ok(error instanceof Error)
  })

  it('has no cause where none was given', () => {
    assert.ok(!('cause' in new HoldfastError('USAGE', 'text')))
  })
})

describe('isErrorCode', () => {
  it('accepts a code', () => {
    assert.ok(isErrorCode('PIN_LOCKED'))
  })

  for (const other of ['pin_locked', 'NO_SUCH_CODE', '', 'toString', '__proto__', 3, null, undefined, {}]) {
    it(`refuses ${JSON.stringify(other)}`, () => {
      assert.ok(!isErrorCode(other))
    })
  }
})
