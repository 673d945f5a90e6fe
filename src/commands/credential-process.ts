/**
 * `holdfast credential-process [NAME]`: one session, printed as AWS SDKs read it from a credential_process.
 */

import type { Argv } from 'yargs'
import type { ServedIdentity } from '../core/config/config.js'
import { type Credentials, formatCredentialProcess } from '../core/credentials.js'
import { HoldfastError } from '../core/errors.js'
import { mayHaveAgent } from '../io/agent-socket/presence.js'
import type { Context } from './context.js'
import {
  addAgentOptions,
  addIdentityOptions,
  createCommandProvider,
  type IdentityArguments,
  namesIdentity,
  readIdentity,
} from './options.js'

export function builder(argv: Argv): Argv {
  return addAgentOptions(
    addIdentityOptions(
      argv.positional('name', { type: 'string', describe: 'an identity of the configuration file' }),
    ),
  )
    .example('holdfast credential-process edge', 'use the identity [identity.edge] of the configuration file')
    .example(
      'holdfast credential-process --pkcs11-uri "pkcs11:token=edge;id=%01?pin-source=file:/etc/holdfast/pin" --trust-anchor-arn ARN --profile-arn ARN --role-arn ARN',
      'use a key in a token',
    )
}

/** @throws HoldfastError of every kind; nothing but the credentials is ever written to stdout */
export async function run(argv: IdentityArguments, context: Context): Promise<void> {
  verifyUncut(argv)
  const reading = readIdentity(argv, context)
  const credentials =
    (await takeFromAgent(reading, argv, context)) ?? (await getDirectly(reading, argv, context))
  await context.stdout(`${formatCredentialProcess(credentials)}\n`)
}

async function getDirectly(
  reading: Promise<ServedIdentity>,
  argv: IdentityArguments,
  context: Context,
): Promise<Credentials> {
  return createCommandProvider(await reading, argv, context)()
}

async function takeFromAgent(
  reading: Promise<ServedIdentity>,
  argv: IdentityArguments,
  context: Context,
): Promise<Credentials | undefined> {
  const { name, agent = true, agentDir, config } = argv
  if (!agent || !mayHaveAgent(context.env, { folder: agentDir, name })) return undefined
  let invalid: Error | undefined
  const identity = await reading.catch((error) => {
    // The configuration of a system agent need not be everybody's to read.
    const isHidden = error.code === 'CONFIG_UNREADABLE' || error.code === 'CONFIG_NOT_FOUND'
    // An agent goes on with the one that it has read before.
    if (error.code === 'CONFIG_INVALID' && config === undefined) invalid = error
    if (!(isHidden || invalid) || name === undefined || namesIdentity(argv)) throw error
    return undefined
  })
  const { findAgentCredentials } = await import('./ask-agent.js')
  const credentials = await findAgentCredentials({ name, identity, agentDir }, context)
  if (credentials !== undefined && invalid !== undefined) context.stderr(`warning: ${invalid.message}`)
  return credentials
}

/** Some SDKs hand over only the first line of a command, and a person who reads the file does not see it. */
function verifyUncut({ name, trustAnchorArn, profileArn, roleArn }: IdentityArguments): void {
  if ((name ?? trustAnchorArn ?? profileArn ?? roleArn) !== undefined) return
  throw new HoldfastError(
    'USAGE',
    'neither an identity is named, nor --trust-anchor-arn, --profile-arn and --role-arn are given. If they stand on further lines of an AWS config file: AWS config files have no line continuation, write credential_process on one line',
  )
}
