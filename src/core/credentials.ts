/**
 * Temporary AWS credentials, and their form on the stdout of a `credential_process`.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
 */

/** Structurally the AWS SDK for JavaScript v3 `AwsCredentialIdentity`, with an expiration that is always there. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
  readonly expiration: Date
  /** Twelve digits, from the ARN of the assumed role. */
  readonly accountId?: string
}

/** Structurally the AWS SDK for JavaScript v3 `AwsCredentialIdentityProvider`. */
export type CredentialProvider = () => Promise<Credentials>

/** `2026-01-02T03:04:05Z`: without fractions, which some SDKs do not parse. */
export function formatExpiration(expiration: Date): string {
  return `${expiration.toISOString().slice(0, 19)}Z`
}

/** The one JSON object, without a line end, that a `credential_process` prints. */
export function formatCredentialProcess(credentials: Credentials): string {
  return JSON.stringify({
    Version: 1,
    AccessKeyId: credentials.accessKeyId,
    SecretAccessKey: credentials.secretAccessKey,
    SessionToken: credentials.sessionToken,
    Expiration: formatExpiration(credentials.expiration),
    ...(credentials.accountId === undefined ? {} : { AccountId: credentials.accountId }),
  })
}
