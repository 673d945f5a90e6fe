/**
 * `holdfast cert` as a user runs it, on SoftHSM and on a TPM, and the whole way there: from no token to credentials, with
 * OpenSSL as the authority and no tool of another kind.
 */

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { quickStart } from '../../src/emulator/quick-start.js'
import { startEmulator } from '../../src/emulator/server.js'
import { type Authority, BAD_CERTIFICATES, certificatePem, createAuthority } from '../support/certificates.js'
import { run } from '../support/command.js'
import { createEmptySoftHsm } from '../support/empty-softhsm.js'
import { createFaultyModules } from '../support/faulty-module.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { type ProgramResult, runHoldfast, runHoldfastOnTerminal } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'
import { createTpm } from '../support/swtpm.js'
import type { TestToken } from '../support/token.js'
import { TOKENS_OF_TIER } from '../support/tokens-of-tier.js'

function succeed(result: ProgramResult): ProgramResult {
  assert.equal(result.status, 0, result.stderr)
  return result
}

for (const [what, createToken] of Object.entries(TOKENS_OF_TIER)) {
  describe(`with keys in ${what}`, function () {
    this.timeout(120_000)
    let token: TestToken
    let authority: Authority
    let publicKey: Uint8Array
    let home: string
    before(async () => {
      authority = await createAuthority()
    })
    beforeEach(async () => {
      token = await createToken()
      home = join(token.directory, 'home')
      await mkdir(home)
      publicKey = await token.generateKey('P-256', { id: '0a', label: 'line 4' })
    })
    afterEach(() => token.dispose())

    const options = () => ({ env: token.env, home })
    const place = () => ['--module', token.modulePath, '--token', 'edge', '--pin-file', token.pinFile]
    const cert = async (command: string, ...more: string[]) => {
      const result = await runHoldfast(['cert', command, ...place(), ...more], options())
      assert.ok(!`${result.stdout}${result.stderr}`.includes(token.pin))
      return result
    }
    const lay = async (name: string, ...certificates: Uint8Array[]) => {
      const file = join(token.directory, name)
      await writeFile(file, certificatePem(...certificates))
      return file
    }
    const list = async () => JSON.parse(succeed(await cert('list', '--json')).stdout).certificates

    describe('holdfast cert import', () => {
      it('puts the certificate beside its key, and the chain beside it', async () => {
        const below = await authority.intermediate('Edge CA')
        const file = await lay(
          'chain.pem',
          below.certificate,
          await below.issue(publicKey),
          authority.certificate,
        )
        const { stdout } = succeed(await cert('import', file))
        assert.match(
          stdout,
          /^the certificate with serial [0-9a-f]+ is now beside key "line 4" \(id 0a\) in token "edge" .*\npkcs11:.*;id=%0A;object=line%204;type=cert\nwith it certificate "Edge CA" .*\nwith it certificate "Throw-away Root" .*\n$/,
        )
        assert.match(await token.showObject('cert', '0a'), /label: +line 4\n(.*\n)*.*CN=edge-1/)
        const others = (await list()).filter(({ id }: { id: string }) => id !== '0a')
        assert.deepEqual(others.map(({ label }: { label: string }) => label).sort(), [
          'Edge CA',
          'Throw-away Root',
        ])
      })

      it('reads DER, and stdin, and intermediates from another file', async () => {
        const file = join(token.directory, 'edge.der')
        await writeFile(file, await authority.issue(publicKey))
        const ca = await lay('ca.pem', authority.certificate)
        succeed(await cert('import', file, '--intermediates', ca))
        assert.equal((await list()).length, 2)
        const input = certificatePem(await authority.issue(publicKey))
        const piped = await runHoldfast(['cert', 'import', ...place(), '--replace'], { ...options(), input })
        assert.match(succeed(piped).stdout, /^removed the certificate with serial /m)
        assert.equal((await list()).length, 2)
      })

      it('takes no second one of the same key, unless it is to replace the first', async () => {
        const first = await lay('first.pem', await authority.issue(publicKey))
        const second = await lay('second.pem', await authority.issue(publicKey))
        succeed(await cert('import', first))
        assertFailure(await cert('import', first), 'OBJECT_EXISTS', 4, /nothing to do/)
        assertFailure(await cert('import', second), 'OBJECT_EXISTS', 4, /--replace/)
        succeed(await cert('import', second, '--replace'))
        const [only, ...others] = await list()
        assert.equal(others.length, 0)
        const shown = await run('openssl', ['x509', '-in', second, '-noout', '-serial'])
        assert.equal(`serial=${only.certificate.serialNumber.hex.toUpperCase()}\n`, shown)
      })

      it('takes none of another key, no two at once, and nothing that is none', async () => {
        const foreign = await lay('foreign.pem', (await createAuthority()).certificate)
        assertFailure(await cert('import', foreign), 'KEY_MISMATCH', 4)
        const [one, other] = [await authority.issue(publicKey), await authority.issue(publicKey)]
        assertFailure(
          await cert('import', await lay('two.pem', one, other)),
          'CERTIFICATE_AMBIGUOUS',
          4,
          /2 certificates/,
        )
        const empty = join(token.directory, 'empty')
        await writeFile(empty, 'no certificate')
        assertFailure(await cert('import', empty), 'CERTIFICATE_INVALID', 4)
        assertFailure(await cert('import', '/nonexistent'), 'FILE_UNREADABLE', 4)
        assert.deepEqual(await list(), [])
      })

      it('says what Roles Anywhere would refuse', async () => {
        const expired = await lay('bad.pem', await authority.issue(publicKey, BAD_CERTIFICATES.expired))
        const { stderr } = succeed(await cert('import', expired))
        assert.match(stderr, /warning: Roles Anywhere would refuse it: .* expired at /)
      })
    })

    describe('holdfast cert list', () => {
      it('lists certificates, in a few lines each', async () => {
        assert.equal(succeed(await cert('list')).stdout, 'no certificate\n')
        await token.importCertificate(await authority.issue(publicKey), { id: '0a', label: 'line 4' })
        const { stdout } = succeed(await cert('list', '--label', 'line 4'))
        assert.match(
          stdout,
          /^certificate "line 4" \(id 0a\): CN=edge-1, OU=Devices, O=Example\n {2}p-256, serial number [0-9a-f]+, by CN=Throw-away Root, until .*Z\n {2}pkcs11:.*type=cert\n$/,
        )
      })
    })

    describe('holdfast cert show', () => {
      it('shows what OpenSSL shows, and that the key is there', async () => {
        const names = [
          { type: 'dns', value: 'edge-1.example' },
          { type: 'url', value: 'spiffe://example/edge-1' },
        ] as const
        const der = await authority.issue(publicKey, { subjectAltNames: [...names], serialNumber: '00ff' })
        await token.importCertificate(der, { id: '0a', label: 'line 4' })
        const file = await lay('edge.pem', der)
        const { stdout } = succeed(await cert('show', '--id', '0a', '--login'))
        assert.match(stdout, /^subject {10}CN=edge-1, OU=Devices, O=Example\nissuer {11}CN=Throw-away Root\n/)
        assert.match(stdout, /^serial number {4}255 \(hexadecimal ff\)$/m)
        assert.match(stdout, /^key usage {8}digitalSignature$/m)
        assert.match(stdout, /^other names {6}DNS:edge-1\.example, URI:spiffe:\/\/example\/edge-1$/m)
        assert.match(stdout, /^Roles Anywhere {3}would take it, /m)
        assert.match(stdout, /^key in token {5}yes, key "line 4" \(id 0a\)$/m)
        const fingerprint = await run('openssl', ['x509', '-in', file, '-noout', '-fingerprint', '-sha256'])
        const hex = fingerprint.split('=')[1]!.trim().replaceAll(':', '').toLowerCase()
        assert.match(stdout, new RegExp(`^SHA-256 {10}${hex}$`, 'm'))

        const open = JSON.parse(succeed(await cert('show', '--json')).stdout)
        assert.deepEqual([open.key.id, open.key.isPrivate, open.fingerprint], ['0a', false, hex])
      })

      it('shows a file without a token, and whether its key is in one', async () => {
        const own = await lay('own.pem', await authority.issue(publicKey))
        const alone = succeed(await runHoldfast(['cert', 'show', own]))
        assert.doesNotMatch(alone.stdout, /key in token/)
        assert.match(
          succeed(await cert('show', own)).stdout,
          /^key in token {5}its public key, key "line 4"/m,
        )
        const foreign = await lay('foreign.pem', authority.certificate)
        const { stdout } = succeed(await cert('show', foreign, '--login'))
        assert.match(stdout, /^key in token {5}no$/m)
        assert.match(stdout, /^Roles Anywhere {3}would refuse it: .*is a CA certificate/m)
      })

      it('wants one certificate, and one place to look for it', async () => {
        assertFailure(await cert('show'), 'CERTIFICATE_NOT_FOUND', 4)
        for (const serialNumber of ['11', '12']) {
          const der = await authority.issue(publicKey, { serialNumber })
          await token.importCertificate(der, { id: '0a', label: 'line 4' })
        }
        assertFailure(await cert('show', '--id', '0a'), 'CERTIFICATE_AMBIGUOUS', 4, /--serial/)
        assert.match(succeed(await cert('show', '--serial', '12')).stdout, /hexadecimal 12\)/)
        assertFailure(await cert('show', '--serial', '13'), 'CERTIFICATE_NOT_FOUND', 4)
        assertFailure(await cert('show', '--serial', 'x'), 'USAGE', 2, /hexadecimal/)
        const file = await lay('edge.pem', authority.certificate)
        assertFailure(await cert('show', file, '--id', '0a'), 'USAGE', 2)
      })
    })

    describe('holdfast cert delete', () => {
      beforeEach(async () => {
        for (const serialNumber of ['11', '12']) {
          const der = await authority.issue(publicKey, { serialNumber })
          await token.importCertificate(der, { id: '0a', label: 'line 4' })
        }
      })
      const serials = async () =>
        (await list())
          .map(
            ({ certificate }: { certificate: { serialNumber: { hex: string } } }) =>
              certificate.serialNumber.hex,
          )
          .sort()

      it('removes the one that is named', async () => {
        const { stdout } = succeed(await cert('delete', '--serial', '11', '--yes', 'line 4'))
        assert.match(stdout, /^removed certificate "line 4" \(id 0a\)\npkcs11:.*type=cert\n$/)
        assert.deepEqual(await serials(), ['12'])
        await token.showObject('privkey', '0a')
      })

      it('removes none that is not named, or not alone', async () => {
        assertFailure(await cert('delete', '--yes', 'line 4'), 'CERTIFICATE_AMBIGUOUS', 4)
        assertFailure(await cert('delete', '--serial', '11', '--yes', 'line'), 'USAGE', 2, /"line" is not it/)
        assertFailure(await cert('delete', '--serial', '11'), 'USAGE', 2, /--yes NAME/)
        assert.deepEqual(await serials(), ['11', '12'])
      })

      it('changes nothing after Ctrl-C at the question, and ends by the signal', async () => {
        const where = { ...options(), prompt: /to go on: $/, typed: ['\x03'] }
        const line = ['cert', 'delete', ...place(), '--serial', '12']
        const { status, screen, stderr } = await runHoldfastOnTerminal(line, where)
        assert.equal(status, 128 + 2)
        assert.match(stderr, /interrupted by SIGINT \(INTERRUPTED\)\n$/)
        assert.match(screen, /to go on: \^C\r\n$/)
        assert.deepEqual(await serials(), ['11', '12'])
      })

      it('asks a person', async () => {
        const { status, screen } = await runHoldfastOnTerminal(
          ['cert', 'delete', ...place(), '--serial', '12'],
          {
            ...options(),
            prompt: /to go on: $/,
            typed: ['0a\n'],
          },
        )
        assert.equal(status, 0)
        assert.match(screen, /^This will remove certificate "line 4" \(id 0a\) from token "edge"/)
        assert.deepEqual(await serials(), ['11'])
      })
    })
  })
}

