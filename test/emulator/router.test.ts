/** Whatever comes over the wire is answered: what a handler throws by accident would end in a 500. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Faults } from '../../src/emulator/faults.js'
import { quickStart } from '../../src/emulator/quick-start.js'
import { answer } from '../../src/emulator/router.js'
import { createState, type World } from '../../src/emulator/state.js'
import { type Identity, makeCa, makeLeaf } from './pki.js'
import { signedRequest, withHeader } from './request-signer.js'

const ROLE = 'arn:aws:iam::111122223333:role/edge'

/** Names that the operations look for, so that values of all kinds come to stand at them. */
const MEMBERS = [
  ...['name', 'source', 'sourceType', 'sourceData', 'x509CertificateData', 'enabled', 'tags', 'key', 'value'],
  ...['roleArns', 'durationSeconds', 'crlData', 'trustAnchorArn', 'resourceArn', 'tagKeys', 'roleArn'],
  ...['assumeRolePolicyDocument', 'Version', 'Statement', 'Effect', 'Principal', 'Action', 'Condition'],
  ...['latencyMs', 'failNext', 'kind', 'count', '__proto__', 'constructor'],
]

const { json } = fc.letrec((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(
      null,
      true,
      0,
      900,
      -1,
      1.5,
      '',
      'x',
      'CERTIFICATE_BUNDLE',
      'Allow',
      '2012-10-17',
      ROLE,
      'AAAA',
    ),
    fc.string(),
    fc.array(tie('json'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...MEMBERS), tie('json'), { maxKeys: 5 }),
  ),
}))

describe('answer', () => {
  let ca: Identity
  let leaf: Identity
  let world: World

  before(async () => {
    ca = await makeCa()
    leaf = await makeLeaf(ca)
  })
  beforeEach(() => {
    world = { state: createState(), faults: new Faults(), now: () => new Date() }
  })

  it('gives a reply of the service to any JSON at any operation', async () => {
    const operations = fc.constantFrom(
      ...['POST /trustanchors', 'POST /profiles', 'POST /crls', 'POST /TagResource', 'POST /UntagResource'],
      ...['PATCH /put-notifications-settings', 'PATCH /reset-notifications-settings'],
      ...['PUT /_emulator/roles', 'PUT /_emulator/faults', 'POST /sessions'],
    )
    await fc.assert(
      fc.asyncProperty(operations, json, async (operation, body) => {
        const [method, path] = operation.split(' ') as [string, string]
        const headers = new Map([['content-type', ['application/json']]])
        const bytes = Buffer.from(JSON.stringify(body))
        const { status } = await answer({ method, path, query: '', headers, body: bytes }, world)
        assert.ok([200, 201, 400, 403, 404].includes(status), String(status))
      }),
    )
  })

  it('gives a refusal to a signed request in which anything has changed', async () => {
    const body = quickStart(world, { caPem: ca.pem, roleArn: ROLE })
    const request = signedRequest(leaf, { body, chain: [ca] })
    assert.equal((await answer(request, world)).status, 201)
    const names = [...request.headers.keys()]
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), fc.nat(), fc.nat(255), async (name, at, code) => {
        const value = request.headers.get(name)![0]!
        const index = at % value.length
        const changed = value.slice(0, index) + String.fromCharCode(code) + value.slice(index + 1)
        fc.pre(changed.trim() !== value)
        const { status } = await answer(withHeader(request, name, [changed]), world)
        assert.ok([403, 415].includes(status), `${name}: ${status}`)
      }),
    )
  })
})
