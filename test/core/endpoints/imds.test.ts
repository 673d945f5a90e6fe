/** IMDSv2, from request to reply. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { answerImdsRequest, type ImdsEndpoint } from '../../../src/core/endpoints/imds.js'
import type { ImdsTokens } from '../../../src/core/endpoints/imds-tokens.js'
import { HoldfastError } from '../../../src/core/errors.js'
import { CREDENTIALS, requestOf } from '../../support/endpoint-request.js'

const TTL = 'x-aws-ec2-metadata-token-ttl-seconds'
const ROLES = '/latest/meta-data/iam/security-credentials/'
const EXTENDED = '/latest/meta-data/iam/security-credentials-extended/'

/** An endpoint with a clock of its own. */
function createEndpoint(changes: Partial<ImdsEndpoint> = {}) {
  const tokens: ImdsTokens = new Map()
  const clock = { elapsedMs: 0 }
  const ask = (method: string, target: string, headers: Record<string, string> = {}) =>
    answerImdsRequest(requestOf(method, target, headers), {
      identity: 'edge',
      roleName: 'edge+role',
      accountId: '111122223333',
      region: 'eu-central-1',
      tokens,
      remote: 'uid 1000',
      createToken: () => randomBytes(32).toString('base64url'),
      elapsedMs: clock.elapsedMs,
      now: new Date('2030-01-02T02:04:05.678Z'),
      take: async () => CREDENTIALS,
      ...changes,
    })
  const getToken = async (ttl = '21600') => (await ask('PUT', '/latest/api/token', { [TTL]: ttl })).reply.body
  const get = async (target: string, token?: string) =>
    (await ask('GET', target, { 'x-aws-ec2-metadata-token': token ?? (await getToken()) })).reply
  return { ask, get, getToken, tokens, clock }
}

