/**
 * The endpoints of the agent that are reached over TCP: container credentials and IMDSv2. Here meet the server, the rules
 * of who may ask, the shelf and the ledger. Nobody at an endpoint can be asked for a PIN or a touch, and SDKs wait for a
 * second only.
 */

import { randomBytes } from 'node:crypto'
import type { ServedIdentity } from '../core/config/config.js'
import type { Credentials } from '../core/credentials.js'
import { formatToken, TOKEN_BYTES } from '../core/endpoints/consumer.js'
import { answerContainerRequest, type ContainerEndpoint } from '../core/endpoints/container-endpoint.js'
import { type Answer, answerShortage, errorReply } from '../core/endpoints/endpoint-answer.js'
import type { HttpRequest } from '../core/endpoints/http-message.js'
import { answerImdsRequest } from '../core/endpoints/imds.js'
import type { ImdsTokens } from '../core/endpoints/imds-tokens.js'
import { findForeignSign, listHosts } from '../core/endpoints/local-request.js'
import type { Connection } from '../core/endpoints/socket-table.js'
import { HoldfastError } from '../core/errors.js'
import { parseRoleArn, parseTrustAnchorArn } from '../core/roles-anywhere/arn.js'
import { withDeadline } from '../io/deadline.js'
import {
  type EndpointServer,
  type EndpointServerOptions,
  startEndpointServer,
} from '../io/endpoint-server.js'
import { findPeerUid } from '../io/peer-uid.js'
import type { Agent } from './agent.js'
import type { Ledger } from './ledger.js'
import type { Clock } from './refresher.js'

/** For as long an endpoint waits for a session that is being made. SDKs give up after a second, and then ask again. */
const PATIENCE_MS = 800
/** One for all, since to make one takes longer than to answer. */
const EXPIRED = new HoldfastError('DEADLINE_EXCEEDED', 'a session is being made: ask again in a second')
/** In each period as many refusals get a line in the log, lest whoever is refused fills it. */
const REFUSALS_TOLD = 20
const REFUSALS_PERIOD_MS = 60_000

/** The address that SDKs expect IMDS at, for machines that have it led to this one. No page can have it as its name. */
const IMDS_HOSTS = ['169.254.169.254', '169.254.169.254:80']

/** What both endpoints need. */
export interface EndpointParts {
  readonly agent: Agent
  readonly ledger: Ledger
  readonly clock: Clock
  readonly listen: EndpointServerOptions['listen']
  /** The only users who may ask; undefined for all. */
  readonly allowedUids: ReadonlySet<number> | undefined
  readonly onFault: (place: string, error: unknown) => void
}

/** Who sent a request. */
interface Peer {
  /** Undefined if the kernel does not tell. */
  readonly uid: number | undefined
  readonly address: string
  readonly signal: AbortSignal
}

/** Opens the container endpoint. @throws HoldfastError NETWORK_FAILED, USAGE */
export function openContainerEndpoint(
  parts: EndpointParts,
  { consumersOf }: Pick<ContainerEndpoint, 'consumersOf'>,
): Promise<EndpointServer> {
  return openEndpoint('container', parts, [], (request, { signal }) =>
    answerContainerRequest(request, {
      consumersOf: (identity) => (parts.agent.identities.has(identity) ? consumersOf(identity) : []),
      take: (identity) => takeSoon(parts.agent, identity, signal),
    }),
  )
}

/** Opens IMDSv2 for one identity. @throws HoldfastError NETWORK_FAILED, USAGE */
export function openImds(parts: EndpointParts, { identity }: { identity: string }): Promise<EndpointServer> {
  const { agent, clock } = parts
  const tokens: ImdsTokens = new Map()
  return openEndpoint('imds', parts, IMDS_HOSTS, (request, { uid, address, signal }) =>
    answerImdsRequest(request, {
      ...describeRole(agent.identities.get(identity)),
      identity,
      tokens,
      remote: uid === undefined ? address : `uid ${uid}`,
      createToken: () => formatToken(randomBytes(TOKEN_BYTES)),
      elapsedMs: clock.elapsedMs(),
      now: clock.now(),
      take: () => takeSoon(agent, identity, signal),
    }),
  )
}

