/** Tokens of consumers and their records. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { findConsumer, findDigest, formatRecord, formatToken } from '../../../src/core/endpoints/consumer.js'

const createToken = () => formatToken(randomBytes(32))
const consumerOf = (name: string, token: string) => ({ name, digest: findDigest(formatRecord(name, token))! })

describe('formatToken', () => {
  it('is 43 characters that a header and a file without line end can hold', () => {
    assert.match(createToken(), /^[A-Za-z0-9_-]{43}$/)
  })
})

describe('formatRecord', () => {
  it('is a line of sha256sum', () => {
    // printf abc | sha256sum
    const digest = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    assert.equal(formatRecord('app', 'abc'), `${digest}  app.token\n`)
  })
})

describe('findDigest', () => {
  it('reads what formatRecord wrote', () => {
    assert.equal(
      Buffer.from(findDigest(formatRecord('app', 'abc'))!)
        .toString('hex')
        .slice(0, 8),
      'ba7816bf',
    )
  })

  for (const record of [
    '',
    '\n',
    'abc',
    `${'a'.repeat(63)}  app.token\n`,
    `${'g'.repeat(64)}  app.token\n`,
  ]) {
    it(`finds none in ${JSON.stringify(record.slice(0, 20))}`, () => {
      assert.equal(findDigest(record), undefined)
    })
  }
})

describe('findConsumer', () => {
  it('finds the one whose token it is', () => {
    const tokens = [createToken(), createToken()]
    const consumers = tokens.map((token, index) => consumerOf(`app-${index}`, token))
    assert.equal(findConsumer(consumers, tokens[0]!)?.name, 'app-0')
    assert.equal(findConsumer(consumers, tokens[1]!)?.name, 'app-1')
  })

  it('finds none for any other text', () => {
    const token = createToken()
    const consumers = [consumerOf('app', token)]
    for (const other of [
      '',
      ` ${token}`,
      `${token}\n`,
      `Bearer ${token}`,
      `${token}, ${token}`,
      token.slice(1),
    ]) {
      assert.equal(findConsumer(consumers, other), undefined)
    }
    fc.assert(fc.property(fc.string(), (text) => findConsumer(consumers, text) === undefined))
    assert.equal(findConsumer([], token), undefined)
  })
})