describe('holdfast cert list on a token with a certificate that cannot be read', () => {
  it('lists it', async () => {
    const token = await createSoftHsmToken()
    try {
      const garbage = join(token.directory, 'garbage')
      await writeFile(garbage, (await createAuthority()).certificate)
      await token.pkcs11Tool('--write-object', garbage, '--type', 'cert', '--id', '07', '--label', 'bad')
      const { modulePath, env } = (await createFaultyModules(token))('C_GetAttributeValue=corrupt:7')
      const { stdout } = succeed(await runHoldfast(['cert', 'list', '--module', modulePath], { env }))
      assert.match(stdout, /^certificate "bad" \(id 07\): cannot be read\n {2}pkcs11:/)
    } finally {
      await token.dispose()
    }
  })
})

/** A machine whose module has an empty slot, and how often a TPM was asked. */
interface Machine {
  readonly modulePath: string
  readonly env: Readonly<Record<string, string>>
  readonly directory: string
  readonly countCommands: () => Promise<number>
  dispose(): Promise<void>
}

const MACHINES: Readonly<Record<string, () => Promise<Machine>>> = {
  SoftHSM: async () => ({ ...(await createEmptySoftHsm()), countCommands: async () => 0 }),
  'a TPM': async () => {
    const tpm = await createTpm()
    return { ...tpm, countCommands: async () => (await tpm.commands()).length }
  },
}

