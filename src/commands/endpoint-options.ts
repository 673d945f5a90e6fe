/**
 * The flags of `holdfast serve` that open endpoints which SDKs reach over TCP, and what they come to.
 */

import { isIP } from 'node:net'
import type { Argv } from 'yargs'
import { type EndpointParts, openContainerEndpoint, openImds } from '../agent/endpoints.js'
import { CONTAINER_PORT, formatContainerUri } from '../core/endpoints/container-endpoint.js'
import { parseListenFds } from '../core/endpoints/listen-fds.js'
import { HoldfastError } from '../core/errors.js'
import { listConfigFiles } from '../io/config-file.js'
import { listConsumerFolders } from '../io/consumers/consumer-files.js'
import { createConsumerLookup } from '../io/consumers/consumer-lookup.js'
import type { EndpointServer } from '../io/endpoint-server.js'
import { verifyPeerUids } from '../io/peer-uid.js'
import type { Context } from './context.js'

/** Port of IMDS where none is named, as of AWS's own helper. */
const IMDS_PORT = 9911
/** What Linux sends with if nobody says anything else. */
const HOP_LIMIT = 64
const LOOPBACK = '127.0.0.1'

/** Parsed flags. */
export interface EndpointArguments {
  readonly containerPort?: number | undefined
  readonly imds?: boolean | undefined
  readonly port?: number | undefined
  readonly imdsIdentity?: string | undefined
  readonly imdsAddress: string
  readonly hopLimit: number
  readonly allowUid?: string | undefined
}

/** Which endpoints are to be opened, and where. */
export interface EndpointPlan {
  readonly container: EndpointParts['listen'] | undefined
  readonly imds: EndpointParts['listen'] | undefined
  readonly imdsIdentity: string | undefined
  readonly hopLimit: number
  readonly allowedUids: ReadonlySet<number> | undefined
}

/** Endpoints that are open. */
export interface Endpoints {
  /** Where they listen. */
  readonly places: readonly string[]
  /** Lines `NAME=value` of environment variables that lead SDKs there. */
  readonly variables: readonly string[]
  close(): Promise<void>
}

/** Adds the flags. */
export function addEndpointOptions(argv: Argv): Argv {
  return argv
    .option('container-port', {
      type: 'number',
      requiresArg: true,
      describe: `open the container endpoint at this port of ${LOOPBACK}; 0 takes a free one`,
    })
    .option('imds', { type: 'boolean', describe: 'open an IMDSv2 endpoint' })
    .option('port', {
      type: 'number',
      requiresArg: true,
      describe: `port of IMDSv2, which it opens; 0 takes a free one [default: ${IMDS_PORT}]`,
    })
    .option('imds-identity', {
      type: 'string',
      requiresArg: true,
      describe: 'identity that IMDSv2 gives out, if several are served',
    })
    .option('imds-address', {
      type: 'string',
      requiresArg: true,
      default: LOOPBACK,
      describe: 'address that IMDSv2 listens on; whoever can reach it gets credentials',
    })
    .option('hop-limit', {
      type: 'number',
      requiresArg: true,
      default: HOP_LIMIT,
      describe: 'how many hops answers of IMDSv2 go; another number needs a systemd socket with IPTTL=',
    })
    .option('allow-uid', {
      type: 'string',
      requiresArg: true,
      describe: 'numbers of the only users who may use these endpoints, separated by commas',
    })
}

/**
 * Reads the flags.
 * @param isBareIdentity true if flags name the identity, and so open IMDSv2 as AWS's own helper does
 * @throws HoldfastError USAGE
 */
