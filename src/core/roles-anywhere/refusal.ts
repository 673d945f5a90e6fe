/**
 * What it means when CreateSession is not answered with a session, and what to do about it. AWS's own words
 * and request id are always shown, since they are what a support case needs; the table only adds to them.
 * The service publishes few of its messages, so an unknown one is told by its status and type.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
 */

import { type ErrorCode, HoldfastError } from '../errors.js'
import { formatForeignText } from '../printable.js'

/** An HTTP answer, read whole. */
export interface Reply {
  readonly status: number
  /** Names in lowercase; a header that was repeated is joined with commas. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** What was asked for, to be named in the explanation. */
export interface RefusedRequest {
  readonly now: Date
  readonly trustAnchorArn: string
  readonly profileArn: string
  readonly roleArn: string
  readonly roleSessionName?: string | undefined
  /** What messages call the certificate: `the certificate with serial 0a`. */
  readonly certificate: string
}

/** General SigV4 tolerance; Roles Anywhere publishes none of its own. */
export const CLOCK_TOLERANCE_MS = 5 * 60 * 1000
const MAX_QUOTE_LENGTH = 600

/**
 * The error for an answer that is not 2xx.
 * @returns REFUSED…, CLOCK_WRONG, THROTTLED, SERVICE_UNAVAILABLE or, where the answer cannot come from the
 *   service itself, REPLY_INVALID
 */
export function explainRefusal(reply: Reply, request: RefusedRequest): HoldfastError {
  const said = readAwsError(reply)
  const quote = formatQuote(reply.status, said)
  const clock = explainClock(reply, said, request.now)
  const { code, text } = clock ?? explainCause(reply, said, request)
  const stranger =
    said.requestId || reply.status >= 500 || code === 'REPLY_INVALID'
      ? ''
      : ' (no AWS request id: this may be the answer of a proxy or firewall, not of Roles Anywhere)'
  return new HoldfastError(code, `${text}; ${quote}${stranger}`)
}

/**
 * True for an answer after which the same signed request may be sent again: 429, 5xx, and throttling under
 * any status. Never for another 4xx.
 */
export function isRetryableReply(reply: Reply): boolean {
  return reply.status >= 500 || isThrottled(reply.status, readAwsError(reply).type)
}

/** AWS's request id, for a person to quote, or undefined. */
export function findRequestId(reply: Reply): string | undefined {
  return readAwsError(reply).requestId
}

interface AwsError {
  readonly type: string | undefined
  readonly message: string | undefined
  readonly requestId: string | undefined
}

/** Takes apart an error of the restJson1 protocol. @see https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization */
function readAwsError({ headers, body }: Reply): AwsError {
  const text = new TextDecoder().decode(body)
  let fields: Record<string, unknown> = {}
  try {
    fields = Object(JSON.parse(text))
  } catch {
    // Not AWS's JSON, so the text itself is all there is to show.
    fields = { message: text.slice(0, 2 * MAX_QUOTE_LENGTH) }
  }
  const asText = (value: unknown) => (typeof value === 'string' && value.trim() !== '' ? value : undefined)
  // `type:http://…` in the header, `namespace#type` in the body
  const type = asText(headers['x-amzn-errortype'] ?? fields.__type ?? fields.code)
    ?.split(':')[0]
    ?.split('#')
    .at(-1)
  return {
    type: type && formatForeignText(type, 80),
    message: asText(fields.message ?? fields.Message),
    requestId: asText(headers['x-amzn-requestid'])?.slice(0, 80),
  }
}

function formatQuote(status: number, { type, message, requestId }: AwsError): string {
  const words = message ? `: "${formatForeignText(message, MAX_QUOTE_LENGTH)}"` : ' without a message'
  const id = requestId ? `, request id ${formatForeignText(requestId, 80)}` : ''
  return `the answer was ${status}${type ? ` ${type}` : ''}${words}${id}`
}

interface Explanation {
  readonly code: ErrorCode
  readonly text: string
}

/** The signature carries this machine's time, so a clock that is off is told before any other cause. */
function explainClock(reply: Reply, said: AwsError, now: Date): Explanation | undefined {
  const refused = reply.status === 401 || reply.status === 403
  const expired = /signature (expired|not yet current)/i.test(said.message ?? '')
  if (!refused && !expired) return undefined
  const skewMs = now.getTime() - Date.parse(reply.headers.date ?? '')
  if (Math.abs(skewMs) > CLOCK_TOLERANCE_MS) {
    const side = skewMs > 0 ? 'ahead of' : 'behind'
    return {
      code: 'CLOCK_WRONG',
      text: `this machine's clock is ${formatSpan(Math.abs(skewMs))} ${side} the service's, and the signature carries its time; set the clock`,
    }
  }
  if (!expired) return undefined
  return {
    code: 'CLOCK_WRONG',
    text: "the signature's time is not the service's; set this machine's clock, or look for what delayed the request",
  }
}

/** A time of at least a minute, as people say it: `1 h 2 min`. */
export function formatSpan(milliseconds: number): string {
  const minutes = Math.round(milliseconds / 60_000)
  const parts = [
    [Math.floor(minutes / 1440), 'd'],
    [Math.floor(minutes / 60) % 24, 'h'],
    [minutes % 60, 'min'],
  ] as const
  return parts.flatMap(([count, unit]) => (count > 0 ? [`${count} ${unit}`] : [])).join(' ')
}

function isThrottled(status: number, type: string | undefined): boolean {
  return status === 429 || /^(Throttl|TooManyRequests)/i.test(type ?? '')
}

function explainCause(reply: Reply, said: AwsError, request: RefusedRequest): Explanation {
  const { status } = reply
  if (isThrottled(status, said.type)) {
    return {
      code: 'THROTTLED',
      text: 'Roles Anywhere has too many requests from this account or certificate (10 a second in a region, unless raised); try again later',
    }
  }
  if (status >= 500) return { code: 'SERVICE_UNAVAILABLE', text: 'Roles Anywhere failed; try again later' }
  if (status < 400) return explainRedirect(reply)
  const cause = CAUSES.find(({ words }) => words.test(said.message ?? ''))
  if (cause) return { code: cause.code, text: cause.explain(request) }
  if (status === 404 || said.type === 'ResourceNotFoundException') {
    return {
      code: 'REFUSED_NOT_FOUND',
      text: `Roles Anywhere does not know the trust anchor ${request.trustAnchorArn} or the profile ${request.profileArn}; compare both ARNs, their region and account`,
    }
  }
  if (status === 400 || said.type === 'ValidationException') {
    return {
      code: 'REFUSED_REQUEST',
      text: 'Roles Anywhere found the request malformed; compare the ARNs, the session duration and the session name',
    }
  }
  return {
    code: 'REFUSED',
    text: `Roles Anywhere refused; check that trust anchor ${request.trustAnchorArn} and profile ${request.profileArn} are enabled and that ${request.certificate} is valid now`,
  }
}

function explainRedirect({ status, headers }: Reply): Explanation {
  const location = headers.location ?? ''
  const host = URL.canParse(location) ? new URL(location).host : ''
  return {
    code: 'REPLY_INVALID',
    text:
      status < 300 || !host
        ? 'the endpoint does not answer as Roles Anywhere does; check --endpoint'
        : `the endpoint redirects to ${formatForeignText(host, 255)}, which is not followed; check --endpoint, or sign in to the network if it has a login page`,
  }
}

/**
 * Messages that are known from the field, and their meaning. The first match counts, so a more special one
 * stands before a more general one.
 */
const CAUSES: readonly {
  readonly words: RegExp
  readonly code: ErrorCode
  readonly explain: (request: RefusedRequest) => string
}[] = [
  {
    words: /untrusted signing certificate/i,
    code: 'REFUSED_UNTRUSTED_CERTIFICATE',
    explain: ({ trustAnchorArn, certificate }) =>
      `${certificate} does not lead to the CA of trust anchor ${trustAnchorArn}; it is another CA's, or an intermediate certificate is missing (--intermediates)`,
  },
  {
    words: /untrusted certificate|insufficient certificate/i,
    code: 'REFUSED_UNTRUSTED_CERTIFICATE',
    explain: ({ certificate }) =>
      `${certificate} itself is not accepted: it must be X.509 v3, valid now, not a CA's, with key usage digitalSignature, a subject, and a signature with SHA-256 or better; have it issued anew`,
  },
  {
    words: /certificate (is |has been )?revoked/i,
    code: 'REFUSED_CERTIFICATE_REVOKED',
    explain: ({ trustAnchorArn, certificate }) =>
      `${certificate} is in a revocation list of trust anchor ${trustAnchorArn}; get a new certificate, with a new key if the old one may be known to others: holdfast enroll NAME --renew gets both`,
  },
  {
    words: /invalid signature/i,
    code: 'REFUSED_SIGNATURE',
    explain: () =>
      'the service could not verify the signature, although it was verified here before it was sent; something on the way may change the request (a proxy, a gateway), or the clock or the region (--region) is wrong',
  },
  {
    words: /isn't one of those listed in the profile/i,
    code: 'REFUSED_ROLE',
    explain: ({ roleArn, profileArn }) =>
      `the profile ${profileArn} does not list the role ${roleArn}; add the role to the profile`,
  },
  {
    words: /not authorized to set rolesessionname/i,
    code: 'REFUSED_SESSION_NAME',
    explain: ({ profileArn, roleSessionName }) =>
      `the profile ${profileArn} does not accept a session name of the client's (${roleSessionName ?? 'none was sent'}); drop --role-session-name, or set acceptRoleSessionName on the profile`,
  },
  {
    words: /durationseconds exceeds the maxsessionduration/i,
    code: 'REFUSED_REQUEST',
    explain: ({ roleArn }) =>
      `the session would last longer than the role ${roleArn} allows; lower --session-duration or the profile's duration, or raise the role's MaxSessionDuration`,
  },
  {
    words: /attributes failed to be mapped/i,
    code: 'REFUSED_ROLE',
    explain: (request) =>
      `${explainTrustPolicy(request)}; the attributes that the answer lists were left out of the session tags, which matters only if the policy asks for them`,
  },
  {
    words: /unable to assume role|not authorized to perform: sts:/i,
    code: 'REFUSED_ROLE',
    explain: explainTrustPolicy,
  },
]

const TRUST_POLICY = 'the trust policy of the role'

/** True for an error of {@link explainRefusal} that blames the role's trust policy. */
export function blamesTrustPolicy({ code, message }: HoldfastError): boolean {
  return code === 'REFUSED_ROLE' && message.startsWith(TRUST_POLICY)
}

function explainTrustPolicy({ roleArn, trustAnchorArn, certificate }: RefusedRequest): string {
  return `${TRUST_POLICY} ${roleArn} does not let this certificate in: it must allow rolesanywhere.amazonaws.com sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity, with conditions that fit ${trustAnchorArn} and ${certificate}; a policy just changed takes some seconds to work`
}
