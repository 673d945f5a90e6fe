/**
 * `holdfast lock NAME`: has the agent forget the PIN that `holdfast unlock` gave it.
 */

import type { Argv } from 'yargs'
import { parseAgentReply } from '../core/agent/agent-protocol.js'
import { formatPrintable } from '../core/printable.js'
import { askControl, unknownToAgent } from './ask-agent.js'
import type { Context } from './context.js'
import { AGENT_DIR } from './options.js'

/** Parsed flags. */
export interface LockArguments {
  readonly name: string
  readonly agentDir?: string | undefined
}

export function builder(argv: Argv): Argv {
  return argv
    .positional('name', { type: 'string', demandOption: true, describe: 'an identity that the agent serves' })
    .option('agent-dir', AGENT_DIR)
    .example(
      'holdfast lock edge',
      'have the agent forget its PIN; credentials that it has stay good until they expire',
    )
}

/** @throws HoldfastError AGENT_FAILED, CONFIG_NOT_FOUND */
export async function run({ name, agentDir }: LockArguments, context: Context): Promise<void> {
  const reply = parseAgentReply(await askControl({ agentDir, path: '/lock', request: { name } }, context))
  if ('unknown' in reply) throw unknownToAgent(name)
  if ('failed' in reply) throw reply.failed
  const isLocked = 'done' in reply && reply.done
  await context.stdout(
    `${formatPrintable(name)} ${isLocked ? 'is locked' : 'has no PIN that was typed: it is renewed without one, or with a stored one'}\n`,
  )
}
