/**
 * Asks the agent for what a command would otherwise do itself. An agent that has the identity has the last word: its
 * error is the answer, lest every command of a machine whose token is gone try it once more.
 */

import { findSessionKey } from '../agent/session-key.js'
import { isControlSocket, listAgentFolders } from '../core/agent/agent-place.js'
import {
  type AgentPath,
  type AgentReply,
  type AgentRequest,
  formatAgentRequest,
  type GivenPin,
  parseAgentReply,
} from '../core/agent/agent-protocol.js'
import type { ServedIdentity } from '../core/config/config.js'
import type { Credentials } from '../core/credentials.js'
import { HoldfastError } from '../core/errors.js'
import { formatPinSource } from '../core/pin/pin.js'
import type { PinNeed } from '../core/pkcs11/token-protocol.js'
import { formatPrintable } from '../core/printable.js'
import { findUserId } from '../io/accounts.js'
import { callAgent, findSockets } from '../io/agent-socket/client.js'
import { findPinSource, givePin } from '../pin-answer.js'
import type { Context } from './context.js'

/** Which identity is meant. */
export interface Wanted {
  readonly name?: string | undefined
  /** What is known of it; undefined where only the agent may read its configuration. */
  readonly identity: ServedIdentity | undefined
  /** Folder of the sockets, if one was named. */
  readonly agentDir: string | undefined
}

/** For a token, the network, and others who wait for the same. */
const ANSWER_LIMIT_MS = 180_000

/** The usual name of the user that a system agent runs as. */
const AGENT_USER = 'holdfast'

/**
 * Credentials from the agent; undefined if none is there that has the identity.
 * @throws HoldfastError what the agent failed with; AGENT_FAILED, PIN_NEEDED, PIN_INVALID, INTERRUPTED
 */
export async function findAgentCredentials(
  wanted: Wanted,
  context: Context,
): Promise<Credentials | undefined> {
  const sockets = listSockets(wanted, context)
  if (sockets.length === 0) return undefined
  // What is not complete the way without an agent says better.
  const sessionKey = wanted.identity && findSessionKey(wanted.identity, context.env)
  if (sessionKey === undefined && wanted.identity !== undefined) return undefined
  for (const socket of sockets) {
    const about = { name: wanted.name, sessionKey }
    let reply = await ask(socket, '/credentials', about, context)
    if (reply !== undefined && 'needPin' in reply && reply.needPin !== undefined) {
      const former = reply
      reply = await withPin(wanted, reply.needPin, context, PIN_WAYS, (pin) =>
        ask(socket, '/credentials', { ...about, pin }, context),
      ).catch((error) => {
        // What is about to expire will do where nobody gives a PIN.
        if (error.code === 'PIN_NEEDED' && 'credentials' in former) return former
        throw error
      })
    }
    if (reply === undefined || 'unknown' in reply) continue
    if ('failed' in reply) throw reply.failed
    if ('credentials' in reply) return reply.credentials
  }
  return undefined
}

/** The sockets that this user may ask for the identity, best first. */
export function listSockets({ name, identity, agentDir }: Wanted, { env, uid, stderr }: Context): string[] {
  return findSockets({
    folders: listAgentFolders(env, agentDir),
    name,
    uid,
    agentUid: findUserId(identity?.agentUser ?? AGENT_USER),
    warn: (text) => stderr(`warning: ${text}`),
  })
}

/**
 * One request.
 * @returns undefined if nobody is there who could be asked
 * @throws HoldfastError AGENT_FAILED, INTERRUPTED
 */
export async function ask(
  socket: string,
  path: AgentPath,
  request: AgentRequest,
  { signal, uid, pid, stderr }: Context,
): Promise<AgentReply | undefined> {
  const body = formatAgentRequest({ ...request, claims: { pid, uid } })
  const notify = (notice: string) => stderr(`warning: ${formatPrintable(notice)}`)
  const answer = await callAgent({ socket, path, body, signal, timeoutMs: ANSWER_LIMIT_MS, notify })
  if (answer === 'absent' || (answer === 'denied' && request.name === undefined)) return undefined
  if (answer !== 'denied') return parseAgentReply(answer.body)
  // Without root's sockets, those of one's own are next.
  if (isControlSocket(socket)) return undefined
  throw new HoldfastError(
    'AGENT_FAILED',
    `you may not use the agent's socket ${formatPrintable(socket)}: become a member of its group, or go without the agent (--no-agent)`,
  )
}

/** A request that only the agent's own user, or root, may make. */
export interface ControlCall {
  readonly path: AgentPath
  /** Absent for a `GET`. */
  readonly request?: AgentRequest | undefined
  readonly agentDir: string | undefined
}

/**
 * Asks the agent of this user, or as root or its own user that of the system.
 * @returns the body of its answer
 * @throws HoldfastError AGENT_FAILED if there is none, or it does not answer
 */
export async function askControl(
  { path, request, agentDir }: ControlCall,
  context: Context,
): Promise<Uint8Array> {
  let denied: string | undefined
  for (const socket of listSockets({ identity: undefined, agentDir }, context)) {
    if (!isControlSocket(socket)) continue
    const body = request && formatAgentRequest(request)
    const answer = await callAgent({ socket, path, body, signal: context.signal, timeoutMs: ANSWER_LIMIT_MS })
    if (answer === 'denied') denied = socket
    else if (answer !== 'absent') return answer.body
  }
  const why =
    denied === undefined
      ? 'no agent is running that this user could ask: start one with holdfast serve'
      : `you may not use the agent's socket ${formatPrintable(denied)}: only its own user and root may`
  throw new HoldfastError('AGENT_FAILED', why)
}

/** The error for a name that the agent does not know. */
export function unknownToAgent(name: string): HoldfastError {
  return new HoldfastError(
    'CONFIG_NOT_FOUND',
    `the agent serves no identity ${JSON.stringify(name)}: holdfast status lists those that it serves`,
  )
}

/** The ways to give a PIN to an agent that has none. */
const PIN_WAYS =
  'a terminal in the foreground, --askpass PROGRAM, or holdfast unlock; one that is stored in what the configuration of the agent names, or without the agent (--no-agent)'

/**
 * Asks the person for the PIN, and tries it once.
 * @param ways the ways to give one, for the error where there is no person to ask
 * @throws HoldfastError PIN_NEEDED, PIN_INVALID, INTERRUPTED
 */
export async function withPin<T>(
  { identity = ANY_TOKEN }: Wanted,
  need: PinNeed,
  context: Context,
  ways: string,
  use: (pin: GivenPin) => Promise<T>,
): Promise<T> {
  const source = await findPinSource(identity, { env: context.env, warn: () => undefined })
  // What is stored here is no person's, and tried under the guard of this user, not that of the agent.
  if (source?.kind !== 'terminal' && source?.kind !== 'askpass') {
    const stored = source === undefined ? 'a key in a file' : formatPinSource(source)
    throw new HoldfastError(
      'PIN_NEEDED',
      `the token wants a PIN, and the agent takes none from ${stored} of yours. Ways to give one: ${ways}`,
    )
  }
  const bytes = await givePin(source, need, context, { signal: context.signal, ways })
  try {
    return await use({ kind: source.kind, name: formatPinSource(source), bytes })
  } finally {
    bytes.fill(0)
  }
}

/** Of an identity that only the agent knows: all that matters here is that its PIN is asked for. */
const ANY_TOKEN: ServedIdentity = { pkcs11Uri: 'pkcs11:' }
