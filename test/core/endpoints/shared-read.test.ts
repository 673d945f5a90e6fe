/** Readings that are shared, and those that must not be. */

import assert from 'node:assert/strict'
import { shareReads } from '../../../src/core/endpoints/shared-read.js'
import { settle } from '../../support/fake-clock.js'

describe('shareReads', () => {
  it('reads once for all who ask while another reading is under way, and never at the same time', async () => {
    const begun: ((value: number) => void)[] = []
    const read = shareReads(() => new Promise<number>((done) => begun.push(done)))
    const first = read()
    await settle()
    const later = [read(), read(), read()]
    await settle()
    assert.equal(begun.length, 1)
    begun[0]!(1)
    assert.equal(await first, 1)
    await settle()
    begun[1]!(2)
    assert.deepEqual(await Promise.all(later), [2, 2, 2])
    assert.equal(begun.length, 2)
  })

  it('reads anew for whoever asks after that', async () => {
    let count = 0
    const read = shareReads(async () => ++count)
    assert.deepEqual([await read(), await read()], [1, 2])
  })
})
