import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'mocha'
import { createAuthority } from './certificates.js'
import { createSoftHsmToken } from './softhsm.js'
import type { TestToken } from './token.js'

describe('createSoftHsmToken', () => {
  let token: TestToken
  before(async () => {
    token = await createSoftHsmToken({ label: 'one' })
  })
  after(() => token.dispose())

  for (const [id, algorithm, kind] of [
    ['01', 'P-256', 'ec'],
    ['02', 'P-384', 'ec'],
    ['03', 'P-521', 'ec'],
    ['04', 'RSA-2048', 'rsa'],
  ] as const) {
    it(`makes a ${algorithm} key that cannot leave the token`, async () => {
      const key = await token.generateKey(algorithm, { id })
      assert.equal(
        createPublicKey({ key: Buffer.from(key), type: 'spki', format: 'der' }).asymmetricKeyType,
        kind,
      )
      assert.match(
        await token.showObject('privkey', id),
        /Access:\s+sensitive, always sensitive, never extractable/,
      )
    })
  }

  it('makes an always-authenticate key', async () => {
    await token.generateKey('P-256', { id: '05', alwaysAuthenticate: true })
    assert.match(await token.showObject('privkey', '05'), /always authenticate/i)
    assert.doesNotMatch(await token.showObject('privkey', '01'), /always authenticate/i)
  })

  it('gives back the certificate that was put in', async () => {
    const authority = await createAuthority()
    const certificate = await authority.issue(await token.generateKey('P-256', { id: '06' }))
    await token.importCertificate(certificate, { id: '06', label: 'six' })
    assert.match(await token.showObject('cert', '06'), /label:\s+six/)
    const file = join(token.directory, 'read-back')
    await token.pkcs11Tool('--read-object', '--type', 'cert', '--id', '06', '--output-file', file)
    assert.deepEqual(readFileSync(file), Buffer.from(certificate))
  })

  it('keeps the PIN file from others', () => {
    assert.equal(statSync(token.pinFile).mode & 0o777, 0o600)
  })

  it('makes two tokens with one label in one SoftHSM', async () => {
    const second = await createSoftHsmToken({ label: 'one', beside: token })
    assert.deepEqual(second.env, token.env)
    assert.notEqual(await second.pkcs11Tool('--list-objects'), await token.pkcs11Tool('--list-objects'))
  })

  it('leaves nothing behind', async () => {
    const other = await createSoftHsmToken()
    await other.dispose()
    assert.equal(existsSync(other.directory), false)
  })
})
