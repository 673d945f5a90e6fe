/** CreateSession as a whole: what a client receives, and each reason to refuse it. */
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { importCrl } from '../../src/emulator/control-plane/crls.js'
import { Faults } from '../../src/emulator/faults.js'
import type { HttpRequest } from '../../src/emulator/http-message.js'
import { type QuickStartArns, type QuickStartOptions, quickStart } from '../../src/emulator/quick-start.js'
import { answer } from '../../src/emulator/router.js'
import { createState, type Profile, type TrustAnchor, type World } from '../../src/emulator/state.js'
import {
  DAY_MS,
  type Identity,
  type IdentityOptions,
  makeCa,
  makeCrl,
  makeIdentity,
  makeLeaf,
} from './pki.js'
import { type SignOptions, signedRequest, withHeader } from './request-signer.js'

const ROLE = 'arn:aws:iam::111122223333:role/path/edge'
const { keyCertSign, digitalSignature, cRLSign } = x509.KeyUsageFlags

describe('CreateSession', () => {
  let ca: Identity
  let leaf: Identity
  let world: World
  let arns: QuickStartArns
  let anchor: TrustAnchor
  let profile: Profile

  before(async () => {
    ca = await makeCa()
    leaf = await makeLeaf(ca, { name: 'CN=edge', serialNumber: '0abc' })
  })
  beforeEach(() => setUp())

  function setUp(options: Partial<QuickStartOptions> = {}) {
    world = { state: createState(), faults: new Faults(), now: () => new Date() }
    arns = quickStart(world, { caPem: ca.pem, roleArn: ROLE, ...options })
    anchor = world.state.trustAnchors[0]!
    profile = world.state.profiles[0]!
  }

  const sign = (body: object = {}, identity = leaf, options: SignOptions = {}) =>
    signedRequest(identity, { ...options, body: { ...arns, ...body } })

  async function send(request: HttpRequest) {
    const { status, headers, body } = await answer(request, world)
    return {
      status,
      type: headers['x-amzn-errortype'],
      reason: headers['x-emulator-reason'] ?? '',
      body: JSON.parse(body),
    }
  }

  async function accepts(request: HttpRequest) {
    const { status, reason, body } = await send(request)
    assert.equal(status, 201, reason)
    return body
  }

  async function refuses(
    request: HttpRequest,
    message: string | RegExp,
    reason?: RegExp,
    status = 403,
    type = 'AccessDeniedException',
  ) {
    const reply = await send(request)
    assert.deepEqual([reply.status, reply.type], [status, type], JSON.stringify(reply))
    if (typeof message === 'string') assert.equal(reply.body.message, message)
    else assert.match(reply.body.message, message)
    if (reason !== undefined) assert.match(reply.reason, reason)
  }

  const invalid = (request: HttpRequest, message: RegExp) =>
    refuses(request, message, undefined, 400, 'ValidationException')

  describe('reply', () => {
    it('has the shape of the service', async () => {
      const { credentialSet, subjectArn } = await accepts(sign())
      const [{ credentials, assumedRoleUser, ...rest }] = credentialSet
      assert.equal(credentialSet.length, 1)
      assert.deepEqual(rest, { packedPolicySize: 10, roleArn: ROLE, sourceIdentity: 'CN=edge' })
      assert.equal(assumedRoleUser.arn, 'arn:aws:sts::111122223333:assumed-role/edge/0abc')
      assert.match(assumedRoleUser.assumedRoleId, /^AROA[A-Z2-7]{17}:0abc$/)
      assert.match(credentials.accessKeyId, /^ASIA[A-Z2-7]{16}$/)
      assert.match(credentials.secretAccessKey, /^[\w+/]{40}$/)
      assert.ok(credentials.sessionToken.length > 300)
      assert.match(credentials.expiration, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      assert.match(subjectArn, /^arn:aws:rolesanywhere:us-east-1:111122223333:subject\/[0-9a-f-]{36}$/)
    })

    it('differs each time', async () => {
      const keys = [await accepts(sign()), await accepts(sign())].map(
        (body) => body.credentialSet[0].credentials,
      )
      for (const name of ['accessKeyId', 'secretAccessKey', 'sessionToken'])
        assert.notEqual(keys[0][name], keys[1][name])
    })
  })

  describe('request', () => {
    it('may name the ARNs in the query', async () => {
      const query = Object.entries(arns)
        .map(([name, arn]) => `${name}=${encodeURIComponent(arn)}`)
        .sort()
        .join('&')
      await accepts(signedRequest(leaf, { query, body: { durationSeconds: 900 } }))
      await accepts(signedRequest(leaf, { query, body: '' }))
    })

    it('names no ARN twice', async () => {
      await invalid(
        sign({}, leaf, { query: `roleArn=${encodeURIComponent(ROLE)}` }),
        /roleArn stands in the query and in the body/,
      )
      const twice = `roleArn=${encodeURIComponent(ROLE)}`
      await invalid(signedRequest(leaf, { query: `${twice}&${twice}` }), /twice/)
    })

    for (const name of ['trustAnchorArn', 'profileArn', 'roleArn'] as const) {
      it(`needs ${name}`, async () => {
        const message = new RegExp(
          `^1 validation error detected: Value null at '${name}' failed to satisfy constraint: Member must not be null$`,
        )
        await invalid(sign({ [name]: undefined }), message)
      })
      it(`needs a ${name} of the right kind`, async () => {
        await invalid(
          sign({ [name]: 'arn:aws:s3:::bucket' }),
          /Member must satisfy regular expression pattern/,
        )
        await invalid(sign({ [name]: 5 }), /Member must be a string/)
        await invalid(
          sign({ [name]: `${arns[name]}${'x'.repeat(1011)}` }),
          /length less than or equal to 1011/,
        )
      })
    }

    it('tells all that is wrong with it at once', async () => {
      await invalid(sign({ roleArn: 'x', durationSeconds: 1 }), /^2 validation errors detected: .*; .*900$/)
    })

    it('is JSON', async () => {
      const type = 'UnsupportedMediaTypeException'
      await refuses(
        sign({}, leaf, { headers: { 'content-type': 'text/plain' } }),
        /application\/json/,
        undefined,
        415,
        type,
      )
      await accepts(sign({}, leaf, { headers: { 'content-type': 'application/json; charset=utf-8' } }))
      await invalid(signedRequest(leaf, { body: '{' }), /not valid JSON/)
      await invalid(signedRequest(leaf, { body: '[]' }), /not a JSON object/)
    })

    it('has a query of percent-encoded UTF-8', async () => {
      await invalid({ ...sign(), query: 'a=%ff' }, /percent-encoded/)
    })

    it('is POST /sessions', async () => {
      const type = 'UnknownOperationException'
      await refuses({ ...sign(), method: 'GET' }, 'Unknown operation', undefined, 405, type)
      await refuses({ ...sign(), path: '/session' }, 'Unknown operation', undefined, 404, type)
      await refuses({ ...sign(), path: '/sessions/' }, 'Unknown operation', undefined, 404, type)
    })

    it('is signed', async () => {
      await refuses(withHeader(sign(), 'authorization', undefined), 'Missing header: authorization')
      await refuses({ ...sign(), body: Buffer.from(JSON.stringify({ ...arns, x: 1 })) }, 'Invalid signature')
    })
  })

  describe('duration', () => {
    async function secondsFor(body: object): Promise<number> {
      const now = new Date('2026-11-01T12:00:00Z')
      world = { ...world, now: () => now }
      const valid = await makeLeaf(ca, {
        notBefore: new Date(now.getTime() - DAY_MS),
        notAfter: new Date(now.getTime() + DAY_MS),
      })
      const { credentialSet } = await accepts(sign(body, valid, { date: now }))
      return (Date.parse(credentialSet[0].credentials.expiration) - now.getTime()) / 1000
    }
    before(async () => {
      ca = await makeCa({ notBefore: new Date('2026-01-01'), notAfter: new Date('2036-01-01') })
      leaf = await makeLeaf(ca, { name: 'CN=edge', serialNumber: '0abc' })
    })

    it("is the profile's unless less is asked for", async () => {
      assert.equal(await secondsFor({}), 3600)
      assert.equal(await secondsFor({ durationSeconds: 900 }), 900)
      assert.equal(await secondsFor({ durationSeconds: 43200 }), 3600)
      profile.durationSeconds = 7200
      assert.equal(await secondsFor({}), 7200)
    })

    it('is a whole number from 900 to 43200', async () => {
      await invalid(
        sign({ durationSeconds: 899 }),
        /'899' at 'durationSeconds'.*greater than or equal to 900/,
      )
      await invalid(sign({ durationSeconds: 43201 }), /less than or equal to 43200/)
      await invalid(sign({ durationSeconds: 900.5 }), /be an integer/)
      await invalid(sign({ durationSeconds: '900' }), /be an integer/)
    })

    it("is at most the role's maximum session duration", async () => {
      setUp({ maxSessionDuration: 3600, durationSeconds: 7200 })
      await accepts(sign({ durationSeconds: 3600 }))
      await refuses(
        sign(),
        `Unable to assume role for ${ROLE} The requested DurationSeconds exceeds the MaxSessionDuration set for this role.`,
      )
    })
  })

  describe('session name', () => {
    it('is taken if the profile says so', async () => {
      setUp({ acceptRoleSessionName: true })
      const { credentialSet } = await accepts(sign({ roleSessionName: 'me@edge' }))
      assert.match(credentialSet[0].assumedRoleUser.arn, /\/edge\/me@edge$/)
    })
    it('is refused otherwise', () =>
      refuses(sign({ roleSessionName: 'me' }), 'Not authorized to set roleSessionName'))
    it('has 2 to 64 letters of the STS alphabet', async () => {
      setUp({ acceptRoleSessionName: true })
      await accepts(sign({ roleSessionName: 'x'.repeat(64) }))
      await invalid(sign({ roleSessionName: 'x' }), /length greater than or equal to 2/)
      await invalid(sign({ roleSessionName: 'x'.repeat(65) }), /length less than or equal to 64/)
      await invalid(sign({ roleSessionName: 'a b' }), /regular expression/)
    })
  })

  describe('trust anchor', () => {
    it('must exist', () =>
      refuses(
        sign({ trustAnchorArn: `${arns.trustAnchorArn}0` }),
        'Trust anchor not found',
        undefined,
        404,
        'ResourceNotFoundException',
      ))
    it('must be enabled', async () => {
      anchor.enabled = false
      await refuses(sign(), 'Trust anchor is disabled')
    })
  })

  describe('certificate', () => {
    const untrusted = 'Untrusted signing certificate'
    const insufficient = 'Untrusted certificate. Insufficient certificate'
    const withLeaf = async (options: IdentityOptions) => sign({}, await makeLeaf(ca, options))

    it('must come from the CA of the anchor', async () => {
      await refuses(sign({}, await makeLeaf(await makeCa())), untrusted)
      await refuses(sign({}, await makeLeaf(await makeCa({ name: 'CN=Other CA' }))), untrusted)
      await refuses(sign({}, await makeIdentity({ ca: false, keyUsage: digitalSignature })), untrusted)
    })

    it('must name the CA of the anchor as its issuer, the right key does not do', async () => {
      anchor.source.sourceData.x509CertificateData = (await makeCa({ name: 'CN=Renamed', keys: ca.keys })).pem
      await refuses(sign(), untrusted)
    })

    it('may come from either CA of the anchor', async () => {
      const second = await makeCa({ name: 'CN=Second CA' })
      anchor.source.sourceData.x509CertificateData = second.pem + ca.pem
      await accepts(sign())
      await accepts(sign({}, await makeLeaf(second)))
    })

    it('must be valid now', async () => {
      const message = 'Certificate is outside its validity period'
      await refuses(await withLeaf({ notAfter: new Date(Date.now() - 60_000) }), message, /expired/)
      await refuses(await withLeaf({ notBefore: new Date(Date.now() + 60_000) }), message, /not valid before/)
    })

    it('must come from a CA that is valid now', async () => {
      const old = await makeCa({
        notBefore: new Date(Date.now() - 2 * DAY_MS),
        notAfter: new Date(Date.now() - DAY_MS),
      })
      anchor.source.sourceData.x509CertificateData = old.pem
      await refuses(sign({}, await makeLeaf(old)), untrusted)
    })

    it('must not be a CA certificate', async () =>
      refuses(await withLeaf({ ca: true }), insufficient, /CA:true/))
    it('may lack basicConstraints', async () => accepts(await withLeaf({ ca: undefined })))
    it('must have digitalSignature', async () => {
      await refuses(
        await withLeaf({ keyUsage: x509.KeyUsageFlags.keyEncipherment }),
        insufficient,
        /digitalSignature/,
      )
      await refuses(await withLeaf({ keyUsage: undefined }), insufficient, /digitalSignature/)
    })
    it('must have a subject', async () =>
      refuses(await withLeaf({ name: '' }), insufficient, /subject is empty/))
    it('must be signed with SHA-256 or more', async () => {
      await accepts(await withLeaf({ hash: 'SHA-384' }))
      await refuses(await withLeaf({ hash: 'SHA-1' }), insufficient, /weaker than SHA-256/)
    })
    it('must not have a critical extension that is not understood', async () => {
      const extension = (critical: boolean) => [
        new x509.Extension('1.3.6.1.4.1.55555.1', critical, new Uint8Array([5, 0])),
      ]
      await accepts(await withLeaf({ extensions: extension(false) }))
      await refuses(
        await withLeaf({ extensions: extension(true) }),
        insufficient,
        /1\.3\.6\.1\.4\.1\.55555\.1/,
      )
    })
    it('must be X.509 v3', async () => {
      const identity = await makeVersion1Leaf(ca)
      await refuses(sign({}, identity), insufficient, /X\.509 v1/)
    })
  })

  describe('chain', () => {
    const below = (issuer: Identity, options: IdentityOptions = {}) =>
      makeCa({ name: 'CN=Intermediate', issuer, ...options })
    const untrusted = 'Untrusted signing certificate'

    it('leads through intermediates in any order, beside others', async () => {
      const first = await below(ca)
      const second = await below(first, { name: 'CN=Second', kind: 'p384' })
      const identity = await makeLeaf(second)
      await accepts(sign({}, identity, { chain: [ca, first, leaf, second] }))
      await refuses(sign({}, identity, { chain: [second] }), untrusted)
      await refuses(sign({}, identity), untrusted)
    })

    for (const [what, options] of [
      ['is no CA', { ca: false }],
      ['has no basicConstraints', { ca: undefined }],
      ['may not sign certificates', { keyUsage: digitalSignature }],
      ['has expired', { notAfter: new Date(Date.now() - 60_000) }],
      ['is signed with SHA-1', { hash: 'SHA-1' }],
    ] satisfies [string, IdentityOptions][]) {
      it(`does not lead through one that ${what}`, async () => {
        const good = await below(ca)
        await accepts(sign({}, await makeLeaf(good), { chain: [good] }))
        const bad = await below(ca, options)
        await refuses(sign({}, await makeLeaf(bad), { chain: [bad] }), untrusted)
      })
    }

    it('is no longer than a CA allows', async () => {
      for (const pathLength of [0, 1]) {
        const first = await below(ca, { pathLength })
        const second = await below(first, { name: 'CN=Second' })
        const request = sign({}, await makeLeaf(second), { chain: [first, second] })
        await (pathLength === 0 ? refuses(request, untrusted) : accepts(request))
        await accepts(sign({}, await makeLeaf(first), { chain: [first] }))
      }
    })

    it('does not count a CA that changed its key', async () => {
      const old = await makeCa({ pathLength: 0 })
      anchor.source.sourceData.x509CertificateData = old.pem
      const renewed = await makeCa({ issuer: old })
      await accepts(sign({}, await makeLeaf(renewed), { chain: [renewed] }))
    })

    it('finds another way round an intermediate of the same name and another key', async () => {
      const impostor = await makeCa({ name: 'CN=Intermediate' })
      const real = await below(ca)
      await accepts(sign({}, await makeLeaf(real), { chain: [impostor, real] }))
    })
  })

  describe('revocation', () => {
    const crl = async (issuer: Identity, revoked: readonly Identity[], enabled = true) =>
      importCrl(world, {
        name: 'crl',
        enabled,
        crlData: Buffer.from(await makeCrl(issuer, revoked)).toString('base64'),
        trustAnchorArn: arns.trustAnchorArn,
      })

    it('refuses a certificate on an enabled list', async () => {
      await crl(ca, [leaf])
      await refuses(sign(), 'Certificate revoked', /0abc/)
      await accepts(sign({}, await makeLeaf(ca)))
    })
    it('ignores a disabled list', async () => {
      await crl(ca, [leaf], false)
      await accepts(sign())
    })
    it('ignores a list of another anchor', async () => {
      const list = await crl(ca, [leaf])
      Object.assign(list, { trustAnchorArn: `${arns.trustAnchorArn}0` })
      await accepts(sign())
    })
    it('refuses a certificate below a revoked intermediate', async () => {
      const intermediate = await makeCa({ name: 'CN=Intermediate', issuer: ca })
      const identity = await makeLeaf(intermediate)
      await accepts(sign({}, identity, { chain: [intermediate] }))
      await crl(ca, [intermediate])
      await refuses(sign({}, identity, { chain: [intermediate] }), 'Certificate revoked')
    })
    it('does not take a serial number of another issuer for its own', async () => {
      const intermediate = await makeCa({
        name: 'CN=Intermediate',
        issuer: ca,
        keyUsage: keyCertSign | cRLSign,
      })
      const twin = await makeLeaf(intermediate, { serialNumber: '0abc' })
      await crl(ca, [leaf])
      await accepts(sign({}, twin, { chain: [intermediate] }))
    })
  })

  describe('profile', () => {
    it('must exist', () =>
      refuses(
        sign({ profileArn: `${arns.profileArn}0` }),
        'Profile not found',
        undefined,
        404,
        'ResourceNotFoundException',
      ))
    it('must be enabled', async () => {
      profile.enabled = false
      await refuses(sign(), 'Profile is disabled')
    })
    it('must list the role', async () => {
      profile.roleArns = [`${ROLE}2`]
      await refuses(sign(), "Requested Role isn't one of those listed in the Profile.")
    })
  })

  describe('role', () => {
    const allow = (condition: object) => ({
      Version: '2012-10-17',
      Statement: {
        Effect: 'Allow',
        Principal: { Service: 'rolesanywhere.amazonaws.com' },
        Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
        Condition: condition,
      },
    })
    const refused = `Unable to assume role for ${ROLE}`

    it('must exist', async () => {
      world.state.roles = []
      await refuses(sign(), refused, /not told of this role/)
    })

    it('must trust this anchor', async () => {
      const other = arns.trustAnchorArn.replace(/.$/, (c) => (c === '0' ? '1' : '0'))
      setUp({ trustPolicy: allow({ ArnEquals: { 'aws:SourceArn': other } }) })
      await refuses(sign(), refused, /sts:AssumeRole/)
    })

    for (const [key, yes, no] of [
      ['aws:SourceAccount', '111122223333', '444455556666'],
      ['aws:PrincipalTag/x509Subject/CN', 'edge', 'edge2'],
      ['aws:PrincipalTag/x509Issuer/CN', 'Test CA', 'Test'],
      ['aws:PrincipalTag/x509SAN/DNS', 'edge.example', 'b.example'],
      ['aws:RequestTag/x509Subject/CN', 'edge', 'edge2'],
      ['sts:SourceIdentity', 'CN=edge', 'edge'],
      ['sts:RoleSessionName', '0abc', 'abc'],
    ] as const) {
      it(`may ask for ${key}`, async () => {
        const extensions = [
          new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'edge.example' }]),
        ]
        const identity = await makeLeaf(ca, { name: 'CN=edge', serialNumber: '0abc', extensions })
        setUp({ trustPolicy: allow({ StringEquals: { [key]: yes } }) })
        await accepts(sign({}, identity))
        setUp({ trustPolicy: allow({ StringEquals: { [key]: no } }) })
        await refuses(sign({}, identity), refused)
      })
    }

    it('sees no tag that the profile does not map', async () => {
      setUp({ trustPolicy: allow({ StringNotEquals: { 'aws:PrincipalTag/x509Subject/CN': 'edge' } }) })
      await refuses(sign(), refused)
      profile.attributeMappings = []
      await accepts(sign())
    })

    it('is refused with a list of the attributes that were dropped', async () => {
      const extensions = [
        new x509.SubjectAlternativeNameExtension([
          { type: 'dns', value: 'a.example' },
          { type: 'dns', value: 'b.example' },
        ]),
      ]
      setUp({ trustPolicy: allow({ StringEquals: { 'aws:SourceAccount': 'x' } }) })
      const message = `${refused} Some attributes failed to be mapped into session tags. Issuer: [ ]; Subject: [ ]; SAN: [ DNS/2 ]`
      await refuses(sign({}, await makeLeaf(ca, { extensions })), message)
    })
  })

  describe('subject', () => {
    it('is one for all certificates of the same name, with the last outcome of each', async () => {
      const renewed = await makeLeaf(ca, { name: 'CN=edge' })
      const { subjectArn } = await accepts(sign())
      assert.equal((await accepts(sign({}, renewed))).subjectArn, subjectArn)
      profile.enabled = false
      await send(sign())
      const [subject] = world.state.subjects
      assert.equal(world.state.subjects.length, 1)
      assert.deepEqual(
        subject!.credentials.map(({ serialNumber, failed }) => [serialNumber, failed]),
        [
          [String(0x0abc), true],
          [BigInt(`0x${renewed.certificate.serialNumber}`).toString(), false],
        ],
      )
    })

    it('is not made for a certificate that is not trusted', async () => {
      await send(sign({}, await makeLeaf(await makeCa())))
      assert.deepEqual(world.state.subjects, [])
    })
  })
})

/** Only OpenSSL still makes version 1. */
async function makeVersion1Leaf(ca: Identity): Promise<Identity> {
  const folder = mkdtempSync(join(tmpdir(), 'emulator-v1-'))
  try {
    const path = (name: string) => join(folder, name)
    const like = await makeLeaf(ca)
    writeFileSync(path('ca.pem'), ca.pem)
    writeFileSync(path('ca.key'), ca.key.export({ type: 'pkcs8', format: 'pem' }))
    writeFileSync(path('leaf.key'), like.key.export({ type: 'pkcs8', format: 'pem' }))
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
    openssl('req', '-new', '-key', 'leaf.key', '-subj', '/CN=old', '-out', 'leaf.csr')
    openssl(
      'x509',
      '-req',
      '-in',
      'leaf.csr',
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-set_serial',
      '77',
      '-out',
      'leaf.pem',
    )
    const certificate = new x509.X509Certificate(readFileSync(path('leaf.pem'), 'utf8'))
    return { ...like, certificate, der: Buffer.from(certificate.rawData), pem: certificate.toString('pem') }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
