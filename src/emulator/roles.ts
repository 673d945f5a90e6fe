/**
 * IAM roles that sessions may be asked for. Roles belong to IAM, whose API is not emulated, so they come
 * by this small door of the emulator's own.
 */
import { roleArn } from './api-shapes.js'
import { validationError } from './service-error.js'
import { integer, optional, parseShape, structure } from './shape.js'
import type { Role, World } from './state.js'
import { parseTrustPolicy } from './trust-policy.js'

const DEFAULT_MAX_SESSION_DURATION = 3600

const putRoleRequest = structure({
  roleArn,
  assumeRolePolicyDocument: (value: unknown) => value,
  maxSessionDuration: optional(integer({ min: 3600, max: 43200 })),
})

/**
 * Adds a role, or replaces the one of the same ARN. The trust policy may be JSON text, as IAM takes it, or
 * an object.
 * @throws ServiceError ValidationException, also for a trust policy that the emulator cannot judge
 */
export function putRole({ state }: World, body: unknown): Role {
  const request = parseShape(putRoleRequest, body)
  if (request.roleArn.split(':')[4] !== state.account) {
    throw validationError(`${request.roleArn} is not a role of account ${state.account}`)
  }
  const document = parseDocument(request.assumeRolePolicyDocument)
  parseTrustPolicy(document)
  const role: Role = {
    roleArn: request.roleArn,
    assumeRolePolicyDocument: document,
    maxSessionDuration: request.maxSessionDuration ?? DEFAULT_MAX_SESSION_DURATION,
  }
  state.roles = [...state.roles.filter((item) => item.roleArn !== role.roleArn), role]
  return role
}

function parseDocument(document: unknown): unknown {
  if (typeof document !== 'string') return document
  try {
    return JSON.parse(document)
  } catch {
    throw validationError('assumeRolePolicyDocument is not JSON')
  }
}

/** The trust policy that AWS recommends to begin with: only certificates of one trust anchor. */
export function defaultTrustPolicy(trustAnchorArn: string): unknown {
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { Service: 'rolesanywhere.amazonaws.com' },
        Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
        Condition: { ArnEquals: { 'aws:SourceArn': trustAnchorArn } },
      },
    ],
  }
}
