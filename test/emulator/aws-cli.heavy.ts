/**
 * The AWS CLI as judge of the emulator's control plane, over HTTPS: what it sends and what it makes of the replies.
 */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { putRole } from '../../src/emulator/roles.js'
import { answer } from '../../src/emulator/router.js'
import { type Emulator, startEmulator } from '../../src/emulator/server.js'
import { run } from '../support/command.js'
import { type Identity, makeCa, makeCrl, makeLeaf } from './pki.js'
import { signedRequest } from './request-signer.js'

const ROLE = 'arn:aws:iam::111122223333:role/edge'

// biome-ignore lint/suspicious/noExplicitAny: replies are read as a user's script would, without types
type Json = any

describe('aws rolesanywhere --endpoint-url', function () {
  this.timeout(60_000)

  let folder: string
  let ca: Identity
  let emulator: Emulator

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'emulator-cli-'))
    ca = await makeCa()
    writeFileSync(join(folder, 'crl.pem'), await makeCrl(ca, []))
  })
  after(() => rmSync(folder, { recursive: true }))
  beforeEach(async () => {
    emulator = await startEmulator({ tls: true })
    writeFileSync(join(folder, 'https-ca.pem'), emulator.tlsCaPem!)
  })
  afterEach(() => emulator.close())

  async function aws(operation: string, ...args: string[]): Promise<Json> {
    const text = await run(
      'aws',
      ['rolesanywhere', operation, '--endpoint-url', emulator.url, '--output', 'json', ...args],
      {
        HOME: folder,
        AWS_CONFIG_FILE: join(folder, 'none'),
        AWS_SHARED_CREDENTIALS_FILE: join(folder, 'none'),
        AWS_EC2_METADATA_DISABLED: 'true',
        AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
        AWS_SECRET_ACCESS_KEY: 'example',
        AWS_DEFAULT_REGION: 'us-east-1',
        AWS_CA_BUNDLE: join(folder, 'https-ca.pem'),
        AWS_MAX_ATTEMPTS: '1',
        AWS_PAGER: '',
      },
    )
    return text === '' ? undefined : JSON.parse(text)
  }

  const createAnchor = async (...args: string[]) => {
    const source = { sourceType: 'CERTIFICATE_BUNDLE', sourceData: { x509CertificateData: ca.pem } }
    return (await aws('create-trust-anchor', '--name', 'a', '--source', JSON.stringify(source), ...args))
      .trustAnchor
  }

  it('sets up a session, and shows the subject of it', async () => {
    const { trustAnchorArn, trustAnchorId, source } = await createAnchor(
      '--enabled',
      '--tags',
      'key=k,value=v',
    )
    assert.equal(source.sourceData.x509CertificateData, ca.pem)
    const { profile } = await aws('create-profile', '--name', 'p', '--role-arns', ROLE, '--enabled')
    const anyone = { Version: '2012-10-17', Statement: { Effect: 'Allow', Principal: '*', Action: 'sts:*' } }
    putRole(emulator, { roleArn: ROLE, assumeRolePolicyDocument: anyone })
    const body = { trustAnchorArn, profileArn: profile.profileArn, roleArn: ROLE }
    const request = signedRequest(await makeLeaf(ca), { body })
    assert.equal((await answer(request, emulator)).status, 201)

    const { subjects } = await aws('list-subjects')
    assert.deepEqual([subjects.length, subjects[0].x509Subject], [1, 'CN=edge'])
    const { subject } = await aws('get-subject', '--subject-id', subjects[0].subjectId)
    assert.equal(subject.credentials[0].failed, false)
    const { tags } = await aws('list-tags-for-resource', '--resource-arn', trustAnchorArn)
    assert.deepEqual(tags, [{ key: 'k', value: 'v' }])

    await aws('disable-trust-anchor', '--trust-anchor-id', trustAnchorId)
    assert.equal((await answer(request, emulator)).status, 403)
  })

  it('imports, reads and deletes a CRL, which holds its trust anchor', async () => {
    const { trustAnchorArn, trustAnchorId } = await createAnchor()
    const data = `fileb://${join(folder, 'crl.pem')}`
    const { crl } = await aws(
      'import-crl',
      '--name',
      'c',
      '--crl-data',
      data,
      '--trust-anchor-arn',
      trustAnchorArn,
    )
    assert.deepEqual(await aws('get-crl', '--crl-id', crl.crlId), { crl })
    await assert.rejects(
      aws('delete-trust-anchor', '--trust-anchor-id', trustAnchorId),
      /ValidationException.*delete the CRL first/,
    )
    await aws('delete-crl', '--crl-id', crl.crlId)
    await aws('delete-trust-anchor', '--trust-anchor-id', trustAnchorId)
    assert.deepEqual(await aws('list-trust-anchors'), { trustAnchors: [] })
  })

  it('changes a profile, and reads all pages of a list', async () => {
    const create = (name: string) => aws('create-profile', '--name', name, '--role-arns', ROLE)
    const { profile } = await create('p')
    const id = ['--profile-id', profile.profileId]
    await aws('update-profile', ...id, '--duration-seconds', '900', '--name', 'q')
    await create('r')
    const { profiles } = await aws('list-profiles', '--page-size', '1')
    assert.deepEqual(
      profiles.map((item: Json) => [item.name, item.durationSeconds]),
      [
        ['q', 900],
        ['r', 3600],
      ],
    )
  })

  it('understands the errors', async () => {
    await assert.rejects(
      aws('get-profile', '--profile-id', '0a0a0a0a-0000-0000-0000-000000000000'),
      /ResourceNotFoundException.*not found/,
    )
    await assert.rejects(
      aws('create-profile', '--name', 'a/b', '--role-arns', ROLE),
      /ValidationException.*regular expression/,
    )
  })

  it('does not trust the emulator without its CA', async () => {
    writeFileSync(join(folder, 'https-ca.pem'), ca.pem)
    await assert.rejects(aws('list-profiles'), /certificate verify failed/i)
  })
})
