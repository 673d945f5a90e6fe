/** `holdfast consumer list [IDENTITY]`: which programs have a token for which identity. */

import type { Argv } from 'yargs'
import { formatPrintable } from '../core/printable.js'
import { listConfigFiles } from '../io/config-file.js'
import { listConsumerFolders, listConsumers } from '../io/consumers/consumer-files.js'
import type { Context } from './context.js'

interface ListArguments {
  readonly identity?: string | undefined
  readonly config?: string | undefined
  readonly json: boolean
}

export function builder(argv: Argv): Argv {
  return argv
    .positional('identity', { type: 'string', describe: 'an identity; without it, all of them' })
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: 'configuration file of the agent, if it is not the usual one',
    })
    .option('json', { type: 'boolean', default: false, describe: 'print one JSON array' })
    .example('holdfast consumer list', 'list all consumers, each with the file of its token')
}

/** @throws HoldfastError CONFIG_UNREADABLE */
export async function run({ identity, config, json }: ListArguments, context: Context): Promise<void> {
  const { env, uid } = context
  const folders = listConsumerFolders(listConfigFiles({ env, uid, configFile: config }))
  const consumers = folders
    .flatMap(listConsumers)
    .filter((consumer) => identity === undefined || consumer.identity === identity)
    .map(({ identity, name, tokenFile }) => ({ identity, consumer: name, tokenFile }))
  if (json) return context.stdout(`${JSON.stringify(consumers)}\n`)
  for (const { identity, consumer, tokenFile } of consumers) {
    await context.stdout(`${formatPrintable(`${identity} ${consumer} ${tokenFile}`)}\n`)
  }
  if (consumers.length === 0) await context.stdout(`there is no consumer in ${folders.join(', ')}\n`)
}
