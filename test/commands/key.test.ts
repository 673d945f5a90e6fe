/** `holdfast key` and `holdfast csr` as a user runs them, on SoftHSM and on a TPM; OpenSC and OpenSSL say what came of it. */

import assert from 'node:assert/strict'
import { lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../support/command.js'
import { createFaultyModules } from '../support/faulty-module.js'
import { assertFailure } from '../support/outcome.js'
import { type ProgramResult, runHoldfast, runHoldfastOnTerminal } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'
import type { TestToken } from '../support/token.js'
import { TOKENS_OF_TIER } from '../support/tokens-of-tier.js'

const SUBJECT = 'CN=edge-1,OU=Plant 4,O=Example\\, Inc.,C=DE'

for (const [what, createToken] of Object.entries(TOKENS_OF_TIER)) {
  describe(`with a token of ${what}`, function () {
    this.timeout(120_000)
    const isTpm = what === 'tpm2-pkcs11'
    let token: TestToken
    let home: string
    beforeEach(async () => {
      token = await createToken({ pin: 'user-Zq7-pin' })
      home = join(token.directory, 'home')
      await mkdir(home)
    })
    afterEach(() => token.dispose())

    const place = () => ['--module', token.modulePath, '--token', 'edge']
    const options = () => ({ env: token.env, home })
    const holdfast = async (...words: string[]) => {
      const result = await runHoldfast([...words, ...place(), '--pin-file', token.pinFile], options())
      assert.ok(!`${result.stdout}${result.stderr}`.includes(token.pin))
      return result
    }
    const succeed = (result: ProgramResult): ProgramResult => {
      assert.equal(result.status, 0, result.stderr)
      return result
    }
    const generate = async (label: string, ...more: string[]) =>
      JSON.parse(succeed(await holdfast('key', 'generate', '--label', label, '--json', ...more)).stdout)
    const csr = (...more: string[]) => holdfast('csr', '--subject', SUBJECT, ...more)
    const openssl = async (pem: string, ...more: string[]) => {
      const file = join(token.directory, 'in.csr')
      await writeFile(file, pem)
      return run('openssl', ['req', '-in', file, '-noout', '-verify', ...more])
    }

    describe('holdfast key generate', () => {
      it('makes a key that signs and never leaves', async () => {
        const { stdout } = succeed(await holdfast('key', 'generate', '--label', 'line 4'))
        assert.match(
          stdout,
          /^made key "line 4" \(id 01\) of type p-256 in token "edge" .*\npkcs11:.*;token=edge;id=%01;object=line%204;type=private\n$/,
        )
        const shown = await token.showObject('privkey', '01')
        assert.match(shown, /Usage:\s+sign\n/)
        assert.match(shown, /Access:\s+sensitive, always sensitive, never extractable, local\n/)
      })

      for (const type of ['p-384', 'rsa-2048', 'rsa-3072']) {
        it(`makes one of type ${type}`, async () => {
          const { key, publicKeyPem } = await generate('a', '--type', type, '--id', 'A1b2')
          assert.deepEqual([key.type, key.id], [type, 'a1b2'])
          const file = join(token.directory, 'key.pem')
          await writeFile(file, publicKeyPem)
          const text = await run('openssl', ['pkey', '-pubin', '-in', file, '-noout', '-text'])
          assert.match(
            text,
            type === 'p-384' ? /NIST CURVE: P-384/ : new RegExp(`\\(${type.slice(4)} bit\\)`),
          )
        })
      }

      it('says where the token cannot bar a key from decrypting', async () => {
        const result = succeed(await holdfast('key', 'generate', '--label', 'a', '--type', 'rsa-2048'))
        if (isTpm) assert.match(result.stderr, /warning: of this key the token says: it may decrypt as well/)
        else assert.equal(result.stderr, '')
      })

      it('refuses an id that is there, and what is no id or type', async () => {
        await generate('a', '--id', '07')
        const again = (...more: string[]) => holdfast('key', 'generate', '--label', 'b', ...more)
        assertFailure(await again('--id', '07'), 'OBJECT_EXISTS', 4, /id 07/)
        assertFailure(await again('--id', '7'), 'USAGE', 2, /hexadecimal/)
        assertFailure(await again('--type', 'p-521'), 'USAGE', 2, /p-521/)
        assertFailure(await holdfast('key', 'generate'), 'USAGE', 2, /label/)
      })
    })

    describe('holdfast key list', () => {
      it('lists keys, and after a login the private ones', async () => {
        assert.equal(succeed(await holdfast('key', 'list')).stdout, 'no key\n')
        await generate('a')
        await generate('b', '--type', 'p-384')
        const { stdout } = succeed(await holdfast('key', 'list', '--label', 'b'))
        assert.match(stdout, /^key "b" \(id 02\): p-384\n {2}pkcs11:.*;id=%02;object=b;type=private\n$/)
        const { keys } = JSON.parse(succeed(await holdfast('key', 'list', '--json')).stdout)
        assert.deepEqual(
          keys
            .map(({ label, isPrivate, faults }: { label: string; isPrivate: boolean; faults: string[] }) => [
              label,
              isPrivate,
              faults,
            ])
            .sort(),
          [
            ['a', true, []],
            ['b', true, []],
          ],
        )
      })

      it('needs no PIN without a login', async () => {
        await generate('a')
        const { status, stdout, stderr } = await runHoldfast(
          ['key', 'list', '--no-login', ...place()],
          options(),
        )
        assert.equal(status, 0, stderr)
        assert.match(stdout, /^key "a" \(id 01\): p-256, of which only the public half is seen\n/)
      })

      it('says what is wrong with a key', async () => {
        const args = [
          '--keypairgen',
          '--key-type',
          'rsa:2048',
          '--id',
          '09',
          '--label',
          'loose',
          '--extractable',
        ]
        if (isTpm) return
        await token.pkcs11Tool(...args, '--usage-decrypt', '--usage-sign')
        const { stdout } = succeed(await holdfast('key', 'list'))
        assert.match(stdout, /^ {2}it can be taken out of the token; .*it may decrypt as well as sign/m)
      })
    })

    describe('holdfast key delete', () => {
      const labels = async () => {
        const { keys } = JSON.parse(succeed(await holdfast('key', 'list', '--json')).stdout)
        return keys.map(({ label }: { label: string }) => label).sort()
      }

      it('removes the key that is named, both halves of it', async () => {
        await generate('a')
        await generate('b')
        const { stdout } = succeed(await holdfast('key', 'delete', '--id', '01', '--yes', 'a'))
        assert.match(stdout, /^removed key "a" \(id 01\)\npkcs11:.*type=private\npkcs11:.*type=public\n$/)
        assert.deepEqual(await labels(), ['b'])
        await assert.rejects(token.showObject('pubkey', '01'))
        succeed(await holdfast('key', 'delete', '--label', 'b', '--yes', '02'))
        assert.deepEqual(await labels(), [])
      })

      it('asks a person for the name', async () => {
        await generate('a')
        const args = ['key', 'delete', ...place(), '--pin-file', token.pinFile]
        const type = (text: string) =>
          runHoldfastOnTerminal(args, { ...options(), prompt: /to go on: $/, typed: [`${text}\n`] })
        assertFailure(await type('b'), 'USAGE', 2, /"b" is not it; nothing was changed/)
        assert.deepEqual(await labels(), ['a'])
        const { status, screen } = await type('a')
        assert.equal(status, 0)
        assert.match(screen, /^This will remove key "a" \(id 01\) from token "edge" .*to go on: a\r\n$/)
        assert.deepEqual(await labels(), [])
      })

      it('removes nothing that is not named, or not alone', async () => {
        await generate('a')
        await generate('a')
        const remove = (...more: string[]) => holdfast('key', 'delete', ...more)
        assertFailure(await remove('--yes', 'a'), 'KEY_AMBIGUOUS', 4, /2 keys are meant.*pkcs11:.*pkcs11:/)
        assertFailure(await remove('--id', '01', '--yes', 'b'), 'USAGE', 2, /"b" is not it/)
        assertFailure(await remove('--id', '01'), 'USAGE', 2, /--yes NAME/)
        assertFailure(await remove('--id', '03', '--yes', '03'), 'KEY_NOT_FOUND', 4)
        assert.deepEqual(await labels(), ['a', 'a'])
      })
    })

    describe('holdfast csr', () => {
      for (const type of ['p-256', 'p-384', 'rsa-2048']) {
        it(`makes a request for a key of type ${type} that OpenSSL verifies`, async () => {
          await generate('a', '--type', type)
          const names =
            'dns:edge-1.example,uri:spiffe://example/edge-1,ip:192.0.2.7,ip:2001:db8::7,email:ops@example.com'
          const { stdout, stderr } = succeed(await csr('--san', names))
          const text = await openssl(stdout, '-text')
          assert.match(text, /Subject: CN = edge-1, OU = Plant 4, O = "Example, Inc\.", C = DE\n/)
          assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/)
          assert.match(text, /X509v3 Extended Key Usage: \s+TLS Web Client Authentication\n/)
          assert.match(
            text,
            /DNS:edge-1\.example, URI:spiffe:\/\/example\/edge-1, IP Address:192\.0\.2\.7, IP Address:2001:DB8:0:0:0:0:0:7, email:ops@example\.com\n/,
          )
          assert.match(text, /Signature Algorithm: (ecdsa-with-SHA256|sha256WithRSAEncryption)/)
          // The subject has a comma, which no session tag can have.
          assert.match(stderr, /^holdfast: warning: .*no trust policy can ask for it\n$/m)
        })
      }

      it('writes a file, in PEM or in DER', async () => {
        await generate('a')
        const file = join(token.directory, 'edge.csr')
        succeed(await csr('--out', file))
        assert.match(await readFile(file, 'utf8'), /^-----BEGIN CERTIFICATE REQUEST-----\n/)
        const { csr: pem, out } = JSON.parse(succeed(await csr('--out', file, '--der', '--json')).stdout)
        assert.equal(out, file)
        await run('openssl', ['req', '-inform', 'der', '-in', file, '-noout', '-verify'])
        await openssl(pem)
        assert.deepEqual(
          (await readdir(token.directory)).filter((name) => name.startsWith('edge.csr')),
          ['edge.csr'],
        )
      })

      it('replaces no link, and refuses DER on a terminal', async () => {
        await generate('a')
        const link = join(token.directory, 'link')
        await symlink('/dev/null', link)
        assertFailure(await csr('--out', link), 'OUTPUT_FAILED', 7, /not a regular file/)
        assert.ok((await lstat(link)).isSymbolicLink())
        assertFailure(await csr('--out', '/nonexistent/edge.csr'), 'OUTPUT_FAILED', 7, /ENOENT/)
        assertFailure(await csr('--der'), 'USAGE', 2, /--out FILE/)
      })

      it('wants one key, a subject, and names that are names', async () => {
        assertFailure(await csr(), 'KEY_NOT_FOUND', 4)
        await generate('a')
        await generate('a')
        assertFailure(await csr('--label', 'a'), 'KEY_AMBIGUOUS', 4)
        assertFailure(await csr('--id', '01', '--san', 'edge-1'), 'USAGE', 2, /--san/)
        assertFailure(await holdfast('csr', '--subject', 'edge-1'), 'USAGE', 2, /CN=edge-1/)
        assertFailure(await holdfast('csr'), 'USAGE', 2, /subject/)
        succeed(await csr('--id', '02'))
      })
    })
  })
}

describe('holdfast csr on a token that signs wrongly', () => {
  it('hands out nothing', async () => {
    const token = await createSoftHsmToken()
    try {
      await token.generateKey('P-256')
      const { modulePath, env } = (await createFaultyModules(token))('C_Sign=corrupt')
      const args = ['csr', '--module', modulePath, '--pin-file', token.pinFile, '--subject', 'CN=edge-1']
      assertFailure(await runHoldfast(args, { env }), 'SIGNATURE_INVALID', 4, /does not verify/)
    } finally {
      await token.dispose()
    }
  })
})