for (const [what, createMachine] of Object.entries(MACHINES)) {
  describe(`from no token to credentials on ${what}`, function () {
    this.timeout(180_000)

    it('takes a few commands, a CA, and no other tool', async () => {
      const at = await createMachine()
      const authority = await createAuthority()
      const emulator = await startEmulator({ tls: false })
      try {
        const home = join(at.directory, 'home')
        const inFolder = (name: string) => join(at.directory, name)
        const [pinFile, soPinFile] = [inFolder('user-pin'), inFolder('so-pin')]
        await mkdir(home, { recursive: true })
        await writeFile(pinFile, 'user-Zq7-pin\n', { mode: 0o600 })
        await writeFile(soPinFile, 'so-Zq7-pin\n', { mode: 0o600 })
        const holdfast = async (...words: string[]) =>
          succeed(await runHoldfast(words, { env: at.env, home })).stdout
        const place = ['--module', at.modulePath]
        const login = [...place, '--token', 'edge', '--pin-file', pinFile]
        const newPins = ['--so-pin-file', soPinFile, '--new-pin-file', pinFile]
        await holdfast('token', 'init', ...place, '--label', 'edge', ...newPins)
        const { key } = JSON.parse(await holdfast('key', 'generate', ...login, '--label', 'edge-1', '--json'))
        const [csr, pem] = [inFolder('edge.csr'), inFolder('edge.pem')]
        await holdfast('csr', ...login, '--subject', 'CN=edge-1,O=Example', '--out', csr)
        await signWithOpenSsl(authority, csr, pem)
        await holdfast('cert', 'import', pem, ...login)

        const roleArn = 'arn:aws:iam::111122223333:role/edge'
        const arns = quickStart(emulator, { caPem: authority.certificatePem, roleArn })
        const session = [
          ...['--pkcs11-uri', key.uri.replace(';type=private', ''), '--pkcs11-module', at.modulePath],
          ...['--trust-anchor-arn', arns.trustAnchorArn, '--profile-arn', arns.profileArn],
          ...['--role-arn', roleArn, '--endpoint', emulator.url, '--pin-file', pinFile],
        ]
        const before = await at.countCommands()
        const result = await runHoldfast(['credential-process', ...session], { env: at.env, home })
        assertCredentials(result, /^(holdfast: warning: nothing manages the TPM's sessions.*\n)?$/)
        assert.ok((await at.countCommands()) - before <= 31)
      } finally {
        await emulator.close()
        await at.dispose()
      }
    })
  })
}

async function signWithOpenSsl(authority: Authority, csr: string, out: string): Promise<void> {
  const [ca, key, extensions] = [`${out}.ca`, `${out}.key`, `${out}.ext`]
  await writeFile(ca, authority.certificatePem)
  await writeFile(key, authority.privateKeyPem)
  await writeFile(extensions, 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n')
  const sign = ['x509', '-req', '-in', csr, '-CA', ca, '-CAkey', key, '-days', '90', '-sha256']
  await run('openssl', [...sign, '-CAcreateserial', '-extfile', extensions, '-out', out])
}
