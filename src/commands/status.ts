/**
 * `holdfast status`: how the agent and its identities are doing.
 */

import type { Argv } from 'yargs'
import { formatAgentReport, parseAgentReport } from '../core/agent/agent-status.js'
import { askControl } from './ask-agent.js'
import type { Context } from './context.js'
import { AGENT_DIR } from './options.js'

/** Parsed flags. */
export interface StatusArguments {
  readonly agentDir?: string | undefined
  readonly json: boolean
}

export function builder(argv: Argv): Argv {
  return argv
    .option('agent-dir', AGENT_DIR)
    .option('json', { type: 'boolean', default: false, describe: 'print the whole report as JSON' })
    .example('holdfast status', 'see when credentials and certificates expire, and what has failed')
    .example('holdfast status --json | jq ".identities[] | select(.failure)"', 'list what has failed')
}

/** @throws HoldfastError AGENT_FAILED if there is no agent, or it does not answer */
export async function run({ agentDir, json }: StatusArguments, context: Context): Promise<void> {
  const report = parseAgentReport(await askControl({ agentDir, path: '/status' }, context))
  await context.stdout(json ? `${JSON.stringify(report)}\n` : formatAgentReport(report, context.now()))
}
