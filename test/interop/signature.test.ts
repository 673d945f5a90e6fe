/**
 * The bytes that really went over the wire, judged by OpenSSL: the string to sign is written out here once
 * more, after AWS's page and apart from the program's own code.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-sign-process.html
 */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { certificatePem, type KeyAlgorithm } from '../support/certificates.js'
import { run } from '../support/command.js'
import { createEdge, type Edge } from '../support/edge.js'
import { runHoldfast } from '../support/program.js'
import { startTap } from '../support/tap.js'

const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex')

/** What a signed request says of its signature, and what must have been signed. */
interface SignedRequest {
  readonly headers: ReadonlyMap<string, string>
  readonly algorithm: string
  readonly serial: string
  readonly signedHeaders: readonly string[]
  readonly signature: Buffer
  readonly stringToSign: string
}

function readSignedRequest(bytes: Buffer): SignedRequest {
  const end = bytes.indexOf('\r\n\r\n')
  const [requestLine, ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  assert.equal(requestLine, 'POST /sessions HTTP/1.1')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [name, value] = [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1)]
    assert.ok(!headers.has(name), `${name} was sent twice`)
    headers.set(name, value.trim())
  }
  const parts = /^(\S+) Credential=(\d+)\/(\S+), SignedHeaders=(\S+), Signature=((?:[0-9a-f]{2})+)$/.exec(
    headers.get('authorization') ?? '',
  )
  assert.ok(parts, headers.get('authorization'))
  const [algorithm, serial, scope, names, signature] = parts.slice(1) as [
    string,
    string,
    string,
    string,
    string,
  ]
  let canonical = 'POST\n/sessions\n\n'
  for (const name of names.split(';').sort()) canonical += `${name}:${headers.get(name)}\n`
  canonical += `\n${names}\n${sha256(bytes.subarray(end + 4))}`
  return {
    headers,
    algorithm,
    serial,
    signedHeaders: names.split(';'),
    signature: Buffer.from(signature, 'hex'),
    stringToSign: `${algorithm}\n${headers.get('x-amz-date')}\n${scope}\n${sha256(canonical)}`,
  }
}

/** The request that the program sends for one credential. */
async function capture(edge: Edge, args: readonly string[]): Promise<SignedRequest> {
  const tap = await startTap(edge.emulator.port)
  try {
    const { status, stderr } = await runHoldfast(
      ['credential-process', ...args.with(args.indexOf('--endpoint') + 1, tap.url)],
      { env: edge.env },
    )
    assert.equal(status, 0, stderr)
    const [exchange, ...more] = tap.exchanges()
    assert.deepEqual(more, [])
    return readSignedRequest(exchange!.request)
  } finally {
    await tap.close()
  }
}

/** OpenSSL's judgement, by the certificate in the request. */
async function askOpenssl(edge: Edge, request: SignedRequest) {
  const path = (name: string) => join(edge.token.directory, name)
  const certificate = ['x509', '-inform', 'DER', '-in', path('sent.der'), '-noout']
  await writeFile(path('sent.der'), Buffer.from(request.headers.get('x-amz-x509')!, 'base64'))
  await writeFile(path('sent.pub'), await run('openssl', [...certificate, '-pubkey']))
  return {
    serial: async () =>
      BigInt((await run('openssl', [...certificate, '-serial'])).trim().replace('serial=', '0x')),
    async verify({ stringToSign = request.stringToSign, signature = request.signature }) {
      await writeFile(path('string-to-sign'), stringToSign)
      await writeFile(path('signature'), signature)
      const files = ['-signature', path('signature'), path('string-to-sign')]
      return (await run('openssl', ['dgst', '-sha256', '-verify', path('sent.pub'), ...files])).trim()
    },
  }
}

describe('the signature of CreateSession', () => {
  const algorithms = {
    'RSA-2048': 'AWS4-X509-RSA-SHA256',
    'P-256': 'AWS4-X509-ECDSA-SHA256',
    'P-384': 'AWS4-X509-ECDSA-SHA256',
    'P-521': 'AWS4-X509-ECDSA-SHA256',
  } satisfies Record<KeyAlgorithm, string>

  for (const [key, algorithm] of Object.entries(algorithms) as [KeyAlgorithm, string][]) {
    it(`with a ${key} key verifies in OpenSSL, and nothing else does`, async () => {
      // As long as a serial number may be, and with a zero as its first hexadecimal digit.
      const certificate = { serialNumber: `0a${'f0'.repeat(19)}` }
      const edge = await createEdge({ algorithm: key, certificate, tls: false })
      try {
        const request = await capture(edge, edge.args)
        const openssl = await askOpenssl(edge, request)
        assert.equal(request.algorithm, algorithm)
        assert.equal(BigInt(request.serial), await openssl.serial())
        assert.equal(request.headers.get('x-amz-x509'), Buffer.from(edge.certificate).toString('base64'))
        assert.equal(await openssl.verify({}), 'Verified OK')
        await assert.rejects(
          openssl.verify({ stringToSign: `${request.stringToSign} ` }),
          /Verification failure/,
        )
        const signature = Buffer.from(request.signature)
        signature[signature.length - 1]! ^= 1
        await assert.rejects(openssl.verify({ signature }), /Verification failure/i)
      } finally {
        await edge.dispose()
      }
    })
  }

  it('covers the chain, where one is sent', async () => {
    const edge = await createEdge({ tls: false })
    try {
      const plain = await capture(edge, edge.args)
      assert.deepEqual(plain.signedHeaders, ['content-type', 'host', 'x-amz-date', 'x-amz-x509'])
      const issuing = await edge.authority.intermediate('Issuing')
      const key = await edge.token.generateKey('P-256', { id: '07', label: 'second' })
      const file = join(edge.token.directory, 'chain.pem')
      const leaf = await issuing.issue(key)
      await writeFile(file, certificatePem(leaf, issuing.certificate, edge.authority.certificate))
      const [flag, uri, ...others] = edge.args
      const args = [flag!, uri!.replace('id=%01', 'id=%07'), ...others, '--certificate', file]
      const request = await capture(edge, args)
      assert.deepEqual(request.signedHeaders, [...plain.signedHeaders, 'x-amz-x509-chain'])
      assert.equal(
        request.headers.get('x-amz-x509-chain'),
        Buffer.from(issuing.certificate).toString('base64'),
      )
      const openssl = await askOpenssl(edge, request)
      assert.equal(await openssl.verify({}), 'Verified OK')
    } finally {
      await edge.dispose()
    }
  })
})