export function planEndpoints(
  argv: EndpointArguments,
  { env, pid }: Context,
  isBareIdentity: boolean,
): EndpointPlan {
  const { containerPort, port, imdsAddress: host } = argv
  for (const [flag, value, from, to] of [
    ['container-port', containerPort, 0, 65_535],
    ['port', port, 0, 65_535],
    ['hop-limit', argv.hopLimit, 1, 64],
  ] as const) {
    if (value !== undefined && !(Number.isInteger(value) && value >= from && value <= to)) {
      throw new HoldfastError('USAGE', `--${flag} must be a whole number from ${from} to ${to}`)
    }
  }
  if (isIP(host) === 0)
    throw new HoldfastError('USAGE', '--imds-address must be an IP address of this machine')
  const passed = parseListenFds(env, pid)
  const listen = (name: string, isWanted: boolean, place: { host: string; port: number }) => {
    const fd = passed.get(name)
    if (fd !== undefined) return { fd }
    return isWanted ? place : undefined
  }
  const wantsImds = argv.imds ?? (port !== undefined || argv.imdsIdentity !== undefined || isBareIdentity)
  const imds = listen('imds', wantsImds, { host, port: port ?? IMDS_PORT })
  const container = listen('container', containerPort !== undefined, {
    host: LOOPBACK,
    port: containerPort ?? CONTAINER_PORT,
  })
  if (argv.hopLimit !== HOP_LIMIT && !passed.has('imds')) {
    throw new HoldfastError(
      'USAGE',
      `--hop-limit ${argv.hopLimit}: this program cannot set it, systemd can: let a socket unit with IPTTL=${argv.hopLimit} and FileDescriptorName=imds open the port`,
    )
  }
  if (argv.allowUid !== undefined && imds === undefined && container === undefined) {
    throw new HoldfastError(
      'USAGE',
      '--allow-uid is about endpoints, and none is opened: --container-port or --imds does; who may use a socket, socket-group in the configuration says',
    )
  }
  return {
    container,
    imds,
    hopLimit: argv.hopLimit,
    imdsIdentity: argv.imdsIdentity,
    allowedUids: argv.allowUid === undefined ? undefined : parseUids(argv.allowUid),
  }
}

/**
 * Opens what is planned.
 * @param warn is told what is dangerous, and which consumers do not count
 * @throws HoldfastError NETWORK_FAILED, USAGE
 */
export async function openEndpoints(
  plan: EndpointPlan,
  parts: Omit<EndpointParts, 'listen' | 'allowedUids'> & {
    readonly context: Context
    readonly configFile: string | undefined
    readonly warn: (text: string) => void
  },
): Promise<Endpoints> {
  const { agent, context, configFile, warn } = parts
  const { env, uid } = context
  const { allowedUids } = plan
  const servers: EndpointServer[] = []
  const variables: string[] = []
  const close = async () => {
    await Promise.all(servers.map((server) => server.close()))
  }
  try {
    if (plan.container !== undefined) {
      const folders = listConsumerFolders(listConfigFiles({ env, uid, configFile }))
      const consumersOf = createConsumerLookup(folders, { uid, now: context.now, warn })
      const server = await openContainerEndpoint(
        { ...parts, allowedUids, listen: plan.container },
        { consumersOf },
      )
      servers.push(server)
      const uris = agent.names.map((name) => formatContainerUri(server.port, name))
      variables.push(...uris.map((uri) => `AWS_CONTAINER_CREDENTIALS_FULL_URI=${uri}`))
    }
    if (plan.imds !== undefined) {
      const identity = chooseIdentity(agent.names, plan.imdsIdentity)
      const server = await openImds({ ...parts, allowedUids, listen: plan.imds }, { identity })
      servers.push(server)
      if (!isLoopback(server.address)) {
        warn(
          `IMDSv2 listens on ${server.address}: whoever can reach that gets the credentials of ${identity}`,
        )
      }
      if (plan.hopLimit !== HOP_LIMIT) {
        warn(
          `--hop-limit ${plan.hopLimit} is not verified: answers go as far as IPTTL= in the socket unit says, or ${HOP_LIMIT} hops without it`,
        )
      }
      // Old SDKs need the slash at the end.
      variables.push(`AWS_EC2_METADATA_SERVICE_ENDPOINT=${formatUrl(server)}/`)
    }
    return { places: servers.map(formatUrl), variables, close }
  } catch (error) {
    await close()
    throw error
  }
}

function parseUids(text: string): ReadonlySet<number> {
  const uids = text.split(',')
  if (!uids.every((uid) => /^\d{1,10}$/.test(uid))) {
    throw new HoldfastError(
      'USAGE',
      '--allow-uid has numbers of users, separated by commas: id -u NAME tells them',
    )
  }
  verifyPeerUids()
  return new Set(uids.map(Number))
}

/** Whoever asks IMDS does not say for which identity. */
function chooseIdentity(names: readonly string[], wanted: string | undefined): string {
  const [name, ...others] = wanted === undefined ? names : names.filter((known) => known === wanted)
  if (name !== undefined && others.length === 0) return name
  const known = names.join(', ')
  if (wanted === undefined) {
    throw new HoldfastError(
      'USAGE',
      `IMDSv2 gives out one identity: say with --imds-identity which of ${known}`,
    )
  }
  throw new HoldfastError('CONFIG_NOT_FOUND', `--imds-identity ${wanted} is not served: there is ${known}`)
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}

function formatUrl({ address, port }: EndpointServer): string {
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`
}
