/**
 * The attributes of a certificate's subject or issuer as Roles Anywhere makes session tags of them, and the statement of a
 * trust policy that asks for them.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
 */

import { X509Certificate } from 'node:crypto'
import type { Certificate } from './certificate.js'
import { parseOid, readElement, readElements } from './der.js'

/** Short names of the attributes that stand in names of certificates (X.520). */
const ATTRIBUTES: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
}

const BMP_STRING = 0x1e

/**
 * Values by short name, in the order of the name; those of one that is repeated are joined with slashes, as the service
 * does. Attributes of other types are left out.
 * @param name DER of the Name; of a certificate that was parsed before
 */
export function readNameAttributes(name: Uint8Array): Map<string, string> {
  const values = new Map<string, string>()
  const sets = readElements(readElement(name).content)
  for (const attribute of sets.flatMap(({ content }) => readElements(content))) {
    const [type, value] = readElements(attribute.content)
    const key = type && ATTRIBUTES[parseOid(type.content)]
    if (key === undefined || value === undefined) continue
    const text = decodeString(value.tag, value.content)
    values.set(key, values.has(key) ? `${values.get(key)}/${text}` : text)
  }
  return values
}

/** UTF-8 holds ASCII as well, which PrintableString and IA5String are. */
function decodeString(tag: number, content: Uint8Array): string {
  if (tag !== BMP_STRING) return Buffer.from(content).toString('utf8')
  return Buffer.from(content.subarray(0, content.length & ~1))
    .swap16()
    .toString('utf16le')
}

/** `CN=edge-1,OU=Devices`, for messages; its order is the certificate's. */
export function formatName(name: Uint8Array): string {
  return [...readNameAttributes(name)].map(([type, value]) => `${type}=${value}`).join(',')
}

/** One statement of a role's trust policy, as IAM takes it. */
export interface TrustStatement {
  readonly Effect: 'Allow'
  readonly Principal: { readonly Service: string }
  readonly Action: readonly string[]
  readonly Condition: {
    readonly ArnEquals: Readonly<Record<string, string>>
    readonly StringEquals?: Readonly<Record<string, string>>
  }
}

/** STS's pattern for the value of a session tag: what does not fit is not there to be asked for. */
const TAG_VALUE = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,256}$/u

type Tag = readonly [key: string, value: string]

/**
 * The session tags that tell the certificate from others of its CA: its common name, else the first DNS name and URI of its
 * alternative names. Empty if it has none that can be a tag.
 */
export function findOwnTags(certificate: Certificate): readonly Tag[] {
  const name = readNameAttributes(certificate.subject).get('CN')
  const common = onlyTags(name === undefined ? [] : [['x509Subject/CN', name]])
  if (common.length > 0) return common
  // Node puts what could be mistaken in quotation marks, which no tag may have.
  const names = new X509Certificate(certificate.der).subjectAltName?.split(', ') ?? []
  return onlyTags(
    ['DNS', 'URI'].flatMap((type) => {
      const first = names.find((name) => name.startsWith(`${type}:`))
      return first === undefined ? [] : [[`x509SAN/${type}`, first.slice(type.length + 1)]]
    }),
  )
}

function onlyTags(tags: readonly Tag[]): Tag[] {
  return tags.filter(([, value]) => TAG_VALUE.test(value))
}

/**
 * The narrowest usual statement that lets this certificate in: its trust anchor, its {@link findOwnTags own tags} and its
 * issuer's common name. Where there are none of its own, all that its subject has is asked for, which others may have too.
 */
export function createTrustStatement(certificate: Certificate, trustAnchorArn: string): TrustStatement {
  const own = findOwnTags(certificate)
  const subject = [...readNameAttributes(certificate.subject)].map(
    ([type, value]): Tag => [`x509Subject/${type}`, value],
  )
  const issuer = readNameAttributes(certificate.issuer).get('CN')
  const tags = [
    ...(own.length > 0 ? own : onlyTags(subject)),
    ...onlyTags(issuer === undefined ? [] : [['x509Issuer/CN', issuer]]),
  ].map(([key, value]) => [`aws:PrincipalTag/${key}`, value])
  return {
    Effect: 'Allow',
    Principal: { Service: 'rolesanywhere.amazonaws.com' },
    Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
    Condition: {
      ArnEquals: { 'aws:SourceArn': trustAnchorArn },
      ...(tags.length === 0 ? {} : { StringEquals: Object.fromEntries(tags) }),
    },
  }
}
