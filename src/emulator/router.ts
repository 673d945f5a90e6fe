/**
 * From a request to its reply: finds the operation by method and path, and turns what it throws into the
 * service's error shape. The control plane's SigV4 signatures are not verified: its callers' secret keys are
 * IAM's, and the emulator has none. Only CreateSession proves who calls.
 */
import { ADMIN_ROUTES } from './admin.js'
import { CRL_ROUTES } from './control-plane/crls.js'
import { PROFILE_ROUTES } from './control-plane/profiles.js'
import type { Call, Route } from './control-plane/route.js'
import { SUBJECT_ROUTES } from './control-plane/subjects.js'
import { TAG_ROUTES } from './control-plane/tags.js'
import { TRUST_ANCHOR_ROUTES } from './control-plane/trust-anchors.js'
import { createSession } from './create-session.js'
import type { HttpReply, HttpRequest } from './http-message.js'
import { errorReply, ServiceError, validationError } from './service-error.js'
import { parseJsonBody } from './shape.js'
import type { World } from './state.js'

const ROUTES: readonly Route[] = [
  ...TRUST_ANCHOR_ROUTES,
  ...PROFILE_ROUTES,
  ...CRL_ROUTES,
  ...SUBJECT_ROUTES,
  ...TAG_ROUTES,
  ...ADMIN_ROUTES,
]

/** Answers one request. Every refusal is a reply; what is thrown is a bug. */
export async function answer(request: HttpRequest, world: World): Promise<HttpReply> {
  try {
    if (request.path === '/sessions') {
      if (request.method !== 'POST') throw unknownOperation(request, 405)
      return createSession(request, world)
    }
    const { route, path } = findRoute(request)
    const call: Call = { path, query: new URLSearchParams(request.query), body: parseJsonBody(request.body) }
    return await route.answer(call, world)
  } catch (error) {
    if (error instanceof ServiceError) return errorReply(error)
    throw error
  }
}

function unknownOperation({ method, path }: HttpRequest, status: number): ServiceError {
  return new ServiceError(
    status,
    'UnknownOperationException',
    'Unknown operation',
    `there is no ${method} ${path}`,
  )
}

function findRoute(request: HttpRequest): { route: Route; path: Record<string, string> } {
  for (const route of ROUTES) {
    const path = route.method === request.method ? matchPath(route.path, request.path) : undefined
    if (path !== undefined) return { route, path }
  }
  throw unknownOperation(request, ROUTES.some((route) => matchPath(route.path, request.path)) ? 405 : 404)
}

function matchPath(template: string, path: string): Record<string, string> | undefined {
  const wanted = template.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return undefined
  const values: Record<string, string> = {}
  for (const [index, part] of wanted.entries()) {
    const name = /^\{(.+)\}$/.exec(part)?.[1]
    if (name !== undefined) values[name] = decodePart(given[index]!)
    else if (part !== given[index]) return undefined
  }
  return values
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw validationError('The path is not percent-encoded UTF-8')
  }
}
