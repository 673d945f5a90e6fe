/**
 * CreateSession: the proof of a key for a certificate, turned into temporary credentials of a role. Checks
 * run from the outside in: form of the request, signature, certificate, profile, role. The credentials are
 * random and open nothing.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-create-session.html
 */
import { randomBytes, randomInt } from 'node:crypto'
import { durationSeconds, profileArn, roleArn, trustAnchorArn } from './api-shapes.js'
import { type Certificate, readCertificatesPem } from './certificate.js'
import { findPath } from './certificate-path.js'
import { findDateFault, findEndEntityFault } from './certificate-rules.js'
import { type HttpReply, type HttpRequest, jsonReply } from './http-message.js'
import { findRevoked, readRevocationList } from './revocation.js'
import { accessDenied, notFound, ServiceError, validationError } from './service-error.js'
import { formatDropped, mapSessionTags, sourceIdentityOf } from './session-tags.js'
import { type Of, optional, parseJsonBody, parseShape, string, structure } from './shape.js'
import { type Proof, verifySignedRequest } from './signed-request.js'
import type { Profile, TrustAnchor, World } from './state.js'
import { recordSubject } from './subjects.js'
import { allowsAction, parseTrustPolicy, SESSION_ACTIONS } from './trust-policy.js'

const sessionName = string({ min: 2, max: 64, pattern: /[\w+=,.@-]*/ })

const createSessionRequest = structure({
  trustAnchorArn,
  profileArn,
  roleArn,
  durationSeconds: optional(durationSeconds),
  roleSessionName: optional(sessionName),
})

type SessionRequest = Of<typeof createSessionRequest>

/**
 * Answers `POST /sessions`.
 * @throws ServiceError for every refusal
 */
export function createSession(request: HttpRequest, world: World): HttpReply {
  const session = parseSessionRequest(request)
  const { state } = world
  const now = world.now()
  const proof = verifySignedRequest(request, state.region, now)
  const anchor = state.trustAnchors.find((item) => item.trustAnchorArn === session.trustAnchorArn)
  if (anchor === undefined) throw notFound('Trust anchor not found')
  const profile = state.profiles.find((item) => item.profileArn === session.profileArn)
  if (profile === undefined) throw notFound('Profile not found')
  verifyCertificate(proof, anchor, world)
  try {
    const reply = assumeRole(session, proof.certificate, anchor, profile, world)
    const subject = recordSubject(world, proof.certificate, { failed: false })
    return jsonReply(201, { credentialSet: [reply], subjectArn: subject.subjectArn })
  } catch (error) {
    recordSubject(world, proof.certificate, { failed: true })
    throw error
  }
}

/** The three ARNs may stand in the query or in the body; the rest stands in the body. */
function parseSessionRequest(request: HttpRequest): SessionRequest {
  const contentType = request.headers.get('content-type')?.[0] ?? ''
  if (request.body.length > 0 && !/^application\/json *(;|$)/i.test(contentType)) {
    throw new ServiceError(415, 'UnsupportedMediaTypeException', 'Content-Type must be application/json')
  }
  const body = parseJsonBody(request.body)
  const query = parseQuery(request.query)
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw validationError('The request body is not a JSON object')
  }
  const both = ['trustAnchorArn', 'profileArn', 'roleArn'].find((name) => name in body && query.has(name))
  if (both !== undefined) throw validationError(`${both} stands in the query and in the body`)
  return parseShape(createSessionRequest, { ...Object.fromEntries(query), ...body })
}

function parseQuery(query: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const pair of query === '' ? [] : query.split('&')) {
    const [name = '', ...value] = pair.split('=').map(decodeQueryPart)
    if (found.has(name)) throw validationError(`${name} stands in the query twice`)
    found.set(name, value.join('='))
  }
  return found
}

function decodeQueryPart(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw validationError('The query is not percent-encoded UTF-8')
  }
}

