/**
 * `holdfast ca` as a user runs it, with OpenSSL as judge of what it signs.
 */

import assert from 'node:assert/strict'
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { type CaHome, createCaHome } from '../support/ca.js'
import { run } from '../support/command.js'
import { assertFailure } from '../support/outcome.js'
import { runHoldfastOnTerminal } from '../support/program.js'

const SUBJECT = 'CN=Example Edge CA,O=Example'

const verifyWith = (ca: string, file: string, ...more: string[]) =>
  run('openssl', ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', ca, ...more, file])
const text = (file: string) => run('openssl', ['x509', '-in', file, '-noout', '-text'])
const modes = async (folder: string) =>
  Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).mode & 0o777))

describe('holdfast ca', function () {
  this.timeout(120_000)
  let at: CaHome
  beforeEach(async () => {
    at = await createCaHome()
  })
  afterEach(() => at.dispose())
  const init = (...args: string[]) => at.caJson('init', '--subject', SUBJECT, ...args)
  const verify = (file: string, ...more: string[]) => verifyWith(at.certificateFile, file, ...more)

  describe('init', () => {
    it('makes a CA that can sign certificates and lists, and no other CAs', async () => {
      const { status, stdout } = await at.ca(['init', '--subject', SUBJECT])
      assert.equal(status, 0)
      assert.match(stdout, /^ {2}aws rolesanywhere create-trust-anchor --name 'Example Edge CA' --enabled /m)
      const shown = await text(at.certificateFile)
      assert.match(shown, /Version: 3 /)
      assert.match(shown, /Subject: CN = Example Edge CA, O = Example\n/)
      assert.match(shown, /Basic Constraints: critical\s+CA:TRUE, pathlen:0\n/)
      assert.match(shown, /Key Usage: critical\s+Certificate Sign, CRL Sign\n/)
      assert.match(shown, /Subject Key Identifier/)
      assert.match(shown, /ecdsa-with-SHA256[\s\S]*NIST CURVE: P-256/)
      await run('openssl', ['verify', '-x509_strict', '-CAfile', at.certificateFile, at.certificateFile])
      assert.deepEqual(
        await modes(at.directory),
        (await readdir(at.directory)).map((name) => (name.endsWith('.pem') ? 0o600 : 0o700)),
      )
    })

    it('makes it for the days and of the type that are asked for', async () => {
      const { notAfter } = await init('--key-type', 'p-384', '--days', '20000')
      assert.equal(Math.round((Date.parse(notAfter!) - Date.now()) / 86_400_000), 20_000)
      assert.match(await text(at.certificateFile), /Not After : .* 20[89]\d GMT[\s\S]*NIST CURVE: P-384/)
      assertFailure(await at.ca(['init', '--subject', SUBJECT, '--days', '0']), 'USAGE', 2, /--days/)
      assertFailure(await at.ca(['init', '--subject', SUBJECT, '--key-type', 'dsa']), 'USAGE', 2)
      assertFailure(await at.ca(['init', '--subject', 'edge']), 'USAGE', 2, /CN=edge-1/)
      assertFailure(await at.ca(['init']), 'USAGE', 2, /subject/)
    })

    it('encrypts the key with the passphrase, which opens it for OpenSSL as well', async () => {
      const { keyFile } = await init()
      await run('openssl', ['pkey', '-in', keyFile!, '-passin', `file:${at.passphraseFile}`, '-noout'])
      assert.match(await readFile(keyFile!, 'utf8'), /^-----BEGIN ENCRYPTED PRIVATE KEY-----/)
    })

    it('does not touch a CA that is there', async () => {
      await init()
      const before = await readFile(at.certificateFile)
      assertFailure(await at.ca(['init', '--subject', SUBJECT]), 'CA_EXISTS', 4, /--ca/)
      assert.deepEqual(await readFile(at.certificateFile), before)
    })

    it('makes one CA if it runs several times at once, and leaves no key of another', async () => {
      const results = await Promise.all([1, 2, 3].map(() => at.ca(['init', '--subject', SUBJECT])))
      assert.deepEqual(results.map(({ status }) => status).sort(), [0, 4, 4])
      assert.equal((await readdir(at.directory)).filter((name) => name.startsWith('key-')).length, 1)
      const csr = await at.request('edge', '/CN=edge')
      await at.caJson('sign', csr)
    })

    it('wants a passphrase of eight bytes, and makes nothing without one', async () => {
      await writeFile(at.passphraseFile, 'short\n')
      assertFailure(
        await at.ca(['init', '--subject', SUBJECT]),
        'PIN_INVALID',
        3,
        /passphrase .*shorter than 8/,
      )
      await chmod(at.passphraseFile, 0o644)
      assertFailure(await at.ca(['init', '--subject', SUBJECT]), 'PIN_SOURCE_UNSAFE', 3, /passphrase file/)
      const nobody = await at.ca(['init', '--subject', SUBJECT, '--askpass', 'false'])
      assertFailure(nobody, 'PIN_NEEDED', 3, /CA's key needs its passphrase/)
      await assert.rejects(readdir(at.directory), { code: 'ENOENT' })
    })

    it('asks a person twice', async () => {
      const askpass = join(at.home, 'askpass')
      const answer = (script: string) => writeFile(askpass, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
      await answer('echo "$$ a new passphrase"')
      const args = ['init', '--subject', SUBJECT, '--askpass', askpass]
      assertFailure(await at.ca(args), 'PIN_INVALID', 3, /differ/)
      await answer(
        'case $1 in *"again: "|"New passphrase"*|"Passphrase of the CA key"*) echo "a new passphrase";; esac',
      )
      assert.equal((await at.ca(args)).status, 0)
      const csr = await at.request('edge', '/CN=edge')
      assert.equal((await at.ca(['sign', csr, '--askpass', askpass])).status, 0)
    })
  })

  describe('at a terminal', () => {
    const play = (args: readonly string[], typed: readonly string[]) =>
      runHoldfastOnTerminal(['ca', ...args], { home: at.home, prompt: /assphrase.*: $/, typed })

    it('asks for a new passphrase twice, then for that of the key, and shows none', async () => {
      const typed = ['a new passphrase\n', 'a new passphrase\n']
      const made = await play(['init', '--subject', SUBJECT], typed)
      assert.deepEqual([made.stderr, made.status], ['', 0])
      assert.match(
        made.screen,
        /^New passphrase for the key of the CA: \r?\nThe same passphrase again: \r?\n$/,
      )
      const list = await play(['crl'], ['a new passphrase\n'])
      assert.equal(list.status, 0)
      assert.match(list.screen, /^Passphrase of the CA key \/\S+\/key-[0-9a-f]{40}\.pem: \r?\n$/)
    })

    it('makes nothing after Ctrl-C', async () => {
      const { stderr, status } = await play(['init', '--subject', SUBJECT], ['a new passphrase\n', '\u0003'])
      assert.match(stderr, /interrupted.*\(INTERRUPTED\)\n$/)
      assert.notEqual(status, 0)
      await assert.rejects(readdir(at.directory), { code: 'ENOENT' })
    })
  })

  describe('sign', () => {
    let at: CaHome
    before(async () => {
      at = await createCaHome()
      await at.caJson('init', '--subject', SUBJECT)
    })
    after(() => at.dispose())
    const verify = (file: string, ca = at.certificateFile) => verifyWith(ca, file)
    const count = async () => (await readdir(join(at.directory, 'issued'))).length

    it('issues what OpenSSL and Roles Anywhere take', async () => {
      const names =
        'subjectAltName=DNS:edge-1.example,URI:spiffe://example/edge-1,IP:10.0.0.1,email:edge@example.com'
      const csr = await at.request('edge', '/C=DE/O=Example/OU=Plant 4/CN=edge-1', '-addext', names)
      const out = join(at.home, 'edge.pem')
      const { status, stdout, stderr } = await at.ca(['sign', csr, '--out', out])
      assert.equal(stderr, '')
      assert.equal(status, 0)
      assert.match(
        stdout,
        /edge\.pem: C=DE, O=Example, OU=Plant 4, CN=edge-1 \(DNS:edge-1\.example, [^)]*\), serial number [0-9a-f]{32}, valid until /,
      )
      await verify(out)
      const shown = await text(out)
      assert.match(shown, /Version: 3 /)
      assert.match(shown, /Subject: C = DE, O = Example, OU = Plant 4, CN = edge-1\n/)
      assert.match(shown, /Basic Constraints: critical\s+CA:FALSE\n/)
      assert.match(shown, /\sKey Usage: critical\s+Digital Signature\n/)
      assert.match(shown, /Extended Key Usage: \s+TLS Web Client Authentication\n/)
      assert.match(
        shown,
        /Alternative Name: \s+DNS:edge-1.example, URI:spiffe:\/\/example\/edge-1, IP Address:10.0.0.1, email:edge@example.com\n/,
      )
      assert.match(shown, /Authority Key Identifier/)
      const days = /Not Before: (.*) GMT\s+Not After : (.*) GMT/.exec(shown)!
      const [from, to] = [days[1]!, days[2]!].map((date) => Date.parse(`${date} GMT`))
      assert.equal(to! - from!, 90 * 86_400_000 + 5 * 60_000)
    })

    it('takes a request in DER, on stdin, and prints PEM', async () => {
      const csr = await at.request('edge', '/CN=edge', '-outform', 'DER')
      const { stdout, stderr, status } = await at.ca(['sign'], { input: await readFile(csr) })
      assert.deepEqual([stderr, status], ['', 0])
      assert.match(stdout, /^-----BEGIN CERTIFICATE-----\n[\s\S]*\n-----END CERTIFICATE-----\n$/)
    })

    for (const [type, ...options] of [
      ['RSA', '-newkey', 'rsa:2048'],
      ['P-384 with SHA-256', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha256'],
      ['P-521', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-521', '-sha512'],
    ] as const) {
      it(`certifies a key of type ${type}, with a CA of another type`, async () => {
        const keyType = type === 'RSA' ? 'p-384' : 'rsa-2048'
        const ca = ['--ca', join(at.home, type)]
        const { certificateFile } = await at.caJson(
          'init',
          '--subject',
          SUBJECT,
          '--key-type',
          keyType,
          ...ca,
        )
        const out = join(at.home, 'edge.pem')
        await at.caJson('sign', await at.request('edge', '/CN=edge', ...options), '--out', out, ...ca)
        await verify(out, certificateFile)
      })
    }

    it('certifies another name, for other days, than the request has', async () => {
      const csr = await at.request('edge', '/CN=wrong')
      const args = ['sign', csr, '--subject', 'CN=edge-1\\, left,OU=A,OU=B', '--days', '2']
      const { subject, notAfter } = await at.caJson(...args)
      assert.match(subject!, /^CN=edge-1\\?, left, OU=A, OU=B$/)
      assert.ok(Math.abs(Date.parse(notAfter!) - Date.now() - 2 * 86_400_000) < 60_000)
      assertFailure(await at.ca([...args.slice(0, 3), 'garbage']), 'USAGE', 2, /from "garbage" on/)
    })

    it('never outlives the CA', async () => {
      const ca = ['--ca', join(at.home, 'short')]
      const { notAfter } = await at.caJson('init', '--subject', SUBJECT, '--days', '10', ...ca)
      const csr = await at.request('edge', '/CN=edge')
      const { stdout, stderr } = await at.ca(['sign', csr, '--json', ...ca])
      assert.match(stderr, /^holdfast: warning: the certificate ends with the CA, at /)
      assert.equal(JSON.parse(stdout).notAfter, notAfter)
    })

    it('leaves out what it does not grant, and says so', async () => {
      const asked = [
        'keyUsage=digitalSignature,keyEncipherment',
        'extendedKeyUsage=serverAuth',
        '1.2.3.4=ASN1:NULL',
      ]
      const csr = await at.request('edge', '/CN=a,b', ...asked.flatMap((extension) => ['-addext', extension]))
      const out = join(at.home, 'edge.pem')
      const { stderr } = await at.ca(['sign', csr, '--out', out])
      assert.deepEqual(
        stderr
          .match(/(?<=warning: ).*/g)!
          .map((line) => /key usages|extended|1\.2\.3\.4|the CN/.exec(line)?.[0]),
        ['the CN', 'key usages', 'extended', '1.2.3.4'],
      )
      const shown = await text(out)
      assert.doesNotMatch(shown, /Encipherment|Server Auth|1\.2\.3\.4/)
    })

    const REFUSED: readonly (readonly [string, readonly string[], RegExp, string?])[] = [
      ['an empty subject', ['/'], /subject that is empty/],
      ['the name of the CA', ['/CN=EXAMPLE Edge CA/O=Example'], /CA's own name/],
      ['a CA', ['/CN=a', '-addext', 'basicConstraints=critical,CA:TRUE'], /to be a CA/],
      ['keyCertSign', ['/CN=a', '-addext', 'keyUsage=keyCertSign'], /to be a CA/],
      [
        'an alternative name of another kind',
        ['/CN=a', '-addext', 'subjectAltName=RID:1.2.3'],
        /of a kind that is not granted/,
      ],
      ['an impossible DNS name', ['/CN=a', '-addext', 'subjectAltName=DNS:a b'], /characters or a length/],
      ['a key of another type', ['/CN=a', '-newkey', 'ed25519'], /ed25519/, 'KEY_UNSUPPORTED'],
      ['a short RSA key', ['/CN=a', '-newkey', 'rsa:1024'], /rsa 1024/, 'KEY_UNSUPPORTED'],
      [
        'an elliptic curve without a name at AWS',
        ['/CN=a', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'],
        /secp256k1/,
        'KEY_UNSUPPORTED',
      ],
    ]
    for (const [what, [subject, ...options], says, code = 'CSR_INVALID'] of REFUSED) {
      it(`refuses a request for ${what}`, async () => {
        const before = await count()
        const csr = await at.request('edge', subject!, ...options)
        assertFailure(await at.ca(['sign', csr]), code as 'CSR_INVALID', 4, says)
        assert.equal(await count(), before)
      })
    }

    it('refuses what is no request, or is signed by another key', async () => {
      const csr = await at.request('edge', '/CN=edge', '-outform', 'DER')
      const der = await readFile(csr)
      const sign = (input: Uint8Array | string) => at.ca(['sign'], { input })
      assert.equal((await sign(der)).status, 0)
      assertFailure(await sign(''), 'CSR_INVALID', 4)
      assertFailure(await sign('hello'), 'CSR_INVALID', 4)
      assertFailure(await sign(await readFile(at.certificateFile)), 'CSR_INVALID', 4, /0 PEM blocks/)
      assertFailure(await sign(Buffer.concat([der, der])), 'CSR_INVALID', 4)
      const forged = Buffer.from(der)
      forged[der.indexOf('edge')] = 'E'.charCodeAt(0)
      assertFailure(await sign(forged), 'CSR_INVALID', 4, /not by its own key/)
      assertFailure(await sign(Buffer.alloc(100_000)), 'FILE_UNREADABLE', 4, /65536/)
      assertFailure(await at.ca(['sign', join(at.home, 'none')]), 'FILE_UNREADABLE', 4, /ENOENT/)
      assertFailure(await at.ca(['sign', at.home]), 'FILE_UNREADABLE', 4, /regular file/)
    })

    it('gives each of many at once a serial number of its own, and has them all in its record', async () => {
      const csr = await at.request('edge', '/CN=edge')
      const issued = await Promise.all(Array.from({ length: 8 }, () => at.caJson('sign', csr)))
      const numbers = issued.map(({ serialNumber }) => serialNumber!)
      assert.equal(new Set(numbers).size, 8)
      const { certificates } = await at.caJson('list')
      const listed = certificates as unknown as { serialNumber: string }[]
      const known = listed.map(({ serialNumber }) => serialNumber)
      assert.deepEqual(
        numbers.filter((number) => !known.includes(number)),
        [],
      )
    })

    it('keeps the certificate that it could not hand out', async () => {
      const before = await count()
      const csr = await at.request('edge', '/CN=edge')
      const out = join(at.home, 'none/edge.pem')
      assertFailure(
        await at.ca(['sign', csr, '--out', out]),
        'OUTPUT_FAILED',
        7,
        /ENOENT.*issued\/[0-9a-f]{32}\.pem/,
      )
      assert.equal(await count(), before + 1)
    })

    it('replaces the file of --out as a whole, for everybody to read', async () => {
      const out = join(at.home, 'edge.pem')
      await writeFile(out, 'x'.repeat(10_000), { mode: 0o600 })
      await at.caJson('sign', await at.request('edge', '/CN=edge'), '--out', out)
      assert.match(
        await readFile(out, 'utf8'),
        /^-----BEGIN CERTIFICATE-----[^-]{500,1000}-----END CERTIFICATE-----\n$/,
      )
      assert.equal((await stat(out)).mode & 0o777, 0o644)
    })

    it('writes neither over a link nor over a device', async () => {
      const [link, fifo] = [join(at.home, 'link'), join(at.home, 'fifo')]
      await symlink('target', link)
      await run('mkfifo', [fifo])
      const csr = await at.request('edge', '/CN=edge')
      for (const out of [link, fifo, at.home]) {
        assertFailure(await at.ca(['sign', csr, '--out', out]), 'OUTPUT_FAILED', 7, /not a regular file/)
      }
      assert.ok((await lstat(link)).isSymbolicLink() && (await lstat(fifo)).isFIFO())
    })

    it('says that a passphrase is another one', async () => {
      const csr = await at.request('edge', '/CN=edge')
      const other = join(at.home, 'other passphrase')
      await writeFile(other, 'another passphrase\n', { mode: 0o600 })
      const result = await at.ca(['sign', csr, '--passphrase-file', other])
      assertFailure(result, 'PASSPHRASE_INCORRECT', 3, /passphrase from file .*does not open/)
      assert.doesNotMatch(result.stderr, /another passphrase/)
    })
  })

  describe('revoke and crl', () => {
    it('put a certificate on a list that OpenSSL goes by', async () => {
      await init()
      const [good, bad] = [join(at.home, 'good.pem'), join(at.home, 'bad.pem')]
      const csr = await at.request('edge', '/CN=edge')
      await at.caJson('sign', csr, '--out', good)
      const { serialNumber } = await at.caJson('sign', csr, '--out', bad)
      const crl = join(at.home, 'crl.pem')
      const check = ['-crl_check', '-CRLfile', crl]

      await at.caJson('crl', '--out', crl)
      await verify(bad, ...check)
      await at.caJson('revoke', bad, '--reason', 'keyCompromise')
      const { number, revoked } = await at.caJson('crl', '--out', crl, '--days', '3')
      assert.deepEqual([number, revoked], [2, 1])
      await verify(good, ...check)
      await assert.rejects(verify(bad, ...check), /certificate revoked/)

      const shown = await run('openssl', ['crl', '-in', crl, '-noout', '-text'])
      assert.match(shown, /Version 2 [\s\S]*ecdsa-with-SHA256[\s\S]*CRL Number: \s+2\n/)
      assert.match(shown, new RegExp(`Serial Number: ${serialNumber}\n[\\s\\S]*Key Compromise`, 'i'))
      const [, from, to] = /Last Update: (.*)\n\s+Next Update: (.*)\n/.exec(shown)!
      assert.equal(Date.parse(to!) - Date.parse(from!), 3 * 86_400_000)
      await run('openssl', ['crl', '-in', crl, '-noout', '-verify', '-CAfile', at.certificateFile])
    })

    it('take a serial number in any form, and a second time', async () => {
      await init()
      const { serialNumber } = await at.caJson('sign', await at.request('edge', '/CN=edge'))
      const form = `0x${serialNumber!.toUpperCase().replaceAll(/..(?!$)/g, '$&:')}`
      const first = await at.caJson('revoke', form, '--reason', 'superseded')
      assert.deepEqual([first.isNew, first.reason, first.subject], [true, 'superseded', 'CN=edge'])
      const second = await at.caJson('revoke', serialNumber!, '--reason', 'keyCompromise')
      assert.deepEqual(
        [second.isNew, second.reason, second.revokedAt],
        [false, 'superseded', first.revokedAt],
      )
      assert.match((await at.ca(['list'])).stdout, /revoked .* CN=edge\n$/)
    })

    it('know only certificates of this CA', async () => {
      await init()
      assertFailure(await at.ca(['revoke', at.certificateFile]), 'CERTIFICATE_NOT_FOUND', 4)
      assertFailure(await at.ca(['revoke', '0'.repeat(32)]), 'CERTIFICATE_NOT_FOUND', 4, /holdfast ca list/)
      for (const odd of ['1234', '0'.repeat(40), 'edge.pme']) {
        assertFailure(
          await at.ca(['revoke', odd]),
          'CERTIFICATE_NOT_FOUND',
          4,
          /neither a file .* 32 hexadec/,
        )
      }
      assertFailure(await at.ca(['revoke', at.home]), 'FILE_UNREADABLE', 4)
      const { serialNumber } = await at.caJson('sign', await at.request('edge', '/CN=edge'))
      const other = join(at.home, 'other.pem')
      const forged = ['-x509', '-set_serial', `0x${serialNumber}`, '-subj', '/CN=edge', '-out', other]
      const key = [
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-keyout',
        `${other}.key`,
      ]
      await run('openssl', ['req', ...forged, ...key])
      assertFailure(await at.ca(['revoke', other]), 'CERTIFICATE_NOT_FOUND', 4, /another one/)
      assertFailure(await at.ca(['revoke', serialNumber!, '--reason', 'none']), 'USAGE', 2, /superseded/)
    })

    it('number lists one by one, also if two are made at once', async () => {
      await init()
      const lists = await Promise.all([1, 2, 3].map(() => at.caJson('crl')))
      assert.deepEqual(lists.map(({ number }) => Number(number)).sort(), [1, 2, 3])
    })

    it('print the commands that hand the list over', async () => {
      await init()
      const { stdout } = await at.ca(['crl'])
      assert.match(stdout, /ca\/crl\/1\.pem: list 1 with 0 revoked, until \S+, \d+ of 300000 bytes\n/)
      assert.match(stdout, /^ {2}aws rolesanywhere import-crl .*--crl-data fileb:\/\/\/\S+crl\/1\.pem/m)
      assert.match(stdout, /^ {2}aws rolesanywhere update-crl --crl-id CRL_ID --crl-data fileb:/m)
    })
  })

  describe('a folder that is not as it should be', () => {
    const commands = async () => {
      const csr = join(at.home, 'edge.csr')
      return [['sign', csr], ['list'], ['revoke', '0'.repeat(32)], ['crl']]
    }
    it('has no CA', async () => {
      await at.request('edge', '/CN=edge')
      for (const args of await commands()) {
        assertFailure(await at.ca(args), 'CA_NOT_FOUND', 4, /holdfast ca init/)
      }
      await at.caJson('init', '--subject', SUBJECT, '--ca', join(at.home, 'other'))
      assert.equal((await at.ca(['list', '--ca', join(at.home, 'other')])).status, 0)
      assert.equal((await at.ca(['list'], { env: { XDG_DATA_HOME: at.home } })).status, 4)
    })

    it('can be written by others', async () => {
      await init()
      await at.request('edge', '/CN=edge')
      await chmod(join(at.directory, 'revoked'), 0o777)
      for (const args of await commands()) assertFailure(await at.ca(args), 'CA_UNSAFE', 4, /chmod/)
      await chmod(join(at.directory, 'revoked'), 0o700)
      await chmod(at.home, 0o777)
      assertFailure(await at.ca(['list']), 'CA_UNSAFE', 4, /chmod o-w/)
    })

    it('has a key that others can read, no key, or another one', async () => {
      const { keyFile } = await init()
      const csr = await at.request('edge', '/CN=edge')
      await chmod(keyFile!, 0o644)
      assertFailure(await at.ca(['sign', csr]), 'CA_UNSAFE', 4, /chmod 600/)
      await rename(keyFile!, `${keyFile}.away`)
      assertFailure(await at.ca(['sign', csr]), 'CA_DAMAGED', 4, /is gone/)
      await symlink(`${keyFile}.away`, keyFile!)
      assertFailure(await at.ca(['crl']), 'CA_UNSAFE', 4, /link/)
      await rm(keyFile!)
      const other = await at.caJson('init', '--subject', SUBJECT, '--ca', join(at.home, 'other'))
      await rename(other.keyFile!, keyFile!)
      assertFailure(await at.ca(['sign', csr]), 'CA_DAMAGED', 4, /not the key/)
    })

    it('has a damaged record', async () => {
      await init()
      const { serialNumber, record } = await at.caJson('sign', await at.request('edge', '/CN=edge'))
      await at.caJson('revoke', serialNumber!)
      const revoked = join(at.directory, 'revoked', `${serialNumber}.json`)
      const good = await readFile(revoked, 'utf8')
      for (const bad of [
        '',
        '{',
        good.slice(0, -20),
        good.replace(/"4|"5|"6|"7/, '"1'),
        good.replace('unspecified', 'none'),
      ]) {
        await writeFile(revoked, bad)
        assertFailure(await at.ca(['crl']), 'CA_DAMAGED', 4, /revoked\/[0-9a-f]{32}\.json is damaged/)
      }
      await rename(revoked, `${revoked}.bak`)
      assertFailure(await at.ca(['crl']), 'CA_DAMAGED', 4, /json\.bak is no record/)
      await rename(`${revoked}.bak`, revoked)
      await writeFile(revoked, good)
      await at.caJson('crl')
      await writeFile(join(at.directory, 'crl/1.pem'), 'nothing')
      assertFailure(await at.ca(['crl']), 'CA_DAMAGED', 4, /crl\/1\.pem is damaged/)
      await writeFile(record!, await readFile(at.certificateFile))
      assertFailure(await at.ca(['list']), 'CA_DAMAGED', 4, /issued\/[0-9a-f]{32}\.pem is damaged/)
      await rm(join(at.directory, 'issued'), { recursive: true })
      assertFailure(await at.ca(['list']), 'CA_DAMAGED', 4, /issued is gone/)
      await writeFile(at.certificateFile, 'nothing')
      assertFailure(await at.ca(['list']), 'CA_DAMAGED', 4, /ca\.pem/)
    })

    it('is a place where nothing can be made', async () => {
      assertFailure(
        await at.ca(['init', '--subject', SUBJECT, '--ca', '/proc/a/b']),
        'OUTPUT_FAILED',
        7,
        /ENOENT/,
      )
      await writeFile(join(at.home, 'file'), '')
      const inFile = join(at.home, 'file/ca')
      assertFailure(
        await at.ca(['init', '--subject', SUBJECT, '--ca', inFile]),
        'FILE_UNREADABLE',
        4,
        /ENOTDIR/,
      )
    })

    it('has what a crash has left, which does no harm', async () => {
      await init()
      await mkdir(join(at.directory, 'issued/.new-1'))
      await writeFile(join(at.directory, 'revoked/.new-2'), '{"serial')
      await writeFile(join(at.directory, 'crl/.new-3'), '-----BEG')
      await at.caJson('sign', await at.request('edge', '/CN=edge'))
      await at.caJson('list')
      await at.caJson('crl')
    })
  })
})
