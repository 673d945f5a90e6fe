/** What the agent writes into its log: the name of each event, and what is said of it. Never a secret. */

import { describeError } from '../core/agent/agent-status.js'
import type { LogFields } from '../core/agent/log-line.js'
import { formatExpiration } from '../core/credentials.js'
import type { AgentEvent } from './agent.js'

/** An event's name and fields. */
export type JournalEntry = readonly [event: string, fields: LogFields]

/** What the agent did by itself. */
export function describeEvent(event: AgentEvent): JournalEntry {
  switch (event.kind) {
    case 'refreshed': {
      const { name, expiration, serial } = event
      return ['refreshed', { identity: name, expires: formatExpiration(expiration), serial }]
    }
    case 'failed': {
      const { name, error, retryInMs } = event
      const retry = retryInMs === undefined ? 'on demand' : `in ${Math.ceil(retryInMs / 1000)} s`
      return ['refresh-failed', { identity: name, ...describeError(error), retry }]
    }
    case 'config': {
      const identities = event.names.join(' ')
      return [
        'configuration',
        { identities, ...(event.error === undefined ? {} : describeError(event.error)) },
      ]
    }
    case 'clock-set':
      return ['clock-set', { seconds: Math.round(event.byMs / 1000) }]
    default:
      return [event.kind, { identity: event.name }]
  }
}