describe('answerImdsRequest', () => {
  describe('on /latest/api/token', () => {
    for (const ttl of ['1', '60', '21600']) {
      it(`gives a token for ${ttl} s and echoes the header`, async () => {
        const { ask } = createEndpoint()
        const { reply } = await ask('PUT', '/latest/api/token', { [TTL]: ttl })
        assert.equal(reply.status, 200)
        assert.match(reply.body, /^[\w-]{43}$/)
        assert.equal(reply.headers?.[TTL], ttl)
        assert.equal(reply.headers?.['content-type'], 'text/plain')
      })
    }

    for (const ttl of [undefined, '', '0', '-1', '21601', '1.5', '1e3', ' 60', '60, 60', 'x', '999999999']) {
      it(`says 400 to a time of ${ttl}`, async () => {
        const { ask, tokens } = createEndpoint()
        const { reply } = await ask('PUT', '/latest/api/token', ttl === undefined ? {} : { [TTL]: ttl })
        assert.equal(reply.status, 400)
        assert.match(reply.body, /Missing or Invalid Parameters/)
        assert.equal(tokens.size, 0)
      })
    }

    for (const method of ['GET', 'POST', 'DELETE', 'HEAD']) {
      it(`says 405 to ${method}`, async () => {
        const { reply } = await createEndpoint().ask(method, '/latest/api/token', { [TTL]: '60' })
        assert.equal(reply.status, 405)
        assert.equal(reply.headers?.allow, 'PUT')
      })
    }
  })

  describe('with a token', () => {
    it('hands out the credentials as EC2 does', async () => {
      const { get } = createEndpoint()
      const reply = await get(`${ROLES}edge+role`)
      assert.equal(reply.status, 200)
      assert.deepEqual(JSON.parse(reply.body), {
        Code: 'Success',
        LastUpdated: '2030-01-02T02:04:05Z',
        Type: 'AWS-HMAC',
        AccessKeyId: 'ASIAEXAMPLE',
        SecretAccessKey: 'canary-secret-key',
        Token: 'canary-session-token',
        Expiration: '2030-01-02T03:04:05Z',
      })
    })

    it('adds the account in the extended form', async () => {
      const body = JSON.parse((await createEndpoint().get(`${EXTENDED}edge+role`)).body)
      assert.equal(body.AccountId, '111122223333')
      assert.equal(body.Token, 'canary-session-token')
    })

    for (const [target, body] of [
      [ROLES, 'edge+role'],
      [ROLES.slice(0, -1), 'edge+role'],
      [EXTENDED, 'edge+role'],
      ['/latest/meta-data/placement/region', 'eu-central-1'],
      ['/latest/meta-data/placement/region/', 'eu-central-1'],
      ['//latest/meta-data/placement/region', 'eu-central-1'],
      ['/latest/meta-data/placement/availability-zone/', 'eu-central-1a'],
      ['/latest/meta-data/placement/availability-zone', 'eu-central-1a'],
    ] as const) {
      it(`answers ${target} with ${body}`, async () => {
        const reply = await createEndpoint().get(target)
        assert.equal(reply.status, 200)
        assert.equal(reply.body, body)
      })
    }

    it('tells the region in the identity document', async () => {
      const document = JSON.parse(
        (await createEndpoint().get('/latest/dynamic/instance-identity/document')).body,
      )
      assert.equal(document.region, 'eu-central-1')
    })

    for (const target of [
      '/',
      '/latest',
      '/latest/meta-data/',
      `${ROLES}other`,
      `${ROLES}edge+role/x`,
      `${EXTENDED}other`,
      '/latest/user-data',
      '/1.0/meta-data/iam/security-credentials/',
      '/latest/%zz',
      'http://169.254.169.254/latest/meta-data/placement/region',
    ]) {
      it(`says 404 to ${target}`, async () => {
        assert.equal((await createEndpoint().get(target)).status, 404)
      })
    }

    it('takes the name of a role in any encoding', async () => {
      const { get } = createEndpoint()
      for (const name of ['edge+role', 'edge%2Brole', 'edge%2brole/']) {
        assert.equal((await get(`${ROLES}${name}`)).status, 200)
      }
    })

    it('says 503, and to a neighbour not why, where there are no credentials', async () => {
      const take = async () => {
        throw new HoldfastError('PIN_NEEDED', 'canary: the PIN of /etc/secret')
      }
      const { ask, getToken } = createEndpoint({ take })
      const headers = { 'x-aws-ec2-metadata-token': await getToken() }
      const { reply, result, identity } = await ask('GET', `${ROLES}edge+role`, headers)
      assert.equal(reply.status, 503)
      assert.equal(JSON.parse(reply.body).Code, 'PIN_NEEDED')
      assert.doesNotMatch(reply.body, /canary|AccessKeyId/)
      assert.equal(result, 'PIN_NEEDED')
      assert.equal(identity, 'edge')
    })

    it('says 405 to what is no GET', async () => {
      const { ask, getToken } = createEndpoint()
      for (const method of ['PUT', 'POST', 'HEAD', 'OPTIONS']) {
        const { reply } = await ask(method, ROLES, { 'x-aws-ec2-metadata-token': await getToken() })
        assert.equal(reply.status, 405)
      }
    })
  })

  describe('without a token that is valid', () => {
    it('says 401 to a request of version 1', async () => {
      const { ask } = createEndpoint()
      for (const target of [
        ROLES,
        `${ROLES}edge+role`,
        `${EXTENDED}edge+role`,
        '/',
        '/latest/meta-data/placement/region',
      ]) {
        const { reply, credentials, result } = await ask('GET', target)
        assert.equal(result, 'unauthorized')
        assert.equal(reply.status, 401)
        assert.equal(credentials, undefined)
      }
    })

    it('says 401 to a token that was never given out', async () => {
      const { get, getToken } = createEndpoint()
      await getToken()
      for (const token of ['', 'x', 'A'.repeat(43)]) assert.equal((await get(ROLES, token)).status, 401)
    })

    it('says 401 once the time of the token is over, to whoever has it', async () => {
      const { get, getToken, clock } = createEndpoint()
      const token = await getToken('60')
      clock.elapsedMs = 59_999
      assert.equal((await get(ROLES, token)).status, 200)
      clock.elapsedMs = 60_000
      assert.equal((await get(ROLES, token)).status, 401)
    })
  })

  it('keeps no token in a form that could be used', async () => {
    const { getToken, tokens } = createEndpoint()
    const token = await getToken()
    assert.ok(!JSON.stringify([...tokens]).includes(token))
  })
})
