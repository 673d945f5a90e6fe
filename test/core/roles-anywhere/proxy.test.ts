import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { HoldfastError } from '../../../src/core/errors.js'
import { findProxy } from '../../../src/core/roles-anywhere/proxy.js'

const ENDPOINT = 'https://rolesanywhere.eu-central-1.amazonaws.com'
const find = (env: Record<string, string>, endpoint = ENDPOINT) => findProxy(new URL(endpoint), env)
const host = (env: Record<string, string>, endpoint?: string) => find(env, endpoint)?.url.origin

describe('findProxy', () => {
  it('finds none if no variable names one', () => {
    assert.equal(find({}), undefined)
    assert.equal(find({ HTTPS_PROXY: '', https_proxy: '' }), undefined)
    assert.equal(find({ HTTP_PROXY: 'http://p.example:3128', ALL_PROXY: 'socks5://s.example' }), undefined)
  })

  it('reads HTTPS_PROXY, and before it https_proxy', () => {
    assert.equal(host({ HTTPS_PROXY: 'http://p.example:3128' }), 'http://p.example:3128')
    assert.equal(
      host({ HTTPS_PROXY: 'http://p.example', https_proxy: 'https://q.example:8443' }),
      'https://q.example:8443',
    )
  })

  it('takes a value without a scheme for an http proxy', () => {
    assert.equal(host({ HTTPS_PROXY: 'p.example:3128' }), 'http://p.example:3128')
    assert.equal(host({ HTTPS_PROXY: '[::1]:3128' }), 'http://[::1]:3128')
  })

  it('keeps the credentials apart from the URL', () => {
    const proxy = find({ HTTPS_PROXY: 'http://me%40corp:s%3Acret@p.example:3128' })
    assert.equal(proxy?.url.href, 'http://p.example:3128/')
    assert.equal(proxy?.authorization, `Basic ${Buffer.from('me@corp:s:cret').toString('base64')}`)
    assert.equal(find({ HTTPS_PROXY: 'http://p.example:3128' })?.authorization, undefined)
  })

  it('leaves plain http and loopback hosts alone', () => {
    const env = { HTTPS_PROXY: 'http://p.example' }
    assert.equal(find(env, 'http://127.0.0.1:8080'), undefined)
    assert.equal(find(env, 'https://127.0.0.1:8443'), undefined)
    assert.equal(find(env, 'https://localhost:8443'), undefined)
    assert.equal(host(env, 'https://10.0.0.1'), 'http://p.example')
  })

  for (const noProxy of [
    '*',
    'amazonaws.com',
    '.amazonaws.com',
    '*.amazonaws.com',
    'AMAZONAWS.com',
    'rolesanywhere.eu-central-1.amazonaws.com',
    'amazonaws.com:443',
    'localhost, a.example ,amazonaws.com',
    'localhost amazonaws.com',
  ]) {
    it(`is overruled by NO_PROXY=${noProxy}`, () => {
      assert.equal(find({ HTTPS_PROXY: 'http://p.example', NO_PROXY: noProxy }), undefined)
      assert.equal(find({ HTTPS_PROXY: 'http://p.example', no_proxy: noProxy, NO_PROXY: 'x' }), undefined)
    })
  }

  for (const noProxy of [
    '',
    ',',
    '.',
    'azonaws.com',
    'amazonaws.com:8443',
    'eu-central-1',
    'amazonaws.com.',
    'https://amazonaws.com',
  ]) {
    it(`is not overruled by NO_PROXY=${noProxy}`, () => {
      assert.equal(host({ HTTPS_PROXY: 'http://p.example', NO_PROXY: noProxy }), 'http://p.example')
    })
  }

  it('compares addresses, IPv6 with brackets or without', () => {
    const env = (noProxy: string) => ({ HTTPS_PROXY: 'http://p.example', NO_PROXY: noProxy })
    assert.equal(find(env('fd00::1'), 'https://[fd00::1]'), undefined)
    assert.equal(find(env('[fd00::1]:8443'), 'https://[fd00::1]:8443'), undefined)
    assert.equal(host(env('[fd00::1]:8443'), 'https://[fd00::1]'), 'http://p.example')
    assert.equal(find(env('10.0.0.1'), 'https://10.0.0.1'), undefined)
    assert.equal(host(env('10.0.0.1'), 'https://10.0.0.11'), 'http://p.example')
  })

  for (const text of [
    'socks5://canary:canary@p.example',
    'http://',
    'http://canary:%zz@p.example',
    'http://p.example:canary',
  ]) {
    it(`refuses ${text} without repeating it`, () => {
      assert.throws(
        () => find({ HTTPS_PROXY: text }),
        (error: unknown) => {
          assert(error instanceof HoldfastError && error.code === 'USAGE')
          assert.doesNotMatch(inspect(error, { depth: 9 }), /canary:|:canary/)
          return true
        },
      )
    })
  }

  it('answers any text with a proxy, none, or USAGE', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (proxy, noProxy) => {
        try {
          find({ HTTPS_PROXY: proxy, NO_PROXY: noProxy })
        } catch (error) {
          assert(error instanceof HoldfastError && error.code === 'USAGE')
        }
      }),
    )
  })
})
