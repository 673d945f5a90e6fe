/** A request of which anything was changed is refused, and with an error of our own. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { readRequest } from '../../src/ca/request.js'
import { HoldfastError } from '../../src/core/errors.js'
import { readElement, readElements } from '../../src/core/x509/der.js'
import { run } from '../support/command.js'

describe('readRequest', function () {
  this.timeout(60_000)
  let der: Buffer
  before(async () => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null']
    const names = [
      '-addext',
      'subjectAltName=DNS:edge.example,IP:10.0.0.1',
      '-addext',
      'keyUsage=digitalSignature',
    ]
    const pem = await run('openssl', ['req', '-new', ...key, '-subj', '/O=Example/CN=edge', ...names])
    der = Buffer.from(pem.replaceAll(/-----.*-----/g, ''), 'base64')
  })

  it('takes the request as it is', async () => {
    const { subject, notes } = await readRequest(der)
    assert.equal(subject.toString(), 'O=Example, CN=edge')
    assert.deepEqual(notes, [])
  })

  const isOurs = (error: unknown) => {
    assert.ok(error instanceof HoldfastError, String(error))
    assert.ok(['CSR_INVALID', 'KEY_UNSUPPORTED'].includes(error.code), error.code)
    return true
  }

  const refuseChanged = async (from: number, to: number) => {
    for (let index = from; index < to; index++) {
      const damaged = Buffer.from(der)
      damaged[index]! ^= 1 << (index % 8)
      await assert.rejects(readRequest(damaged), isOurs, `byte ${index}`)
    }
  }

  it('refuses it with any byte changed of what is signed', async () => {
    const { content } = readElement(der)
    const [signed] = readElements(content)
    await refuseChanged(0, der.length - content.length + signed!.whole.length)
  })

  it('refuses another signature', () => refuseChanged(der.length - 60, der.length))

  it('refuses it cut off, or with more behind it', async () => {
    for (const length of der.keys()) await assert.rejects(readRequest(der.subarray(0, length)), isOurs)
    await assert.rejects(readRequest(Buffer.concat([der, Buffer.alloc(1)])), isOurs)
  })

  it('refuses any other bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        await assert.rejects(readRequest(bytes), isOurs)
        await assert.rejects(readRequest(Buffer.concat([der.subarray(0, 20), bytes])), isOurs)
      }),
      { numRuns: 200 },
    )
  })
})
