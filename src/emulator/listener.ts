/**
 * From Node's requests to the handlers' and back: reads the body, applies faults that are due, answers, and
 * tells what became of each request.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import type { HttpReply, HttpRequest } from './http-message.js'
import { answer } from './router.js'
import { errorReply, ServiceError } from './service-error.js'
import type { World } from './state.js'

/** One request and what became of it. */
export interface JournalEntry {
  readonly method: string
  readonly path: string
  /** HTTP status; 0 if the connection was dropped. */
  readonly status: number
  readonly requestId: string
  /** Exception name, of an error. */
  readonly errorType?: string
  /** What the emulator found, of an error. */
  readonly reason?: string
}

const MAX_BODY_BYTES = 1024 * 1024

export interface ListenerOptions {
  /** Called after each request that may have changed the state, before its reply. */
  readonly save: () => void
  /** Called after each request, before its reply. */
  readonly note: (entry: JournalEntry) => void
  /** Aborts answers that are being delayed. */
  readonly signal: AbortSignal
}

/** The listener that answers for `world`. */
export function createListener(world: World, { save, note, signal }: ListenerOptions): RequestListener {
  const answerOrFail = async (incoming: IncomingMessage): Promise<HttpReply | undefined> => {
    try {
      const reply = await answerIncoming(incoming, world, signal)
      if (incoming.method !== 'GET') save()
      return reply
    } catch (error) {
      // The client is gone, or the emulator is going.
      if (signal.aborted || !incoming.complete) return undefined
      const reason = `the emulator failed: ${error}`
      return errorReply(new ServiceError(500, 'InternalServerException', 'Internal server error', reason))
    }
  }
  return async (incoming, outgoing) => {
    const requestId = randomUUID()
    const reply = await answerOrFail(incoming)
    note(toEntry(incoming, requestId, reply))
    if (reply === undefined) outgoing.destroy()
    else send(outgoing, reply, requestId, world.now())
  }
}

function send(
  outgoing: ServerResponse,
  { status, headers, body }: HttpReply,
  requestId: string,
  now: Date,
): void {
  outgoing.sendDate = false
  outgoing.writeHead(status, {
    ...headers,
    date: now.toUTCString(),
    'x-amzn-requestid': requestId,
    'content-length': Buffer.byteLength(body),
  })
  outgoing.end(body)
}

/** Undefined if the connection is to be dropped. */
async function answerIncoming(
  incoming: IncomingMessage,
  world: World,
  signal: AbortSignal,
): Promise<HttpReply | undefined> {
  const request = await readRequest(incoming)
  if (request === undefined) {
    return errorReply(
      new ServiceError(
        413,
        'RequestEntityTooLargeException',
        `The request body is larger than ${MAX_BODY_BYTES} bytes`,
      ),
    )
  }
  if (request.method === 'POST' && request.path === '/sessions') {
    if (world.faults.latencyMs > 0) await wait(world.faults.latencyMs, undefined, { signal })
    const fault = world.faults.take()
    if (fault !== undefined) return fault.reply
  }
  return answer(request, world)
}

/** Undefined if the body is too large. */
async function readRequest(incoming: IncomingMessage): Promise<HttpRequest | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    // The rest is read and thrown away, so that the client gets the reply instead of a reset.
    if (size <= MAX_BODY_BYTES) chunks.push(chunk)
  }
  if (size > MAX_BODY_BYTES) return undefined
  const headers = new Map<string, string[]>()
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    const name = incoming.rawHeaders[index]!.toLowerCase()
    headers.set(name, [...(headers.get(name) ?? []), incoming.rawHeaders[index + 1]!])
  }
  const url = incoming.url ?? ''
  const question = url.indexOf('?')
  return {
    method: incoming.method ?? '',
    path: question < 0 ? url : url.slice(0, question),
    query: question < 0 ? '' : url.slice(question + 1),
    headers,
    body: Buffer.concat(chunks),
  }
}

function toEntry(
  { method = '', url = '' }: IncomingMessage,
  requestId: string,
  reply?: HttpReply,
): JournalEntry {
  const path = url.split('?')[0]!
  if (reply === undefined) return { method, path, requestId, status: 0, reason: 'the connection was dropped' }
  const errorType = reply.headers['x-amzn-errortype']
  const reason = reply.headers['x-emulator-reason']
  return {
    method,
    path,
    requestId,
    status: reply.status,
    ...(errorType === undefined ? {} : { errorType }),
    ...(reason === undefined ? {} : { reason }),
  }
}
