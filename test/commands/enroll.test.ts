/**
 * `holdfast enroll` as a user runs it: the built program, real tokens, certificates issued by OpenSSL and by a strict EST
 * server, and the emulator as judge.
 */

import 'reflect-metadata'
import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { BAD_CERTIFICATES, certificatePem, createAuthority } from '../support/certificates.js'
import { type EstServerOptions, startEstServer } from '../support/est-server.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { type ProgramResult, runHoldfastOnTerminal } from '../support/program.js'
import { createSite, OTHER_IDENTITY, type Site } from '../support/site.js'
import { createTpmToken, TPM_WARNING } from '../support/swtpm.js'
import type { TestToken } from '../support/token.js'

async function withSite(use: (site: Site) => Promise<void>, token?: TestToken): Promise<void> {
  const site = await createSite(token)
  try {
    await use(site)
  } finally {
    await site.dispose()
  }
}

function assertDone(result: ProgramResult, says: RegExp): void {
  assert.equal(result.status, 0, result.stderr)
  assert.match(result.stdout, says)
}

/** The error, after lines about what was done. */
function assertError(result: ProgramResult, code: string, status: number, says = /./): void {
  const last = result.stderr.trimEnd().split('\n').at(-1)!
  assert.match(last, new RegExp(`^holdfast: .* \\(${code}\\)$`))
  assert.match(last, says)
  assert.equal(result.status, status)
  assert.equal(result.stdout, '')
}

/** The identity works. */
async function assertUsable(site: Site, warnings?: RegExp): Promise<void> {
  assertCredentials(await site.run(['credential-process', 'edge', '--config', site.config]), warnings)
}

const renew = (site: Site, ...more: string[]) => [
  'enroll',
  'edge',
  '--config',
  site.config,
  '--renew',
  ...more,
]

/** What is kept between the steps. */
async function records(site: Site): Promise<string[]> {
  return (await readdir(join(site.folder, '.local/state/holdfast/enroll'))).sort()
}

