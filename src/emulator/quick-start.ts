/**
 * One trust anchor, one profile and one role in one go: what a first session needs.
 */
import { createProfile, updateProfile } from './control-plane/profiles.js'
import { createTrustAnchor } from './control-plane/trust-anchors.js'
import { defaultTrustPolicy, putRole } from './roles.js'
import type { World } from './state.js'

export interface QuickStartOptions {
  /** One or two CA certificates, PEM. */
  readonly caPem: string
  readonly roleArn: string
  /** Trust policy of the role, an object or JSON text; by default any certificate of the new anchor may assume it. */
  readonly trustPolicy?: unknown
  /** Seconds, 3600..43200; default 43200, so that the profile's duration alone decides. */
  readonly maxSessionDuration?: number | undefined
  /** The profile's, 900..43200; default 3600. */
  readonly durationSeconds?: number | undefined
  readonly acceptRoleSessionName?: boolean | undefined
}

export interface QuickStartArns {
  readonly trustAnchorArn: string
  readonly profileArn: string
  readonly roleArn: string
}

/**
 * Makes the three, enabled. An anchor of the same certificates and a profile of the same role are used
 * again, so that a start with a state file and the same flags adds nothing.
 * @throws ServiceError ValidationException
 */
export function quickStart(world: World, options: QuickStartOptions): QuickStartArns {
  const { state } = world
  const { caPem, roleArn } = options
  const anchor =
    state.trustAnchors.find((item) => item.source.sourceData.x509CertificateData === caPem) ??
    createTrustAnchor(world, {
      name: 'quick-start',
      enabled: true,
      source: { sourceType: 'CERTIFICATE_BUNDLE', sourceData: { x509CertificateData: caPem } },
    })
  const profile =
    state.profiles.find((item) => item.name === 'quick-start' && item.roleArns.includes(roleArn)) ??
    createProfile(world, { name: 'quick-start', enabled: true, roleArns: [roleArn] })
  const { durationSeconds, acceptRoleSessionName } = options
  updateProfile(world, profile.profileId, { durationSeconds, acceptRoleSessionName })
  putRole(world, {
    roleArn,
    assumeRolePolicyDocument: options.trustPolicy ?? defaultTrustPolicy(anchor.trustAnchorArn),
    maxSessionDuration: options.maxSessionDuration ?? 43200,
  })
  return { trustAnchorArn: anchor.trustAnchorArn, profileArn: profile.profileArn, roleArn }
}
