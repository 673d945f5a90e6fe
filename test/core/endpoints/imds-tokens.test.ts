/** How many session tokens there is room for, and whose go first. */

import assert from 'node:assert/strict'
import { holdsToken, type ImdsTokens, issueToken } from '../../../src/core/endpoints/imds-tokens.js'

/** Gives out `count` tokens, whose names begin with that of the remote side. */
function issueMany(tokens: ImdsTokens, remote: string, count: number, nowMs = 0): void {
  for (let index = 0; index < count; index++) {
    issueToken(tokens, `${remote}-${index}`, { remote, nowMs, expiresAtMs: nowMs + 1000 })
  }
}

describe('issueToken', () => {
  it('lets a side that wants many lose its own oldest ones', () => {
    const tokens: ImdsTokens = new Map()
    issueMany(tokens, 'quiet', 2)
    issueMany(tokens, 'greedy', 1000)
    assert.ok(tokens.size <= 200)
    assert.ok(holdsToken(tokens, 'quiet-0', 0))
    assert.ok(holdsToken(tokens, 'greedy-999', 0))
    assert.ok(!holdsToken(tokens, 'greedy-0', 0))
  })

  it('takes from the side that has most where many sides want some', () => {
    const tokens: ImdsTokens = new Map()
    issueMany(tokens, 'quiet', 2)
    for (let side = 0; side < 20; side++) issueMany(tokens, `side-${side}`, 128)
    assert.equal(tokens.size, 1024)
    assert.ok(holdsToken(tokens, 'quiet-0', 0))
    assert.ok(holdsToken(tokens, 'side-19-127', 0))
  })

  it('makes room of what has expired first', () => {
    const tokens: ImdsTokens = new Map()
    issueMany(tokens, 'one', 128)
    issueMany(tokens, 'one', 1, 1000)
    assert.equal(tokens.size, 1)
  })
})
