/** Every check of the signature, refused beside its acceptance. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { verifySignedRequest } from '../../src/emulator/signed-request.js'
import { type Identity, type KeyKind, makeCa, makeLeaf } from './pki.js'
import { type ExpectedRefusal, refusal } from './refusal.js'
import { type SignOptions, signedRequest, withHeader } from './request-signer.js'

const NOW = new Date('2026-11-01T12:00:00Z')
const MINUTE_MS = 60_000
const MALFORMED = 'Authorization header is malformed'

describe('verifySignedRequest', () => {
  let ca: Identity
  let leaf: Identity
  let other: Identity

  before(async () => {
    ca = await makeCa()
    leaf = await makeLeaf(ca)
    other = await makeLeaf(ca)
  })

  const sign = (options: SignOptions = {}) => signedRequest(leaf, { date: NOW, ...options })
  const verify = (request = sign()) => verifySignedRequest(request, 'us-east-1', NOW)
  const refuses = (expected: ExpectedRefusal, request: ReturnType<typeof sign>) =>
    assert.throws(() => verify(request), refusal(expected))

  for (const kind of ['rsa', 'p256', 'p384', 'p521'] satisfies KeyKind[]) {
    it(`accepts a signature of ${kind} with SHA-256`, async () => {
      const identity = await makeLeaf(ca, { kind })
      const { certificate } = verify(signedRequest(identity, { date: NOW, body: { a: 1 } }))
      assert.deepEqual(certificate.der, identity.der)
    })
  }

  for (const serialNumber of ['05', '7f0102030405060708090a0b0c0d0e0f10111213']) {
    it(`accepts the serial number ${serialNumber} in decimal and not in hex`, async () => {
      const identity = await makeLeaf(ca, { serialNumber })
      assert.equal(
        verify(signedRequest(identity, { date: NOW })).certificate.serialNumber,
        BigInt(`0x${serialNumber}`),
      )
      const hex = signedRequest(identity, { date: NOW, serial: serialNumber })
      refuses({ message: 'Invalid signature', reason: /decimal/ }, hex)
    })
  }

  it('accepts a host with a port, a query in canonical form and a chain', () => {
    const query = 'profileArn=arn%3Aaws%3Ax%2Fy&roleArn=a%20b%2Bc'
    const { offered } = verify(sign({ host: '127.0.0.1:8443', query, chain: [ca] }))
    assert.deepEqual(offered[0]!.der, ca.der)
  })

  it('brings a query to canonical form: order, encoding, and a second encoding of "="', () => {
    const signed = sign({ query: 'a=1%253D&b=%2A%2F' })
    assert.ok(verify({ ...signed, query: 'b=*%2f&a=1%3d' }))
    refuses({ message: 'Invalid signature' }, { ...signed, query: 'b=*%2f&a=2%3d' })
  })

  it('brings header values to canonical form: no blanks around, one blank within', () => {
    assert.ok(verify(withHeader(sign({ headers: { 'x-note': 'a b' } }), 'x-note', ['  a   b '])))
  })

  describe('refuses a request whose content is not what was signed:', () => {
    it('the body', () => refuses({ message: 'Invalid signature' }, { ...sign(), body: Buffer.from('{ }') }))
    it('the query', () => refuses({ message: 'Invalid signature' }, { ...sign(), query: 'a=1' }))
    it('the method', () => refuses({ message: 'Invalid signature' }, { ...sign(), method: 'PUT' }))
    it('the host', () => refuses({ message: 'Invalid signature' }, withHeader(sign(), 'host', ['127.0.0.1'])))
    it('the content type', () => {
      const changed = withHeader(sign(), 'content-type', ['application/json; charset=utf-8'])
      refuses({ message: 'Invalid signature' }, changed)
    })
    it('the date', () => {
      const changed = withHeader(sign(), 'x-amz-date', ['20261101T120001Z'])
      refuses({ message: 'Invalid signature' }, changed)
    })
    it('the chain', () => {
      const changed = withHeader(sign({ chain: [ca] }), 'x-amz-x509-chain', [other.der.toString('base64')])
      refuses({ message: 'Invalid signature' }, changed)
    })
  })

  describe('refuses a signature', () => {
    it('of another key', () => refuses({ message: 'Invalid signature' }, sign({ signWith: other.key })))
    it('with a changed byte', () => {
      const bend = ({ signature }: { signature: string }) => ({ signature: `${signature.slice(0, -2)}00` })
      refuses({ message: 'Invalid signature' }, sign({ bend: (parts) => bend(parts) }))
    })
    it('in upper case, or not in hex', () => {
      const reason = /lower-case hex/
      refuses(
        { message: MALFORMED, reason },
        sign({ bend: ({ signature }) => ({ signature: `${signature.slice(0, -2)}AF` }) }),
      )
      refuses({ message: MALFORMED, reason }, sign({ bend: () => ({ signature: 'zz' }) }))
      refuses(
        { message: MALFORMED, reason },
        sign({ bend: ({ signature }) => ({ signature: signature.slice(1) }) }),
      )
    })
    it('under the algorithm of another key type', () => {
      refuses(
        { message: 'Invalid signature', reason: /type ec/ },
        sign({ algorithm: 'AWS4-X509-RSA-SHA256' }),
      )
    })
    it('under an algorithm that does not exist', () => {
      refuses({ message: MALFORMED, reason: /not supported/ }, sign({ algorithm: 'AWS4-HMAC-SHA256' }))
      refuses({ message: MALFORMED, reason: /not supported/ }, sign({ algorithm: 'constructor' }))
    })
    it('of r and s side by side, instead of DER', async () => {
      const raw = { key: leaf.key, dsaEncoding: 'ieee-p1363' } as never
      refuses({ message: 'Invalid signature' }, sign({ signWith: raw }))
    })
  })

  it('refuses a serial number of another certificate', () => {
    const serial = BigInt(`0x${other.certificate.serialNumber}`).toString()
    refuses({ message: 'Invalid signature', reason: /serial number/ }, sign({ serial }))
  })

  describe('refuses a scope', () => {
    for (const [scope, message] of [
      ['20261101/eu-west-1/rolesanywhere/aws4_request', /valid region/],
      ['20261101/us-east-1/sts/aws4_request', /correct service: 'rolesanywhere'/],
      ['20261101/us-east-1/rolesanywhere/aws4', /valid terminator/],
      ['20261102/us-east-1/rolesanywhere/aws4_request', MALFORMED],
      ['2026-11-01/us-east-1/rolesanywhere/aws4_request', MALFORMED],
      ['20261101/us-east-1/rolesanywhere', MALFORMED],
      ['20261101/us-east-1/rolesanywhere/aws4_request/x', MALFORMED],
    ] as const) {
      it(scope, () => refuses({ message }, sign({ scope })))
    }
  })

  describe('refuses a clock', () => {
    const at = (ms: number) => sign({ date: new Date(NOW.getTime() + ms) })
    it('five minutes slow, and not a second less', () => {
      assert.ok(verify(at(-5 * MINUTE_MS)))
      const message =
        'Signature expired: 20261101T115459Z is now earlier than 20261101T115500Z (20261101T120000Z - 5 min.)'
      refuses({ message }, at(-5 * MINUTE_MS - 1000))
    })
    it('five minutes fast, and not a second less', () => {
      assert.ok(verify(at(5 * MINUTE_MS)))
      refuses(
        { message: /^Signature not yet current: 20261101T120501Z is still later/ },
        at(5 * MINUTE_MS + 1000),
      )
    })
    for (const amzDate of [
      '2026-11-01T12:00:00Z',
      '20261101T120000',
      '20261131T120000Z',
      '20261101T126000Z',
      '',
    ]) {
      it(`that says "${amzDate}"`, () => {
        const scope = '20261101/us-east-1/rolesanywhere/aws4_request'
        refuses({ message: MALFORMED, reason: /^X-Amz-Date is not an instant/ }, sign({ amzDate, scope }))
      })
    }
  })

  describe('refuses signed headers', () => {
    for (const name of ['host', 'x-amz-date', 'x-amz-x509', 'x-amz-x509-chain']) {
      it(`without ${name}`, () => {
        const reason = `header ${name} must be signed`
        refuses({ message: MALFORMED, reason }, sign({ chain: [ca], unsigned: [name] }))
      })
    }
    it('that are not sorted, or doubled', () => {
      const bend = (signedHeaders: string) => sign({ bend: () => ({ signedHeaders }) })
      refuses({ message: MALFORMED, reason: /not sorted/ }, bend('host;content-type;x-amz-date;x-amz-x509'))
      refuses({ message: MALFORMED, reason: /not sorted/ }, bend('host;host;x-amz-date;x-amz-x509'))
    })
    it('in upper case', () => {
      const request = sign({ bend: () => ({ signedHeaders: 'Host;x-amz-date;x-amz-x509' }) })
      refuses({ message: MALFORMED, reason: /lower case/ }, request)
    })
    it('that were not sent', () => {
      const request = withHeader(sign(), 'content-type', undefined)
      refuses({ message: MALFORMED, reason: /content-type was not sent/ }, request)
    })
    it('joined with commas', () => {
      const request = sign({
        bend: ({ signedHeaders }) => ({ signedHeaders: signedHeaders.replaceAll(';', ',') }),
      })
      refuses({ message: MALFORMED }, request)
    })
  })

  describe('refuses a request', () => {
    for (const name of ['authorization', 'x-amz-date', 'x-amz-x509']) {
      it(`without ${name}`, () =>
        refuses(
          { message: `Missing header: ${name}` },
          withHeader(sign({ unsigned: [name] }), name, undefined),
        ))
      it(`with two headers ${name}`, () => {
        const request = sign()
        const value = request.headers.get(name)![0]!
        refuses({ message: MALFORMED, reason: /sent 2 times/ }, withHeader(request, name, [value, value]))
      })
    }
    it('with an Authorization of another form', () => {
      refuses({ message: MALFORMED }, withHeader(sign(), 'authorization', ['Bearer x']))
    })
  })

  describe('refuses a certificate header', () => {
    const certificate = (text: string) => sign({ headers: { 'x-amz-x509': text } })
    it('in PEM', () => {
      refuses({ message: MALFORMED, reason: /base64/ }, certificate(leaf.pem.replaceAll('\n', ' ').trim()))
    })
    it('in the URL alphabet, without padding, or with a line break', () => {
      const base64 = leaf.der.toString('base64')
      for (const text of [
        leaf.der.toString('base64url'),
        `${base64.slice(0, 64)} ${base64.slice(64)}`,
        `${base64}=`,
      ]) {
        refuses({ message: MALFORMED, reason: /base64/ }, certificate(text))
      }
    })
    it('that holds something else, or more', () => {
      const reason = /does not hold a DER certificate/
      refuses(
        { message: MALFORMED, reason },
        certificate(
          readFileSync(new URL(import.meta.url))
            .subarray(0, 99)
            .toString('base64'),
        ),
      )
      refuses(
        { message: MALFORMED, reason },
        certificate(Buffer.concat([leaf.der, Buffer.of(0)]).toString('base64')),
      )
    })
    it('with a chain that is not one', () => {
      const request = sign({ headers: { 'x-amz-x509-chain': 'AAAA' } })
      refuses({ message: MALFORMED, reason: /X-Amz-X509-Chain/ }, request)
    })
    it('with a chain of six', () => {
      assert.equal(verify(sign({ chain: [ca, ca, ca, ca, ca] })).offered.length, 5)
      refuses(
        { message: MALFORMED, reason: /holds 6 certificates/ },
        sign({ chain: [ca, ca, ca, ca, ca, ca] }),
      )
    })
  })
})
