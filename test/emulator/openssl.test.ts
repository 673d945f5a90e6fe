/** A session in which everything but the emulator is OpenSSL's: authority, certificate, signature, CRL. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { importCrl } from '../../src/emulator/control-plane/crls.js'
import { Faults } from '../../src/emulator/faults.js'
import { quickStart } from '../../src/emulator/quick-start.js'
import { answer } from '../../src/emulator/router.js'
import { createState, type World } from '../../src/emulator/state.js'
import { run } from '../support/command.js'

const CONFIG = `
[req]
distinguished_name = name
prompt = no
[name]
CN = OpenSSL CA
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:edge.example
[ca]
default_ca = own
[own]
database = index.txt
default_md = sha256
default_crl_days = 1
`

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

describe('a session by OpenSSL', function () {
  this.timeout(60_000)

  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'emulator-openssl-'))
    writeFileSync(join(folder, 'openssl.cnf'), CONFIG)
    writeFileSync(join(folder, 'index.txt'), '')
  })
  after(() => rmSync(folder, { recursive: true }))

  /** Runs openssl in the folder, where all its files are. */
  const openssl = (line: string) =>
    run('sh', ['-c', 'cd "$1" && exec openssl $2', 'sh', folder, line], {
      OPENSSL_CONF: join(folder, 'openssl.cnf'),
    })
  const read = (name: string) => readFileSync(join(folder, name))

  it('is granted for a certificate of the CA, and refused once that is on its CRL', async () => {
    await openssl('req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -extensions root')
    await openssl('ecparam -name secp384r1 -genkey -noout -out leaf.key')
    await openssl('req -new -key leaf.key -subj /O=Example/CN=edge -out leaf.csr')
    await openssl(
      'x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -set_serial 255 -days 1 -extfile openssl.cnf -extensions leaf -out leaf.pem',
    )
    await openssl('x509 -in leaf.pem -outform DER -out leaf.der')

    const world: World = { state: createState(), faults: new Faults(), now: () => new Date() }
    const arns = quickStart(world, {
      caPem: read('ca.pem').toString(),
      roleArn: 'arn:aws:iam::111122223333:role/edge',
    })
    const body = JSON.stringify(arns)
    const date = `${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
    const certificate = read('leaf.der').toString('base64')
    const names = 'content-type;host;x-amz-date;x-amz-x509'
    const canonical = `POST\n/sessions\n\ncontent-type:application/json\nhost:127.0.0.1:8443\nx-amz-date:${date}\nx-amz-x509:${certificate}\n\n${names}\n${sha256(body)}`
    const scope = `${date.slice(0, 8)}/us-east-1/rolesanywhere/aws4_request`
    writeFileSync(
      join(folder, 'string-to-sign'),
      `AWS4-X509-ECDSA-SHA256\n${date}\n${scope}\n${sha256(canonical)}`,
    )
    await openssl('dgst -sha256 -sign leaf.key -out signature string-to-sign')
    const authorization = `AWS4-X509-ECDSA-SHA256 Credential=255/${scope}, SignedHeaders=${names}, Signature=${read('signature').toString('hex')}`
    const headers = {
      authorization,
      host: '127.0.0.1:8443',
      'content-type': 'application/json',
      'x-amz-date': date,
      'x-amz-x509': certificate,
    }
    const request = {
      method: 'POST',
      path: '/sessions',
      query: '',
      headers: new Map(Object.entries(headers).map(([name, value]) => [name, [value]])),
      body: Buffer.from(body),
    }
    const granted = await answer(request, world)
    assert.equal(granted.status, 201, granted.headers['x-emulator-reason'])

    await openssl('ca -revoke leaf.pem -cert ca.pem -keyfile ca.key')
    await openssl('ca -gencrl -cert ca.pem -keyfile ca.key -out crl.pem')
    const crlData = read('crl.pem').toString('base64')
    await importCrl(world, { name: 'openssl', enabled: true, crlData, trustAnchorArn: arns.trustAnchorArn })
    const refused = await answer(request, world)
    assert.deepEqual([refused.status, JSON.parse(refused.body)], [403, { message: 'Certificate revoked' }])
  })
})