describe('holdfast enroll', function () {
  this.timeout(120_000)

  it('makes a key, has a command issue its certificate, and leaves an identity that works', () =>
    withSite(async (site) => {
      const names = ['--subject', 'CN=edge-1,O=Example', '--san', 'dns:edge-1.example']
      const result = await site.run(site.enroll(...names, ...(await site.issuedBy())))
      assertDone(
        result,
        /^edge is enrolled:\n {2}key {10}pkcs11:token=edge;id=%01\n.*\n.*\nNext.*: holdfast configure edge --config /,
      )
      const [label] = await site.keys()
      assert.match(label!, /^edge-[\da-f]{6}$/)
      assert.deepEqual(await site.certificates(), [label])
      assert.match(
        await site.token.showObject('privkey', '01'),
        /sensitive, always sensitive, never extractable/,
      )
      const certificate = await site.readCertificate('01')
      assert.equal(certificate.subject, 'CN=edge-1, O=Example')
      await assertUsable(site)
      assert.deepEqual(await records(site), [])
    }))

  it('tells a script what it has done, and changes nothing else in the configuration file', () =>
    withSite(async (site) => {
      const { stdout } = await site.run(site.enroll('--json', ...(await site.issuedBy())))
      const { certificate, ...facts } = JSON.parse(stdout)
      assert.deepEqual(facts, {
        name: 'edge',
        renewed: false,
        key: 'pkcs11:token=edge;id=%01',
        config: site.config,
        next: `holdfast configure edge --config ${site.config}`,
      })
      assert.match(certificate.serial, /^[\da-f]{38,40}$/)
      const text = await site.readConfig()
      assert.ok(
        text.startsWith(`${OTHER_IDENTITY}\n[identity.edge]\npkcs11-uri = "pkcs11:token=edge;id=%01"\n`),
      )
      assert.doesNotMatch(text, /12345678/)
    }))

  it('writes the certificate with its chain into a file where it is told to', () =>
    withSite(async (site) => {
      const intermediate = await site.authority.intermediate('Issuing')
      const [flag, command] = await site.issuedBy(intermediate)
      const chain = join(site.folder, 'chain.pem')
      await writeFile(chain, certificatePem(intermediate.certificate, site.authority.certificate))
      const script = join(site.folder, 'issue.sh')
      await writeFile(script, `${command}\ncat ${chain}\n`)
      const out = join(site.folder, 'edge.pem')
      const result = await site.run(
        site.enroll(flag!, `sh ${script}`, '--certificate-out', out, '--key-type', 'p-384'),
      )
      assertDone(result, new RegExp(`in ${out}\n`))
      assert.equal((await readFile(out, 'utf8')).match(/BEGIN/g)?.length, 2)
      assert.match(await site.readConfig(), new RegExp(`\ncertificate = "${out}"\n`))
      assert.deepEqual(await site.certificates(), [])
      await assertUsable(site)
    }))

  it('waits for a certificate at a path, run after run, and clears the request away', () =>
    withSite(async (site) => {
      const path = join(site.folder, 'edge.pem')
      const args = site.enroll('--certificate-from', path)
      assertError(
        await site.run(args),
        'ISSUER_PENDING',
        6,
        /edge\.pem\.csr signed.*run the same command again/,
      )
      const text = await readFile(`${path}.csr`, 'utf8')
      await writeFile(path, certificatePem(site.authority.certificate))
      assertError(await site.run(args), 'ISSUER_PENDING', 6, /is for another key/)
      assert.equal(await readFile(`${path}.csr`, 'utf8'), text)

      const csr = new x509.Pkcs10CertificateRequest(text)
      assert.ok(await csr.verify())
      const publicKey = new Uint8Array(csr.publicKey.rawData)
      await writeFile(path, certificatePem(await site.authority.issue(publicKey, { subject: csr.subject })))
      assertDone(await site.run(args), /edge is enrolled/)
      assert.equal((await site.keys()).length, 1)
      await assert.rejects(readFile(`${path}.csr`), { code: 'ENOENT' })
      await assertUsable(site)
    }))

  it('leaves no request behind when it is given up over a file that is no certificate', () =>
    withSite(async (site) => {
      const path = join(site.folder, 'edge.pem')
      await writeFile(path, '')
      assertError(await site.run(site.enroll('--certificate-from', path)), 'CERTIFICATE_INVALID', 4)
      assert.match(await readFile(`${path}.csr`, 'utf8'), /REQUEST/)
      assertDone(await site.run(site.enroll('--abandon')), /edge\.pem\.csr\n/)
      await assert.rejects(readFile(`${path}.csr`), { code: 'ENOENT' })
    }))

  it('waits as long as it is told to, and takes the certificate when all of it is there', () =>
    withSite(async (site) => {
      const path = join(site.folder, 'edge.pem')
      const half = certificatePem(site.authority.certificate).slice(0, 300)
      await writeFile(path, half)
      const running = site.run(site.enroll('--certificate-from', path, '--wait', '60'), {
        started: (program) =>
          program.stderr!.on('data', async (text: string) => {
            if (!text.includes('waiting: ')) return
            const csr = new x509.Pkcs10CertificateRequest(await readFile(`${path}.csr`, 'utf8'))
            const publicKey = new Uint8Array(csr.publicKey.rawData)
            await writeFile(path, certificatePem(await site.authority.issue(publicKey)))
          }),
      })
      assertDone(await running, /edge is enrolled/)
    }))

  describe('with an EST server', () => {
    async function withEst(
      options: Partial<EstServerOptions>,
      use: (site: Site, flags: string[], server: Awaited<ReturnType<typeof startEstServer>>) => Promise<void>,
    ): Promise<void> {
      await withSite(async (site) => {
        const intermediate = await site.authority.intermediate('Issuing')
        const server = await startEstServer({
          authority: intermediate,
          login: 'edge:canary-password',
          caCertificates: [intermediate.certificate, site.authority.certificate],
          ...options,
        })
        const [ca, password] = [join(site.folder, 'est-ca.pem'), join(site.folder, 'est-password')]
        await writeFile(ca, certificatePem(intermediate.certificate, site.authority.certificate))
        await writeFile(password, 'canary-password\n', { mode: 0o600 })
        const flags = [
          '--est-url',
          server.url,
          '--est-ca',
          ca,
          '--est-user',
          'edge',
          '--est-password-file',
          password,
        ]
        try {
          await use(site, flags, server)
        } finally {
          await server.close()
        }
      })
    }

    it('enrols and renews with a password, and fetches the chain', () =>
      withEst({}, async (site, flags, server) => {
        assertDone(await site.run(site.enroll('--san', 'dns:edge.example', ...flags)), /edge is enrolled/)
        await assertUsable(site)
        assertDone(await site.run(renew(site, ...flags)), /edge is renewed/)
        await assertUsable(site)
        const path = '/.well-known/est'
        assert.deepEqual(server.asked, [
          `POST ${path}/simpleenroll`,
          `GET ${path}/cacerts`,
          `POST ${path}/simplereenroll`,
          `GET ${path}/cacerts`,
        ])
        assert.doesNotMatch(await site.readConfig(), /canary/)
      }))

    it('asks again when a person must approve first, and for the same request', () =>
      withEst({}, async (site, flags, server) => {
        server.instead.push((_, response) => response.writeHead(202, { 'Retry-After': '3600' }).end())
        assertError(
          await site.run(site.enroll(...flags)),
          'ISSUER_PENDING',
          6,
          /approve.*run the same command again/,
        )
        assertDone(await site.run(site.enroll(...flags)), /edge is enrolled/)
        assert.equal((await site.keys()).length, 1)
      }))

    it('says what the server says, and that the same command goes on', () =>
      withEst({}, async (site, flags, server) => {
        server.instead.push((_, response) => response.writeHead(403).end('not in the inventory'))
        const result = await site.run(site.enroll(...flags))
        assertError(result, 'ISSUER_REFUSED', 5, /not in the inventory/)
        assert.match(
          result.stderr,
          /warning: the enrolment of edge has begun, with pkcs11:.*run the same command again/,
        )
        assert.doesNotMatch(result.stderr, /canary/)
        assertDone(await site.run(site.enroll(...flags)), /edge is enrolled/)
      }))

    it('leaves no PIN and no password anywhere, also where it is debugged and comes to no end', () =>
      withEst({}, async (site, flags, server) => {
        server.instead.push((_, response) => response.writeHead(202).end())
        const pending = await site.run(site.enroll('--debug', ...flags))
        const finished = await site.run(site.enroll('--debug', ...flags))
        assertDone(finished, /edge is enrolled/)
        await site.run(renew(site, ...flags.with(flags.indexOf('edge'), 'canary-user')))
        const files = await readdir(site.folder, { recursive: true, withFileTypes: true })
        const paths = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name))
        const written = paths.filter((path) => !path.endsWith('est-password'))
        assert.ok(written.some((path) => path.endsWith('edge.json')))
        const texts = await Promise.all(written.map((path) => readFile(path, 'utf8')))
        for (const text of [
          ...texts,
          ...[pending, finished].flatMap(({ stdout, stderr }) => [stdout, stderr]),
        ]) {
          assert.ok(!text.includes('canary') && !text.includes(site.token.pin))
        }
      }))

    it('does without a chain that it cannot fetch', () =>
      withEst({}, async (site, flags, server) => {
        server.instead.push(undefined, (_, response) => response.writeHead(404).end())
        const result = await site.run(site.enroll(...flags))
        assert.match(result.stderr, /warning: the certificates of the CA are not known/)
        assertError(result, 'REFUSED_UNTRUSTED_CERTIFICATE', 5)
      }))

    it('refuses a password that others can read', () =>
      withEst({}, async (site, flags, server) => {
        const file = join(site.folder, 'open')
        await writeFile(file, 'canary-password\n', { mode: 0o644 })
        const args = site.enroll(...flags.slice(0, -1), file)
        assertError(await site.run(args), 'PIN_SOURCE_UNSAFE', 3, /password file/)
        assert.deepEqual([server.asked, await site.keys()], [[], []])
      }))
  })

  it('works on a TPM, and renews there', async () => {
    const token = await createTpmToken()
    await withSite(async (site) => {
      assertDone(await site.run(site.enroll(...(await site.issuedBy()))), /edge is enrolled/)
      await assertUsable(site, TPM_WARNING)
      const renewed = await site.run(renew(site, ...(await site.issuedBy())))
      assertDone(renewed, /edge is renewed/)
      // Each use of the token has a child that warns.
      assert.equal(renewed.stderr.match(/warning: /g)?.length, 1, renewed.stderr)
      assert.equal((await site.keys()).length, 2)
      assertDone(
        await site.run(['enroll', 'edge', '--config', site.config, '--remove-old']),
        /^removed pkcs11:/,
      )
      assert.equal((await site.keys()).length, 1)
      await assertUsable(site, TPM_WARNING)
    }, token)
  })

  it('asks for a PIN once, and keeps none', () =>
    withSite(async (site) => {
      const args = site.enroll(...(await site.issuedBy()))
      const pinFile = args.indexOf('--pin-file')
      args.splice(pinFile, 2)
      const typed = [`${site.token.pin}\n`]
      const result = await runHoldfastOnTerminal(args, {
        ...site.options,
        prompt: /PIN of token.*: $/,
        typed,
      })
      assertDone(result, /edge is enrolled/)
      assert.equal(result.screen.match(/PIN of token/g)?.length, 1)
      assert.ok(!(result.stderr + result.stdout + (await site.readConfig())).includes(site.token.pin))
    }))

  it('does not enrol an identity twice, unless it is told to', () =>
    withSite(async (site) => {
      const args = site.enroll(...(await site.issuedBy()))
      await site.run(args)
      assertFailure(await site.run(args), 'USAGE', 2, /has a key already.*--renew.*--replace/)
      assertDone(await site.run([...args, '--replace']), /id=%02/)
      await assertUsable(site)
    }))

  it('shows what is wrong with the identity before it makes a key', () =>
    withSite(async (site) => {
      const args = site.enroll(...(await site.issuedBy()))
      const role = args.indexOf('--role-arn')
      assertFailure(await site.run(args.toSpliced(role, 2)), 'USAGE', 2, /--role-arn is missing/)
      assertFailure(
        await site.run(args.with(role + 1, 'arn:aws:iam::444455556666:role/edge')),
        'ARN_INVALID',
        2,
      )
      assert.deepEqual(await site.keys(), [])
    }))

  it('leaves a certificate that does not suit where it is, and removes its key when it is given up', () =>
    withSite(async (site) => {
      const stranger = await createAuthority('Stranger')
      const args = site.enroll(...(await site.issuedBy(stranger)))
      assertError(await site.run(args), 'REFUSED_UNTRUSTED_CERTIFICATE', 5)
      assert.equal(await site.readConfig(), OTHER_IDENTITY)
      assert.equal((await site.keys()).length, 1)
      assert.deepEqual(await site.certificates(), [])
      assert.deepEqual(await records(site), ['edge.json', 'edge.pem'])
      assertDone(
        await site.run([...args.slice(0, -2), '--abandon']),
        /^removed pkcs11:.*\nremoved .*edge\.pem\n$/,
      )
      assert.deepEqual([await site.keys(), await records(site)], [[], []])
      assertFailure(await site.run([...args.slice(0, -2), '--abandon']), 'USAGE', 2, /nothing to give up/)
    }))

  it('needs no flags to be given up', () =>
    withSite(async (site) => {
      await site.run(site.enroll('--certificate-from', join(site.folder, 'edge.pem')))
      assert.equal((await site.keys()).length, 1)
      assertDone(await site.run(['enroll', 'edge', '--config', site.config, '--abandon']), /^removed pkcs11:/)
      assert.deepEqual([await site.keys(), await records(site)], [[], []])
    }))

  it('does not go on with other wishes than it began with', () =>
    withSite(async (site) => {
      const path = ['--certificate-from', join(site.folder, 'edge.pem')]
      await site.run(site.enroll(...path))
      const result = await site.run(site.enroll('--subject', 'CN=other', ...path))
      assert.match(
        result.stderr,
        /has begun with other flags, for .*subject CN=edge; this is for .*subject CN=other.*--abandon/,
      )
      assert.equal(result.status, 2)
    }))

  it('tries again what was accepted for other settings of the session', () =>
    withSite(async (site) => {
      const issued = await site.issuedBy()
      // Nothing can be added to an inline table, so the last step fails.
      await writeFile(site.config, 'identity.edge = { region = "us-east-1" }\n', { mode: 0o600 })
      const args = site.enroll(...issued)
      const first = await site.run(args)
      assertError(first, 'CONFIG_INVALID', 2)
      assert.match(first.stderr, /accepts it/)
      const role = args.indexOf('--role-arn') + 1
      await writeFile(site.config, OTHER_IDENTITY, { mode: 0o600 })
      const other = await site.run(args.with(role, 'arn:aws:iam::111122223333:role/other'))
      assert.notEqual(other.status, 0)
      assert.equal(await site.readConfig(), OTHER_IDENTITY)
      assertDone(await site.run(args), /edge is enrolled/)
      await assertUsable(site)
    }))

  it('refuses a certificate of another key, and one that Roles Anywhere cannot take', () =>
    withSite(async (site) => {
      const file = join(site.folder, 'ca.pem')
      await writeFile(file, site.authority.certificatePem)
      assertError(
        await site.run(site.enroll('--issue-command', `cat ${file}`)),
        'KEY_MISMATCH',
        4,
        /none of what was issued/,
      )
      assertError(await site.run(site.enroll('--issue-command', 'true')), 'CERTIFICATE_INVALID', 4)
      assertError(
        await site.run(site.enroll('--issue-command', 'false')),
        'ISSUER_FAILED',
        6,
        /exit status 1/,
      )
      assert.equal(await site.readConfig(), OTHER_IDENTITY)
    }))

  describe('refuses', () => {
    let site: Site
    before(async () => {
      site = await createSite()
    })
    after(async () => {
      assert.deepEqual(await site.keys(), [])
      await site.dispose()
    })
    for (const [what, flags, says] of [
      ['no source of the certificate', [], /say where the certificate comes from/],
      ['two sources', ['--issue-command', 'a', '--est-url', 'https://a'], /--issue-command and --est-url/],
      ['a command that wants a shell', ['--issue-command', 'a | b'], /no shell/],
      ['an EST server without TLS', ['--est-url', 'http://a'], /https/],
      ['a user without a password', ['--est-url', 'https://a', '--est-user', 'a'], /--est-password-file/],
      [
        'a client key without a certificate',
        ['--est-url', 'https://a', '--est-client-key', 'a'],
        /--est-client-cert/,
      ],
      ['a CA without a server', ['--issue-command', 'a', '--est-ca', 'a'], /--est-ca is for --est-url/],
      ['a subject that is none', ['--issue-command', 'a', '--subject', 'edge'], /cannot be read/],
      ['alternative names that are none', ['--issue-command', 'a', '--san', 'edge'], /--san/],
      ['a time for an enrolment', ['--issue-command', 'a', '--if-expires-within', '30d'], /is for --renew/],
      ['half a second', ['--issue-command', 'a', '--wait', '0.5'], /--wait/],
      ['a token for a renewal', ['--issue-command', 'a', '--renew'], /--token is not for --renew/],
      ['a PIN in the URI', ['--issue-command', 'a', '--token', 'pkcs11:token=edge?pin-value=1'], /pin-value/],
      [
        'a file that is there',
        ['--issue-command', 'a', '--certificate-out', '/etc/passwd'],
        /is there already/,
      ],
    ] as const) {
      it(what, async () => {
        const args = site.enroll()
        if (flags.some((flag) => flag === '--token')) args.splice(args.indexOf('--token'), 2)
        assertFailure(await site.run([...args, ...flags]), 'USAGE', 2, says)
      })
    }
  })
})

