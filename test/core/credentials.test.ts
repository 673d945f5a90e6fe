/** What a `credential_process` prints. */

import assert from 'node:assert/strict'
import { formatCredentialProcess, formatExpiration } from '../../src/core/credentials.js'

const credentials = {
  accessKeyId: 'ASIAEXAMPLE',
  secretAccessKey: 'secret/+"',
  sessionToken: 'token==',
  expiration: new Date('2026-01-02T03:04:05.999Z'),
}

describe('formatExpiration', () => {
  it('is in UTC and without fractions, never later than the moment itself', () => {
    assert.equal(formatExpiration(credentials.expiration), '2026-01-02T03:04:05Z')
  })
})

describe('formatCredentialProcess', () => {
  it('is one line of JSON with the names of the contract', () => {
    const text = formatCredentialProcess(credentials)
    assert.doesNotMatch(text, /\n/)
    assert.deepEqual(JSON.parse(text), {
      Version: 1,
      AccessKeyId: 'ASIAEXAMPLE',
      SecretAccessKey: 'secret/+"',
      SessionToken: 'token==',
      Expiration: '2026-01-02T03:04:05Z',
    })
  })

  it('names the account if it is known', () => {
    const text = formatCredentialProcess({ ...credentials, accountId: '012345678901' })
    assert.equal(JSON.parse(text).AccountId, '012345678901')
  })
})
