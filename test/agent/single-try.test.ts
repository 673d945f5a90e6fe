/** One try for a stored PIN, as long as nothing changes. */

import assert from 'node:assert/strict'
import { createSingleTry } from '../../src/agent/single-try.js'
import type { Credentials } from '../../src/core/credentials.js'
import { type ErrorCode, HoldfastError } from '../../src/core/errors.js'

describe('createSingleTry', () => {
  function setUp(code: ErrorCode) {
    const world = { files: 'a', tries: 0 }
    const single = createSingleTry(() => world.files)
    const take = single.guard(async (): Promise<Credentials> => {
      world.tries++
      throw new HoldfastError(code, 'a test')
    })
    return { world, single, take: () => assert.rejects(take(), { code }) }
  }

  for (const code of ['PIN_INCORRECT', 'PIN_INVALID', 'PIN_LOCKED', 'LOGIN_FAILED'] as const) {
    it(`tries once until something changes, after ${code}`, async () => {
      const { world, single, take } = setUp(code)
      for (const _ of [1, 2, 3]) await take()
      assert.equal(world.tries, 1)
      world.files = 'b'
      for (const _ of [1, 2]) await take()
      assert.equal(world.tries, 2)
      single.forget()
      await take()
      assert.equal(world.tries, 3)
    })
  }

  it('tries again after what says nothing of the PIN', async () => {
    const { world, take } = setUp('TOKEN_REMOVED')
    for (const _ of [1, 2, 3]) await take()
    assert.equal(world.tries, 3)
  })
})
