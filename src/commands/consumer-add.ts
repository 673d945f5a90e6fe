/**
 * `holdfast consumer add IDENTITY CONSUMER`: lets one more program have the credentials of an identity through the
 * container endpoint. It gets a token of its own, which is printed nowhere.
 */

import { randomBytes } from 'node:crypto'
import type { Argv } from 'yargs'
import { IDENTITY_NAME } from '../core/config/config.js'
import { formatToken, TOKEN_BYTES } from '../core/endpoints/consumer.js'
import { CONTAINER_PORT, formatContainerVariables } from '../core/endpoints/container-endpoint.js'
import { HoldfastError } from '../core/errors.js'
import { findAccount } from '../io/accounts.js'
import { listConfigFiles, loadIdentity } from '../io/config-file.js'
import { listConsumerFolders, locateConsumer, writeConsumer } from '../io/consumers/consumer-files.js'
import type { Context } from './context.js'

interface AddArguments {
  readonly identity: string
  readonly consumer: string
  readonly config?: string | undefined
  readonly user?: string | undefined
  readonly containerPort: number
  readonly json: boolean
}

export function builder(argv: Argv): Argv {
  return argv
    .positional('identity', { type: 'string', describe: 'an identity of the configuration file' })
    .positional('consumer', { type: 'string', describe: 'a name for the program' })
    .option('user', {
      type: 'string',
      requiresArg: true,
      describe: 'user that the program runs as, by name or number; only root can name another one',
    })
    .option('container-port', {
      type: 'number',
      requiresArg: true,
      default: CONTAINER_PORT,
      describe: 'port of the container endpoint, for the URL that is printed',
    })
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: 'configuration file of the agent, if it is not the usual one',
    })
    .option('json', { type: 'boolean', default: false, describe: 'print the variables as one line of JSON' })
    .example('holdfast consumer add edge backup', 'let your program "backup" use the identity "edge"')
    .example('holdfast consumer add edge web --user www-data', 'let a service of another user use it')
}

/** Prints the variables that the program needs. @throws HoldfastError USAGE, CONFIG_UNSAFE, OUTPUT_FAILED */
export async function run(argv: AddArguments, context: Context): Promise<void> {
  const { identity, consumer, containerPort: port } = argv
  verifyName('an identity', identity)
  verifyName('a consumer', consumer)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new HoldfastError('USAGE', '--container-port must be a whole number from 1 to 65535')
  }
  const { env, uid } = context
  const owner = argv.user === undefined ? undefined : await findAccount(argv.user)
  if (owner !== undefined && owner.uid !== uid && uid !== 0) {
    throw new HoldfastError(
      'USAGE',
      'only root can lay a token for another user: leave --user out, or use sudo',
    )
  }
  const places = { env, uid, configFile: argv.config }
  // Whoever installs a machine may write the configuration after this.
  await loadIdentity(identity, places).catch((error) => {
    if (!(error instanceof HoldfastError)) throw error
    context.stderr(`warning: the token is of no use yet: ${error.message}`)
  })
  const [folder] = listConsumerFolders(listConfigFiles(places))
  const files = locateConsumer(folder!, identity, consumer)
  writeConsumer(files, formatToken(randomBytes(TOKEN_BYTES)), { uid, owner })
  const variables = formatContainerVariables({ port, identity, tokenFile: files.tokenFile })
  await context.stdout(
    argv.json
      ? `${JSON.stringify(variables)}\n`
      : Object.entries(variables)
          .map(([name, value]) => `${name}=${value}\n`)
          .join(''),
  )
}

function verifyName(what: string, name: string): void {
  if (IDENTITY_NAME.test(name)) return
  throw new HoldfastError(
    'USAGE',
    `${JSON.stringify(name)} cannot be the name of ${what}, which has letters, digits, "_", "-" and "."`,
  )
}
