/** Certs-only messages: OpenSSL writes and reads them too; the same with indefinite lengths, and any damage. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { HoldfastError } from '../../../src/core/errors.js'
import { parseCertsOnly } from '../../../src/core/x509/pkcs7.js'
import { certificatePem, createAuthority, createFileKey } from '../../support/certificates.js'
import { run } from '../../support/command.js'
import { element, integer, oid, sequence } from '../../support/handmade-certificate.js'

const DATA = oid('2a864886f70d010701')
const SIGNED_DATA = oid('2a864886f70d010702')
const EMPTY_SET = element(0x31)

describe('parseCertsOnly', () => {
  let folder: string
  let leaf: Uint8Array
  let root: Uint8Array
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-pkcs7-'))
    const authority = await createAuthority()
    root = authority.certificate
    leaf = await authority.issue((await createFileKey('P-384')).publicKey)
  })
  after(() => rm(folder, { recursive: true, force: true }))

  /** A message of these parts; what is not given is as it should be. */
  function message({
    type = SIGNED_DATA,
    encapsulated = sequence(DATA),
    certificates = element(0xa0, leaf, root),
    rest = [EMPTY_SET] as Uint8Array[],
  } = {}): Buffer {
    return sequence(
      type,
      element(0xa0, sequence(integer(1n), EMPTY_SET, encapsulated, certificates, ...rest)),
    )
  }

  const ders = (bytes: Uint8Array) => parseCertsOnly(bytes).map(({ der }) => Buffer.from(der))

  it('reads what OpenSSL wrote', async () => {
    const pem = join(folder, 'certificates.pem')
    const der = join(folder, 'openssl.p7')
    await writeFile(pem, certificatePem(leaf, root))
    await run('openssl', ['crl2pkcs7', '-nocrl', '-certfile', pem, '-outform', 'DER', '-out', der])
    const { readFile } = await import('node:fs/promises')
    assert.deepEqual(ders(await readFile(der)), [leaf, root].map(Buffer.from))
  })

  it('reads what OpenSSL reads', async () => {
    const file = join(folder, 'ours.p7')
    await writeFile(file, message())
    const said = await run('openssl', ['pkcs7', '-inform', 'DER', '-in', file, '-print_certs'])
    assert.equal(said.match(/BEGIN CERTIFICATE/g)?.length, 2)
    assert.deepEqual(ders(message()), [leaf, root].map(Buffer.from))
  })

  it('reads a frame with indefinite lengths, as OpenSSL does', async () => {
    const bytes = indefinite(
      0x30,
      SIGNED_DATA,
      indefinite(
        0xa0,
        indefinite(
          0x30,
          integer(1n),
          EMPTY_SET,
          indefinite(0x30, DATA),
          indefinite(0xa0, leaf, root),
          EMPTY_SET,
        ),
      ),
    )
    const file = join(folder, 'indefinite.p7')
    await writeFile(file, bytes)
    const said = await run('openssl', ['pkcs7', '-inform', 'DER', '-in', file, '-print_certs'])
    assert.equal(said.match(/BEGIN CERTIFICATE/g)?.length, 2)
    assert.deepEqual(ders(bytes), [leaf, root].map(Buffer.from))
  })

  it('passes over revocation lists', () => {
    assert.equal(parseCertsOnly(message({ rest: [element(0xa1, sequence()), EMPTY_SET] })).length, 2)
  })

  const empty = Buffer.alloc(0)
  for (const [what, make] of [
    ['nothing', () => empty],
    ['a bare certificate', () => leaf],
    ['bytes behind the message', () => Buffer.concat([message(), Buffer.of(0)])],
    ['another content type', () => message({ type: oid('2a864886f70d010703') })],
    ['a content', () => message({ encapsulated: sequence(DATA, element(0xa0, element(4))) })],
    ['signers', () => message({ rest: [element(0x31, sequence())] })],
    ['no set of signers', () => message({ rest: [] })],
    ['no certificates', () => message({ certificates: empty as Buffer<ArrayBuffer> })],
    ['an empty set of certificates', () => message({ certificates: element(0xa0) })],
    ['a certificate of another kind', () => message({ certificates: element(0xa0, element(0xa1, leaf)) })],
    ['an unknown field', () => message({ rest: [element(0xa2), EMPTY_SET] })],
    ['a message that is cut off', () => message().subarray(0, -1)],
    ['an indefinite length without end', () => Buffer.from('30800201', 'hex')],
    ['a primitive of indefinite length', () => Buffer.from('048004010000', 'hex')],
    ['very deep nesting', () => Buffer.from('3080'.repeat(50_000), 'hex')],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => parseCertsOnly(make()), { code: 'CERTIFICATE_INVALID' })
    })
  }

  it('answers every damage with certificates or an error of its own', () => {
    const good = message()
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (place, byte, length) => {
        const bytes = Buffer.from(good)
        bytes[place] = byte
        try {
          assert.ok(parseCertsOnly(bytes.subarray(0, length || undefined)).length <= 2)
        } catch (error) {
          assert.ok(error instanceof HoldfastError && error.code === 'CERTIFICATE_INVALID', String(error))
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('answers any bytes with an error of its own', () => {
    const pieces = fc.oneof(
      fc.constantFrom([0x30, 0x80], [0xa0, 0x80], [0, 0], [0x31, 0]),
      fc.array(fc.nat(255)),
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
        assert.throws(() => parseCertsOnly(Uint8Array.from(parts.flat())), { code: 'CERTIFICATE_INVALID' })
      }),
      { numRuns: 2000 },
    )
  })
})

function indefinite(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.of(tag, 0x80), ...contents, Buffer.of(0, 0)])
}
