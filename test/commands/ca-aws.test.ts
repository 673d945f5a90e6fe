/**
 * A local CA from nothing to revoked: the commands that it prints are given to the AWS CLI as they are, and the machines
 * that it certifies get credentials for as long as they should.
 */

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { putRole } from '../../src/emulator/roles.js'
import { type Emulator, startEmulator } from '../../src/emulator/server.js'
import { type CaHome, createCaHome } from '../support/ca.js'
import { run } from '../support/command.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { type ProgramResult, runHoldfast } from '../support/program.js'

const ROLE = 'arn:aws:iam::111122223333:role/edge'

describe('holdfast ca and Roles Anywhere', function () {
  this.timeout(180_000)
  let at: CaHome
  let emulator: Emulator
  let caBundle: string
  before(async () => {
    at = await createCaHome()
    emulator = await startEmulator({ tls: true })
    caBundle = join(at.home, 'https-ca.pem')
    await writeFile(caBundle, emulator.tlsCaPem!)
    putRole(emulator, {
      roleArn: ROLE,
      assumeRolePolicyDocument: {
        Version: '2012-10-17',
        Statement: {
          Effect: 'Allow',
          Principal: { Service: 'rolesanywhere.amazonaws.com' },
          Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
          Condition: { StringEquals: { 'aws:PrincipalTag/x509Subject/CN': 'edge-1' } },
        },
      },
    })
  })
  after(async () => {
    await emulator.close()
    await at.dispose()
  })

  /** Runs a line of the shell with the AWS CLI, against the emulator. */
  const shell = async (line: string) =>
    JSON.parse(
      await run('sh', ['-c', `${line} --endpoint-url ${emulator.url} --output json`], {
        HOME: at.home,
        AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
        AWS_SECRET_ACCESS_KEY: 'example',
        AWS_DEFAULT_REGION: 'us-east-1',
        AWS_CA_BUNDLE: caBundle,
        AWS_EC2_METADATA_DISABLED: 'true',
        AWS_MAX_ATTEMPTS: '1',
        AWS_PAGER: '',
      }),
    )
  const printed = ({ stdout }: ProgramResult, operation: string) =>
    new RegExp(`^ {2}(aws rolesanywhere ${operation} .*)$`, 'm').exec(stdout)![1]!

  it('a CA becomes a trust anchor, its machines get credentials, and lose them', async () => {
    const made = await at.ca(['init', '--subject', "CN=It's my CA,O=Example"])
    const { trustAnchor } = await shell(printed(made, 'create-trust-anchor'))
    assert.deepEqual([trustAnchor.name, trustAnchor.enabled], ['It-s my CA', true])
    const { x509CertificateData } = trustAnchor.source.sourceData
    assert.equal(x509CertificateData.trim(), (await readFile(at.certificateFile, 'utf8')).trim())
    const { profile } = await shell(`aws rolesanywhere create-profile --name p --role-arns ${ROLE} --enabled`)

    const credentials = (name: string, certificate = name) =>
      runHoldfast(
        [
          ...['credential-process', '--certificate', join(at.home, `${certificate}.pem`)],
          ...['--private-key', join(at.home, `${name}.key`), '--endpoint', emulator.url, '--role-arn', ROLE],
          ...['--trust-anchor-arn', trustAnchor.trustAnchorArn, '--profile-arn', profile.profileArn],
        ],
        { home: at.home, env: { AWS_CA_BUNDLE: caBundle } },
      )
    const sign = (csr: string, name: string) => at.caJson('sign', csr, '--out', join(at.home, `${name}.pem`))
    const edge = await at.request('edge', '/CN=edge-1')
    await sign(edge, 'edge')
    await sign(await at.request('other', '/CN=edge-2', '-newkey', 'rsa:2048'), 'other')
    await sign(edge, 'renewed')
    assertCredentials(await credentials('edge'))
    assertCredentials(await credentials('edge', 'renewed'))
    assertFailure(await credentials('other'), 'REFUSED_ROLE', 5)

    await at.caJson('revoke', join(at.home, 'edge.pem'))
    const imported = printed(await at.ca(['crl']), 'import-crl')
    const { crl } = await shell(imported.replace('TRUST_ANCHOR_ARN', trustAnchor.trustAnchorArn))
    assert.equal(crl.enabled, true)
    assertFailure(await credentials('edge'), 'REFUSED_CERTIFICATE_REVOKED', 5)
    assertCredentials(await credentials('edge', 'renewed'))

    await at.caJson('revoke', join(at.home, 'renewed.pem'), '--reason', 'superseded')
    const updated = printed(await at.ca(['crl', '--out', join(at.home, 'a list.pem')]), 'update-crl')
    await shell(updated.replace('CRL_ID', crl.crlId))
    assertFailure(await credentials('edge', 'renewed'), 'REFUSED_CERTIFICATE_REVOKED', 5)
  })
})
