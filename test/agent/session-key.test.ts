/** Which identities mean the same session. */

import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { findSessionKey, formatSessionKey } from '../../src/agent/session-key.js'
import type { Identity } from '../../src/core/config/identity.js'

const IDENTITY: Identity = {
  pkcs11Uri: 'pkcs11:token=edge;id=%01?pin-source=file:/etc/pin',
  trustAnchorArn:
    'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/8b1c6f3e-4d52-4a6b-9d0e-2f1a7c5b9e01',
  profileArn: 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/0d9f2b7a-6c14-4e8f-8a35-b7e2d4c61f02',
  roleArn: 'arn:aws:iam::111122223333:role/edge',
}

describe('formatSessionKey', () => {
  const key = (changes: Identity = {}, env = {}) => formatSessionKey({ ...IDENTITY, ...changes }, env)

  const same: Identity[] = [
    { pkcs11Uri: 'pkcs11:id=%01;token=edge' },
    { pkcs11Uri: 'pkcs11:token=%65dge;id=%01?pin-value=1234&module-name=softhsm2' },
    { sessionDuration: 3600 },
    { region: 'eu-central-1' },
    { pinFile: '/x', askpass: '/y', timeout: 5, tokenTimeout: 6, pinGuard: 'off', stateDir: '/z' },
    { certificate: 'pkcs11:token=edge;id=%01' },
    { endpoint: 'https://rolesanywhere.eu-central-1.amazonaws.com' },
  ]
  for (const changes of same) {
    it(`is the same with ${JSON.stringify(changes)}`, () => assert.equal(key(changes), key()))
  }

  const others: Identity[] = [
    { pkcs11Uri: 'pkcs11:token=edge;id=%02' },
    { certificate: '/etc/edge.pem' },
    { roleArn: 'arn:aws:iam::111122223333:role/other' },
    { sessionDuration: 3601 },
    { roleSessionName: 'x' },
    { endpoint: 'https://localhost:8443' },
    { useFipsEndpoint: true },
  ]
  for (const changes of others) {
    it(`is another with ${JSON.stringify(changes)}`, () => assert.notEqual(key(changes), key()))
  }

  it('is another where a variable chooses another endpoint', () => {
    assert.notEqual(key({}, { AWS_ENDPOINT_URL: 'https://localhost:8443' }), key())
  })

  it('means the file that a relative path leads to', () => {
    const files = (folder: string) => ({
      pkcs11Uri: undefined,
      certificate: `${folder}edge.pem`,
      privateKey: `${folder}edge.key`,
    })
    assert.equal(key(files('')), key(files(`${resolve('.')}/`)))
    assert.notEqual(key(files('')), key(files('/etc/')))
  })

  it('holds no PIN', () => {
    assert.doesNotMatch(key({ pkcs11Uri: 'pkcs11:token=edge?pin-value=314159' }), /314159|pin/)
  })
})

describe('findSessionKey', () => {
  it('is the same', () => {
    assert.equal(findSessionKey(IDENTITY, {}), formatSessionKey(IDENTITY, {}))
  })

  it('is undefined for an identity without a role', () => {
    const { roleArn: _, ...half } = IDENTITY
    assert.throws(() => formatSessionKey(half, {}), { code: 'USAGE' })
    assert.equal(findSessionKey(half, {}), undefined)
  })
})
