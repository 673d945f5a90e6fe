/** Assertions about what the emulator refuses. */
import assert from 'node:assert/strict'
import { ServiceError } from '../../src/emulator/service-error.js'

export interface ExpectedRefusal {
  readonly status?: number
  readonly type?: string
  readonly message?: string | RegExp
  readonly reason?: string | RegExp
}

/** Throws unless `error` is the refusal that was expected; for assert.throws and assert.rejects. */
export function refusal({ status = 403, type = 'AccessDeniedException', message, reason }: ExpectedRefusal) {
  return (error: unknown): true => {
    assert.ok(error instanceof ServiceError, String(error))
    assert.deepEqual([error.status, error.type], [status, type])
    matches(error.message, message)
    matches(error.reason, reason)
    return true
  }
}

function matches(actual: string, wanted: string | RegExp | undefined): void {
  if (typeof wanted === 'string') assert.equal(actual, wanted)
  else if (wanted !== undefined) assert.match(actual, wanted)
}
