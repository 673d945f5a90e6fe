/** The container-credentials endpoint, from request to reply. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Credentials } from '../../../src/core/credentials.js'
import { findDigest, formatRecord } from '../../../src/core/endpoints/consumer.js'
import {
  answerContainerRequest,
  formatContainerVariables,
} from '../../../src/core/endpoints/container-endpoint.js'
import { HoldfastError } from '../../../src/core/errors.js'
import { CREDENTIALS, requestOf } from '../../support/endpoint-request.js'

const TOKENS: Record<string, string> = { edge: 'token-of-app', line: 'token-of-line' }
const endpoint = {
  consumersOf: (identity: string) => {
    const token = TOKENS[identity]
    return token === undefined ? [] : [{ name: 'app', digest: findDigest(formatRecord('app', token))! }]
  },
  take: async (): Promise<Credentials> => CREDENTIALS,
}
const ask = (method: string, target: string, authorization?: string, parts = endpoint) =>
  answerContainerRequest(
    requestOf(method, target, authorization === undefined ? {} : { authorization }),
    parts,
  )

describe('formatContainerVariables', () => {
  it('names an address that every SDK accepts over http', () => {
    assert.deepEqual(formatContainerVariables({ port: 9912, identity: 'edge', tokenFile: '/t' }), {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:9912/credentials/edge',
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/t',
    })
  })
})

describe('answerContainerRequest', () => {
  it('hands the credentials to the consumer of the identity', async () => {
    const { reply, ...meaning } = await ask('GET', '/credentials/edge', 'token-of-app')
    assert.equal(reply.status, 200)
    assert.deepEqual(JSON.parse(reply.body), {
      AccessKeyId: 'ASIAEXAMPLE',
      SecretAccessKey: 'canary-secret-key',
      Token: 'canary-session-token',
      Expiration: '2030-01-02T03:04:05Z',
      AccountId: '111122223333',
    })
    assert.equal(reply.headers?.['content-type'], 'application/json')
    assert.equal(reply.headers?.['cache-control'], 'no-store')
    assert.deepEqual(meaning, {
      identity: 'edge',
      consumer: 'app',
      result: 'ok',
      credentials: CREDENTIALS,
    })
  })

  it('leaves out an account that is not known', async () => {
    const { accountId: _, ...credentials } = CREDENTIALS
    const { reply } = await ask('GET', '/credentials/edge', 'token-of-app', {
      ...endpoint,
      take: async () => credentials,
    })
    assert.ok(!('AccountId' in JSON.parse(reply.body)))
  })

  it('answers with a query, which some relays add', async () => {
    assert.equal((await ask('GET', '/credentials/edge?x=1', 'token-of-app')).reply.status, 200)
  })

  for (const [title, method, target, token, status, code] of [
    ['no token', 'GET', '/credentials/edge', undefined, 401, 'Unauthorized'],
    ['a wrong token', 'GET', '/credentials/edge', 'token-of-ap', 401, 'Unauthorized'],
    ['the token of another identity', 'GET', '/credentials/line', 'token-of-app', 401, 'Unauthorized'],
    ['an identity that is not there', 'GET', '/credentials/nowhere', 'token-of-app', 401, 'Unauthorized'],
    ['another path', 'GET', '/', 'token-of-app', 404, 'NotFound'],
    ['no identity', 'GET', '/credentials/', 'token-of-app', 404, 'NotFound'],
    ['a path below an identity', 'GET', '/credentials/edge/x', 'token-of-app', 404, 'NotFound'],
    ['a URL, as for a proxy', 'GET', 'http://127.0.0.1/credentials/edge', 'token-of-app', 404, 'NotFound'],
    ['another method', 'POST', '/credentials/edge', 'token-of-app', 405, 'MethodNotAllowed'],
    ['HEAD', 'HEAD', '/credentials/edge', 'token-of-app', 405, 'MethodNotAllowed'],
    ['a preflight', 'OPTIONS', '/credentials/edge', undefined, 405, 'MethodNotAllowed'],
  ] as const) {
    it(`refuses ${title} with ${status}`, async () => {
      const { reply, credentials, result } = await ask(method, target, token)
      assert.equal(reply.status, status)
      const body = JSON.parse(reply.body)
      assert.deepEqual(Object.keys(body), ['Code', 'Message'])
      assert.equal(body.Code, code)
      assert.equal(credentials, undefined)
      assert.equal(result, status === 401 ? 'unauthorized' : undefined)
    })
  }

  it('tells identities that are there from others by nothing but a token', async () => {
    const [known, unknown] = [
      await ask('GET', '/credentials/edge', 'x'),
      await ask('GET', '/credentials/no', 'x'),
    ]
    assert.deepEqual(known, unknown)
  })

  it('says 503 and why where there are no credentials', async () => {
    const take = async () => {
      throw new HoldfastError('PIN_NEEDED', 'a person is needed')
    }
    const { reply, credentials, consumer } = await ask('GET', '/credentials/edge', 'token-of-app', {
      ...endpoint,
      take,
    })
    assert.equal(reply.status, 503)
    assert.deepEqual(JSON.parse(reply.body), { Code: 'PIN_NEEDED', Message: 'a person is needed' })
    assert.equal(consumer, 'app')
    assert.equal(credentials, undefined)
  })

  it('does not take a bug for a shortage', async () => {
    const take = async () => {
      throw new TypeError('bug')
    }
    await assert.rejects(ask('GET', '/credentials/edge', 'token-of-app', { ...endpoint, take }), TypeError)
  })

  it('hands out nothing to any other request', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.webPath(), fc.string(), async (method, target, token) => {
        const { credentials, reply } = await ask(method, target, token)
        return credentials === undefined && reply.status >= 400
      }),
    )
  })
})
