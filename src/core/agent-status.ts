/** What `holdfast status` shows: the agent's report, as JSON for programs and as text for people. */

import { formatExpiration } from './credentials.js'
import { HoldfastError } from './errors.js'

/** How one identity is doing. Times are ISO 8601 in UTC without fractions. */
export interface IdentityReport {
  readonly name: string
  /** `unattended`, `on-demand`, `locked` or `unlocked`. */
  readonly mode: string
  /** When what is handed out expires; absent if there is nothing to hand out. */
  readonly expiration?: string
  readonly refreshing: boolean
  readonly certificate?: { readonly serial: string; readonly notAfter: string }
  /** Why the last refresh failed; absent if it did not. */
  readonly failure?: {
    readonly code: string
    readonly message: string
    readonly at: string
    /** How often in a row. */
    readonly count: number
  }
  readonly refreshes: number
  /** How often a refresh failed, by code. */
  readonly failures: Readonly<Record<string, number>>
  /** How often credentials were asked for, by result: `ok`, or the code of an error. */
  readonly requests: Readonly<Record<string, number>>
}

/** How an agent is doing. */
export interface AgentReport {
  readonly version: string
  readonly pid: number
  readonly since: string
  /** Why the configuration as it stands now is not used. */
  readonly configFailure?: string
  readonly identities: readonly IdentityReport[]
}

/** The facts of {@link IdentityReport} as the agent has them. */
export interface IdentityFacts {
  readonly name: string
  readonly mode: string
  readonly credentials: { readonly expiration: Date } | undefined
  readonly refreshing: boolean
  readonly certificate: { readonly serialNumber: bigint; readonly notAfter: Date } | undefined
  readonly failure: { readonly error: unknown; readonly at: Date; readonly count: number } | undefined
  readonly refreshes: number
  readonly failures: ReadonlyMap<string, number>
  readonly requests: ReadonlyMap<string, number>
}

/** Puts the facts into the report's form. */
export function toIdentityReport(facts: IdentityFacts): IdentityReport {
  const { name, mode, credentials, refreshing, certificate, failure, refreshes } = facts
  return {
    name,
    mode,
    ...(credentials && { expiration: formatExpiration(credentials.expiration) }),
    refreshing,
    ...(certificate && {
      certificate: {
        serial: certificate.serialNumber.toString(16),
        notAfter: formatExpiration(certificate.notAfter),
      },
    }),
    ...(failure && {
      failure: { ...describeError(failure.error), at: formatExpiration(failure.at), count: failure.count },
    }),
    refreshes,
    failures: Object.fromEntries(facts.failures),
    requests: Object.fromEntries(facts.requests),
  }
}

/** Code and message of an error; `BUG` where it has no code. */
export function describeError(error: unknown): { code: string; message: string } {
  if (error instanceof HoldfastError) return { code: error.code, message: error.message }
  return { code: 'BUG', message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) }
}
