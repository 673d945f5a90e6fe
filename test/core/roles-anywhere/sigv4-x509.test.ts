/** SigV4-X509 against vectors that test/vectors/make-sigv4-x509.py made without our code, and against OpenSSL. */

import assert from 'node:assert/strict'
import { createPrivateKey, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { prepareRequest } from '../../../src/core/roles-anywhere/sigv4-x509.js'
import type { SigningAlgorithm } from '../../../src/core/signer.js'
import { parseCertificatesPem, publicKeyOf, signingAlgorithmOf } from '../../../src/core/x509/certificate.js'
import { run } from '../../support/command.js'

interface Vector {
  readonly name: string
  /** Names of PEM files. */
  readonly key: string
  readonly certificate: string
  readonly chain: string | null
  readonly host: string
  readonly region: string
  readonly date: string
  readonly body: string
  readonly algorithm: SigningAlgorithm
  readonly headers: Record<string, string>
  readonly stringToSign: string
  /** Hexadecimal; OpenSSL made it. */
  readonly signature: string
  readonly authorization: string
}

const path = (name: string) => fileURLToPath(new URL(`../../vectors/${name}`, import.meta.url))
const read = (name: string) => readFileSync(path(name), 'utf8')
const vectors = JSON.parse(read('sigv4-x509.json')) as Vector[]

function prepare(vector: Vector) {
  return prepareRequest({
    host: vector.host,
    path: '/sessions',
    body: Buffer.from(vector.body),
    date: new Date(vector.date),
    region: vector.region,
    certificate: certificateOf(vector),
    chain: vector.chain === null ? [] : parseCertificatesPem(read(vector.chain)),
    algorithm: vector.algorithm,
  })
}

const certificateOf = (vector: Vector) => parseCertificatesPem(read(vector.certificate))[0]!

describe('prepareRequest', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-sigv4-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  /** What `openssl dgst -verify` says about a signature. */
  async function verifyWithOpenssl(
    vector: Vector,
    message: Uint8Array,
    signature: Uint8Array,
  ): Promise<string> {
    const [key, text, bytes] = [join(folder, 'key'), join(folder, 'text'), join(folder, 'signature')]
    await run('openssl', ['x509', '-in', path(vector.certificate), '-noout', '-pubkey', '-out', key])
    await writeFile(text, message)
    await writeFile(bytes, signature)
    return run('openssl', ['dgst', '-sha256', '-verify', key, '-signature', bytes, text])
  }

  for (const vector of vectors) {
    describe(vector.name, () => {
      const prepared = prepare(vector)
      const signature = Buffer.from(vector.signature, 'hex')

      it('has the headers, in this order and byte for byte', () => {
        assert.deepEqual(Object.entries(prepared.headers), Object.entries(vector.headers))
      })

      it('has the string to sign', () => {
        assert.equal(Buffer.from(prepared.stringToSign).toString(), vector.stringToSign)
      })

      it('has the Authorization header for the signature', () => {
        assert.equal(prepared.formatAuthorization(signature), vector.authorization)
      })

      it('is of the algorithm of the certificate’s key', () => {
        assert.equal(signingAlgorithmOf(certificateOf(vector)), vector.algorithm)
      })

      it('verifies with the certificate, as the program checks it before it sends', () => {
        const key = publicKeyOf(certificateOf(vector))
        assert.ok(verify('sha256', prepared.stringToSign, key, signature))
        assert.ok(!verify('sha256', Buffer.from('another'), key, signature))
      })

      it('is signed by node:crypto as OpenSSL verifies it', async () => {
        const made = sign('sha256', prepared.stringToSign, createPrivateKey(read(vector.key)))
        assert.equal(await verifyWithOpenssl(vector, prepared.stringToSign, made), 'Verified OK\n')
        await assert.rejects(verifyWithOpenssl(vector, Buffer.from('another'), made), /Verification failure/i)
      })
    })
  }

  // Every part of the request is signed: another one makes another string to sign.
  const [first] = vectors
  const changes: Record<string, Partial<Vector>> = {
    host: { host: `${first!.host}:444` },
    body: { body: `${first!.body} ` },
    date: { date: '2026-01-02T03:04:06Z' },
    region: { region: 'eu-central-2' },
    chain: { chain: 'sigv4-x509/intermediates.pem' },
    certificate: { certificate: 'sigv4-x509/p-256.certificate.pem' },
    algorithm: { algorithm: 'AWS4-X509-ECDSA-SHA256' },
  }
  for (const [part, change] of Object.entries(changes)) {
    it(`signs another string if the ${part} is another`, () => {
      assert.notEqual(
        Buffer.from(prepare({ ...first!, ...change }).stringToSign).toString(),
        first!.stringToSign,
      )
    })
  }

  it('drops the fraction of a second', () => {
    const prepared = prepare({ ...first!, date: '2026-01-02T03:04:05.999Z' })
    assert.equal(Buffer.from(prepared.stringToSign).toString(), first!.stringToSign)
  })
})

describe('test/vectors/make-sigv4-x509.py', () => {
  it('still writes the vectors that are committed', async () => {
    const printed = await run('python3', [path('make-sigv4-x509.py'), '--print'])
    assert.deepEqual(JSON.parse(printed), vectors)
  })

  it('covers what a vector must show', () => {
    const serials = vectors.map((vector) => certificateOf(vector).serialNumber)
    assert.ok(serials.includes(7n))
    assert.ok(serials.some((serial) => serial > 2n ** 152n))
    const texts = vectors.map(({ key, chain, host }) => `${key} ${chain !== null} ${/:\d+$/.test(host)}`)
    for (const wanted of [
      /rsa-2048.* false false/,
      /rsa-2048.* true true/,
      /p-256.* true/,
      /p-384.* true$/,
      /p-521/,
    ]) {
      assert.ok(
        texts.some((text) => wanted.test(text)),
        String(wanted),
      )
    }
  })
})
