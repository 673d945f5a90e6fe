import assert from 'node:assert/strict'
import { parseCertificate } from '../../../src/core/x509/certificate.js'
import {
  createTrustStatement,
  findOwnTags,
  formatName,
  readNameAttributes,
} from '../../../src/core/x509/subject-name.js'
import { type CertificateOptions, createAuthority, createFileKey } from '../../support/certificates.js'

const ANCHOR = 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/x'

async function certificateOf(subject: string, subjectAltNames?: CertificateOptions['subjectAltNames']) {
  const authority = await createAuthority('Plant Root')
  const { publicKey } = await createFileKey('P-256')
  return parseCertificate(
    await authority.issue(publicKey, { subject, ...(subjectAltNames && { subjectAltNames }) }),
  )
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

  const keys = ({ Condition }: { Condition: { StringEquals?: object } }) =>
    Object.keys(Condition.StringEquals!)

  it('does not ask for what cannot be a session tag', async () => {
    const statement = createTrustStatement(await certificateOf('CN=edge#1'), ANCHOR)
    assert.deepEqual(keys(statement), ['aws:PrincipalTag/x509Issuer/CN'])
  })

  it('asks for the first alternative names where the common name cannot be asked for', async () => {
    for (const subject of ['CN=*', '1.2.840.113549.1.9.1=a@b.c', 'O=Example', 'CN=a"b']) {
      const certificate = await certificateOf(subject, [
        { type: 'email', value: 'a@b.c' },
        { type: 'dns', value: 'edge-1.example' },
        { type: 'dns', value: 'other.example' },
        { type: 'url', value: 'spiffe://plant/edge-1' },
      ])
      assert.deepEqual(createTrustStatement(certificate, ANCHOR).Condition.StringEquals, {
        'aws:PrincipalTag/x509SAN/DNS': 'edge-1.example',
        'aws:PrincipalTag/x509SAN/URI': 'spiffe://plant/edge-1',
        'aws:PrincipalTag/x509Issuer/CN': 'Plant Root',
      })
    }
  })
})

describe('findOwnTags', () => {
  it('finds none where nothing tells the certificate from others of its CA', async () => {
    assert.deepEqual(findOwnTags(await certificateOf('CN=*', [{ type: 'dns', value: '*.example' }])), [])
    assert.deepEqual(findOwnTags(await certificateOf('O=Example')), [])
    assert.deepEqual(findOwnTags(await certificateOf('CN=a,O=b')), [['x509Subject/CN', 'a']])
  })
})
