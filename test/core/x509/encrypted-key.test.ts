/** OpenSSL as judge of encrypted keys: it opens them with the passphrase, and with no other. */

import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ENCRYPTION_RANDOM_BYTES,
  encryptPrivateKey,
  findPrivateKey,
} from '../../../src/core/x509/encrypted-key.js'
import { run } from '../../support/command.js'

const passphrase = Buffer.from('correct horse, Bätterie')
const random = () => randomBytes(ENCRYPTION_RANDOM_BYTES)

describe('encryptPrivateKey', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-key-'))
  })
  after(() => rmSync(folder, { recursive: true }))

  for (const [name, { privateKey }] of Object.entries({
    'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    'P-384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    'RSA-2048': generateKeyPairSync('rsa', { modulusLength: 2048 }),
  })) {
    it(`writes a ${name} key that OpenSSL opens`, async () => {
      const file = join(folder, 'key.pem')
      writeFileSync(file, encryptPrivateKey(privateKey, passphrase, random()))
      const opened = await run('openssl', ['pkey', '-in', file, '-passin', `pass:${passphrase}`])
      assert.equal(opened, privateKey.export({ type: 'pkcs8', format: 'pem' }))
      await assert.rejects(run('openssl', ['pkey', '-in', file, '-passin', 'pass:another']), /pkey|decrypt/i)
      assert.match(await run('openssl', ['asn1parse', '-in', file]), /PBES2[\s\S]*:scrypt[\s\S]*:aes-256-cbc/)
    })
  }

  it('gives other bytes for other random ones', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const encrypt = () => encryptPrivateKey(privateKey, passphrase, random())
    assert.notEqual(encrypt(), encrypt())
  })
})

describe('findPrivateKey', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = encryptPrivateKey(privateKey, passphrase, random())

  it('opens with the passphrase', () => {
    assert.ok(findPrivateKey(pem, passphrase)?.equals(privateKey))
  })
  it('opens nothing with another one, and nothing that is damaged', () => {
    assert.equal(findPrivateKey(pem, Buffer.from('another')), undefined)
    assert.equal(findPrivateKey(pem.replace(/^(.{100})./s, '$1!'), passphrase), undefined)
    assert.equal(findPrivateKey('', passphrase), undefined)
  })
})
