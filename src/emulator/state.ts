/**
 * Everything the emulator remembers, as one JSON value whose parts have the wire's shapes. Roles belong to
 * IAM, not to Roles Anywhere; they stand here because sessions are judged by their trust policies.
 */
import { randomUUID } from 'node:crypto'
import type { Faults } from './faults.js'
import { validationError } from './service-error.js'

export interface Tag {
  readonly key: string
  readonly value: string
}

export interface NotificationSetting {
  readonly event: 'CA_CERTIFICATE_EXPIRY' | 'END_ENTITY_CERTIFICATE_EXPIRY'
  readonly enabled: boolean
  readonly threshold?: number | undefined
  readonly channel: 'ALL'
  readonly configuredBy: string
}

export interface TrustAnchor {
  readonly trustAnchorId: string
  readonly trustAnchorArn: string
  name: string
  source: { sourceType: 'CERTIFICATE_BUNDLE'; sourceData: { x509CertificateData: string } }
  enabled: boolean
  readonly createdAt: string
  updatedAt: string
  notificationSettings: NotificationSetting[]
}

export type CertificateField = 'x509Subject' | 'x509Issuer' | 'x509SAN'

export interface AttributeMapping {
  readonly certificateField: CertificateField
  readonly mappingRules: readonly { readonly specifier: string }[]
}

export interface Profile {
  readonly profileId: string
  readonly profileArn: string
  name: string
  requireInstanceProperties: boolean
  enabled: boolean
  readonly createdBy: string
  sessionPolicy?: string | undefined
  roleArns: readonly string[]
  managedPolicyArns: readonly string[]
  readonly createdAt: string
  updatedAt: string
  durationSeconds: number
  acceptRoleSessionName: boolean
  attributeMappings: AttributeMapping[]
}

export interface Crl {
  readonly crlId: string
  readonly crlArn: string
  name: string
  enabled: boolean
  /** Base64 of PEM text, as the wire has it. */
  crlData: string
  readonly trustAnchorArn: string
  readonly createdAt: string
  updatedAt: string
}

export interface SubjectCredential {
  readonly seenAt: string
  /** Decimal. */
  readonly serialNumber: string
  readonly issuer: string
  readonly enabled: boolean
  readonly x509CertificateData: string
  readonly failed: boolean
}

export interface Subject {
  readonly subjectArn: string
  readonly subjectId: string
  readonly enabled: boolean
  readonly x509Subject: string
  lastSeenAt: string
  readonly createdAt: string
  updatedAt: string
  credentials: SubjectCredential[]
}

/** An IAM role, as far as a session depends on it. */
export interface Role {
  readonly roleArn: string
  /** The trust policy, a JSON object. */
  readonly assumeRolePolicyDocument: unknown
  /** IAM's MaxSessionDuration: seconds, 3600..43200. */
  readonly maxSessionDuration: number
}

export interface EmulatorState {
  readonly version: 1
  readonly region: string
  /** Twelve digits. */
  readonly account: string
  trustAnchors: TrustAnchor[]
  profiles: Profile[]
  crls: Crl[]
  subjects: Subject[]
  roles: Role[]
  /** Tags by resource ARN. */
  tags: Record<string, Tag[]>
}

/** What a handler works on: the state, the faults that are to come, and the emulator's clock. */
export interface World {
  readonly state: EmulatorState
  readonly faults: Faults
  now(): Date
}

/**
 * An empty state.
 * @throws ServiceError ValidationException if region or account cannot stand in an ARN
 */
export function createState({ region = 'us-east-1', account = '111122223333' } = {}): EmulatorState {
  if (!/^[a-z]{2,4}(-[a-z]+)+-\d+$/.test(region)) throw validationError(`'${region}' is not a region name`)
  if (!/^\d{12}$/.test(account)) throw validationError(`'${account}' is not an account id of twelve digits`)
  return {
    version: 1,
    region,
    account,
    trustAnchors: [],
    profiles: [],
    crls: [],
    subjects: [],
    roles: [],
    tags: {},
  }
}

const PARTITION_OF_REGION: readonly (readonly [RegExp, string])[] = [
  [/^cn-/, 'aws-cn'],
  [/^us-gov-/, 'aws-us-gov'],
  [/^eusc-/, 'aws-eusc'],
  [/^us-iso-/, 'aws-iso'],
  [/^us-isob-/, 'aws-iso-b'],
  [/^eu-isoe-/, 'aws-iso-e'],
  [/^us-isof-/, 'aws-iso-f'],
]

/** The ARN partition that the emulator's region belongs to. */
export function partitionOf(state: EmulatorState): string {
  return PARTITION_OF_REGION.find(([pattern]) => pattern.test(state.region))?.[1] ?? 'aws'
}

/** A new id and its ARN, such as `arn:aws:rolesanywhere:us-east-1:111122223333:profile/…`. */
export function newResource(
  state: EmulatorState,
  kind: 'trust-anchor' | 'profile' | 'crl' | 'subject',
): { id: string; arn: string } {
  const id = randomUUID()
  return { id, arn: `arn:${partitionOf(state)}:rolesanywhere:${state.region}:${state.account}:${kind}/${id}` }
}
