/** What is said of certificates, with OpenSSL as judge, and what of each that Roles Anywhere would refuse. */

import 'reflect-metadata'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { parseCertificate } from '../../../src/core/x509/certificate.js'
import { readCertificateFacts } from '../../../src/core/x509/certificate-facts.js'
import {
  BAD_CERTIFICATES,
  certificatePem,
  createAuthority,
  createFileKey,
} from '../../support/certificates.js'
import { run } from '../../support/command.js'

const clock = { now: new Date(), buildDate: new Date(0) }
const read = (der: Uint8Array) => readCertificateFacts(parseCertificate(der), clock)

describe('readCertificateFacts', () => {
  for (const [algorithm, keyType] of [
    ['P-256', 'p-256'],
    ['P-384', 'p-384'],
    ['RSA-2048', 'rsa-2048'],
  ] as const) {
    it(`tells of a certificate for ${algorithm} what OpenSSL tells`, async () => {
      const authority = await createAuthority('First Root')
      const { publicKey } = await createFileKey(algorithm)
      const der = await authority.issue(publicKey, {
        subject: 'CN=edge-1,OU=Plant 4,O=Example,C=DE',
        serialNumber: '00c0ffee',
        keyUsage: x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyAgreement,
        subjectAltNames: [
          { type: 'dns', value: 'edge-1.example' },
          { type: 'ip', value: '192.0.2.7' },
          { type: 'email', value: 'ops@example.com' },
          { type: 'url', value: 'spiffe://example/edge-1' },
        ],
        extensions: [new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.2', '1.2.3.4'])],
      })
      const facts = read(der)
      assert.equal(facts.subject, 'CN=edge-1, OU=Plant 4, O=Example, C=DE')
      assert.equal(facts.issuer, 'CN=First Root')
      assert.deepEqual(facts.serialNumber, { decimal: '12648430', hex: 'c0ffee' })
      assert.deepEqual([facts.keyType, facts.isCa, facts.rolesAnywhere], [keyType, false, { accepted: true }])
      assert.deepEqual(facts.keyUsage, ['digitalSignature', 'keyAgreement'])
      assert.deepEqual(facts.extendedKeyUsage, ['clientAuth', '1.2.3.4'])
      assert.deepEqual(facts.alternativeNames, [
        'DNS:edge-1.example',
        'IP Address:192.0.2.7',
        'email:ops@example.com',
        'URI:spiffe://example/edge-1',
      ])
      const folder = await mkdtemp(join(tmpdir(), 'holdfast-facts-'))
      try {
        const file = join(folder, 'c.pem')
        await writeFile(file, certificatePem(der))
        const said = await run('openssl', [
          'x509',
          '-in',
          file,
          '-noout',
          '-fingerprint',
          '-sha256',
          '-enddate',
          '-dateopt',
          'iso_8601',
        ])
        assert.ok(said.replaceAll(':', '').toLowerCase().includes(`fingerprint=${facts.fingerprint}`))
        assert.ok(said.includes(facts.notAfter.replace('T', ' ')), said)
      } finally {
        await rm(folder, { recursive: true })
      }
    })
  }

  it('says of each certificate that Roles Anywhere refuses why', async () => {
    const authority = await createAuthority()
    const { publicKey } = await createFileKey('P-256')
    for (const [what, options] of Object.entries(BAD_CERTIFICATES)) {
      const { rolesAnywhere } = read(await authority.issue(publicKey, options))
      assert.equal(rolesAnywhere.accepted, false, what)
      assert.match(rolesAnywhere.fault!, /^(the certificate|this machine's clock)/, what)
    }
  })

  it('warns of one that ends soon', async () => {
    const authority = await createAuthority()
    const { publicKey } = await createFileKey('P-256')
    const notAfter = new Date(Date.now() + 5 * 86_400_000)
    const der = await authority.issue(publicKey, {
      notBefore: new Date(Date.now() - 300 * 86_400_000),
      notAfter,
    })
    assert.match(read(der).rolesAnywhere.warning!, /expires in/)
  })

  it('shows an empty subject, and a key of another kind', async () => {
    const authority = await createAuthority()
    const { publicKey } = await createFileKey('P-521')
    const facts = read(await authority.issue(publicKey, { subject: '', keyUsage: undefined }))
    assert.deepEqual([facts.subject, facts.keyType, facts.keyUsage], ['', 'p-521', []])
  })
})
