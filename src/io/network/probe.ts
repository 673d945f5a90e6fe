/**
 * Goes the way to the endpoint once and asks for nothing: how far it leads, who is at its end, and what time it is there.
 */

import { HoldfastError } from '../../core/errors.js'
import type { Reply } from '../../core/roles-anywhere/refusal.js'
import { type DoneStep, exchange, openSocket } from './exchange.js'
import { createRoute, type RouteOptions } from './roles-anywhere.js'

/** How far the way leads. */
export interface Probe {
  /** In their order. */
  readonly steps: readonly DoneStep[]
  /** The answer to HEAD /, unsigned, which the service refuses in one way or another. */
  readonly reply?: Reply
  /** What went wrong after the last step. */
  readonly fault?: HoldfastError
}

/** Tries each step once. What ends the probe by `signal` is a fault like others. */
export async function probeRolesAnywhere(
  options: RouteOptions,
  { signal }: { signal: AbortSignal },
): Promise<Probe> {
  const steps: DoneStep[] = []
  try {
    const route = { ...createRoute(options, signal), observe: (step: DoneStep) => steps.push(step) }
    const request = { method: 'HEAD', path: '/', headers: { host: options.endpoint.host } } as const
    return { steps, reply: await exchange(await openSocket(route), request, route) }
  } catch (fault) {
    if (!(fault instanceof HoldfastError)) throw fault
    return { steps, fault }
  }
}
