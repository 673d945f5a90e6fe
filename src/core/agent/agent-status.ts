/** What `holdfast status` shows: the agent's report, as JSON for programs and as text for people. */

import { formatExpiration } from '../credentials.js'
import { HoldfastError } from '../errors.js'
import { formatPrintable } from '../printable.js'
import { formatSerial } from '../x509/certificate.js'

/** How one identity is doing. Times are ISO 8601 in UTC without fractions. */
export interface IdentityReport {
  readonly name: string
  /** `unattended`, `on-demand`, `locked` or `unlocked`. */
  readonly mode: string
  /** When what is handed out expires; absent if there is nothing to hand out. */
  readonly expiration?: string
  readonly refreshing: boolean
  /** `serial` is in hexadecimal. */
  readonly certificate?: { readonly serial: string; readonly notAfter: string }
  /** Why the last refresh failed; absent if it did not. `count`: how often in a row. */
  readonly failure?: Failure & { readonly at: string; readonly count: number }
  readonly refreshes: number
  /** How often a refresh failed, by code. */
  readonly failures: Readonly<Record<string, number>>
}

/** How an agent is doing. */
export interface AgentReport {
  readonly version: string
  readonly pid: number
  readonly since: string
  /** Why the configuration as it stands now is not used. */
  readonly configFailure?: Failure
  readonly identities: readonly IdentityReport[]
  /** How often credentials were asked for, by door, identity and result: `ok`, `unknown`, or the code of an error. */
  readonly requests: readonly {
    readonly door: string
    readonly name: string
    readonly result: string
    readonly count: number
  }[]
}

/** An error as it is reported. */
export interface Failure {
  readonly code: string
  readonly message: string
}

/** The facts of an {@link IdentityReport} as the agent has them. */
export interface IdentityFacts {
  readonly name: string
  readonly mode: string
  readonly credentials: { readonly expiration: Date } | undefined
  readonly refreshing: boolean
  readonly certificate: { readonly serialNumber: bigint; readonly notAfter: Date } | undefined
  readonly failure: { readonly error: unknown; readonly at: Date; readonly count: number } | undefined
  readonly refreshes: number
  readonly failures: ReadonlyMap<string, number>
}

/** Puts the facts into the report's form. */
export function toIdentityReport(facts: IdentityFacts): IdentityReport {
  const { name, mode, credentials, refreshing, certificate, failure, refreshes, failures } = facts
  return {
    name,
    mode,
    ...(credentials && { expiration: formatExpiration(credentials.expiration) }),
    refreshing,
    ...(certificate && {
      certificate: {
        serial: formatSerial(certificate),
        notAfter: formatExpiration(certificate.notAfter),
      },
    }),
    ...(failure && {
      failure: { ...describeError(failure.error), at: formatExpiration(failure.at), count: failure.count },
    }),
    refreshes,
    failures: Object.fromEntries(failures),
  }
}

/** Code and message of an error; `BUG` where it has no code. */
export function describeError(error: unknown): Failure {
  if (error instanceof HoldfastError) return { code: error.code, message: error.message }
  return { code: 'BUG', message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) }
}

/** The report for a person: some lines for each identity. */
export function formatAgentReport(report: AgentReport, now: Date): string {
  const { version, pid, since, configFailure, identities } = report
  return [
    `agent ${version}, process ${pid}, since ${since}`,
    ...(configFailure ? [`the configuration as it stands is not used: ${formatFailure(configFailure)}`] : []),
    ...identities.flatMap((identity) => ['', ...formatIdentity(identity, report, now)]),
  ]
    .map((line) => `${line}\n`)
    .join('')
}

function formatIdentity(identity: IdentityReport, { requests }: AgentReport, now: Date): string[] {
  const { name, mode, expiration, certificate, failure, refreshing } = identity
  const answers = requests.filter((request) => request.name === name)
  const counts = (entries: readonly (readonly [string, number])[]) =>
    entries.map(([what, count]) => `${what} ${count}`).join(', ') || 'none'
  return [
    `${name}: ${mode}${refreshing ? ', refreshing' : ''}`,
    `  credentials ${expiration === undefined ? 'none' : `until ${formatUntil(expiration, now)}`}`,
    ...(certificate === undefined
      ? []
      : [`  certificate ${certificate.serial} until ${formatUntil(certificate.notAfter, now)}`]),
    `  sessions ${identity.refreshes}, failures ${counts(Object.entries(identity.failures))}`,
    `  requests ${counts(answers.map(({ door, result, count }) => [`${door} ${result}`, count] as const))}`,
    ...(failure === undefined
      ? []
      : [`  last failure ${failure.at}, ${failure.count} in a row: ${formatFailure(failure)}`]),
  ]
}

function formatFailure({ code, message }: Failure): string {
  return `${formatPrintable(message)} (${code})`
}

/** `2026-01-02T03:04:05Z (in 59 min)` */
function formatUntil(time: string, now: Date): string {
  const minutes = Math.floor((Date.parse(time) - now.getTime()) / 60_000)
  if (minutes < 0) return `${time} (over)`
  if (minutes < 120) return `${time} (in ${minutes} min)`
  const hours = Math.floor(minutes / 60)
  return `${time} (in ${hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`})`
}

/** Reads the JSON of a report. @throws HoldfastError AGENT_FAILED if it is none */
export function parseAgentReport(body: Uint8Array): AgentReport {
  try {
    const report = JSON.parse(new TextDecoder().decode(body))
    if (Array.isArray(report.identities) && Array.isArray(report.requests)) return report
  } catch {
    // Said below.
  }
  throw new HoldfastError(
    'AGENT_FAILED',
    'the agent answered something that is no report: is it of another version?',
  )
}
