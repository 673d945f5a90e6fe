/**
 * Goes the way to the endpoint once and asks for nothing: how far it leads, who is at its end, and what time it is there.
 */

import { HoldfastError } from '../../core/errors.js'
import type { Reply } from '../../core/refusal.js'
import { withDeadline } from '../deadline.js'
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

/**
 * Tries each step once.
 * @throws HoldfastError the reason of `signal`, if it ends the probe
 */
export async function probeRolesAnywhere(
  options: RouteOptions & { readonly timeoutMs: number },
  { signal }: { signal: AbortSignal },
): Promise<Probe> {
  const { endpoint, timeoutMs } = options
  const steps: DoneStep[] = []
  const expired = new HoldfastError('DEADLINE_EXCEEDED', `no answer within ${timeoutMs / 1000} s (--timeout)`)
  try {
    const reply = await withDeadline({ signal, timeoutMs, expired }, async (deadline) => {
      const route = { ...createRoute(options, deadline), observe: (step: DoneStep) => steps.push(step) }
      const request = { method: 'HEAD', path: '/', headers: { host: endpoint.host } } as const
      return exchange(await openSocket(route), request, route)
    })
    return { steps, reply }
  } catch (fault) {
    if (signal.aborted || !(fault instanceof HoldfastError)) throw fault
    return { steps, fault }
  }
}
