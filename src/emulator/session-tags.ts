/**
 * Session tags and source identity that Roles Anywhere derives from a certificate.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/attribute-mapping.html
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
 */
import type { Certificate, NameAttribute } from './certificate.js'
import type { AttributeMapping, CertificateField } from './state.js'

/** What a profile maps unless it was told otherwise. */
export const DEFAULT_MAPPINGS: readonly AttributeMapping[] = [
  { certificateField: 'x509Issuer', mappingRules: [{ specifier: '*' }] },
  { certificateField: 'x509SAN', mappingRules: ['DNS', 'URI', 'Name/*'].map((specifier) => ({ specifier })) },
  { certificateField: 'x509Subject', mappingRules: [{ specifier: '*' }] },
]

/** Tags by key, such as `x509Subject/CN`, and the attributes that could not become tags. */
export interface SessionTags {
  readonly tags: ReadonlyMap<string, string>
  readonly dropped: Readonly<Record<CertificateField, readonly string[]>>
}

/** STS's pattern for the value of a session tag. */
const TAG_VALUE = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u

/** Repeated attributes are joined with `/`, in the order of the certificate. */
function joinAttributes(name: readonly NameAttribute[]): Map<string, string> {
  const joined = new Map<string, string>()
  for (const { type, value } of name) {
    const before = joined.get(type)
    joined.set(type, before === undefined ? value : `${before}/${value}`)
  }
  return joined
}

/** Every attribute that can be mapped, by specifier. `DNS/2` and the like are there to be reported only. */
function attributesOf(certificate: Certificate, field: CertificateField): Map<string, string> {
  if (field === 'x509Subject') return joinAttributes(certificate.subject)
  if (field === 'x509Issuer') return joinAttributes(certificate.issuer)
  const found = new Map<string, string>()
  const seen = { DNS: 0, URI: 0, Name: 0 }
  for (const name of certificate.alternativeNames) {
    seen[name.kind] += 1
    const suffix = seen[name.kind] === 1 ? '' : `/${seen[name.kind]}`
    if (name.kind !== 'Name') found.set(`${name.kind}${suffix}`, name.value)
    else if (suffix !== '') found.set(`Name${suffix}`, '')
    else for (const [type, value] of joinAttributes(name.value)) found.set(`Name/${type}`, value)
  }
  return found
}

function isMapped(attribute: string, specifier: string): boolean {
  return (
    specifier === '*' || specifier === attribute || (specifier === 'Name/*' && attribute.startsWith('Name/'))
  )
}

/**
 * Maps a certificate to session tags. Only the first alternative name of each kind is used; later ones, and
 * values that a tag cannot hold, are dropped.
 */
export function mapSessionTags(certificate: Certificate, mappings: readonly AttributeMapping[]): SessionTags {
  const tags = new Map<string, string>()
  const dropped: Record<CertificateField, string[]> = { x509Issuer: [], x509Subject: [], x509SAN: [] }
  for (const { certificateField: field, mappingRules } of mappings) {
    for (const [attribute, value] of attributesOf(certificate, field)) {
      const repeated = field === 'x509SAN' && /^(DNS|URI|Name)\/\d+$/.test(attribute)
      const plain = repeated ? attribute.slice(0, attribute.indexOf('/')) : attribute
      if (!mappingRules.some((rule) => isMapped(plain === 'Name' ? 'Name/' : plain, rule.specifier))) continue
      if (repeated || !TAG_VALUE.test(value)) dropped[field].push(attribute)
      else tags.set(`${field}/${attribute}`, value)
    }
  }
  return { tags, dropped }
}

/** The clause that AWS adds to a refusal when attributes were dropped; empty if none were. */
export function formatDropped(dropped: SessionTags['dropped']): string {
  const { x509Issuer: issuer, x509Subject: subject, x509SAN: san } = dropped
  if (issuer.length + subject.length + san.length === 0) return ''
  const list = (names: readonly string[]) => `[ ${names.map((name) => `${name} `).join('')}]`
  return ` Some attributes failed to be mapped into session tags. Issuer: ${list(issuer)}; Subject: ${list(subject)}; SAN: ${list(san)}`
}

/** The source identity: `CN=<cn>`, the bare CN if that were longer than 64, or `ID=<serial>` without one. */
export function sourceIdentityOf(certificate: Certificate): string {
  const commonName = joinAttributes(certificate.subject).get('CN')
  if (commonName === undefined) return `ID=${certificate.serialHex}`
  return commonName.length <= 61 ? `CN=${commonName}` : commonName.slice(0, 64)
}
