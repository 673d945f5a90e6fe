/**
 * A CA whose key is in a token, on SoftHSM and on a TPM in software. OpenSSL judges what it signs.
 */

import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CaHome, createCaHome } from '../support/ca.js'
import { run } from '../support/command.js'
import { assertFailure } from '../support/outcome.js'
import { createSoftHsmToken } from '../support/softhsm.js'
import { createTpmToken } from '../support/swtpm.js'
import type { TestToken } from '../support/token.js'

const SUBJECT = 'CN=Example Edge CA,O=Example'

for (const [what, createToken, algorithm] of [
  ['SoftHSM', createSoftHsmToken, 'P-384'],
  ['tpm2-pkcs11', createTpmToken, 'RSA-2048'],
] as const) {
  describe(`holdfast ca with a key in a token of ${what}`, function () {
    this.timeout(180_000)
    let token: TestToken
    let at: CaHome
    let uri: string
    before(async () => {
      token = await createToken()
      await token.generateKey(algorithm, { id: '01' })
      uri = `pkcs11:token=${token.label};id=%01`
    })
    after(() => token.dispose())
    beforeEach(async () => {
      at = await createCaHome()
    })
    afterEach(() => at.dispose())

    const ca = (...args: string[]) => at.ca(args, { env: token.env, withoutPassphrase: true })
    const inToken = () => ['--pin-file', token.pinFile]
    const init = (...args: string[]) =>
      ca('init', '--subject', SUBJECT, '--key-uri', uri, '--pkcs11-module', token.modulePath, ...args)
    const assertDone = ({ stderr, status }: { stderr: string; status: number | null }) => {
      assert.equal(status, 0, stderr)
    }

    it('signs certificates and lists, and has no key in its folder', async () => {
      assertDone(await init(...inToken()))
      const [csr, out, crl] = [
        await at.request('edge', '/CN=edge'),
        join(at.home, 'a.pem'),
        join(at.home, 'crl'),
      ]
      assertDone(await ca('sign', csr, '--out', out, ...inToken()))
      assertDone(await ca('revoke', out))
      assertDone(await ca('crl', '--out', crl, ...inToken()))
      const trust = ['-CAfile', at.certificateFile]
      await run('openssl', ['verify', '-x509_strict', '-purpose', 'sslclient', ...trust, out])
      await assert.rejects(
        run('openssl', ['verify', ...trust, '-crl_check', '-CRLfile', crl, out]),
        /revoked/,
      )

      const files = await readdir(at.directory)
      const record = files.find((name) => name.startsWith('key-'))!
      assert.deepEqual(JSON.parse(await readFile(join(at.directory, record), 'utf8')), {
        uri,
        module: token.modulePath,
      })
      const shown = await run('openssl', ['x509', '-in', at.certificateFile, '-noout', '-text'])
      assert.match(shown, algorithm === 'P-384' ? /ecdsa-with-SHA256[\s\S]*P-384/ : /sha256WithRSAEncryption/)
    })

    it('names what a key in a token has, and what it has not', async () => {
      const file = ['--passphrase-file', at.passphraseFile]
      assertFailure(await init(...file), 'USAGE', 2, /--pin-file/)
      assertFailure(await init('--key-type', 'p-256'), 'USAGE', 2, /--key-type/)
      assertFailure(await ca('init', '--subject', SUBJECT, ...inToken()), 'USAGE', 2, /--key-uri/)
      uri = `${uri}?pin-value=1234`
      assertFailure(await init(), 'USAGE', 2, /no pin-value/)
      uri = uri.replace(/\?.*/, '')
      const wrong = join(at.home, 'wrong-pin')
      await writeFile(wrong, '00000000\n', { mode: 0o600 })
      assertFailure(await init('--pin-file', wrong), 'PIN_INCORRECT', 3)
      await assert.rejects(readdir(at.directory), { code: 'ENOENT' })

      assertDone(await init(...inToken()))
      assertFailure(await ca('crl', ...file), 'USAGE', 2, /--pin-file/)
      await at.ca(['init', '--subject', SUBJECT, '--ca', join(at.home, 'other')])
      const other = ['--ca', join(at.home, 'other')]
      assertFailure(await ca('crl', ...other, ...inToken()), 'USAGE', 2, /--passphrase-file/)
    })

    it('issues nothing with another key than its own, or without one', async () => {
      assertDone(await init(...inToken()))
      const csr = await at.request('edge', '/CN=edge')
      const record = join(
        at.directory,
        (await readdir(at.directory)).find((name) => name.startsWith('key-'))!,
      )
      await token.generateKey(algorithm, { id: '02' })
      await writeFile(record, JSON.stringify({ uri: uri.replace('%01', '%02'), module: token.modulePath }))
      assertFailure(await ca('sign', csr, ...inToken()), 'SIGNATURE_INVALID', 4, /CA's key/)
      await writeFile(record, JSON.stringify({ uri: uri.replace('%01', '%03'), module: token.modulePath }))
      assertFailure(await ca('sign', csr, ...inToken()), 'KEY_NOT_FOUND', 4)
      await writeFile(record, '{}')
      assertFailure(await ca('sign', csr, ...inToken()), 'CA_DAMAGED', 4, /json is damaged/)
      assert.deepEqual(await readdir(join(at.directory, 'issued')), [])
    })

    it('has its PIN tried once', async () => {
      assertDone(await init(...inToken()))
      const wrong = join(at.home, 'pin')
      await writeFile(wrong, '999999\n', { mode: 0o600 })
      const sign = () => ca('crl', '--pin-file', wrong)
      assertFailure(await sign(), 'PIN_INCORRECT', 3)
      assertFailure(await sign(), 'PIN_REFUSED_BEFORE', 3)
      assertDone(await ca('crl', ...inToken()))
    })
  })
}
