/** The agent's report of itself, for `holdfast status` and for metrics. */

import { type AgentReport, describeError, toIdentityReport } from '../core/agent/agent-status.js'
import { formatExpiration } from '../core/credentials.js'
import type { Agent } from './agent.js'
import type { Ledger } from './ledger.js'

/** What a report says of the program. */
export interface ReportParts {
  readonly version: string
  readonly pid: number
  readonly since: Date
}

/** How the agent is doing now. */
export function createReport(
  { states, configError }: Agent,
  { counts }: Ledger,
  { version, pid, since }: ReportParts,
): AgentReport {
  return {
    version,
    pid,
    since: formatExpiration(since),
    ...(configError === undefined ? {} : { configFailure: describeError(configError) }),
    identities: states.map(toIdentityReport),
    requests: counts,
  }
}
