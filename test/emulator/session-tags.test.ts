/** Session tags and source identity of certificates. */
import 'reflect-metadata'
import assert from 'node:assert/strict'
import * as x509 from '@peculiar/x509'
import { type Certificate, readCertificate } from '../../src/emulator/certificate.js'
import {
  DEFAULT_MAPPINGS,
  formatDropped,
  mapSessionTags,
  sourceIdentityOf,
} from '../../src/emulator/session-tags.js'
import type { AttributeMapping } from '../../src/emulator/state.js'
import { type Identity, type IdentityOptions, makeCa, makeLeaf } from './pki.js'

let ca: Identity
before(async () => {
  ca = await makeCa({ name: 'CN=Test CA,O=Example,C=NL' })
})

async function leaf(options: IdentityOptions): Promise<Certificate> {
  return readCertificate((await makeLeaf(ca, options)).der)
}

const names = (...items: x509.JsonGeneralNames) => [new x509.SubjectAlternativeNameExtension(items)]
const tagsOf = (certificate: Certificate, mappings: readonly AttributeMapping[] = DEFAULT_MAPPINGS) =>
  Object.fromEntries(mapSessionTags(certificate, mappings).tags)

const FROM_ISSUER = { 'x509Issuer/CN': 'Test CA', 'x509Issuer/O': 'Example', 'x509Issuer/C': 'NL' }

describe('mapSessionTags', () => {
  it('maps subject, issuer and the first name of each kind by default', async () => {
    const extensions = names(
      { type: 'dns', value: 'a.example' },
      { type: 'dns', value: 'b.example' },
      { type: 'url', value: 'spiffe://example/edge' },
      { type: 'dn', value: 'CN=inner,O=Inside' },
      { type: 'email', value: 'a@example' },
      { type: 'ip', value: '10.0.0.1' },
    )
    const certificate = await leaf({ name: 'CN=edge,0.9.2342.19200300.100.1.1=u1', extensions })
    const { tags, dropped } = mapSessionTags(certificate, DEFAULT_MAPPINGS)
    assert.deepEqual(Object.fromEntries(tags), {
      ...FROM_ISSUER,
      'x509Subject/CN': 'edge',
      'x509Subject/UID': 'u1',
      'x509SAN/DNS': 'a.example',
      'x509SAN/URI': 'spiffe://example/edge',
      'x509SAN/Name/CN': 'inner',
      'x509SAN/Name/O': 'Inside',
    })
    assert.deepEqual(dropped, { x509Issuer: [], x509Subject: [], x509SAN: ['DNS/2'] })
  })

  it('joins repeated attributes in the order of the certificate', async () => {
    const certificate = await leaf({ name: 'OU=Security,OU=Engineering,OU=Research,CN=edge' })
    assert.equal(tagsOf(certificate)['x509Subject/OU'], 'Security/Engineering/Research')
  })

  it('drops values that a session tag cannot hold', async () => {
    const certificate = await leaf({ name: 'CN=edge*1,O=caf\u00e9 @ x' })
    const { tags, dropped } = mapSessionTags(certificate, DEFAULT_MAPPINGS)
    assert.equal(tags.has('x509Subject/CN'), false)
    assert.equal(tags.get('x509Subject/O'), 'caf\u00e9 @ x')
    assert.deepEqual(dropped.x509Subject, ['CN'])
  })

  it('maps only what the profile names', async () => {
    const certificate = await leaf({
      name: 'CN=edge,O=x',
      extensions: names({ type: 'dns', value: 'a.example' }),
    })
    const rules = (...specifiers: string[]) => specifiers.map((specifier) => ({ specifier }))
    assert.deepEqual(tagsOf(certificate, []), {})
    assert.deepEqual(tagsOf(certificate, [{ certificateField: 'x509Subject', mappingRules: rules('CN') }]), {
      'x509Subject/CN': 'edge',
    })
    assert.deepEqual(tagsOf(certificate, [{ certificateField: 'x509SAN', mappingRules: rules('URI') }]), {})
  })
})

describe('formatDropped', () => {
  it('says what was dropped as the service does', () => {
    const dropped = { x509Issuer: [], x509Subject: ['CN', 'O'], x509SAN: ['DNS/2'] }
    assert.equal(
      formatDropped(dropped),
      ' Some attributes failed to be mapped into session tags. Issuer: [ ]; Subject: [ CN O ]; SAN: [ DNS/2 ]',
    )
  })
  it('says nothing if nothing was dropped', () => {
    assert.equal(formatDropped({ x509Issuer: [], x509Subject: [], x509SAN: [] }), '')
  })
})

describe('sourceIdentityOf', () => {
  const cases: readonly [string, IdentityOptions, string][] = [
    ['a common name of 61', { name: `CN=${'a'.repeat(61)}` }, `CN=${'a'.repeat(61)}`],
    ['a common name of 62', { name: `CN=${'a'.repeat(62)}` }, 'a'.repeat(62)],
    ['no common name', { name: 'O=x', serialNumber: '0123' }, 'ID=0123'],
    ['no common name and an odd serial number', { name: 'O=x', serialNumber: '05' }, 'ID=05'],
  ]
  for (const [what, options, expected] of cases) {
    it(`is ${expected} for ${what}`, async () =>
      assert.equal(sourceIdentityOf(await leaf(options)), expected))
  }
})
