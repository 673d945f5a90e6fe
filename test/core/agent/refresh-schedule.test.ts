/** When credentials are renewed, and when a failure is worth another try. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  isTransient,
  planAttendedRefresh,
  planRefresh,
  planRetry,
  planRetryOnDemand,
} from '../../../src/core/agent/refresh-schedule.js'
import { type ErrorCode, HoldfastError } from '../../../src/core/errors.js'

const MINUTE = 60_000
const random = fc.double({ min: 0, max: 1, noNaN: true })

describe('planRefresh', () => {
  it('renews a session of an hour while SDKs are still content with what it has left', () => {
    assert.equal(planRefresh(60 * MINUTE, 0), 40 * MINUTE)
    assert.equal(planRefresh(60 * MINUTE, 1), 35 * MINUTE)
  })

  it('scales with the lifetime', () => {
    assert.equal(planRefresh(15 * MINUTE, 0), 10 * MINUTE)
    assert.equal(planRefresh(12 * 60 * MINUTE, 0), 8 * 60 * MINUTE)
  })

  it('never waits for the end, and never renews in the first half', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 43_200_000 }), random, (lifetimeMs, chance) => {
        const after = planRefresh(lifetimeMs, chance)
        return after > lifetimeMs / 2 && after < planAttendedRefresh(lifetimeMs)
      }),
    )
  })
})

describe('planRetry', () => {
  const outage = new HoldfastError('NETWORK_FAILED', 'x')

  it('waits twice as long after each failure, and five minutes at most', () => {
    const delays = [1, 2, 3, 7, 8, 500, 2000].map((failures) => planRetry(outage, failures, 1))
    assert.deepEqual(delays, [5000, 10_000, 20_000, 300_000, 300_000, 300_000, 300_000])
  })

  it('spreads the tries of many machines over half the time', () => {
    assert.equal(planRetry(outage, 1, 0), 2500)
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 99 }),
        random,
        (count, chance) => planRetry(outage, count, chance)! >= 2500,
      ),
    )
  })

  const failed = (code: ErrorCode) => new HoldfastError(code, 'x')

  it('looks every five minutes whether somebody has mended what does not pass by itself', () => {
    for (const code of ['REFUSED', 'CERTIFICATE_EXPIRED', 'KEY_NOT_FOUND', 'PIN_REFUSED_BEFORE'] as const) {
      assert.deepEqual(
        [planRetry(failed(code), 1, 1), planRetry(failed(code), 9, 0)],
        [5 * MINUTE, 2.5 * MINUTE],
      )
    }
    assert.ok(planRetryOnDemand(failed('PIN_INCORRECT')) > planRetryOnDemand(outage))
  })

  it('asks once more soon for a role that may be new', () => {
    const delays = [1, 2, 3].map((failures) => planRetry(failed('REFUSED_ROLE'), failures, 1))
    assert.deepEqual(delays, [30_000, 5 * MINUTE, 5 * MINUTE])
  })

  it('does not repeat a login that may have cost a try which nobody remembers', () => {
    assert.equal(planRetry(failed('LOGIN_FAILED'), 1, 1), undefined)
  })
})

describe('isTransient', () => {
  it('is true for what may pass, of a bug too', () => {
    for (const code of [
      'THROTTLED',
      'CLOCK_WRONG',
      'TLS_FAILED',
      'TOKEN_REMOVED',
      'MODULE_CRASHED',
    ] as const) {
      assert.ok(isTransient(new HoldfastError(code, 'x')), code)
    }
    assert.ok(isTransient(new TypeError('x')))
  })

  it('is false for PIN, key, certificate, configuration and refusal', () => {
    const codes = [
      'PIN_INCORRECT',
      'LOGIN_FAILED',
      'KEY_MISMATCH',
      'CERTIFICATE_EXPIRED',
      'CONFIG_INVALID',
    ] as const
    for (const code of [...codes, 'USAGE', 'REFUSED_ROLE', 'REFUSED'] as const) {
      assert.ok(!isTransient(new HoldfastError(code, 'x')), code)
    }
  })
})
