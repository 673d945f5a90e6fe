import assert from 'node:assert/strict'
import { parseCertificate } from '../../../src/core/x509/certificate.js'
import { createTrustStatement, formatName, readNameAttributes } from '../../../src/core/x509/subject-name.js'
import { createAuthority, createFileKey } from '../../support/certificates.js'

const ANCHOR = 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/x'

async function certificateOf(subject: string) {
  const authority = await createAuthority('Plant Root')
  const { publicKey } = await createFileKey('P-256')
  return parseCertificate(await authority.issue(publicKey, { subject }))
}

describe('readNameAttributes', () => {
  it('gives the values by their short names, as the certificate has them', async () => {
    const { subject } = await certificateOf('C=DE,ST=Bayern,L=Nürnberg,O=Example,OU=Plant 4,CN=edge-1')
    assert.deepEqual(
      [...readNameAttributes(subject)],
      [
        ['C', 'DE'],
        ['ST', 'Bayern'],
        ['L', 'Nürnberg'],
        ['O', 'Example'],
        ['OU', 'Plant 4'],
        ['CN', 'edge-1'],
      ],
    )
    assert.equal(formatName(subject), 'C=DE,ST=Bayern,L=Nürnberg,O=Example,OU=Plant 4,CN=edge-1')
  })

  it('joins repeated ones with slashes, and leaves out those of other types', async () => {
    const { subject } = await certificateOf('OU=Security,OU=Engineering,2.5.4.12=Title,CN=a')
    assert.deepEqual(
      [...readNameAttributes(subject)],
      [
        ['OU', 'Security/Engineering'],
        ['CN', 'a'],
      ],
    )
  })

  it('reads a BMPString', () => {
    // SEQUENCE { SET { SEQUENCE { OID 2.5.4.3, BMPString "é" } } }
    const name = Buffer.from('300d310b30090603550403' + '1e0200e9', 'hex')
    assert.deepEqual([...readNameAttributes(name)], [['CN', 'é']])
  })
})

describe('createTrustStatement', () => {
  it('asks for the anchor, the common name and the issuer', async () => {
    const statement = createTrustStatement(await certificateOf('CN=edge-1,O=Example'), ANCHOR)
    assert.deepEqual(statement, {
      Effect: 'Allow',
      Principal: { Service: 'rolesanywhere.amazonaws.com' },
      Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
      Condition: {
        ArnEquals: { 'aws:SourceArn': ANCHOR },
        StringEquals: {
          'aws:PrincipalTag/x509Subject/CN': 'edge-1',
          'aws:PrincipalTag/x509Issuer/CN': 'Plant Root',
        },
      },
    })
  })

  it('asks for the rest of a subject that has no common name', async () => {
    const { Condition } = createTrustStatement(await certificateOf('O=Example,OU=Plant 4'), ANCHOR)
    assert.deepEqual(Object.keys(Condition.StringEquals!), [
      'aws:PrincipalTag/x509Subject/O',
      'aws:PrincipalTag/x509Subject/OU',
      'aws:PrincipalTag/x509Issuer/CN',
    ])
  })

  it('does not ask for what cannot be a session tag', async () => {
    const { Condition } = createTrustStatement(await certificateOf('CN=edge#1'), ANCHOR)
    assert.deepEqual(Object.keys(Condition.StringEquals!), ['aws:PrincipalTag/x509Issuer/CN'])
  })
})
