/**
 * `holdfast unlock NAME`: hands a PIN that a person types to the agent, which keeps it in memory until `holdfast lock`, or
 * until the token refuses it or another one is in its place.
 */

import type { Argv } from 'yargs'
import { type GivenPin, parseAgentReply } from '../core/agent/agent-protocol.js'
import { formatPrintable } from '../core/printable.js'
import { loadIdentity } from '../io/config-file.js'
import { askControl, unknownToAgent, withPin } from './ask-agent.js'
import type { Context } from './context.js'
import { AGENT_DIR } from './options.js'

/** Parsed flags. */
export interface UnlockArguments {
  readonly name: string
  readonly agentDir?: string | undefined
  readonly config?: string | undefined
}

export function builder(argv: Argv): Argv {
  return argv
    .positional('name', { type: 'string', demandOption: true, describe: 'an identity that the agent serves' })
    .option('agent-dir', AGENT_DIR)
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: 'configuration file to read instead of the usual ones: it may name an askpass program',
    })
    .example('holdfast unlock edge', 'type the PIN once, and have the agent renew by itself')
}

const PIN_WAYS =
  'a terminal in the foreground, HOLDFAST_ASKPASS, or askpass in the configuration; one that is stored, in what the configuration of the agent names'

/** @throws HoldfastError AGENT_FAILED, CONFIG_NOT_FOUND, PIN_*, and what the session fails with that the PIN is tried in */
export async function run({ name, agentDir, config }: UnlockArguments, context: Context): Promise<void> {
  const ask = async (pin?: GivenPin) =>
    parseAgentReply(await askControl({ agentDir, path: '/unlock', request: { name, pin } }, context))
  const files = { env: context.env, uid: context.uid, configFile: config }
  const identity = await loadIdentity(name, files).catch(() => undefined)
  let reply = await ask()
  const isLocked = 'failed' in reply && reply.needPin !== undefined
  if ('failed' in reply && reply.needPin !== undefined) {
    reply = await withPin({ name, identity, agentDir }, reply.needPin, context, PIN_WAYS, ask)
  }
  if ('unknown' in reply) throw unknownToAgent(name)
  if ('failed' in reply) throw reply.failed
  const what = isLocked
    ? 'is unlocked until holdfast lock, or until its token refuses the PIN or gives way to another one'
    : 'needs no PIN'
  await context.stdout(`${formatPrintable(name)} ${what}\n`)
}
