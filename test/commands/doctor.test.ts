/**
 * Set-ups that are broken on purpose, each in one thing: what `holdfast doctor` says of configuration, certificate, network,
 * service and AWS files. The built program with a key in a file, and the emulator; tokens are in doctor-token.test.ts.
 */

import 'reflect-metadata'
import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KeyUsageFlags } from '@peculiar/x509'
import type { ErrorCode } from '../../src/core/errors.js'
import { importCrl } from '../../src/emulator/control-plane/crls.js'
import { defaultTrustPolicy, putRole } from '../../src/emulator/roles.js'
import { startEmulator } from '../../src/emulator/server.js'
import {
  BAD_CERTIFICATES,
  type CertificateOptions,
  certificatePem,
  certify,
  createAuthority,
  createFileKey,
  type FileKey,
} from '../support/certificates.js'
import {
  assertFails,
  assertWarns,
  assertWell,
  type Diagnosis,
  diagnose,
  run,
  statusOf,
} from '../support/diagnosis.js'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { type Peer, startBytesPeer, startHttpPeer, startProxyPeer } from '../support/peers.js'
import { type ProgramOptions, runHoldfast } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'

const DAY = 86_400_000

describe('holdfast doctor', () => {
  let edge: Edge
  let key: FileKey
  let files: Record<string, string | undefined>
  const peers: Peer[] = []
  before(async () => {
    edge = await createEdge({ token: await createSoftHsmToken() })
    key = await createFileKey('P-256')
    files = {
      '--pkcs11-uri': undefined,
      '--pkcs11-module': undefined,
      '--certificate': await file('c.pem', certificatePem(await edge.authority.issue(key.publicKey))),
      '--private-key': await file('k.pem', key.privateKeyPem),
    }
  })
  after(async () => {
    for (const peer of peers) await peer.close()
    await edge.dispose()
  })

  const file = async (name: string, content: string | Uint8Array, mode = 0o600) => {
    const path = join(edge.token.directory, name)
    await writeFile(path, content)
    await chmod(path, mode)
    return path
  }
  const look = (
    changes: Record<string, string | undefined> = {},
    options: ProgramOptions & { more?: readonly string[] } = {},
  ) => diagnose(edge, { ...files, ...changes }, options)
  const flag = (name: string) => edge.args[edge.args.indexOf(name) + 1]!

  it('finds nothing wrong where nothing is', async () => {
    const diagnosis = await look()
    assertWell(diagnosis)
    const names = diagnosis.findings.map(({ check }) => check)
    assert.deepEqual(names.slice(0, 4), ['config', 'arns', 'endpoint', 'request'])
    assert.ok(names.includes('session'))
    assert.equal(edge.emulator.journal.at(-1)?.status, 201)
  })

  it('prints one line for each check, with its fix', async () => {
    const args = ['doctor', '--private-key', 'k.pem', '--trust-anchor-arn', flag('--trust-anchor-arn')]
    const { stdout, stderr, status } = await runHoldfast(args)
    assert.equal(status, 2)
    assert.match(
      stdout,
      /^ok {4}config {13}everything is in the flags\nfail {2}arns {15}profile-arn is missing: .* \(USAGE\)\nskip {2}endpoint {11}left out, because of arns\n/,
    )
    assert.match(stderr, /^holdfast: the check "arns" failed, and 1 more: see the report \(USAGE\)\n$/)
  })

  it('asks for no session with --no-session', async () => {
    const before = edge.emulator.journal.length
    const diagnosis = await look({}, { more: ['--no-session'] })
    assert.equal(diagnosis.status, 0)
    assert.equal(statusOf(diagnosis, 'session'), 'skip')
    assert.ok(edge.emulator.journal.slice(before).every(({ method }) => method !== 'POST'))
  })

  describe('on the configuration', () => {
    const config = (text: string, mode = 0o600) => file('config.toml', text, mode)
    const lookAt = async (path: string) =>
      run(['doctor', '--json', 'edge', '--config', path], { env: edge.env })
    const cases: [title: string, make: () => Promise<string>, code: ErrorCode, says: RegExp][] = [
      [
        'no configuration file',
        async () => '/nonexistent.toml',
        'CONFIG_NOT_FOUND',
        /nonexistent\.toml.*fix: write \[identity/,
      ],
      [
        'an identity that is not in it',
        () => config('[identity.other]\n'),
        'CONFIG_NOT_FOUND',
        /no identity "edge": there is other/,
      ],
      [
        'one that everybody can write',
        () => config('[identity.edge]\n', 0o666),
        'CONFIG_UNSAFE',
        /chmod go-w .*config\.toml/,
      ],
      [
        'an unknown key',
        () => config('[identity.edge]\npin_file = "x"\n'),
        'CONFIG_INVALID',
        /:2:1: unknown key "pin_file" \(did you mean "pin-file"/,
      ],
      ['one that is no TOML', () => config('[identity.edge\n'), 'CONFIG_INVALID', /config\.toml:2:1: /],
    ]
    for (const [title, make, code, says] of cases) {
      it(`names ${title}`, async () => {
        const diagnosis = await lookAt(await make())
        assertFails(diagnosis, 'config', code, says)
        assert.equal(statusOf(diagnosis, 'session'), 'skip')
        assert.equal(statusOf(diagnosis, 'aws-files'), 'ok')
      })
    }
  })

  describe('on what is asked for', () => {
    const cases: [
      title: string,
      changes: () => Record<string, string>,
      check: string,
      code: ErrorCode,
      says: RegExp,
    ][] = [
      [
        'a trust anchor in another region',
        () => changed('--trust-anchor-arn', 'us-east-1', 'eu-west-1'),
        'arns',
        'ARN_INVALID',
        /trust anchor is in region eu-west-1 and the profile in region us-east-1/,
      ],
      [
        'a role in another account',
        () => changed('--role-arn', '111122223333', '999999999999'),
        'arns',
        'ARN_INVALID',
        /the role in account 999999999999/,
      ],
      [
        'a role in another partition',
        () => changed('--role-arn', 'arn:aws:', 'arn:aws-cn:'),
        'arns',
        'ARN_INVALID',
        /the role in partition aws-cn/,
      ],
      [
        'ARNs that are mixed up',
        () => ({ '--profile-arn': flag('--role-arn') }),
        'arns',
        'ARN_INVALID',
        /belongs in --role-arn/,
      ],
      [
        'an endpoint in clear over the network',
        () => ({ '--endpoint': 'http://192.0.2.1' }),
        'endpoint',
        'USAGE',
        /must begin with https/,
      ],
      [
        'a session name that cannot be',
        () => ({ '--role-session-name': 'a b' }),
        'request',
        'USAGE',
        /role session name/,
      ],
    ]
    const changed = (name: string, from: string, to: string) => ({ [name]: flag(name).replace(from, to) })
    for (const [title, changes, check, code, says] of cases) {
      it(`names ${title}`, async () => {
        assertFails(await look(changes(), { more: ['--no-session'] }), check, code, says)
      })
    }

    it('says what has named an endpoint', async () => {
      const url = flag('--endpoint')
      const diagnosis = await look({ '--endpoint': undefined }, { env: { AWS_ENDPOINT_URL: url } })
      const { message } = diagnosis.findings.find(({ check }) => check === 'endpoint')!
      assert.ok(message.startsWith(`${url}, named by AWS_ENDPOINT_URL, signing for `), message)
    })

    it('warns of a session that is short', async () => {
      const diagnosis = await look({ '--session-duration': '900' })
      assertWarns(diagnosis, 'request', /900 seconds is so short .*fix: .*session-duration.* 3600/)
    })
  })

  describe('on the certificate', () => {
    const issue = async (options: CertificateOptions) => ({
      '--certificate': await file(
        'bad.pem',
        certificatePem(await edge.authority.issue(key.publicKey, options)),
      ),
    })
    const cases: [
      title: string,
      options: CertificateOptions,
      check: string,
      code: ErrorCode,
      says: RegExp,
    ][] = [
      [
        'one that has expired',
        BAD_CERTIFICATES.expired,
        'expiry',
        'CERTIFICATE_EXPIRED',
        /expired at .*fix: holdfast enroll NAME --renew/,
      ],
      [
        'one that is not yet valid',
        BAD_CERTIFICATES['not yet valid'],
        'expiry',
        'CLOCK_WRONG',
        /valid only from .*fix: timedatectl/,
      ],
      [
        "a CA's",
        BAD_CERTIFICATES['of a CA'],
        'certificate-rules',
        'CERTIFICATE_UNSUITABLE',
        /is a CA certificate/,
      ],
      [
        'one without digitalSignature',
        BAD_CERTIFICATES['without digitalSignature'],
        'certificate-rules',
        'CERTIFICATE_UNSUITABLE',
        /keyUsage=digitalSignature/,
      ],
      [
        'one that is signed with SHA-1',
        BAD_CERTIFICATES['signed with SHA-1'],
        'certificate-rules',
        'CERTIFICATE_UNSUITABLE',
        /issued again with SHA-256/,
      ],
      [
        'one with an empty subject',
        BAD_CERTIFICATES['with an empty subject'],
        'certificate-rules',
        'CERTIFICATE_UNSUITABLE',
        /with a subject/,
      ],
    ]
    for (const [title, options, check, code, says] of cases) {
      it(`names ${title}, and asks for no session`, async () => {
        const diagnosis = await look(await issue(options))
        assertFails(diagnosis, check, code, says)
        assert.equal(statusOf(diagnosis, 'session'), 'skip')
      })
    }

    it('names a file that is not there', async () => {
      assertFails(
        await look({ '--certificate': '/nonexistent.pem' }),
        'certificate',
        'FILE_UNREADABLE',
        /nonexistent\.pem cannot be read \(ENOENT\)/,
      )
    })

    it("names another key's", async () => {
      const other = await createFileKey('P-256')
      const pem = certificatePem(await edge.authority.issue(other.publicKey))
      const diagnosis = await look({ '--certificate': await file('other.pem', pem) })
      assertFails(diagnosis, 'key', 'KEY_MISMATCH', /k\.pem does not belong to the certificate/)
    })

    it('warns of one that ends soon', async () => {
      const diagnosis = await look(
        await issue({
          notBefore: new Date(Date.now() - 200 * DAY),
          notAfter: new Date(Date.now() + 5.5 * DAY),
        }),
      )
      assertWarns(diagnosis, 'expiry', /expires in 5 days.*fix: holdfast enroll NAME --renew/)
    })

    it('says which CA the anchor must have, where an intermediate is missing', async () => {
      const below = await edge.authority.intermediate('Plant CA')
      const pem = certificatePem(await below.issue(key.publicKey))
      const missing = await look({ '--certificate': await file('plant.pem', pem) })
      assertFails(
        missing,
        'session',
        'REFUSED_UNTRUSTED_CERTIFICATE',
        /fix: let the trust anchor have the certificate of "CN=Plant CA", or name .*--intermediates/,
      )

      const chain = await file('chain.pem', certificatePem(below.certificate))
      const whole = await look({ '--certificate': await file('plant.pem', pem), '--intermediates': chain })
      assertWell(whole)
      const found = whole.findings.find(({ check }) => check === 'chain')
      assert.match(found!.message, /1 intermediate certificate; .*"CN=Throw-away Root"/)
    })

    /** Flags of a certificate below an intermediate that is different. */
    const below = async (options: CertificateOptions) => {
      const plant = await edge.authority.intermediate('Plant CA')
      const different = await certify(edge.authority, plant, options)
      return {
        '--certificate': await file('plant.pem', certificatePem(await plant.issue(key.publicKey))),
        '--intermediates': await file('chain.pem', certificatePem(different)),
      }
    }

    const intermediates: [title: string, options: CertificateOptions, code: ErrorCode, says: RegExp][] = [
      [
        'has expired',
        BAD_CERTIFICATES.expired,
        'CERTIFICATE_EXPIRED',
        /intermediate "CN=Plant CA" .* expired at .*fix: put the certificate that this CA has now in its place/,
      ],
      ['is none of a CA', { ca: false }, 'CERTIFICATE_UNSUITABLE', /"CN=Plant CA" .*lacks basicConstraints/],
      [
        'may sign no certificates',
        { keyUsage: KeyUsageFlags.digitalSignature },
        'CERTIFICATE_UNSUITABLE',
        /lacks the key usage keyCertSign/,
      ],
    ]
    for (const [title, options, code, says] of intermediates) {
      it(`names an intermediate that ${title}`, async () => {
        const diagnosis = await look(await below(options))
        assertFails(diagnosis, 'chain', code, says)
        assert.equal(statusOf(diagnosis, 'session'), 'skip')
      })
    }

    it('warns of an intermediate that ends soon, once', async () => {
      const diagnosis = await look(
        await below({
          notBefore: new Date(Date.now() - 200 * DAY),
          notAfter: new Date(Date.now() + 3.5 * DAY),
        }),
      )
      assertWarns(diagnosis, 'chain', /intermediate "CN=Plant CA", .*expires in 3 days/)
      assert.equal(diagnosis.stderr, '')
    })

    it('warns of intermediates that do not lead anywhere from the certificate', async () => {
      const other = await createAuthority('Elsewhere')
      const chain = await file('elsewhere.pem', certificatePem(other.certificate))
      assertWarns(
        await look({ '--intermediates': chain }),
        'chain',
        /no certificate in .*elsewhere\.pem is of use.*"CN=Throw-away Root".*they are of "CN=Elsewhere"/,
      )
    })
  })

  describe('on files', () => {
    it('warns of a private key that others can read', async () => {
      const open = await file('open.pem', key.privateKeyPem, 0o644)
      assertWarns(
        await look({ '--private-key': open }),
        'files',
        /others can read the private key .*fix: chmod 600 .*open\.pem/,
      )
    })

    it('warns of a certificate that others can change', async () => {
      const open = await file(
        'writable.pem',
        certificatePem(await edge.authority.issue(key.publicKey)),
        0o666,
      )
      assertWarns(
        await look({ '--certificate': open }),
        'files',
        /others can change the certificate .*fix: chmod go-w .*writable\.pem/,
      )
    })
  })

  describe('on the network', () => {
    const FAR = 'https://rolesanywhere.test'
    const open = async (peer: Promise<Peer>) => {
      peers.push(await peer)
      return (await peer).port
    }

    it('names a host that the DNS does not know', async () => {
      // No label has more than 63 characters (RFC 1035, section 2.3.4), so nobody is asked.
      const diagnosis = await look({ '--endpoint': `https://${'a'.repeat(64)}.test` })
      assertFails(diagnosis, 'dns', 'NETWORK_FAILED', /check the region or --endpoint|DNS/)
      assert.equal(statusOf(diagnosis, 'tcp'), 'skip')
    })

    it('names a port on which nobody listens', async () => {
      const peer = await startBytesPeer(() => undefined)
      await peer.close()
      const diagnosis = await look({ '--endpoint': `https://127.0.0.1:${peer.port}` })
      assertFails(diagnosis, 'tcp', 'NETWORK_FAILED', /refuses connections/)
      assert.equal(statusOf(diagnosis, 'dns'), 'ok')
    })

    it('names a CA that is not known', async () => {
      const diagnosis = await look({}, { env: { AWS_CA_BUNDLE: undefined } })
      assertFails(diagnosis, 'tls', 'TLS_FAILED', /AWS_CA_BUNDLE/)
      assert.equal(statusOf(diagnosis, 'tcp'), 'ok')
    })

    it('names a bundle of CAs that is not there', async () => {
      const diagnosis = await look({}, { env: { AWS_CA_BUNDLE: '/nonexistent.pem' } })
      assertFails(diagnosis, 'ca-bundle', 'FILE_UNREADABLE', /AWS_CA_BUNDLE names \/nonexistent\.pem/)
    })

    it('names a proxy that does not run', async () => {
      const peer = await startBytesPeer(() => undefined)
      await peer.close()
      const env = { HTTPS_PROXY: `http://user:Zq7-canary@127.0.0.1:${peer.port}` }
      const diagnosis = await look({ '--endpoint': FAR }, { env })
      assertFails(diagnosis, 'tcp', 'NETWORK_FAILED', /the proxy 127\.0\.0\.1:\d+ refuses connections/)
      assert.doesNotMatch(diagnosis.stdout + diagnosis.stderr, /canary/)
    })

    it('names a proxy that wants a password', async () => {
      const port = await open(startProxyPeer(edge.emulator.port, { status: 407 }))
      const diagnosis = await look({ '--endpoint': FAR }, { env: { HTTPS_PROXY: `127.0.0.1:${port}` } })
      assertFails(diagnosis, 'tunnel', 'PROXY_FAILED', /answered 407.*fix: correct HTTPS_PROXY/)
      assert.equal(statusOf(diagnosis, 'tcp'), 'ok')
    })

    it('names a proxy that is none', async () => {
      const diagnosis = await look(
        { '--endpoint': FAR },
        { env: { HTTPS_PROXY: 'socks5://u:Zq7-canary@h:1' } },
      )
      assertFails(diagnosis, 'proxy', 'USAGE', /HTTPS_PROXY must be/)
      assert.doesNotMatch(diagnosis.stdout + diagnosis.stderr, /canary/)
    })

    it("warns of somebody who opens TLS with AWS's own host", async () => {
      const host = 'rolesanywhere.us-east-1.amazonaws.com'
      const opener = await startEmulator({ tls: true, tlsNames: [host] })
      try {
        const env = {
          HTTPS_PROXY: `127.0.0.1:${await open(startProxyPeer(opener.port))}`,
          AWS_CA_BUNDLE: await file('opener.pem', opener.tlsCaPem!),
        }
        const diagnosis = await look({ '--endpoint': undefined }, { env, more: ['--no-session'] })
        assertWarns(
          diagnosis,
          'tls',
          /issued by .* and not by Amazon: .*fix: let your network's proxy or firewall pass rolesanywhere/,
        )
      } finally {
        await opener.close()
      }
    })

    it('names a network with a login page', async () => {
      const port = await open(
        startHttpPeer((_, reply) => reply.writeHead(302, { location: 'http://login.test' }).end()),
      )
      assertFails(
        await look({ '--endpoint': `http://127.0.0.1:${port}` }),
        'http',
        'REPLY_INVALID',
        /login page/,
      )
    })

    it('names a clock that is an hour off', async () => {
      const node = await file(
        'late-node',
        `#!/bin/sh\nexec faketime -f +1h ${process.execPath} "$@"\n`,
        0o700,
      )
      const diagnosis = await look({}, { node })
      assertFails(
        diagnosis,
        'clock',
        'CLOCK_WRONG',
        /1 h ahead of the endpoint's; fix: timedatectl set-ntp true/,
      )
      assert.equal(statusOf(diagnosis, 'session'), 'skip')
    })
  })

  describe('on a refusal', () => {
    /** Changes the service for one look. */
    async function lookWith(change: () => unknown, restore: () => unknown): Promise<Diagnosis> {
      await change()
      try {
        return await look()
      } finally {
        await restore()
      }
    }
    const world = () => edge.emulator
    const anchor = () => world().state.trustAnchors[0]!
    const profile = () => world().state.profiles[0]!
    const roleArn = () => flag('--role-arn')
    const policy = (...statements: unknown[]) =>
      putRole(world(), {
        roleArn: roleArn(),
        assumeRolePolicyDocument: { Version: '2012-10-17', Statement: statements },
      })
    const openPolicy = () =>
      putRole(world(), {
        roleArn: roleArn(),
        assumeRolePolicyDocument: defaultTrustPolicy(flag('--trust-anchor-arn')),
      })

    it('names a trust anchor that is disabled', async () => {
      const enable = (enabled: boolean) => Object.assign(anchor(), { enabled })
      const diagnosis = await lookWith(
        () => enable(false),
        () => enable(true),
      )
      assertFails(diagnosis, 'session', 'REFUSED', /check that trust anchor arn:aws:rolesanywhere:.* enabled/)
    })

    it('names a profile that is disabled', async () => {
      const enable = (enabled: boolean) => Object.assign(profile(), { enabled })
      const diagnosis = await lookWith(
        () => enable(false),
        () => enable(true),
      )
      assertFails(diagnosis, 'session', 'REFUSED', /profile arn:aws:rolesanywhere:.* enabled/)
    })

    it('names a role that the profile does not list', async () => {
      const roleArns = profile().roleArns
      const other = roleArn().replace('/edge', '/other')
      const diagnosis = await lookWith(
        () => Object.assign(profile(), { roleArns: [other] }),
        () => Object.assign(profile(), { roleArns }),
      )
      const { fix } = assertFails(
        diagnosis,
        'session',
        'REFUSED_ROLE',
        /does not list the role .*add the role to the profile/,
      )
      assert.equal(fix, undefined)
    })

    it('names a session name that the profile does not allow', async () => {
      const diagnosis = await look({ '--role-session-name': 'line-4' })
      assertFails(
        diagnosis,
        'session',
        'REFUSED_SESSION_NAME',
        /drop --role-session-name, or set acceptRoleSessionName/,
      )
    })

    it('names a certificate that was revoked', async () => {
      const pem = certificatePem(await edge.authority.issue(key.publicKey, { serialNumber: '77' }))
      const crlData = Buffer.from(await edge.authority.revoke('77')).toString('base64')
      await importCrl(world(), {
        name: 'doctor',
        crlData,
        enabled: true,
        trustAnchorArn: flag('--trust-anchor-arn'),
      })
      const diagnosis = await look({ '--certificate': await file('revoked.pem', pem) })
      assertFails(diagnosis, 'session', 'REFUSED_CERTIFICATE_REVOKED', /serial 77 is in a revocation list/)
    })

    it('prints the statement that lets this certificate in, for a trust policy with another CN', async () => {
      const wrong = {
        Effect: 'Allow',
        Principal: { Service: 'rolesanywhere.amazonaws.com' },
        Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
        Condition: {
          ArnEquals: { 'aws:SourceArn': flag('--trust-anchor-arn') },
          StringEquals: { 'aws:PrincipalTag/x509Subject/CN': 'edge-2' },
        },
      }
      const { fix } = assertFails(
        await lookWith(() => policy(wrong), openPolicy),
        'session',
        'REFUSED_ROLE',
        /trust policy of the role .*fix: a statement of the role's trust policy/,
      )
      const statement = JSON.parse(fix!.slice(fix!.indexOf('{')))
      assert.deepEqual(statement.Condition, {
        ArnEquals: { 'aws:SourceArn': flag('--trust-anchor-arn') },
        StringEquals: {
          'aws:PrincipalTag/x509Subject/CN': 'edge-1',
          'aws:PrincipalTag/x509Issuer/CN': 'Throw-away Root',
        },
      })

      assertWell(await lookWith(() => policy(statement), openPolicy))
      // It lets nobody else in.
      const pem = certificatePem(await edge.authority.issue(key.publicKey, { subject: 'CN=edge-2' }))
      policy(statement)
      const stranger = await look({ '--certificate': await file('stranger.pem', pem) })
      openPolicy()
      assertFails(stranger, 'session', 'REFUSED_ROLE', /"aws:PrincipalTag\/x509Subject\/CN":"edge-2"/)
      assert.doesNotMatch(stranger.stdout, /others of its CA/)
      const bare = certificatePem(await edge.authority.issue(key.publicKey, { subject: 'O=Example' }))
      policy(statement)
      const nobody = await look({ '--certificate': await file('nobody.pem', bare) })
      openPolicy()
      assertFails(nobody, 'session', 'REFUSED_ROLE', /lets this certificate in, and others of its CA as well/)
    })
  })

  describe("on the user's AWS files", () => {
    /** Holdfast's own file, with the identity edge. */
    let config: string
    /** Looks with these files in the home; everything else is well. */
    async function lookAt(texts: {
      config?: string
      credentials?: string
      env?: Record<string, string>
      name?: string
    }) {
      const home = await mkdtemp(join(edge.token.directory, 'home-'))
      await mkdir(join(home, '.aws'), { mode: 0o700 })
      for (const name of ['config', 'credentials'] as const) {
        const text = texts[name]
        if (text !== undefined) await writeFile(join(home, '.aws', name), text, { mode: 0o600 })
      }
      await mkdir(join(home, 'bin'))
      await writeFile(join(home, 'bin/holdfast'), '#!/bin/sh\n', { mode: 0o755 })
      const env = { PATH: `${join(home, 'bin')}:/usr/bin:/bin`, ...texts.env }
      const options = { home, env, more: ['--no-session'] }
      if (texts.name === undefined) return look({}, options)
      const named = ['doctor', '--json', texts.name, '--config', config, ...options.more]
      return run(named, { ...options, env: { ...edge.env, ...env } })
    }
    let LINE: string
    before(async () => {
      const keys = [
        ...credentialProcess(edge, files)
          .join(' ')
          .matchAll(/--([a-z-]+) (\S+)/g),
      ]
      const lines = keys.map(([, key, value]) => `${key} = ${JSON.stringify(value)}\n`)
      config = await file('aws.toml', `[identity.edge]\n${lines.join('')}`)
      LINE = `credential_process = holdfast credential-process edge --config ${config}\n`
    })
    const SECRET = 'Zq7canaryZq7canaryZq7canaryZq7canaryZq7c'

    it('finds nothing wrong with what holdfast configure writes', async () => {
      const diagnosis = await lookAt({ config: `[profile edge]\n${LINE}` })
      const found = diagnosis.findings.filter(({ check }) => check.startsWith('aws-'))
      assert.deepEqual(
        found.map(({ check, status }) => [check, status]),
        [
          ['aws-files', 'ok'],
          ['aws-keys', 'ok'],
          ['aws-command', 'ok'],
          ['aws-environment', 'ok'],
        ],
      )
      assert.match(found[0]!.message, /holdfast is run by "edge"/)
    })

    it('names static keys in the credentials file', async () => {
      const diagnosis = await lookAt({
        config: `[profile edge]\n${LINE}[profile other]\nregion = eu-west-1\n`,
        credentials: `[edge]\naws_access_key_id = AKIA${SECRET}\naws_secret_access_key = ${SECRET}\n`,
      })
      assertFails(
        diagnosis,
        'aws-keys',
        'CONFIG_INVALID',
        /profile "edge" has aws_access_key_id in .*credentials, .*fix: remove aws_access_key_id/,
      )
      assert.doesNotMatch(diagnosis.stdout + diagnosis.stderr, /canary/)
    })

    const broken: [title: string, config: (line: string) => string, says: RegExp][] = [
      [
        'a header that is not closed',
        (line) => `[default]\nregion = x\n[profile edge\n${line}`,
        /line 3 of .*config is neither \[section\] nor key = value, and the AWS CLI and boto3 refuse/,
      ],
      ['a line that is nothing', (line) => `foo\n[profile edge]\n${line}`, /line 1 .* before the first/],
      [
        'a second section of one name',
        (line) => `[profile edge]\n${line}[profile edge]\n`,
        /line 3 .* begins \[profile edge\] a second time/,
      ],
      [
        'a second line of one key',
        (line) => `[profile edge]\n${line}${line}`,
        /line 3 .* sets credential_process a second time/,
      ],
      [
        'a key that is indented below another one',
        (line) => `[profile edge]\nregion = x\n  ${line}`,
        /line 3 .* begins with blanks, .*fix: take away the blanks/,
      ],
    ]
    for (const [title, make, says] of broken) {
      it(`names ${title}`, async () => {
        assertFails(await lookAt({ config: make(LINE) }), 'aws-files', 'CONFIG_INVALID', says)
      })
    }

    for (const header of ['edge', 'Profile edge', ' profile edge ']) {
      it(`warns of [${header}], which is no profile`, async () => {
        assertWarns(
          await lookAt({ config: `[${header}]\n${LINE}` }),
          'aws-files',
          /is not taken for a profile; fix: write \[profile edge\]/,
        )
      })
    }

    it('warns if no profile runs holdfast for the identity that was named', async () => {
      const says = /no profile in .* runs holdfast for the identity "edge"; fix: holdfast configure edge/
      assertWarns(await lookAt({ name: 'edge' }), 'aws-files', says)
      const config = `[profile edge]\n${LINE}`
      assert.equal(statusOf(await lookAt({ name: 'edge', config }), 'aws-files'), 'ok')
      const other = config.replace('process edge', 'process other')
      const { findings } = await lookAt({ name: 'edge', config: other })
      assert.match(findings.find(({ check }) => check === 'aws-files')!.message, /for the identity "edge"$/)
    })

    const wrong: [title: string, from: string, to: string, code: ErrorCode, says: RegExp][] = [
      ['an identity that is not there', 'process edge', 'process edeg', 'CONFIG_NOT_FOUND', /"edeg"/],
      ['a command that is none', 'credential-process', 'credential-proces', 'USAGE', /"credential-proces"/],
      ['a flag that is none', '--config', '--conf', 'USAGE', /there is no flag --conf;/],
      ['a role that is none', '--config', '--role-arn arn:x --config', 'ARN_INVALID', /role/],
    ]
    for (const [title, from, to, code, says] of wrong) {
      it(`names ${title} in credential_process`, async () => {
        const diagnosis = await lookAt({ config: `[profile edge]\n${LINE.replace(from, to)}` })
        assertFails(diagnosis, 'aws-command', code, says)
      })
    }

    it('names another key that wins in the config file', async () => {
      const config = `[profile edge]\nrole_arn = arn:aws:iam::111122223333:role/x\n${LINE}`
      assertFails(await lookAt({ config }), 'aws-keys', 'CONFIG_INVALID', /has role_arn in .*config/)
    })

    it('names a credential_process in the credentials file', async () => {
      const diagnosis = await lookAt({ credentials: `[edge]\n${LINE}` })
      assertFails(diagnosis, 'aws-keys', 'CONFIG_INVALID', /fix: move the line to \[profile edge\]/)
    })

    it('warns of AWS_ACCESS_KEY_ID in the environment', async () => {
      const env = { AWS_ACCESS_KEY_ID: 'AKIACANARY', AWS_SECRET_ACCESS_KEY: SECRET }
      const diagnosis = await lookAt({ config: `[profile edge]\n${LINE}`, env })
      assertWarns(diagnosis, 'aws-environment', /AWS_ACCESS_KEY_ID is set, .*fix: unset AWS_ACCESS_KEY_ID/)
      assert.doesNotMatch(diagnosis.stdout + diagnosis.stderr, /canary/i)
    })

    const commands: [title: string, line: string, says: RegExp][] = [
      [
        'an unquoted semicolon',
        'holdfast credential-process --pkcs11-uri pkcs11:token=edge;id=%01 --role-arn R',
        /has ";" outside of quotation marks, where a shell, .*JavaScript, Go, Java.* ends the command; .*fix: credential_process = holdfast credential-process --pkcs11-uri "pkcs11:token=edge;id=%01" --role-arn R/,
      ],
      [
        'a command over two lines',
        'holdfast credential-process \\\n  --role-arn R',
        /goes on in a further line.*fix: credential_process = holdfast credential-process --role-arn R/,
      ],
      [
        'a quotation mark that is not closed',
        'holdfast credential-process "edge',
        /quotation mark """ that is not closed/,
      ],
      [
        'a variable',
        'holdfast credential-process edge --config $HOME/x',
        /has "\$", for which a shell.*take it as it stands/,
      ],
      ['a home folder', 'holdfast credential-process edge --config ~/x', /has "~", for which a shell/],
      ['a comment', 'holdfast credential-process edge # the line', /has "#" behind a blank/],
      [
        'a PIN',
        'holdfast credential-process --pkcs11-uri "pkcs11:token=e?pin-value=canary"',
        /has a PIN in a pin-value.*fix: .*pin-source=file:PATH/,
      ],
    ]
    for (const [title, line, says] of commands) {
      it(`names ${title} in credential_process`, async () => {
        const diagnosis = await lookAt({ config: `[profile edge]\ncredential_process = ${line}\n` })
        assertFails(diagnosis, 'aws-command', 'CONFIG_INVALID', says)
        assert.doesNotMatch(diagnosis.stdout + diagnosis.stderr, /canary/)
      })
    }

    it('warns of a program that is not there', async () => {
      const config = `[profile edge]\n${LINE.replace('holdfast', '/opt/none/holdfast')}`
      assertWarns(
        await lookAt({ config }),
        'aws-command',
        /"\/opt\/none\/holdfast" of profile "edge" is not found.*fix: holdfast configure/,
      )
    })
  })
})
