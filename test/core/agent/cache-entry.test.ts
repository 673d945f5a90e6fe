/** Entries of the cache: how long they are used, and what is no entry. */

import assert from 'node:assert/strict'
import {
  type CacheEntry,
  cacheEntryName,
  findCacheEntry,
  findUsable,
  formatCacheEntry,
} from '../../../src/core/agent/cache-entry.js'

const MINUTE = 60_000
const START = { date: new Date('2026-01-02T03:00:00Z'), uptimeMs: 5000 }

const issue = (minutes: number): CacheEntry => ({
  issued: {
    credentials: {
      accessKeyId: 'ASIAEXAMPLE',
      secretAccessKey: 'secret',
      sessionToken: 'token',
      expiration: new Date(START.date.getTime() + minutes * MINUTE),
    },
    at: START,
  },
})
const later = (minutes: number, uptimeMinutes = minutes) => ({
  date: new Date(START.date.getTime() + minutes * MINUTE),
  uptimeMs: START.uptimeMs + uptimeMinutes * MINUTE,
})
/** `fresh`, `usable` or `gone`. */
const judge = (lifetime: number, now: ReturnType<typeof later>) => {
  const usable = findUsable(issue(lifetime), now)
  return usable === undefined ? 'gone' : usable.isFresh ? 'fresh' : 'usable'
}

describe('findUsable', () => {
  it('wants more than 15 minutes of an hour and of half a day', () => {
    assert.equal(judge(60, later(44.9)), 'fresh')
    assert.equal(judge(60, later(45)), 'usable')
    assert.equal(judge(720, later(704.9)), 'fresh')
    assert.equal(judge(720, later(705)), 'usable')
  })

  it('wants a quarter of a short session', () => {
    assert.equal(judge(15, later(11)), 'fresh')
    assert.equal(judge(15, later(11.25)), 'usable')
  })

  it('gives nothing from the expiry on', () => {
    assert.equal(judge(60, later(59.99)), 'usable')
    assert.equal(judge(60, later(60)), 'gone')
    assert.equal(findUsable({}, START), undefined)
  })

  it('goes by the clock that has gone on further', () => {
    assert.equal(judge(60, later(10, 50)), 'usable')
    assert.equal(judge(60, later(10, 60)), 'gone')
    assert.equal(judge(60, later(60, 10)), 'gone')
  })

  it('gives nothing where the clock stands before the issue', () => {
    assert.equal(judge(60, later(-1, 1)), 'gone')
  })

  it('gives credentials also after a restart, when the second clock begins anew', () => {
    assert.equal(judge(60, later(10, -1)), 'fresh')
  })
})

describe('findCacheEntry', () => {
  const failure = { code: 'NETWORK_FAILED', message: 'no way', at: START } as const

  it('reads what formatCacheEntry writes', () => {
    const { issued } = issue(60)
    const withAccount = {
      issued: { ...issued!, credentials: { ...issued!.credentials, accountId: '111122223333' } },
    }
    for (const entry of [issue(60), withAccount, { failure }, { ...issue(60), failure }, {}]) {
      assert.deepEqual(findCacheEntry(formatCacheEntry(entry)), {
        issued: undefined,
        failure: undefined,
        ...entry,
      })
    }
  })

  it('takes nothing else for an entry', () => {
    const text = formatCacheEntry({ ...issue(60), failure })
    const broken = [
      '',
      'null',
      '{}',
      text.slice(0, -1),
      text.replace('"version":1', '"version":2'),
      text.replace('"secretAccessKey":"secret"', '"secretAccessKey":""'),
      text.replace('2026-01-02T04:00:00.000Z', 'soon'),
      text.replace(':5000', ':"5000"'),
      text.replace('NETWORK_FAILED', 'NETWORK'),
    ]
    for (const other of broken) assert.equal(findCacheEntry(other), undefined, other)
  })
})

describe('cacheEntryName', () => {
  it('is a file name that tells sessions apart and does not show them', () => {
    assert.match(cacheEntryName('/secret/key'), /^[0-9a-f]{32}\.json$/)
    assert.notEqual(cacheEntryName('a'), cacheEntryName('b'))
  })
})
