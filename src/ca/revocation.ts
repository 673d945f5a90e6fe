/** What is known of a revoked certificate, as records and revocation lists have it. */

/** A certificate that is on a revocation list. */
export interface Revocation {
  /** Hexadecimal. */
  readonly serialNumber: string
  readonly revokedAt: Date
  readonly reason: RevocationReason
}

/** Why an end-entity certificate can be revoked for good (RFC 5280 §5.3.1). */
export const REVOCATION_REASONS = [
  'unspecified',
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
] as const

/** One of {@link REVOCATION_REASONS}. */
export type RevocationReason = (typeof REVOCATION_REASONS)[number]
