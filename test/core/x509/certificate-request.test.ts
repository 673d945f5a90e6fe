/** Certificate requests; OpenSSL reads them and verifies their signatures. */

import assert from 'node:assert/strict'
import { sign } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseCertificate } from '../../../src/core/x509/certificate.js'
import {
  createCertificateRequest,
  nameLike,
  nameRequest,
  parseAlternativeNames,
  type RequestedNames,
} from '../../../src/core/x509/certificate-request.js'
import { parseDistinguishedName } from '../../../src/core/x509/distinguished-name.js'
import {
  createAuthority,
  createFileKey,
  type FileKey,
  type KeyAlgorithm,
} from '../../support/certificates.js'
import { run } from '../../support/command.js'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-request-'))
})
after(() => rm(folder, { recursive: true, force: true }))

/** What OpenSSL says of a request once it has verified the signature. */
async function show(names: RequestedNames, key: FileKey): Promise<string> {
  const request = await createCertificateRequest(names, key.publicKey, async (message) =>
    sign('sha256', message, key.privateKeyPem),
  )
  const file = join(folder, 'request.der')
  await writeFile(file, request)
  // The exit status of OpenSSL 3.0 does not tell whether the signature is good.
  const said = await run('sh', [
    '-c',
    `openssl req -verify -noout -text -nameopt RFC2253 -inform DER -in ${file} 2>&1`,
  ])
  assert.match(said, /verify OK/)
  return said
}

describe('createCertificateRequest', () => {
  const subject = parseDistinguishedName('CN=edge-1,OU=Plänt 4,O=Example,C=de,DC=example,E=ops@example.com')

  for (const algorithm of ['P-256', 'P-384', 'P-521', 'RSA-2048'] satisfies KeyAlgorithm[]) {
    it(`makes what OpenSSL verifies, for a ${algorithm} key`, async () => {
      const said = await show(nameRequest(subject, []), await createFileKey(algorithm))
      assert.match(said, /Version: 1 \(0x0\)/)
    })
  }

  it('takes no signature of another key for good', async () => {
    const [one, other] = [await createFileKey('P-256'), await createFileKey('P-256')]
    await assert.rejects(show(nameRequest(subject, []), { ...one, privateKeyPem: other.privateKeyPem }))
  })

  it('asks for the subject in its order, each attribute in its string type', async () => {
    const said = await show(nameRequest(subject, []), await createFileKey('P-256'))
    assert.match(
      said,
      /Subject: emailAddress=ops@example\.com,DC=example,C=DE,O=Example,OU=Pl\\C3\\A4nt 4,CN=edge-1\n/,
    )
  })

  it('asks for digitalSignature, clientAuth and the alternative names', async () => {
    const names = parseAlternativeNames(
      'dns:edge-1.example, ip:192.0.2.7,ip:2001:db8::7,uri:spiffe://example/edge\\,1,email:a@b.example',
    )
    const said = await show(nameRequest(subject, names), await createFileKey('P-256'))
    assert.match(said, /Key Usage: critical\s+Digital Signature\n/)
    assert.match(said, /Extended Key Usage: *\n\s+TLS Web Client Authentication\n/)
    assert.match(
      said,
      /DNS:edge-1\.example, IP Address:192\.0\.2\.7, IP Address:2001:DB8:0:0:0:0:0:7, URI:spiffe:\/\/example\/edge,1, email:a@b\.example/,
    )
    assert.doesNotMatch(await show(nameRequest(subject, []), await createFileKey('P-256')), /Alternative/)
  })

  it('asks for the names of a certificate, byte for byte', async () => {
    const authority = await createAuthority()
    const key = await createFileKey('P-256')
    const certificate = parseCertificate(
      await authority.issue(key.publicKey, { subjectAltNames: [{ type: 'dns', value: 'edge-1.example' }] }),
    )
    const names = nameLike(certificate)
    assert.deepEqual(names.subject, certificate.subject)
    const said = await show(names, await createFileKey('P-384'))
    assert.match(said, /DNS:edge-1\.example\n/)
    assert.match(said, /Key Usage: critical\s+Digital Signature\n/)
    assert.doesNotMatch(said, /Basic Constraints/)
  })
})

describe('parseAlternativeNames', () => {
  for (const [text, hex] of [
    ['ip:1.2.3.4', '01020304'],
    ['ip:::', '00'.repeat(16)],
    ['ip:::1', `${'00'.repeat(15)}01`],
    ['ip:fe80::', `fe80${'00'.repeat(14)}`],
    ['ip:::ffff:1.2.3.4', '00000000000000000000ffff01020304'],
    ['ip:2001:DB8:1:2:3:4:5:6', '20010db8000100020003000400050006'],
  ] as const) {
    it(`reads ${text}`, () => {
      assert.equal(Buffer.from(parseAlternativeNames(text)[0]!.value).toString('hex'), hex)
    })
  }

  for (const text of [
    '',
    'edge',
    'dns:',
    'dns:a b',
    'dns:a,',
    'DNS:a',
    'ip:1.2.3',
    'ip:a',
    'ip:fe80::1%eth0',
    'uri:/a',
    'email:a',
    'dns:ä',
    'other:a',
    'toString:a',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseAlternativeNames(text), { code: 'USAGE', message: /--san/ })
    })
  }
})
