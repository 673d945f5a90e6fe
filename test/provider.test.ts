/**
 * The order of a provider's work: nothing that costs a PIN or a touch happens before what costs nothing.
 */

import assert from 'node:assert/strict'
import { createPrivateKey, sign } from 'node:crypto'
import { createServer } from 'node:net'
import type { Identity } from '../src/core/config/identity.js'
import type { Signer } from '../src/core/signer.js'
import { toSignerSource } from '../src/core/signer.js'
import { quickStart } from '../src/emulator/quick-start.js'
import { type Emulator, startEmulator } from '../src/emulator/server.js'
import { createIdentityProvider, type Surroundings } from '../src/identity-provider.js'
import { parseSession } from '../src/provider.js'
import {
  type Authority,
  BAD_CERTIFICATES,
  certify,
  createAuthority,
  createFileKey,
  type FileKey,
} from './support/certificates.js'

const ARNS = {
  trustAnchorArn:
    'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/11111111-2222-3333-4444-555555555555',
  profileArn: 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/11111111-2222-3333-4444-555555555555',
  roleArn: 'arn:aws:iam::111122223333:role/edge',
}

describe('parseSession', () => {
  it('asks for an hour unless told otherwise', () => {
    assert.equal(parseSession(ARNS, {}).request.durationSeconds, 3600)
    assert.equal(parseSession({ ...ARNS, sessionDuration: 900 }, {}).request.durationSeconds, 900)
  })

  it('takes the region of the trust anchor', () => {
    for (const region of [undefined, 'eu-central-1']) {
      const { endpoint } = parseSession({ ...ARNS, region }, {})
      assert.equal(endpoint.href, 'https://rolesanywhere.eu-central-1.amazonaws.com/')
    }
  })

  for (const region of ['us-east-1', 'cn-north-1']) {
    it(`refuses ${region} for a trust anchor in another region, also at an endpoint of the user's own`, () => {
      for (const endpoint of [undefined, 'https://localhost:8443']) {
        assert.throws(() => parseSession({ ...ARNS, region, endpoint }, {}), {
          code: 'ARN_INVALID',
          message: new RegExp(`is in region eu-central-1, .* not in ${region}: leave --region out`),
        })
      }
    })
  }

  for (const arn of ['trustAnchorArn', 'profileArn', 'roleArn'] as const) {
    it(`refuses to do without ${arn}`, () => {
      assert.throws(() => parseSession({ ...ARNS, [arn]: undefined }, {}), {
        code: 'USAGE',
        message: /^--[a-z-]+-arn is missing: give it, or name a configured identity$/,
      })
    })

    it(`names the file of an identity that has no ${arn}`, () => {
      const origin = 'identity "edge" in /etc/holdfast/config.toml'
      assert.throws(() => parseSession({ ...ARNS, [arn]: undefined, origin }, {}), {
        code: 'USAGE',
        message:
          /^identity "edge" in \/etc\/holdfast\/config.toml has no (.*-arn): add it there, or give --\1$/,
      })
    })
  }
})

describe('createIdentityProvider', () => {
  let authority: Authority
  let key: FileKey
  let emulator: Emulator
  let identity: Identity
  let signatures: number

  before(async () => {
    authority = await createAuthority()
    key = await createFileKey('P-256')
    emulator = await startEmulator()
    const arns = quickStart(emulator, { caPem: authority.certificatePem, roleArn: ARNS.roleArn })
    identity = { ...arns, endpoint: emulator.url, timeout: 5 }
  })
  after(() => emulator.close())

  function provider(
    certificate: Uint8Array,
    more: Identity = {},
    { chain = [], ...surroundings }: Partial<Surroundings> & { chain?: readonly Uint8Array[] } = {},
  ) {
    signatures = 0
    const signer: Signer = {
      certificate,
      chain,
      algorithm: 'AWS4-X509-ECDSA-SHA256',
      sign: async (message) => {
        signatures += 1
        return sign('sha256', message, createPrivateKey(key.privateKeyPem))
      },
    }
    return createIdentityProvider(
      { ...identity, ...more },
      {
        env: {},
        uid: 0,
        execPath: '',
        source: toSignerSource(signer),
        warn: assert.fail,
        now: () => new Date(),
        buildDate: new Date('2026-01-01'),
        signal: new AbortController().signal,
        ...surroundings,
      },
    )
  }

  it('signs once for each session', async () => {
    const get = provider(await authority.issue(key.publicKey))
    const [first, second] = [await get(), await get()]
    assert.notEqual(first.accessKeyId, second.accessKeyId)
    assert.equal(signatures, 2)
  })

  it('warns of an intermediate that ends before the certificate', async () => {
    const below = await authority.intermediate('Plant CA')
    const inDays = (days: number) => new Date(Date.now() + days * 86_400_000)
    const chain = [await certify(authority, below, { notBefore: inDays(-200), notAfter: inDays(3.5) })]
    const warnings: string[] = []
    const warn = (text: string) => warnings.push(text)
    await provider(await below.issue(key.publicKey), {}, { chain, warn })()
    assert.equal(warnings.length, 1)
    assert.match(warnings[0]!, /"CN=Plant CA", .* expires in 3 days/)
  })

  it('asks for no signature when nobody listens', async () => {
    const server = createServer()
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
    const { port } = server.address() as { port: number }
    await new Promise((closed) => server.close(closed))
    const get = provider(await authority.issue(key.publicKey), { endpoint: `http://127.0.0.1:${port}` })
    await assert.rejects(get(), { code: 'NETWORK_FAILED' })
    assert.equal(signatures, 0)
  })

  it('waits for the network before its turn, and answers for it after its turn', async () => {
    let turns = 0
    const takeTurn = async <T>(use: () => Promise<T>): Promise<T> => {
      turns += 1
      const requests = emulator.journal.length
      const result = await use()
      assert.equal(emulator.journal.length, requests)
      return result
    }
    const certificate = await authority.issue(key.publicKey)
    const unreachable = { endpoint: 'http://127.0.0.1:1' }
    await assert.rejects(provider(certificate, unreachable, { takeTurn })(), { code: 'NETWORK_FAILED' })
    assert.equal(turns, 0)
    await provider(certificate, {}, { takeTurn })()
    assert.equal(turns, 1)
  })

  it('asks for no signature with a certificate that the service must refuse', async () => {
    for (const options of Object.values(BAD_CERTIFICATES)) {
      await assert.rejects(provider(await authority.issue(key.publicKey, options))(), {
        name: 'HoldfastError',
      })
      assert.equal(signatures, 0)
    }
  })

  it('asks for no signature with a clock from before the program was built', async () => {
    const now = () => new Date('2025-12-31')
    const get = provider(await authority.issue(key.publicKey), {}, { now })
    await assert.rejects(get(), { code: 'CLOCK_WRONG' })
    assert.equal(signatures, 0)
  })

  it('sends nothing when the signature is another key’s', async () => {
    const requests = emulator.journal.length
    const { publicKey } = await createFileKey('P-256')
    await assert.rejects(provider(await authority.issue(publicKey))(), { code: 'SIGNATURE_INVALID' })
    assert.equal(emulator.journal.length, requests)
  })
})
