/**
 * What the agent answers on its sockets. The control socket does everything; that of one identity hands out this
 * identity's credentials and takes no PIN, lest whoever may use the role could lock the token with wrong ones.
 */

import { formatMetrics, METRICS_TYPE } from '../core/agent/agent-metrics.js'
import {
  type AgentReply,
  type AgentRequest,
  formatAgentReply,
  parseAgentRequest,
} from '../core/agent/agent-protocol.js'
import type { AgentReport } from '../core/agent/agent-status.js'
import type { HttpHandler, HttpOptions, HttpReply } from '../core/endpoints/http-message.js'
import { HoldfastError } from '../core/errors.js'
import type { Agent } from './agent.js'
import type { Ledger } from './ledger.js'

/** What a socket is, and what is told of those who use it. */
export interface DoorParts {
  /** The one identity that it is for; undefined for a control socket. */
  readonly only?: string | undefined
  /** Path of the socket. */
  readonly place: string
  readonly ledger: Ledger
  readonly report: () => AgentReport
  readonly now: () => Date
}

const JSON_TYPE = { 'content-type': 'application/json' }

/** Answers what arrives on one socket of the agent. */
export function createDoor(agent: Agent, parts: DoorParts): HttpHandler {
  const { only } = parts
  return async ({ method, target, body }, options) => {
    if (method === 'GET' && target === '/status' && only === undefined) {
      return { status: 200, headers: JSON_TYPE, body: JSON.stringify(parts.report()) }
    }
    if (method === 'GET' && target === '/metrics' && only === undefined) {
      const body = formatMetrics(parts.report(), parts.now())
      return { status: 200, headers: { 'content-type': METRICS_TYPE }, body }
    }
    const work = WORK.get(target)
    if (work === undefined) return { status: 404, body: '' }
    if (method !== 'POST') return { status: 405, headers: { allow: 'POST' }, body: '' }
    try {
      return toHttp(await answer(work, body, options))
    } finally {
      body.fill(0)
    }
  }

  async function answer(work: Work, body: Uint8Array, options: HttpOptions): Promise<AgentReply> {
    let request: AgentRequest = {}
    let name: string | undefined
    let reply: AgentReply
    try {
      request = parseAgentRequest(body)
      if (only !== undefined && (work !== take || request.pin !== undefined)) throw notHere()
      name = agent.find(request)
      if (only !== undefined && name !== only) name = undefined
      reply = name === undefined ? { unknown: true } : await perform(work, name, request, options)
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
      const needPin = name === undefined || error.code !== 'PIN_NEEDED' ? undefined : agent.pinNeed(name)
      reply = { failed: error, needPin }
    }
    if (work === take) record(name, request, reply)
    // At the socket of one identity nobody can give the PIN that is needed.
    return only === undefined ? reply : { ...reply, needPin: undefined }
  }

  async function perform(
    work: Work,
    name: string,
    request: AgentRequest,
    { signal, notify = () => undefined }: HttpOptions,
  ): Promise<AgentReply> {
    const stopListening = agent.listen(name, notify)
    try {
      return await work(agent, name, request, signal)
    } finally {
      stopListening()
    }
  }

  function record(name: string | undefined, { claims }: AgentRequest, reply: AgentReply): void {
    const isHandedOut = name !== undefined && 'credentials' in reply
    const failure = 'failed' in reply ? reply.failed.code : 'unknown'
    parts.ledger.record({
      door: 'socket',
      place: parts.place,
      name,
      claims,
      result: isHandedOut ? 'ok' : failure,
      expiration: isHandedOut ? reply.credentials.expiration : undefined,
      serial: isHandedOut ? agent.serial(name) : undefined,
    })
  }
}

type Work = (agent: Agent, name: string, request: AgentRequest, signal: AbortSignal) => Promise<AgentReply>

const take: Work = async (agent, name, { pin }, signal) => {
  const credentials = await agent.take(name, { attended: true, signal, pin })
  return { credentials, needPin: agent.isDue(name) ? agent.pinNeed(name) : undefined }
}

const unlock: Work = async (agent, name, { pin }, signal) => {
  await agent.unlock(name, pin, signal)
  return { done: true }
}

const lock: Work = async (agent, name) => {
  return { done: agent.lock(name) }
}

const WORK = new Map<string, Work>([
  ['/credentials', take],
  ['/unlock', unlock],
  ['/lock', lock],
])

function toHttp(reply: AgentReply): HttpReply {
  return { ...formatAgentReply(reply), headers: JSON_TYPE }
}

function notHere(): HoldfastError {
  return new HoldfastError(
    'USAGE',
    'this socket gives credentials only: PINs are taken by the control socket of the agent, from its user and root',
  )
}
