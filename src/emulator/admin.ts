/**
 * The emulator's own paths, under `/_emulator/`: what AWS keeps elsewhere (roles) or does not have (faults).
 */
import type { Route } from './control-plane/route.js'
import { FAULT_KINDS } from './faults.js'
import { jsonReply } from './http-message.js'
import { putRole } from './roles.js'
import { integer, list, oneOf, optional, parseShape, structure } from './shape.js'

const faultsRequest = structure({
  latencyMs: optional(integer({ min: 0, max: 600_000 })),
  failNext: optional(
    list(structure({ kind: oneOf(FAULT_KINDS), count: optional(integer({ min: 1, max: 999_999 })) })),
  ),
})

export const ADMIN_ROUTES: readonly Route[] = [
  {
    method: 'PUT',
    path: '/_emulator/roles',
    answer: ({ body }, world) => jsonReply(200, { role: putRole(world, body) }),
  },
  {
    method: 'GET',
    path: '/_emulator/roles',
    answer: (_call, { state }) => jsonReply(200, { roles: state.roles }),
  },
  {
    // Replaces whatever faults were pending: an empty object clears them.
    method: 'PUT',
    path: '/_emulator/faults',
    answer: ({ body }, { faults }) => {
      const { latencyMs = 0, failNext = [] } = parseShape(faultsRequest, body)
      faults.clear()
      faults.latencyMs = latencyMs
      for (const { kind, count } of failNext) faults.failNext(kind, count)
      return jsonReply(200, { latencyMs, failNext })
    },
  },
]
