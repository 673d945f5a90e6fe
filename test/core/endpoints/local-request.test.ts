/** Requests that a program of this machine sends, and requests that somebody else had it send. */

import assert from 'node:assert/strict'
import { findForeignSign, listHosts } from '../../../src/core/endpoints/local-request.js'
import { requestOf } from '../../support/endpoint-request.js'

const hosts = listHosts(['127.0.0.1', 'localhost'], 9911)
const look = (headers: Record<string, string>) => findForeignSign(requestOf('GET', '/', headers), hosts)

describe('listHosts', () => {
  it('has the port, and on port 80 also leaves it out', () => {
    assert.deepEqual(hosts, ['127.0.0.1:9911', 'localhost:9911'])
    assert.deepEqual(listHosts(['localhost'], 80), ['localhost', 'localhost:80'])
    assert.deepEqual(listHosts(['fd00::1'], 9911), ['[fd00::1]:9911'])
  })
})

describe('findForeignSign', () => {
  it('finds nothing in what SDKs send', () => {
    for (const host of ['127.0.0.1:9911', 'localhost:9911', 'LOCALHOST:9911']) {
      assert.equal(look({ host }), undefined)
      assert.equal(
        look({ host, 'user-agent': 'Boto3/1', accept: '*/*', 'sec-fetch-mode': 'cors' }),
        undefined,
      )
    }
  })

  for (const host of [
    'evil.example:9911',
    '127.0.0.1',
    '127.0.0.1:80',
    '127.0.0.1:9911, 127.0.0.1:9911',
    '127.0.0.1:9911.evil.example',
    'localhost.:9911',
    '127.1:9911',
    '[::1]:9911',
    '',
  ]) {
    it(`finds the host ${JSON.stringify(host)}`, () => {
      assert.equal(look({ host }), `Host is ${JSON.stringify(host)}`)
    })
  }

  it('finds that there is no host', () => {
    assert.equal(look({}), 'no Host header')
  })

  for (const [name, value] of [
    ['origin', 'http://evil.example'],
    ['origin', 'null'],
    ['origin', 'http://127.0.0.1:9911'],
    ['sec-fetch-site', 'same-origin'],
    ['sec-fetch-site', 'none'],
    ['x-forwarded-for', '10.0.0.1'],
    ['forwarded', 'for=10.0.0.1'],
    ['via', '1.1 relay'],
  ] as const) {
    it(`finds ${name}: ${value}`, () => {
      assert.equal(look({ host: '127.0.0.1:9911', [name]: value }), `a header ${name}`)
    })
  }
})