describe('holdfast enroll --renew', function () {
  this.timeout(120_000)

  async function withEnrolled(
    use: (site: Site) => Promise<void>,
    days = 365,
    ...more: string[]
  ): Promise<void> {
    await withSite(async (site) => {
      assertDone(
        await site.run(site.enroll(...more, ...(await site.issuedBy(undefined, days)))),
        /is enrolled/,
      )
      await use(site)
    })
  }

  it('switches to a new key and certificate of the same names, and keeps the old pair until it is told', () =>
    withEnrolled(
      async (site) => {
        const before = await site.readConfig()
        const result = await site.run(renew(site, '--json', ...(await site.issuedBy())))
        const { key, replaced, removeOld } = JSON.parse(result.stdout)
        assert.deepEqual([key, replaced], ['pkcs11:token=edge;id=%02', 'pkcs11:token=edge;id=%01'])
        assert.equal(await site.readConfig(), before.replace('id=%01', 'id=%02'))
        const [was, is] = [await site.readCertificate('01'), await site.readCertificate('02')]
        const nameOf = (of: x509.X509Certificate) => [
          of.subject,
          of.getExtension('2.5.29.17')?.toString('hex'),
        ]
        assert.deepEqual(nameOf(is), nameOf(was))
        assert.notEqual(is.publicKey.toString(), was.publicKey.toString())
        assert.equal((await site.keys()).length, 2)
        await assertUsable(site)

        assertDone(await site.run(removeOld.split(' ').slice(1)), /^removed pkcs11:token=edge;id=%01\n$/)
        assert.deepEqual([(await site.keys()).length, (await site.certificates()).length], [1, 1])
        assert.deepEqual(await records(site), [])
        await assertUsable(site)
      },
      20,
      ...['--subject', 'CN=edge-1,OU=Plant 4', '--san', 'dns:edge-1.example,uri:spiffe://example/edge-1'],
    ))

  it('does nothing while there is time, and says so', () =>
    withEnrolled(async (site) => {
      const args = renew(site, '--if-expires-within', '10d', ...(await site.issuedBy()))
      const idle = await site.run(args)
      assertDone(
        idle,
        /^the certificate with serial [\da-f]+ of edge is valid for another 19 days: nothing to do\n$/,
      )
      assert.equal(idle.stderr, '')
      assert.equal(JSON.parse((await site.run([...args, '--json'])).stdout).renewed, false)
      assert.equal((await site.keys()).length, 1)
      assertDone(await site.run(args.with(args.indexOf('10d'), '20d')), /is renewed/)
    }, 20))

  it('warns of the end also where it is not asked to renew yet', () =>
    withEnrolled(async (site) => {
      // Issued for 60 days, 55 of which have passed.
      const publicKey = new Uint8Array((await site.readCertificate('01')).publicKey.rawData)
      const day = 24 * 60 * 60 * 1000
      const [notBefore, notAfter] = [-55, 5].map((days) => new Date(Date.now() + days * day - 60_000))
      await site.token.pkcs11Tool('--delete-object', '--type', 'cert', '--id', '01')
      await site.token.importCertificate(
        await site.authority.issue(publicKey, { notBefore: notBefore!, notAfter: notAfter! }),
      )
      const module = ['--token', site.token.label, '--pkcs11-module', site.token.modulePath]
      const file = join(site.folder, 'ending.pem')
      const shown = await site.run(['cert', 'show', ...module, '--json'])
      await writeFile(file, JSON.parse(shown.stdout).pem)
      const idle = await site.run(renew(site, '--if-expires-within', '1d', '--issue-command', 'true'))
      assertDone(idle, /nothing to do/)
      for (const { stderr } of [
        idle,
        shown,
        await site.run(['cert', 'list', ...module]),
        await site.run(['cert', 'show', file]),
      ]) {
        assert.match(
          stderr,
          /^holdfast: warning: the certificate with serial [\da-f]+ expires in 4 days.*\n$/,
        )
      }
    }))

  it('leaves everything in use as it is when the new certificate is refused', () =>
    withEnrolled(async (site) => {
      const before = await site.readConfig()
      const stranger = await createAuthority('Stranger')
      const result = await site.run(renew(site, ...(await site.issuedBy(stranger))))
      assertError(result, 'REFUSED_UNTRUSTED_CERTIFICATE', 5)
      assert.match(
        result.stderr,
        /warning: the renewal of edge has begun.*nothing that is in use has changed/,
      )
      assert.equal(await site.readConfig(), before)
      await assertUsable(site)
      assertDone(await site.run(['enroll', 'edge', '--config', site.config, '--abandon']), /^removed pkcs11:/)
      assert.deepEqual([(await site.keys()).length, (await site.certificates()).length], [1, 1])
      await assertUsable(site)
    }))

  it('renews a certificate that has expired', () =>
    withEnrolled(async (site) => {
      const publicKey = new Uint8Array((await site.readCertificate('01')).publicKey.rawData)
      await site.token.pkcs11Tool('--delete-object', '--type', 'cert', '--id', '01')
      await site.token.importCertificate(await site.authority.issue(publicKey, BAD_CERTIFICATES.expired))
      assertFailure(
        await site.run(['credential-process', 'edge', '--config', site.config]),
        'CERTIFICATE_EXPIRED',
        4,
      )
      assertDone(
        await site.run(renew(site, '--if-expires-within', '1d', ...(await site.issuedBy()))),
        /is renewed/,
      )
      await assertUsable(site)
    }))

  it('keeps the key where it is told to', () =>
    withEnrolled(async (site) => {
      const [[label], before] = [await site.keys(), await site.readConfig()]
      assertDone(
        await site.run(renew(site, '--same-key', ...(await site.issuedBy()))),
        /is renewed:\n.*id=%01/,
      )
      assert.deepEqual([await site.keys(), await site.certificates()], [[label], [label]])
      assert.equal(await site.readConfig(), before)
      await assertUsable(site)
    }))

  /** The key is kept, and the end came while the new certificate took the place of the former one. */
  async function endInExchange(site: Site): Promise<{ args: string[]; former: string }> {
    const before = await site.readConfig()
    const former = await site.readCertificate('01')
    const args = renew(site, '--same-key', '--session-duration', '900', ...(await site.issuedBy()))
    // A setting cannot be added to an inline table, so the last step fails.
    const table = before
      .slice(before.indexOf('[identity.edge]\n') + 16)
      .trim()
      .split('\n')
    await writeFile(site.config, `identity.edge = { ${table.join(', ')} }\n`, { mode: 0o600 })
    assertError(await site.run(args), 'CONFIG_INVALID', 2)
    await writeFile(site.config, before, { mode: 0o600 })
    const [label] = await site.keys()
    await site.token.importCertificate(new Uint8Array(former.rawData), { id: '01', label: label! })
    assert.equal((await site.certificates()).length, 2)
    return { args, former: former.serialNumber }
  }

  it('goes on where a key that is kept was left with two certificates', () =>
    withEnrolled(async (site) => {
      const { args, former } = await endInExchange(site)
      const usual = await site.run(['credential-process', 'edge', '--config', site.config])
      assertFailure(usual, 'CERTIFICATE_AMBIGUOUS', 4, /remove those .* --serial.*\(serial /)
      assert.ok(usual.stderr.includes(former))
      assertDone(await site.run(args), /is renewed/)
      assert.equal((await site.certificates()).length, 1)
      assert.notEqual((await site.readCertificate('01')).serialNumber, former)
      await assertUsable(site)
    }))

  it('given up, takes back the certificate of a key that is kept', () =>
    withEnrolled(async (site) => {
      const { former } = await endInExchange(site)
      assertDone(
        await site.run(['enroll', 'edge', '--config', site.config, '--abandon']),
        /^removed pkcs11:.*type=cert/,
      )
      assert.deepEqual([(await site.keys()).length, (await site.certificates()).length], [1, 1])
      assert.equal((await site.readCertificate('01')).serialNumber, former)
      await assertUsable(site)
    }))

  it('puts into the configuration what the session was tried with', () =>
    withEnrolled(async (site) => {
      const pinFile = join(site.folder, 'pin')
      await writeFile(pinFile, `${site.token.pin}\n`, { mode: 0o600 })
      const intermediates = join(site.folder, 'intermediates.pem')
      await writeFile(intermediates, certificatePem((await createAuthority('Other')).certificate))
      const flags = ['--pin-file', pinFile, '--intermediates', intermediates, '--session-duration', '900']
      assertDone(await site.run(renew(site, ...flags, ...(await site.issuedBy()))), /is renewed/)
      const config = await site.readConfig()
      for (const line of [
        `pin-file = "${pinFile}"`,
        `intermediates = "${intermediates}"`,
        'session-duration = 900',
      ]) {
        assert.ok(config.includes(`\n${line}\n`), config)
      }
      await assertUsable(site)
    }))

  it('puts the certificate into another file beside the first one', () =>
    withSite(async (site) => {
      const out = join(site.folder, 'edge.pem')
      await site.run(site.enroll('--certificate-out', out, ...(await site.issuedBy())))
      const overIt = await site.run(renew(site, '--certificate-out', out, ...(await site.issuedBy())))
      assertError(overIt, 'USAGE', 2, /is there already/)
      await assertUsable(site)
      for (const flags of [[], ['--same-key']]) {
        const { stdout } = await site.run(
          renew(site, '--json', '--remove-old', ...flags, ...(await site.issuedBy())),
        )
        const { certificateFile } = JSON.parse(stdout)
        assert.match(certificateFile, /\/edge-[\da-f]{6}\.pem$/)
        await assertUsable(site)
      }
      assertDone(
        await site.run(['enroll', 'edge', '--config', site.config, '--remove-old']),
        /^removed .*\.pem\n$/,
      )
      assert.equal((await readdir(site.folder)).filter((file) => /^edge.*\.pem$/.test(file)).length, 1)
      assert.equal((await site.keys()).length, 1)
      await assertUsable(site)
    }))

  it('does not remove a pair that another identity uses', () =>
    withEnrolled(async (site) => {
      const text = await site.readConfig()
      await writeFile(site.config, `${text}\n[identity.twin]\npkcs11-uri = "pkcs11:token=edge;id=%01"\n`)
      await site.run(renew(site, ...(await site.issuedBy())))
      const result = await site.run(['enroll', 'edge', '--config', site.config, '--remove-old'])
      assertError(result, 'USAGE', 2, /id=%01 is not removed: the configuration of twin still names it/)
      assert.equal((await site.keys()).length, 2)
      const renewed = await site.run(renew(site, '--remove-old', ...(await site.issuedBy())))
      assertDone(renewed, /is renewed/)
      assert.match(renewed.stderr, /warning: what had been replaced is not removed: .*id=%01/)
      assert.equal((await site.keys()).length, 3)
    }))

  for (const [what, text, code, says] of [
    ['an identity that is not there', '', 'CONFIG_NOT_FOUND', /enroll it first/],
    [
      'a key in a file',
      '[identity.edge]\nprivate-key = "/a.key"\ncertificate = "/a.pem"\n',
      'USAGE',
      /not in a token/,
    ],
    [
      'a PIN in the URI',
      '[identity.edge]\npkcs11-uri = "pkcs11:token=edge?pin-value=canary"\n',
      'USAGE',
      /pin-value/,
    ],
  ] as const) {
    it(`refuses ${what}`, () =>
      withSite(async (site) => {
        await writeFile(site.config, text, { mode: 0o600 })
        const result = await site.run(renew(site, '--issue-command', 'true'))
        assertFailure(result, code, 2, says)
        assert.doesNotMatch(result.stderr, /canary/)
      }))
  }
})