function verifyCertificate(
  { certificate, offered }: Proof,
  anchor: TrustAnchor,
  { state, now }: World,
): void {
  // Not published: what the service says to a disabled anchor or an expired certificate.
  if (!anchor.enabled) throw accessDenied('Trust anchor is disabled')
  const dateFault = findDateFault(certificate, now())
  if (dateFault !== undefined)
    throw accessDenied('Certificate is outside its validity period', `X-Amz-X509: ${dateFault}`)
  const anchors = readCertificatesPem(anchor.source.sourceData.x509CertificateData)
  const path = findPath(certificate, offered, anchors, now())
  if (path === undefined) {
    throw accessDenied(
      'Untrusted signing certificate',
      `no valid path leads from X-Amz-X509 (issuer ${certificate.issuerText}) to the trust anchor`,
    )
  }
  const fault = findEndEntityFault(certificate)
  if (fault !== undefined)
    throw accessDenied('Untrusted certificate. Insufficient certificate', `X-Amz-X509: ${fault}`)
  const lists = state.crls
    .filter((crl) => crl.enabled && crl.trustAnchorArn === anchor.trustAnchorArn)
    .map((crl) => readRevocationList(Buffer.from(crl.crlData, 'base64').toString()))
  const revoked = findRevoked(path, lists)
  if (revoked !== undefined)
    throw accessDenied('Certificate revoked', `serial number ${revoked.serialHex} is on a CRL`)
}

function assumeRole(
  session: SessionRequest,
  certificate: Certificate,
  anchor: TrustAnchor,
  profile: Profile,
  { state, now }: World,
): unknown {
  // Not published: what the service says to a disabled profile.
  if (!profile.enabled) throw accessDenied('Profile is disabled')
  if (session.roleSessionName !== undefined && !profile.acceptRoleSessionName) {
    throw accessDenied('Not authorized to set roleSessionName')
  }
  if (!profile.roleArns.includes(session.roleArn)) {
    throw accessDenied("Requested Role isn't one of those listed in the Profile.")
  }
  const roleSessionName = session.roleSessionName ?? certificate.serialHex
  const sourceIdentity = sourceIdentityOf(certificate)
  const seconds = Math.min(profile.durationSeconds, session.durationSeconds ?? profile.durationSeconds)
  const tags = mapSessionTags(certificate, profile.attributeMappings)
  const role = state.roles.find((item) => item.roleArn === session.roleArn)
  const refuse = (reason: string, text = formatDropped(tags.dropped)) =>
    accessDenied(`Unable to assume role for ${session.roleArn}${text}`, reason)
  if (role === undefined) throw refuse('the emulator was not told of this role')
  const context = new Map([
    ['aws:sourcearn', anchor.trustAnchorArn],
    ['aws:sourceaccount', state.account],
    ['sts:sourceidentity', sourceIdentity],
    ['sts:rolesessionname', roleSessionName],
    ...[...tags.tags].flatMap(([key, value]): [string, string][] => [
      [`aws:principaltag/${key.toLowerCase()}`, value],
      [`aws:requesttag/${key.toLowerCase()}`, value],
    ]),
  ])
  const policy = parseTrustPolicy(role.assumeRolePolicyDocument)
  const denied = SESSION_ACTIONS.find((action) => !allowsAction(policy, action, context))
  if (denied !== undefined) throw refuse(`the trust policy does not allow ${denied}`)
  if (seconds > role.maxSessionDuration) {
    throw refuse(
      `${seconds} seconds are more than the role's ${role.maxSessionDuration}`,
      ' The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
    )
  }
  return {
    assumedRoleUser: assumedRoleUser(session.roleArn, roleSessionName),
    credentials: newCredentials(new Date(now().getTime() + seconds * 1000)),
    // The share of STS's space for policies and tags, in percent; a plausible number, not a computed one.
    packedPolicySize: 10,
    roleArn: session.roleArn,
    sourceIdentity,
  }
}

function assumedRoleUser(roleArn: string, sessionName: string): { arn: string; assumedRoleId: string } {
  const [, partition, , , account, resource = ''] = roleArn.split(':')
  // The path of a role is not part of the ARN of its sessions.
  const name = resource.slice(resource.lastIndexOf('/') + 1)
  return {
    arn: `arn:${partition}:sts::${account}:assumed-role/${name}/${sessionName}`,
    assumedRoleId: `AROA${randomText(BASE32, 17)}:${sessionName}`,
  }
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

function randomText(alphabet: string, length: number): string {
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
}

function newCredentials(expiration: Date): Record<string, string> {
  return {
    accessKeyId: `ASIA${randomText(BASE32, 16)}`,
    secretAccessKey: randomBytes(30).toString('base64'),
    sessionToken: randomBytes(288).toString('base64'),
    expiration: `${expiration.toISOString().slice(0, 19)}Z`,
  }
}
