/** `holdfast consumer remove IDENTITY CONSUMER`: the program's token is worth nothing from now on. */

import type { Argv } from 'yargs'
import { IDENTITY_NAME } from '../core/config/config.js'
import { HoldfastError } from '../core/errors.js'
import { listConfigFiles } from '../io/config-file.js'
import {
  listConsumerFolders,
  listConsumers,
  locateConsumer,
  removeConsumer,
} from '../io/consumers/consumer-files.js'
import type { Context } from './context.js'

interface RemoveArguments {
  readonly identity: string
  readonly consumer: string
  readonly config?: string | undefined
}

export function builder(argv: Argv): Argv {
  return argv
    .positional('identity', { type: 'string', describe: 'the identity that it may use' })
    .positional('consumer', { type: 'string', describe: 'name of the program' })
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: 'configuration file of the agent, if it is not the usual one',
    })
    .example('holdfast consumer remove edge backup', 'an agent that is running refuses it at once')
}

/** @throws HoldfastError CONFIG_NOT_FOUND, CONFIG_UNREADABLE, OUTPUT_FAILED */
export async function run({ identity, consumer, config }: RemoveArguments, context: Context): Promise<void> {
  const { env, uid } = context
  const [folder] = listConsumerFolders(listConfigFiles({ env, uid, configFile: config }))
  const known = listConsumers(folder!)
  const files = locateConsumer(folder!, identity, consumer)
  const areNames = IDENTITY_NAME.test(identity) && IDENTITY_NAME.test(consumer)
  if (areNames && removeConsumer(files)) return context.stdout(`removed ${consumer} of ${identity}\n`)
  const names = known.map(({ identity, name }) => `${name} of ${identity}`).join(', ')
  throw new HoldfastError(
    'CONFIG_NOT_FOUND',
    `${JSON.stringify(identity)} has no consumer ${JSON.stringify(consumer)} in ${folder}: there is ${names || 'none at all'}`,
  )
}
