/** The local services judged by an AWS SDK: whom they serve, and whom not. */

import assert from 'node:assert/strict'
import { ListBucketsCommand, S3Client } from '@aws-sdk/client-s3'
import { type AwsServices, startAwsServices } from './aws-services.js'

const SESSION = {
  accessKeyId: 'ASIAEXAMPLEEXAMPLE00',
  secretAccessKey: 'the/secret+key',
  sessionToken: 'the token',
}

describe('startAwsServices', () => {
  let services: AwsServices
  before(async () => {
    services = await startAwsServices(() => [SESSION])
  })
  after(() => services.close())

  const listBuckets = async (credentials: typeof SESSION) => {
    const client = new S3Client({
      region: 'eu-central-1',
      endpoint: services.url,
      credentials,
      maxAttempts: 1,
    })
    try {
      return await client.send(new ListBucketsCommand({}))
    } finally {
      client.destroy()
    }
  }

  it('serves a request of a known session', async () => {
    const { Owner, Buckets } = await listBuckets(SESSION)
    assert.equal(Owner?.ID, SESSION.accessKeyId)
    assert.equal(Buckets?.[0]?.Name, 'measurements')
  })

  const refusals: [what: string, difference: Partial<typeof SESSION>, name: string][] = [
    ['another key', { accessKeyId: 'ASIAOTHER' }, 'InvalidAccessKeyId'],
    ['another secret', { secretAccessKey: 'the/secret+kex' }, 'SignatureDoesNotMatch'],
    ['another token', { sessionToken: 'a token' }, 'InvalidToken'],
  ]
  for (const [what, difference, name] of refusals) {
    it(`refuses ${what}`, () => assert.rejects(listBuckets({ ...SESSION, ...difference }), { name }))
  }

  it('refuses what is not signed', async () => {
    const response = await fetch(services.url)
    assert.equal(response.status, 403)
    assert.match(await response.text(), /MissingAuthenticationToken/)
  })
})
