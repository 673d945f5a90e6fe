import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'mocha'
import { BAD_CERTIFICATES, certificatePem, createAuthority, createFileKey } from './certificates.js'
import { run } from './command.js'

describe('createAuthority', () => {
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-certificates-'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  /** What OpenSSL prints about a DER certificate. */
  async function show(certificate: Uint8Array): Promise<string> {
    const file = join(directory, 'shown.der')
    await writeFile(file, certificate)
    return run('openssl', ['x509', '-in', file, '-inform', 'DER', '-noout', '-text'])
  }

  it('issues a chain that OpenSSL verifies', async () => {
    const root = await createAuthority('Root', 'RSA-2048')
    const middle = await root.intermediate('Middle', 'P-384')
    const leaf = await middle.issue((await createFileKey('P-521')).publicKey)
    const files = { root: root.certificate, middle: middle.certificate, leaf }
    for (const [name, der] of Object.entries(files))
      await writeFile(join(directory, name), certificatePem(der))
    const trust = ['-CAfile', join(directory, 'root')]
    const leafFile = join(directory, 'leaf')
    await run('openssl', ['verify', ...trust, '-untrusted', join(directory, 'middle'), leafFile])
    await assert.rejects(run('openssl', ['verify', ...trust, leafFile]))
  })

  for (const serialNumber of ['01', `7f${'ab'.repeat(19)}`]) {
    it(`issues a certificate with a serial number of ${serialNumber.length / 2} bytes`, async () => {
      const authority = await createAuthority()
      const certificate = await authority.issue((await createFileKey('P-256')).publicKey, { serialNumber })
      assert.equal(new X509Certificate(certificate).serialNumber.toLowerCase(), serialNumber)
    })
  }

  it('issues each kind of bad certificate as it says', async () => {
    const authority = await createAuthority()
    const { publicKey } = await createFileKey('P-256')
    const good = await authority.issue(publicKey)
    const marks: Record<keyof typeof BAD_CERTIFICATES, (text: string, parsed: X509Certificate) => boolean> = {
      expired: (_, { validTo }) => Date.parse(validTo) < Date.now(),
      'not yet valid': (_, { validFrom }) => Date.parse(validFrom) > Date.now(),
      'of a CA': (text) => text.includes('CA:TRUE'),
      'without digitalSignature': (text) => !text.includes('Digital Signature') && text.includes('Key Usage'),
      'without key usage': (text) => !text.includes('Key Usage'),
      'signed with SHA-1': (text) => text.includes('ecdsa-with-SHA1'),
      'with an empty subject': (_, { subject }) => !subject,
    }
    for (const [kind, mark] of Object.entries(marks)) {
      const bad = await authority.issue(publicKey, BAD_CERTIFICATES[kind as keyof typeof marks])
      assert.equal(mark(await show(bad), new X509Certificate(bad)), true, kind)
      assert.equal(mark(await show(good), new X509Certificate(good)), false, `good one, ${kind}`)
    }
  })

  it('writes a revocation list that OpenSSL reads', async () => {
    const file = join(directory, 'list.pem')
    await writeFile(file, await (await createAuthority()).revoke('0a', 'ff00'))
    const text = await run('openssl', ['crl', '-in', file, '-noout', '-text'])
    assert.match(text, /Serial Number: 0A\b/)
    assert.match(text, /Serial Number: FF00\b/)
  })
})
