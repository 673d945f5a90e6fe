/**
 * The checks of what a session is asked for, and where: nothing is opened for them.
 */

import type { Identity } from '../core/config/identity.js'
import type { Examination, Examined, Outcome } from '../core/doctor/diagnosis.js'
import { shown, tell } from '../core/doctor/told.js'
import { HoldfastError } from '../core/errors.js'
import {
  parseProfileArn,
  parseRoleArn,
  parseTrustAnchorArn,
  verifyArnsAgree,
} from '../core/roles-anywhere/arn.js'
import { formatCreateSessionRequest } from '../core/roles-anywhere/create-session.js'
import { findNamedEndpoint } from '../core/roles-anywhere/endpoint.js'
import { parseSession, type Session } from '../provider.js'

/** Below it the AWS CLI, boto3 and .NET ask anew with almost every use: they want 15 minutes to be left. */
const SHORT_SESSION_SECONDS = 1800

/** Makes the checks. */
export async function checkRequest(
  examination: Examination,
  identity: Outcome<Identity>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Outcome<Session>> {
  const arns = await examination.check('arns', { identity }, ({ identity }) => examineArns(identity))
  const session = await examination.check('endpoint', { identity, arns }, ({ identity }) => {
    const session = parseSession(identity, env)
    const named = findNamedEndpoint({ endpoint: identity.endpoint, env })
    const origin = named === undefined ? tell`` : tell`, named by ${shown(named.origin)}`
    const message = tell`${shown(session.endpoint.origin)}${origin}, signing for region ${shown(session.region)}`
    return { value: session, message }
  })
  return examination.check('request', { session }, ({ session }) => examineRequest(session))
}

function examineArns(identity: Identity): Examined<undefined> {
  const [anchor, profile, role] = [
    parseTrustAnchorArn(required(identity.trustAnchorArn, 'trust-anchor-arn')),
    parseProfileArn(required(identity.profileArn, 'profile-arn')),
    parseRoleArn(required(identity.roleArn, 'role-arn')),
  ]
  verifyArnsAgree(anchor, profile, role)
  const { partition, accountId, region } = anchor
  return {
    value: undefined,
    message: tell`trust anchor, profile and role are in partition ${shown(partition)}, account ${shown(accountId)}, region ${shown(region)}`,
  }
}

function required(text: string | undefined, key: string): string {
  if (text !== undefined) return text
  throw new HoldfastError('USAGE', `${key} is missing: add it to the identity, or give --${key}`)
}

function examineRequest(session: Session): Examined<Session> {
  formatCreateSessionRequest(session.request)
  const { durationSeconds, roleSessionName } = session.request
  const seconds = durationSeconds ?? 0
  const name =
    roleSessionName === undefined
      ? tell``
      : tell`, named ${shown(roleSessionName)} if the profile allows that`
  const isShort = seconds < SHORT_SESSION_SECONDS
  return {
    value: session,
    message: tell`a session of ${seconds} seconds${name}`,
    troubles: isShort
      ? [
          {
            status: 'warn',
            message: tell`a session of ${seconds} seconds is so short that the AWS CLI, boto3 and .NET ask for a new one with almost every use`,
            fix: tell`let session-duration (--session-duration) be 3600`,
          },
        ]
      : [],
  }
}
