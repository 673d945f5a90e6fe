/**
 * Certificates, private keys and intermediates that cannot be used, in files and in a token, and a clock that is
 * wrong: refused before a PIN is tried or anything is sent. The built program and the emulator.
 */

import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { chmod, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ErrorCode } from '../../src/core/errors.js'
import {
  BAD_CERTIFICATES,
  type CertificateOptions,
  certificatePem,
  createFileKey,
  type FileKey,
} from '../support/certificates.js'
import { run } from '../support/command.js'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { handmadeCertificate } from '../support/handmade-certificate.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { type ProgramOptions, type ProgramResult, runHoldfast } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'
import { createSpy } from '../support/spy.js'

describe('holdfast credential-process', () => {
  let edge: Edge
  let key: FileKey
  /** Files of a good pair, which the cases take apart. */
  let good: { certificate: string; key: string }
  before(async () => {
    edge = await createEdge({ token: await createSoftHsmToken(), tls: false })
    key = await createFileKey('P-256')
    good = {
      certificate: await file('c.pem', certificatePem(await edge.authority.issue(key.publicKey))),
      key: '',
    }
    good.key = await file('k.pem', key.privateKeyPem)
  })
  after(() => edge.dispose())

  const path = (name: string) => join(edge.token.directory, name)
  const file = async (name: string, content: string | Uint8Array) => {
    await writeFile(path(name), content, { mode: 0o600 })
    return path(name)
  }

  /** The good pair in one file. */
  const pkcs12 = async (name: string) => {
    const pair = ['-inkey', good.key, '-in', good.certificate]
    await run('openssl', ['pkcs12', '-export', ...pair, '-out', path(name), '-passout', 'pass:canary'])
    return path(name)
  }

  /** Runs with a pair of files instead of the token. */
  const runWith = (changes: Record<string, string>, options: ProgramOptions = {}): Promise<ProgramResult> =>
    runHoldfast(
      credentialProcess(edge, {
        '--pkcs11-uri': undefined,
        '--pkcs11-module': undefined,
        '--certificate': good.certificate,
        '--private-key': good.key,
        ...changes,
      }),
      { timeoutMs: 30_000, ...options, env: { ...edge.env, ...options.env } },
    )

  it('prints credentials for a good pair of files', async () => {
    assertCredentials(await runWith({}))
    assert.equal(edge.emulator.journal.length, 1)
  })

  describe('with a certificate that Roles Anywhere would refuse', () => {
    const DAY = 86_400_000
    const certificates: [
      title: string,
      options: CertificateOptions,
      code: ErrorCode,
      status: number,
      says: RegExp,
    ][] = [
      [
        'that has expired',
        BAD_CERTIFICATES.expired,
        'CERTIFICATE_EXPIRED',
        4,
        /expired at \S+Z .* clock says \S+Z/,
      ],
      [
        'that is not yet valid',
        BAD_CERTIFICATES['not yet valid'],
        'CLOCK_WRONG',
        6,
        /clock says \S+Z.* valid only from \S+Z/,
      ],
      ['of a CA', BAD_CERTIFICATES['of a CA'], 'CERTIFICATE_UNSUITABLE', 4, /is a CA certificate/],
      [
        'without digitalSignature',
        BAD_CERTIFICATES['without digitalSignature'],
        'CERTIFICATE_UNSUITABLE',
        4,
        /digitalSignature/,
      ],
      [
        'without key usage',
        BAD_CERTIFICATES['without key usage'],
        'CERTIFICATE_UNSUITABLE',
        4,
        /digitalSignature/,
      ],
      ['signed with SHA-1', BAD_CERTIFICATES['signed with SHA-1'], 'CERTIFICATE_UNSUITABLE', 4, /SHA-1/],
      [
        'with an empty subject',
        BAD_CERTIFICATES['with an empty subject'],
        'CERTIFICATE_UNSUITABLE',
        4,
        /subject/,
      ],
    ]
    for (const [title, options, code, status, says] of certificates) {
      it(`refuses one ${title}`, async () => {
        const certificate = await edge.authority.issue(key.publicKey, options)
        assertFailure(
          await runWith({ '--certificate': await file('bad.pem', certificatePem(certificate)) }),
          code,
          status,
          says,
        )
      })
    }

    it('refuses one of version 1', async () => {
      const certificate = handmadeCertificate({
        version: undefined,
        extensions: undefined,
        publicKeyInfo: key.publicKey,
      })
      const result = await runWith({ '--certificate': await file('v1.der', certificate) })
      assertFailure(result, 'CERTIFICATE_UNSUITABLE', 4, /version 3/)
    })

    for (const [type, options] of [
      ['ed25519', {}],
      ['ec', { namedCurve: 'secp256k1' }],
    ] as const) {
      it(`refuses a key of type ${type} ${Object.values(options).join()}`, async () => {
        const pair = generateKeyPairSync(type as 'ec', options as { namedCurve: string })
        const certificate = await edge.authority.issue(pair.publicKey.export({ type: 'spki', format: 'der' }))
        const result = await runWith({
          '--certificate': await file('type.pem', certificatePem(certificate)),
          '--private-key': await file('type.key', pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
        })
        assertFailure(result, 'KEY_UNSUPPORTED', 4, /RSA, P-256, P-384 and P-521/)
      })
    }

    it('refuses an expired one in a token without a login', async () => {
      const publicKey = await edge.token.generateKey('P-256', { id: '02', label: 'late' })
      const certificate = await edge.authority.issue(publicKey, {
        notBefore: new Date(Date.now() - 3 * DAY),
        notAfter: new Date(Date.now() - 2 * DAY),
      })
      await edge.token.importCertificate(certificate, { id: '02', label: 'late' })
      const spy = createSpy(edge.token)
      const changes = {
        '--pkcs11-uri': edge.uri.replace('id=%01', 'id=%02'),
        '--pkcs11-module': spy.modulePath,
      }
      const result = await runHoldfast(credentialProcess(edge, changes), { env: { ...edge.env, ...spy.env } })
      assertFailure(result, 'CERTIFICATE_EXPIRED', 4)
      assert.equal((await spy.counts()).C_Login, undefined)
    })
  })

  describe('with a clock that is wrong', () => {
    it('blames the clock, not the certificate, before the build date', async () => {
      const node = await file(
        'node-in-2020',
        `#!/bin/sh\nexec faketime '2020-01-01 00:00:00' ${process.execPath} "$@"\n`,
      )
      await chmod(node, 0o700)
      const result = await runWith({}, { node })
      assertFailure(
        result,
        'CLOCK_WRONG',
        6,
        /clock says 2020-01-01T\S+Z, before this program was built \(\S+Z\)/,
      )
    })
  })

  describe('with a certificate file', () => {
    const files: [title: string, make: () => Promise<string>, code: ErrorCode, says: RegExp][] = [
      [
        'that does not exist',
        async () => path('none'),
        'FILE_UNREADABLE',
        /certificate file .*none .*ENOENT/,
      ],
      ['that is a folder', async () => edge.token.directory, 'FILE_UNREADABLE', /not a regular file/],
      ['that is a FIFO', () => fifo('fifo'), 'FILE_UNREADABLE', /not a regular file/],
      ['that is /dev/zero', async () => '/dev/zero', 'FILE_UNREADABLE', /not a regular file/],
      ['that is huge', () => huge('huge'), 'FILE_UNREADABLE', /larger than 1 MiB/],
      ['that is empty', () => file('empty', ''), 'CERTIFICATE_INVALID', /\/empty is empty/],
      ['that is PKCS#12', () => pkcs12('c.p12'), 'CERTIFICATE_INVALID', /openssl pkcs12 -nokeys/],
      ['of words', () => file('words', 'certificate'), 'CERTIFICATE_INVALID', /words holds something/],
      [
        'of random bytes',
        () => file('random', Buffer.alloc(999, 0x30)),
        'CERTIFICATE_INVALID',
        /random holds/,
      ],
      [
        'that is cut off',
        () => cut(),
        'CERTIFICATE_INVALID',
        /cut\.pem holds something.*: is the file cut off\?/,
      ],
      ['whose text is damaged', () => damaged(), 'CERTIFICATE_INVALID', /damaged\.pem holds something/],
      ['that holds the key', async () => good.key, 'CERTIFICATE_NOT_FOUND', /k\.pem holds no certificate/],
      [
        'of another key',
        () => otherCertificate(),
        'KEY_MISMATCH',
        /k\.pem does not belong to the certificate/,
      ],
    ]
    for (const [title, make, code, says] of files) {
      it(`names one ${title}`, async () => {
        assertFailure(await runWith({ '--certificate': await make() }), code, 4, says)
      })
    }

    it('takes DER, and PEM with other things around it and Windows line ends', async () => {
      const der = await edge.authority.issue(key.publicKey)
      assertCredentials(await runWith({ '--certificate': await file('c.der', der) }))
      const pem = `subject=edge\n${certificatePem(der)}\n`.replaceAll('\n', '\r\n')
      assertCredentials(await runWith({ '--certificate': await file('windows.pem', pem) }))
      const mixed = Buffer.concat([der, Buffer.from(certificatePem(der))])
      assertCredentials(await runWith({ '--certificate': await file('mixed.pem', mixed) }))
    })

    async function cut() {
      const pem = certificatePem(await edge.authority.issue(key.publicKey))
      return file('cut.pem', pem.slice(0, pem.length / 2))
    }
    async function damaged() {
      const pem = certificatePem(await edge.authority.issue(key.publicKey))
      return file('damaged.pem', pem.replace(/\n(.*)\n(.*)\n/, '\n$1\n'))
    }
    async function otherCertificate() {
      const { publicKey } = await createFileKey('P-256')
      return file('other.pem', certificatePem(await edge.authority.issue(publicKey)))
    }
  })

  describe('with a private key file', () => {
    const files: [title: string, make: () => Promise<string>, code: ErrorCode, says: RegExp][] = [
      [
        'that does not exist',
        async () => path('none'),
        'FILE_UNREADABLE',
        /private key file .*none .*ENOENT/,
      ],
      ['that is a folder', async () => edge.token.directory, 'FILE_UNREADABLE', /not a regular file/],
      ['that is a FIFO', () => fifo('fifo.key'), 'FILE_UNREADABLE', /not a regular file/],
      ['that is /dev/zero', async () => '/dev/zero', 'FILE_UNREADABLE', /not a regular file/],
      ['that is huge', () => huge('huge.key'), 'FILE_UNREADABLE', /larger than 1 MiB/],
      ['that is empty', () => file('empty.key', ''), 'KEY_INVALID', /empty\.key is empty/],
      ['of words', () => file('words.key', 'canary-words'), 'KEY_INVALID', /words\.key holds no private key/],
      [
        'that is cut off',
        () => file('cut.key', key.privateKeyPem.slice(0, 99)),
        'KEY_INVALID',
        /cut\.key holds a private key that cannot be read: it is damaged/,
      ],
      ['in DER', () => file('der.key', der()), 'KEY_INVALID', /openssl pkey -inform DER/],
      [
        'that holds the certificate in DER',
        async () => file('der.pem', await edge.authority.issue(key.publicKey)),
        'KEY_INVALID',
        /not the certificate/,
      ],
      ['that is PKCS#12', () => pkcs12('edge.p12'), 'KEY_INVALID', /openssl pkcs12 -nocerts/],
      [
        'that only a TPM can use',
        () => file('tss2.key', key.privateKeyPem.replaceAll('BEGIN ', 'BEGIN TSS2 ')),
        'KEY_UNSUPPORTED',
        /--module tpm2/,
      ],
      [
        'that is a TPM’s handle',
        async () => 'handle:0x81000001',
        'KEY_UNSUPPORTED',
        /^[^/]*handle:.*--module tpm2/,
      ],
      ['that holds the certificate', async () => good.certificate, 'KEY_INVALID', /not the certificate/],
      ['with a public key', () => file('public.key', publicPem()), 'KEY_INVALID', /holds no private key/],
      ['that is encrypted', () => file('pkcs8.key', encrypted('pkcs8')), 'KEY_UNSUPPORTED', /is encrypted/],
      [
        'that is encrypted the old way',
        () => file('sec1.key', encrypted('sec1')),
        'KEY_UNSUPPORTED',
        /is encrypted/,
      ],
      ['of another certificate', () => otherKey(), 'KEY_MISMATCH', /other\.key does not belong/],
    ]
    for (const [title, make, code, says] of files) {
      it(`names one ${title}`, async () => {
        assertFailure(await runWith({ '--private-key': await make() }), code, 4, says)
      })
    }

    it('warns of one that others can read', async () => {
      const open = await file('open.key', key.privateKeyPem)
      await chmod(open, 0o644)
      assertCredentials(
        await runWith({ '--private-key': open }),
        /^holdfast: warning: others .*chmod 600 .*open\.key\n$/,
      )
    })

    const privateKey = () => createPrivateKey(key.privateKeyPem)
    const der = () => privateKey().export({ type: 'pkcs8', format: 'der' })
    const publicPem = () => certificatePem(key.publicKey).replaceAll('CERTIFICATE', 'PUBLIC KEY')
    const encrypted = (type: 'pkcs8' | 'sec1') =>
      privateKey().export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase: 'canary' })
    const otherKey = async () => file('other.key', (await createFileKey('P-256')).privateKeyPem)
  })

  describe('with a file of intermediates', () => {
    const files: [title: string, make: () => Promise<string>, code: ErrorCode][] = [
      ['that does not exist', async () => path('none'), 'FILE_UNREADABLE'],
      ['that is a FIFO', () => fifo('fifo.ca'), 'FILE_UNREADABLE'],
      ['that is /dev/zero', async () => '/dev/zero', 'FILE_UNREADABLE'],
      ['of words', () => file('words.ca', 'certificate'), 'CERTIFICATE_INVALID'],
      ['that holds the key', async () => good.key, 'CERTIFICATE_NOT_FOUND'],
    ]
    for (const [title, make, code] of files) {
      it(`names one ${title}`, async () => {
        const intermediates = await make()
        const says = new RegExp(intermediates.replaceAll('.', '\\.'))
        assertFailure(await runWith({ '--intermediates': intermediates }), code, 4, says)
      })
    }
  })

  it('names a file that it may not read', async () => {
    // Root may read everything, but for this.
    const setpriv = `setpriv --bounding-set=-dac_override,-dac_read_search`
    const node = await file('node-without-rights', `#!/bin/sh\nexec ${setpriv} ${process.execPath} "$@"\n`)
    await chmod(node, 0o700)
    const options = process.geteuid?.() === 0 ? { node } : {}
    await chmod(await file('closed', key.privateKeyPem), 0)
    const modes = { '--certificate': 'certificate file', '--private-key': 'private key file' }
    for (const [flag, what] of Object.entries(modes)) {
      const result = await runWith({ [flag]: path('closed') }, options)
      assertFailure(result, 'FILE_UNREADABLE', 4, new RegExp(`${what} .*closed cannot be read \\(EACCES\\)`))
    }
  })

  it('has sent nothing for any of them', () => {
    assert.ok(edge.emulator.journal.every(({ status }) => status === 201))
  })

  async function fifo(name: string): Promise<string> {
    await run('mkfifo', [path(name)])
    return path(name)
  }

  async function huge(name: string): Promise<string> {
    await truncate(await file(name, ''), 5 * 1024 * 1024)
    return path(name)
  }
})
