/**
 * The container-credentials endpoint, as ECS and EKS have one: a path for each identity, and a token for each consumer.
 * From request to reply; who may send a request at all is core/endpoints/local-request.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
 */

import { type Credentials, formatExpiration } from '../credentials.js'
import { type Consumer, findConsumer } from './consumer.js'
import {
  type Answer,
  answerShortage,
  errorReply,
  findHeader,
  findPath,
  jsonReply,
} from './endpoint-answer.js'
import type { HttpRequest } from './http-message.js'

const FOLDER = '/credentials/'

/** What the endpoint knows. */
export interface ContainerEndpoint {
  /** Those who may have the credentials of an identity; none if it is not served. */
  readonly consumersOf: (identity: string) => readonly Consumer[]
  /** The current credentials of an identity. @throws HoldfastError */
  readonly take: (identity: string) => Promise<Credentials>
}

/** Port of the endpoint where none is named. */
export const CONTAINER_PORT = 9912

/** URL of an identity, in the one form that every SDK accepts over http. */
export function formatContainerUri(port: number, identity: string): string {
  return `http://127.0.0.1:${port}${FOLDER}${identity}`
}

/** The environment in which SDKs use the endpoint. */
export function formatContainerVariables({
  port,
  identity,
  tokenFile,
}: {
  readonly port: number
  readonly identity: string
  /** Absolute path. */
  readonly tokenFile: string
}) {
  return {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: formatContainerUri(port, identity),
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenFile,
  }
}

/** Answers one request. Whoever has no token learns nothing, not even which identities there are. */
export async function answerContainerRequest(
  request: HttpRequest,
  { consumersOf, take }: ContainerEndpoint,
): Promise<Answer> {
  if (request.method !== 'GET') {
    return { reply: errorReply(405, 'MethodNotAllowed', 'Only GET is answered here', { allow: 'GET' }) }
  }
  const identity = findIdentity(request)
  if (identity === undefined)
    return { reply: errorReply(404, 'NotFound', `Only ${FOLDER}IDENTITY is answered here`) }
  const authorization = findHeader(request, 'authorization')
  if (authorization === undefined) {
    return refuse('No token: set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE')
  }
  const consumer = findConsumer(consumersOf(identity), authorization)
  if (consumer === undefined) {
    return refuse('This is not the token of a consumer of this identity')
  }
  const who = { identity, consumer: consumer.name }
  try {
    const credentials = await take(identity)
    return { ...who, credentials, result: 'ok', reply: jsonReply(200, toWire(credentials)) }
  } catch (error) {
    return { ...who, ...answerShortage(error, { tell: true }) }
  }
}

function findIdentity(request: HttpRequest): string | undefined {
  const path = findPath(request)
  if (path === undefined || !path.startsWith(FOLDER)) return undefined
  // The names of identities have no character that would be encoded.
  const name = path.slice(FOLDER.length)
  return name === '' || name.includes('/') ? undefined : name
}

function refuse(message: string): Answer {
  return { reply: errorReply(401, 'Unauthorized', message), result: 'unauthorized' }
}

function toWire({ accessKeyId, secretAccessKey, sessionToken, expiration, accountId }: Credentials) {
  return {
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    Token: sessionToken,
    Expiration: formatExpiration(expiration),
    ...(accountId === undefined ? {} : { AccountId: accountId }),
  }
}