async function openEndpoint(
  door: string,
  parts: EndpointParts,
  moreHosts: readonly string[],
  answer: (request: HttpRequest, peer: Peer) => Promise<Answer>,
): Promise<EndpointServer> {
  const { agent, ledger, allowedUids } = parts
  const uids = new WeakMap<Connection, Promise<number | undefined>>()
  const tellRefusal = createLimit(parts.clock)
  const findUid = (connection: Connection) => {
    const uid = uids.get(connection) ?? findPeerUid(connection)
    uids.set(connection, uid)
    return uid
  }
  const judge = async (request: HttpRequest, hosts: readonly string[], peer: Peer): Promise<Answer> => {
    const sign = findForeignSign(request, hosts)
    if (sign !== undefined)
      return refuse('foreign', `This request is not of a program of this machine: ${sign}`)
    if (allowedUids !== undefined && (peer.uid === undefined || !allowedUids.has(peer.uid))) {
      return refuse('uid', 'Your user may not use this endpoint')
    }
    try {
      return await answer(request, peer)
    } catch (error) {
      return answerShortage(error, { tell: false })
    }
  }
  let hosts: readonly string[] | undefined
  const server = await startEndpointServer({
    listen: parts.listen,
    onFault: (error) => parts.onFault(door, error),
    answer: async (request, { connection, signal }) => {
      const { address, port } = connection.server
      hosts ??= [...listHosts(['127.0.0.1', 'localhost', server.address], server.port), ...moreHosts]
      const uid = await findUid(connection)
      const outcome = await judge(request, hosts, { uid, address: connection.client.address, signal })
      const { reply, identity: name, credentials, consumer, result } = outcome
      if (result !== undefined) {
        ledger.record(
          {
            ...{ door, place: `${address}:${port}`, name, result, uid, consumer },
            expiration: credentials?.expiration,
            serial: name === undefined ? undefined : agent.serial(name),
          },
          { inSilence: name === undefined && !tellRefusal() },
        )
      }
      return reply
    },
  })
  return refuseEverywhere(server)
}

/** An address that stands for all of the machine's cannot be compared with what a request says that it means. */
async function refuseEverywhere(server: EndpointServer): Promise<EndpointServer> {
  if (!/^(?:(?:::ffff:)?0\.0\.0\.0|::)$/i.test(server.address)) return server
  await server.close()
  throw new HoldfastError(
    'USAGE',
    `an endpoint cannot listen on all addresses (${server.address}): name one, best 127.0.0.1`,
  )
}

function refuse(result: string, message: string): Answer {
  return { reply: errorReply(403, 'Forbidden', message), result }
}

/** Credentials that are there or about to be. */
async function takeSoon(agent: Agent, name: string, signal: AbortSignal): Promise<Credentials> {
  const held = agent.held(name)
  if (held !== undefined) return held
  return withDeadline({ signal, timeoutMs: PATIENCE_MS, expired: EXPIRED }, (deadline) =>
    agent.get(name, { attended: false, signal: deadline }),
  )
}

/** @throws HoldfastError CONFIG_NOT_FOUND if there is no such identity any more */
function describeRole(identity: ServedIdentity | undefined) {
  if (identity === undefined)
    throw new HoldfastError('CONFIG_NOT_FOUND', 'the identity is no longer configured')
  const role = parseRoleArn(identity.roleArn ?? '')
  const region = identity.region ?? parseTrustAnchorArn(identity.trustAnchorArn ?? '').region
  return { accountId: role.accountId, roleName: role.resourceId.split('/').at(-1)!, region }
}

/** True for so many times in each period. */
function createLimit(clock: Clock): () => boolean {
  let [count, sinceMs] = [0, 0]
  return () => {
    const nowMs = clock.elapsedMs()
    if (nowMs - sinceMs >= REFUSALS_PERIOD_MS) [count, sinceMs] = [0, nowMs]
    return ++count <= REFUSALS_TOLD
  }
}
