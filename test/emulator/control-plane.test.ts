/** The control plane: its operations, and every rule that it holds its callers to. */
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { Faults } from '../../src/emulator/faults.js'
import { answer } from '../../src/emulator/router.js'
import { createState, type World } from '../../src/emulator/state.js'
import { type Identity, makeCa, makeCrl, makeLeaf } from './pki.js'

const ROLE = 'arn:aws:iam::111122223333:role/edge'
const T0 = new Date('2026-11-01T12:00:00Z')

// biome-ignore lint/suspicious/noExplicitAny: replies are read as a client would, without types
type Json = any

describe('the control plane', () => {
  let ca: Identity
  let second: Identity
  let third: Identity
  let world: World
  let now: Date

  before(async () => {
    ca = await makeCa()
    second = await makeCa({ name: 'CN=Second CA' })
    third = await makeCa({ name: 'CN=Third CA' })
  })
  beforeEach(() => {
    now = T0
    world = { state: createState(), faults: new Faults(), now: () => now }
  })

  async function send(method: string, target: string, body?: unknown) {
    const [path = '', query = ''] = target.split('?')
    const bytes = Buffer.from(JSON.stringify(body) ?? '')
    const reply = await answer({ method, path, query, headers: new Map(), body: bytes }, world)
    return {
      status: reply.status,
      type: reply.headers['x-amzn-errortype'],
      body: JSON.parse(reply.body) as Json,
    }
  }

  async function accepts(status: number, method: string, target: string, body?: unknown): Promise<Json> {
    const reply = await send(method, target, body)
    assert.equal(reply.status, status, JSON.stringify(reply.body))
    return reply.body
  }

  async function refuses(message: RegExp, method: string, target: string, body?: unknown) {
    const reply = await send(method, target, body)
    assert.deepEqual([reply.status, reply.type], [400, 'ValidationException'], JSON.stringify(reply.body))
    assert.match(reply.body.message, message)
  }

  async function findsNothing(method: string, target: string, body?: unknown) {
    const reply = await send(method, target, body)
    assert.deepEqual(
      [reply.status, reply.type],
      [404, 'ResourceNotFoundException'],
      JSON.stringify(reply.body),
    )
  }

  const bundle = (pem: string) => ({
    sourceType: 'CERTIFICATE_BUNDLE',
    sourceData: { x509CertificateData: pem },
  })
  const source = (pem = ca.pem) => bundle(pem)
  const createAnchor = async (more: object = {}) =>
    (await accepts(201, 'POST', '/trustanchors', { name: 'a', source: source(), ...more })).trustAnchor
  const createProfile = async (more: object = {}) =>
    (await accepts(201, 'POST', '/profiles', { name: 'p', roleArns: [ROLE], ...more })).profile
  const crlBody = async (trustAnchorArn: string, issuer = ca, options = {}) => ({
    name: 'c',
    trustAnchorArn,
    crlData: Buffer.from(await makeCrl(issuer, [], options)).toString('base64'),
  })
  const importCrl = async (trustAnchorArn: string) =>
    (await accepts(201, 'POST', '/crls', await crlBody(trustAnchorArn))).crl

  describe('CreateTrustAnchor', () => {
    it('gives the anchor, disabled, with the default notifications', async () => {
      const { trustAnchorId: id, ...anchor } = await createAnchor()
      const notification = {
        enabled: true,
        threshold: 45,
        channel: 'ALL',
        configuredBy: 'rolesanywhere.amazonaws.com',
      }
      assert.deepEqual(anchor, {
        trustAnchorArn: `arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/${id}`,
        name: 'a',
        source: source(),
        enabled: false,
        createdAt: T0.toISOString(),
        updatedAt: T0.toISOString(),
        notificationSettings: [
          { event: 'CA_CERTIFICATE_EXPIRY', ...notification },
          { event: 'END_ENTITY_CERTIFICATE_EXPIRY', ...notification },
        ],
      })
    })

    it('stands in the partition of its region', async () => {
      world = { ...world, state: createState({ region: 'cn-north-1' }) }
      assert.match((await createAnchor()).trustAnchorArn, /^arn:aws-cn:rolesanywhere:cn-north-1:/)
    })

    for (const [what, change, message] of [
      [
        'no name',
        { name: undefined },
        /Value null at 'name' failed to satisfy constraint: Member must not be null/,
      ],
      ['an empty name', { name: '' }, /length greater than or equal to 1/],
      ['a name of 256', { name: 'x'.repeat(256) }, /length less than or equal to 255/],
      ['a name with other letters', { name: 'a/b' }, /regular expression/],
      ['no source', { source: undefined }, /null at 'source'/],
      [
        'a source of no known type',
        { source: { sourceType: 'X', sourceData: {} } },
        /satisfy enum value set: \[CERTIFICATE_BUNDLE, /,
      ],
      [
        'a Private CA',
        { source: { sourceType: 'AWS_ACM_PCA', sourceData: { acmPcaArn: 'x' } } },
        /no trust anchors of type AWS_ACM_PCA/,
      ],
      [
        'no certificate data',
        { source: { sourceType: 'CERTIFICATE_BUNDLE', sourceData: {} } },
        /needs x509CertificateData/,
      ],
      ['a text of more than 204800', { source: bundle('x'.repeat(204801)) }, /less than or equal to 204800/],
      ['text that is not PEM', { source: bundle('x') }, /holds 0 PEM certificates/],
      [
        'PEM that is no certificate',
        { source: bundle('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----') },
        /is not PEM/,
      ],
      ['enabled as text', { enabled: 'yes' }, /be a boolean/],
      ['a body that is a list', [], /null at 'name'|be a structure/],
      ['tags with other letters', { tags: [{ key: 'a*', value: '' }] }, /'tags\.1\.member\.key'/],
      [
        'a threshold of 361 days',
        { notificationSettings: [{ enabled: true, event: 'CA_CERTIFICATE_EXPIRY', threshold: 361 }] },
        /less than or equal to 360/,
      ],
      [
        'a notification without threshold',
        { notificationSettings: [{ enabled: true, event: 'CA_CERTIFICATE_EXPIRY' }] },
        /needs a threshold/,
      ],
    ] as const) {
      it(`refuses ${what}`, () => {
        const body = Array.isArray(change) ? change : { name: 'a', source: source(), ...change }
        return refuses(message, 'POST', '/trustanchors', body)
      })
    }

    it('takes two certificates, not three', async () => {
      await createAnchor({ source: source(ca.pem + second.pem) })
      await refuses(/holds 3 PEM certificates; 1 to 2/, 'POST', '/trustanchors', {
        name: 'a',
        source: source(ca.pem + second.pem + third.pem),
      })
    })

    it('takes CA certificates only', async () => {
      const { digitalSignature, keyCertSign } = x509.KeyUsageFlags
      for (const [identity, message] of [
        [await makeLeaf(ca), /CN=edge cannot be a trust anchor: its basicConstraints/],
        [await makeCa({ ca: undefined }), /basicConstraints/],
        [await makeCa({ keyUsage: digitalSignature }), /keyCertSign/],
        [await makeCa({ keyUsage: undefined }), /keyCertSign/],
        [await makeCa({ hash: 'SHA-1' }), /weaker than SHA-256/],
      ] as const) {
        await refuses(message, 'POST', '/trustanchors', { name: 'a', source: source(identity.pem) })
      }
      await createAnchor({ source: source((await makeCa({ keyUsage: keyCertSign })).pem) })
    })
  })

  describe('the life of a trust anchor', () => {
    it('is read, listed, changed, enabled, disabled and deleted', async () => {
      const anchor = await createAnchor()
      const path = `/trustanchor/${anchor.trustAnchorId}`
      assert.deepEqual(await accepts(200, 'GET', path), { trustAnchor: anchor })
      assert.deepEqual(await accepts(200, 'GET', '/trustanchors'), { trustAnchors: [anchor] })
      now = new Date('2026-11-01T13:00:00Z')
      const { trustAnchor } = await accepts(200, 'PATCH', path, { name: 'b', source: source(second.pem) })
      assert.deepEqual(trustAnchor, {
        ...anchor,
        name: 'b',
        source: source(second.pem),
        updatedAt: now.toISOString(),
      })
      assert.equal((await accepts(200, 'POST', `${path}/enable`)).trustAnchor.enabled, true)
      assert.equal((await accepts(200, 'POST', `${path}/disable`)).trustAnchor.enabled, false)
      assert.equal((await accepts(200, 'DELETE', path)).trustAnchor.name, 'b')
      await findsNothing('GET', path)
      assert.deepEqual(await accepts(200, 'GET', '/trustanchors'), { trustAnchors: [] })
    })

    it('refuses a change to something that cannot be an anchor', async () => {
      const { trustAnchorId } = await createAnchor()
      await refuses(/holds 0 PEM/, 'PATCH', `/trustanchor/${trustAnchorId}`, { source: source('x') })
    })

    it('does not end while it has a CRL', async () => {
      const { trustAnchorId, trustAnchorArn } = await createAnchor()
      const { crlId } = await importCrl(trustAnchorArn)
      await refuses(/delete the CRL first/, 'DELETE', `/trustanchor/${trustAnchorId}`)
      await accepts(200, 'DELETE', `/crl/${crlId}`)
      await accepts(200, 'DELETE', `/trustanchor/${trustAnchorId}`)
    })

    it('has notification settings that are put and reset', async () => {
      const { trustAnchorId, notificationSettings } = await createAnchor()
      const put = {
        trustAnchorId,
        notificationSettings: [{ enabled: false, event: 'CA_CERTIFICATE_EXPIRY' }],
      }
      const { trustAnchor } = await accepts(200, 'PATCH', '/put-notifications-settings', put)
      const custom = {
        enabled: false,
        event: 'CA_CERTIFICATE_EXPIRY',
        channel: 'ALL',
        configuredBy: '111122223333',
      }
      assert.deepEqual(trustAnchor.notificationSettings, [custom, notificationSettings[1]])
      const reset = { trustAnchorId, notificationSettingKeys: [{ event: 'CA_CERTIFICATE_EXPIRY' }] }
      const after = await accepts(200, 'PATCH', '/reset-notifications-settings', reset)
      assert.deepEqual(after.trustAnchor.notificationSettings, notificationSettings)
      await refuses(/enum value set/, 'PATCH', '/reset-notifications-settings', {
        ...reset,
        notificationSettingKeys: [{ event: 'X' }],
      })
      await refuses(/null at 'notificationSettings'/, 'PATCH', '/put-notifications-settings', {
        trustAnchorId,
      })
    })
  })

  describe('CreateProfile', () => {
    it('gives the profile, disabled, with the default mapping', async () => {
      const { profileId: id, ...profile } = await createProfile()
      const all = [{ specifier: '*' }]
      assert.deepEqual(profile, {
        profileArn: `arn:aws:rolesanywhere:us-east-1:111122223333:profile/${id}`,
        name: 'p',
        requireInstanceProperties: false,
        enabled: false,
        createdBy: '111122223333',
        roleArns: [ROLE],
        managedPolicyArns: [],
        createdAt: T0.toISOString(),
        updatedAt: T0.toISOString(),
        durationSeconds: 3600,
        acceptRoleSessionName: false,
        attributeMappings: [
          { certificateField: 'x509Issuer', mappingRules: all },
          {
            certificateField: 'x509SAN',
            mappingRules: [{ specifier: 'DNS' }, { specifier: 'URI' }, { specifier: 'Name/*' }],
          },
          { certificateField: 'x509Subject', mappingRules: all },
        ],
      })
    })

    for (const [what, change, message] of [
      ['no name', { name: undefined }, /null at 'name'/],
      ['no roles', { roleArns: undefined }, /null at 'roleArns'/],
      [
        'a role that is none',
        { roleArns: [ROLE, 'arn:aws:iam::111122223333:user/x'] },
        /'roleArns\.2\.member'.*regular expression/,
      ],
      ['251 roles', { roleArns: Array(251).fill(ROLE) }, /less than or equal to 250/],
      ['51 managed policies', { managedPolicyArns: Array(51).fill('x') }, /less than or equal to 50/],
      ['a duration of 899', { durationSeconds: 899 }, /greater than or equal to 900/],
      ['a duration of 43201', { durationSeconds: 43201 }, /less than or equal to 43200/],
    ] as const) {
      it(`refuses ${what}`, () =>
        refuses(message, 'POST', '/profiles', { name: 'p', roleArns: [ROLE], ...change }))
    }
  })

  describe('the life of a profile', () => {
    it('is read, listed, changed, enabled, disabled and deleted', async () => {
      const profile = await createProfile({ sessionPolicy: '{}' })
      const path = `/profile/${profile.profileId}`
      assert.deepEqual(await accepts(200, 'GET', path), { profile })
      assert.deepEqual(await accepts(200, 'GET', '/profiles'), { profiles: [profile] })
      now = new Date('2026-11-01T13:00:00Z')
      const changes = { name: 'q', durationSeconds: 900, acceptRoleSessionName: true, roleArns: [] }
      const changed = await accepts(200, 'PATCH', path, changes)
      assert.deepEqual(changed.profile, { ...profile, ...changes, updatedAt: now.toISOString() })
      await refuses(/900/, 'PATCH', path, { durationSeconds: 1 })
      assert.equal((await accepts(200, 'POST', `${path}/enable`)).profile.enabled, true)
      assert.equal((await accepts(200, 'POST', `${path}/disable`)).profile.enabled, false)
      assert.equal((await accepts(200, 'DELETE', path)).profile.name, 'q')
      await findsNothing('GET', path)
    })

    it('has attribute mappings to which rules are added and from which they are taken', async () => {
      const { profileId } = await createProfile()
      const path = `/profiles/${profileId}/mappings`
      const rulesOf = ({ profile }: Json, field: string): string[] =>
        profile.attributeMappings
          .find((mapping: Json) => mapping.certificateField === field)
          ?.mappingRules.map((rule: Json) => rule.specifier)
      const put = { certificateField: 'x509Subject', mappingRules: [{ specifier: 'CN' }, { specifier: '*' }] }
      assert.deepEqual(rulesOf(await accepts(200, 'PUT', path, put), 'x509Subject'), ['*', 'CN'])
      assert.deepEqual(
        rulesOf(
          await accepts(200, 'DELETE', `${path}?certificateField=x509Subject&specifiers=*`),
          'x509Subject',
        ),
        ['CN'],
      )
      assert.equal(
        rulesOf(await accepts(200, 'DELETE', `${path}?certificateField=x509Subject`), 'x509Subject'),
        undefined,
      )
      assert.deepEqual(
        rulesOf(
          await accepts(200, 'DELETE', `${path}?certificateField=x509SAN&specifiers=DNS&specifiers=URI`),
          'x509SAN',
        ),
        ['Name/*'],
      )
      await findsNothing('DELETE', `${path}?certificateField=x509Subject`)
      await findsNothing('DELETE', `${path}?certificateField=x509SAN&specifiers=DNS`)
      await refuses(/enum value set: \[x509Subject, x509Issuer, x509SAN\]/, 'PUT', path, {
        ...put,
        certificateField: 'x',
      })
      await refuses(/empty/, 'PUT', path, { ...put, mappingRules: [] })
      await refuses(/less than or equal to 60/, 'PUT', path, {
        ...put,
        mappingRules: [{ specifier: 'x'.repeat(61) }],
      })
      await refuses(/certificateField/, 'DELETE', path)
    })
  })

  describe('ImportCrl', () => {
    it('gives the list, disabled', async () => {
      const { trustAnchorArn } = await createAnchor()
      const body = await crlBody(trustAnchorArn)
      const { crl } = await accepts(201, 'POST', '/crls', body)
      const { crlId: id, ...rest } = crl
      assert.deepEqual(rest, {
        crlArn: `arn:aws:rolesanywhere:us-east-1:111122223333:crl/${id}`,
        ...body,
        enabled: false,
        createdAt: T0.toISOString(),
        updatedAt: T0.toISOString(),
      })
    })

    it('wants a list of a CA of the anchor, with its signature', async () => {
      const { trustAnchorArn } = await createAnchor()
      const impostor = await makeCa()
      await refuses(
        /issuer is not a CA of the trust anchor/,
        'POST',
        '/crls',
        await crlBody(trustAnchorArn, second),
      )
      await refuses(/signature does not verify/, 'POST', '/crls', await crlBody(trustAnchorArn, impostor))
      await refuses(
        /weaker than SHA-256/,
        'POST',
        '/crls',
        await crlBody(trustAnchorArn, ca, { hash: 'SHA-1' }),
      )
    })

    it('wants a CA that may sign lists', async () => {
      const quiet = await makeCa({ keyUsage: x509.KeyUsageFlags.keyCertSign })
      const { trustAnchorArn } = await createAnchor({ source: source(quiet.pem) })
      await refuses(/lacks cRLSign/, 'POST', '/crls', await crlBody(trustAnchorArn, quiet))
    })

    it('wants PEM, in base64, of 1 to 300000 bytes', async () => {
      const { trustAnchorArn } = await createAnchor()
      const pem = await makeCrl(ca, [])
      const body = (data: string | Buffer) => ({
        name: 'c',
        trustAnchorArn,
        crlData: Buffer.from(data).toString('base64'),
      })
      const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
      await refuses(/0 "X509 CRL" blocks/, 'POST', '/crls', body(der))
      await refuses(/2 "X509 CRL" blocks/, 'POST', '/crls', body(pem + pem))
      await refuses(
        /crlData cannot be used/,
        'POST',
        '/crls',
        body('-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----'),
      )
      await refuses(/be base64/, 'POST', '/crls', { ...body(''), crlData: '?' })
      await refuses(/greater than or equal to 1$/, 'POST', '/crls', body(''))
      await refuses(/less than or equal to 300000$/, 'POST', '/crls', body(Buffer.alloc(300_001)))
    })

    it('takes two lists of an anchor, not three', async () => {
      const { trustAnchorArn } = await createAnchor()
      await importCrl(trustAnchorArn)
      await importCrl(trustAnchorArn)
      await refuses(/has 2 CRLs/, 'POST', '/crls', await crlBody(trustAnchorArn))
    })

    it('wants an anchor that exists', async () => {
      const { trustAnchorArn } = await createAnchor()
      await findsNothing('POST', '/crls', await crlBody(`${trustAnchorArn}0`))
      await refuses(/regular expression/, 'POST', '/crls', await crlBody('arn:aws:rolesanywhere:::profile/x'))
    })
  })

  it('reads, lists, changes, enables, disables and deletes a CRL', async () => {
    const { trustAnchorArn } = await createAnchor()
    const crl = await importCrl(trustAnchorArn)
    const path = `/crl/${crl.crlId}`
    assert.deepEqual(await accepts(200, 'GET', path), { crl })
    assert.deepEqual(await accepts(200, 'GET', '/crls'), { crls: [crl] })
    const { crlData } = await crlBody(trustAnchorArn)
    const changed = await accepts(200, 'PATCH', path, { name: 'd', crlData })
    assert.deepEqual(changed.crl, { ...crl, name: 'd', crlData })
    await refuses(/issuer is not a CA/, 'PATCH', path, { crlData: (await crlBody('', second)).crlData })
    assert.equal((await accepts(200, 'POST', `${path}/enable`)).crl.enabled, true)
    assert.equal((await accepts(200, 'POST', `${path}/disable`)).crl.enabled, false)
    await accepts(200, 'DELETE', path)
    await findsNothing('GET', path)
  })

  it('knows the resources of an id, and nothing by another id', async () => {
    const id = randomUUID()
    for (const kind of ['trustanchor', 'profile', 'crl']) {
      for (const [method, path] of [
        ['GET', ''],
        ['PATCH', ''],
        ['DELETE', ''],
        ['POST', '/enable'],
        ['POST', '/disable'],
      ] as const) {
        await findsNothing(method, `/${kind}/${id}${path}`, {})
        await refuses(/length greater than or equal to 36/, method, `/${kind}/x${path}`, {})
      }
    }
    await findsNothing('GET', `/subject/${id}`)
    await refuses(/36/, 'GET', '/subject/x')
    await refuses(/percent-encoded/, 'GET', '/subject/%ff')
  })

  it('does not know other operations', async () => {
    for (const [status, method, path] of [
      [404, 'GET', '/'],
      [404, 'POST', '/profiles/x'],
      [405, 'PUT', '/profiles'],
    ] as const) {
      const reply = await send(method, path)
      assert.deepEqual([reply.status, reply.type], [status, 'UnknownOperationException'])
    }
  })

  it('lists page by page', async () => {
    const ids = []
    for (let count = 0; count < 5; count += 1) ids.push((await createProfile()).profileId)
    const pages: string[][] = []
    let token = ''
    do {
      const page = await accepts(200, 'GET', `/profiles?pageSize=2${token}`)
      pages.push(page.profiles.map((profile: Json) => profile.profileId))
      token = page.nextToken === undefined ? '' : `&nextToken=${page.nextToken}`
    } while (token !== '')
    assert.deepEqual(pages, [ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)])
    for (const query of ['pageSize=0', 'pageSize=x', 'nextToken=', 'nextToken=eA', 'nextToken=LTE']) {
      await refuses(/pageSize|nextToken/, 'GET', `/profiles?${query}`)
    }
  })

  describe('tags', () => {
    it('are given at creation, added, replaced, taken away and shown', async () => {
      const { profileArn: resourceArn } = await createProfile({ tags: [{ key: 'a', value: '1' }] })
      const list = () =>
        accepts(200, 'GET', `/ListTagsForResource?resourceArn=${encodeURIComponent(resourceArn)}`)
      const given = [
        { key: 'a', value: '2' },
        { key: 'b', value: '' },
      ]
      assert.deepEqual(await list(), { tags: [{ key: 'a', value: '1' }] })
      await accepts(201, 'POST', '/TagResource', { resourceArn, tags: given })
      assert.deepEqual(await list(), { tags: given })
      await accepts(200, 'POST', '/UntagResource', { resourceArn, tagKeys: ['a'] })
      assert.deepEqual(await list(), { tags: given.slice(1) })
    })

    it('belong to anchors and CRLs too, and to nothing else', async () => {
      const { trustAnchorArn } = await createAnchor({ tags: [{ key: 'a', value: '1' }] })
      const { crlArn } = await importCrl(trustAnchorArn)
      for (const resourceArn of [trustAnchorArn, crlArn]) {
        await accepts(201, 'POST', '/TagResource', { resourceArn, tags: [] })
      }
      await findsNothing('POST', '/TagResource', { resourceArn: ROLE, tags: [] })
      await findsNothing('POST', '/UntagResource', { resourceArn: ROLE, tagKeys: [] })
      await findsNothing('GET', `/ListTagsForResource?resourceArn=${ROLE}`)
      await refuses(/resourceArn/, 'GET', '/ListTagsForResource')
    })

    it('are at most 200', async () => {
      const { profileArn: resourceArn } = await createProfile()
      const tags = (from: number, count: number) =>
        Array.from({ length: count }, (_, index) => ({ key: `k${from + index}`, value: '' }))
      await accepts(201, 'POST', '/TagResource', { resourceArn, tags: tags(0, 200) })
      const reply = await send('POST', '/TagResource', { resourceArn, tags: tags(200, 1) })
      assert.deepEqual([reply.status, reply.type], [400, 'TooManyTagsException'])
      await refuses(/less than or equal to 200/, 'POST', '/TagResource', { resourceArn, tags: tags(0, 201) })
    })

    it('go with their resource', async () => {
      const { profileId } = await createProfile({ tags: [{ key: 'a', value: '1' }] })
      await accepts(200, 'DELETE', `/profile/${profileId}`)
      assert.deepEqual(world.state.tags, {})
    })
  })

  describe('PUT /_emulator/roles', () => {
    const policy = { Version: '2012-10-17', Statement: { Effect: 'Allow', Principal: '*', Action: 'sts:*' } }
    const body = { roleArn: ROLE, assumeRolePolicyDocument: policy }

    it('adds a role, or replaces it, with the policy as an object or as text', async () => {
      await accepts(200, 'PUT', '/_emulator/roles', {
        ...body,
        assumeRolePolicyDocument: JSON.stringify(policy),
      })
      assert.deepEqual(await accepts(200, 'GET', '/_emulator/roles'), {
        roles: [{ ...body, maxSessionDuration: 3600 }],
      })
      await accepts(200, 'PUT', '/_emulator/roles', { ...body, maxSessionDuration: 43200 })
      assert.deepEqual(await accepts(200, 'GET', '/_emulator/roles'), {
        roles: [{ ...body, maxSessionDuration: 43200 }],
      })
    })

    for (const [what, change, message] of [
      ['something that is no role', { roleArn: 'x' }, /regular expression/],
      ['a role of another account', { roleArn: 'arn:aws:iam::444455556666:role/x' }, /not a role of account/],
      ['no policy', { assumeRolePolicyDocument: undefined }, /cannot judge/],
      ['a policy that is not JSON', { assumeRolePolicyDocument: '{' }, /not JSON/],
      [
        'a policy it cannot judge',
        { assumeRolePolicyDocument: { ...policy, Statement: {} } },
        /cannot judge/,
      ],
      ['a duration below an hour', { maxSessionDuration: 900 }, /3600/],
      ['a duration above twelve hours', { maxSessionDuration: 43201 }, /43200/],
    ] as const) {
      it(`refuses ${what}`, () => refuses(message, 'PUT', '/_emulator/roles', { ...body, ...change }))
    }
  })
})
