/**
 * Trust anchors: create, read, list, update, enable, disable, delete. Only CERTIFICATE_BUNDLE is offered;
 * there is no Private CA here to ask.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/APIReference/API_CreateTrustAnchor.html
 */
import { resourceName, tags, uuid } from '../api-shapes.js'
import { type Certificate, readCertificatesPem } from '../certificate.js'
import { findIssuerFault } from '../certificate-rules.js'
import { jsonReply } from '../http-message.js'
import { notFound, validationError } from '../service-error.js'
import { boolean, type Of, oneOf, optional, parseShape, string, structure } from '../shape.js'
import { newResource, type TrustAnchor, type World } from '../state.js'
import { mergeSettings, notificationSettingKeys, notificationSettings } from './notification-settings.js'
import { type Call, pageReply, type Route } from './route.js'

const MAX_CERTIFICATES = 2

const source = structure({
  sourceType: oneOf(['CERTIFICATE_BUNDLE', 'AWS_ACM_PCA', 'SELF_SIGNED_REPOSITORY']),
  sourceData: structure({
    x509CertificateData: optional(string({ min: 1, max: 204800 })),
    acmPcaArn: optional(string()),
  }),
})

const createRequest = structure({
  name: resourceName,
  source,
  enabled: optional(boolean),
  tags: optional(tags),
  notificationSettings: optional(notificationSettings),
})

/**
 * Makes a trust anchor from the body of CreateTrustAnchor. It is disabled unless `enabled` is true.
 * @throws ServiceError ValidationException if the body or a CA certificate breaks a rule
 */
export function createTrustAnchor(world: World, body: unknown): TrustAnchor {
  const request = parseShape(createRequest, body)
  const { id, arn } = newResource(world.state, 'trust-anchor')
  const createdAt = world.now().toISOString()
  const anchor: TrustAnchor = {
    trustAnchorId: id,
    trustAnchorArn: arn,
    name: request.name,
    source: verifySource(request.source),
    enabled: request.enabled ?? false,
    createdAt,
    updatedAt: createdAt,
    notificationSettings: mergeSettings([], request.notificationSettings ?? [], world.state.account),
  }
  world.state.trustAnchors.push(anchor)
  if (request.tags !== undefined) world.state.tags[arn] = request.tags
  return anchor
}

function verifySource({ sourceType, sourceData }: Of<typeof source>): TrustAnchor['source'] {
  if (sourceType !== 'CERTIFICATE_BUNDLE')
    throw validationError(`The emulator has no trust anchors of type ${sourceType}`)
  const pem = sourceData.x509CertificateData
  if (pem === undefined) throw validationError('CERTIFICATE_BUNDLE needs x509CertificateData')
  const certificates = parseBundle(pem)
  if (certificates.length === 0 || certificates.length > MAX_CERTIFICATES) {
    throw validationError(
      `x509CertificateData holds ${certificates.length} PEM certificates; 1 to ${MAX_CERTIFICATES} are allowed`,
    )
  }
  for (const certificate of certificates) {
    const fault = findIssuerFault(certificate)
    if (fault !== undefined)
      throw validationError(`CA certificate ${certificate.subjectText} cannot be a trust anchor: ${fault}`)
  }
  return { sourceType, sourceData: { x509CertificateData: pem } }
}

function parseBundle(pem: string): Certificate[] {
  try {
    return readCertificatesPem(pem)
  } catch (error) {
    throw validationError(`x509CertificateData is not PEM: ${(error as Error).message}`)
  }
}

/**
 * Finds a trust anchor by id.
 * @throws ServiceError ValidationException, ResourceNotFoundException
 */
export function getTrustAnchor({ state }: World, id: unknown): TrustAnchor {
  const { trustAnchorId } = parseShape(structure({ trustAnchorId: uuid }), { trustAnchorId: id })
  const anchor = state.trustAnchors.find((item) => item.trustAnchorId === trustAnchorId)
  if (anchor === undefined) throw notFound(`TrustAnchor with id ${trustAnchorId} not found`)
  return anchor
}

const updateRequest = structure({ name: optional(resourceName), source: optional(source) })

function updateTrustAnchor({ path, body }: Call, world: World): TrustAnchor {
  const anchor = getTrustAnchor(world, path.trustAnchorId)
  const request = parseShape(updateRequest, body)
  const newSource = request.source === undefined ? anchor.source : verifySource(request.source)
  return touch(anchor, world, { name: request.name ?? anchor.name, source: newSource })
}

function deleteTrustAnchor({ path }: Call, world: World): TrustAnchor {
  const { state } = world
  const anchor = getTrustAnchor(world, path.trustAnchorId)
  if (state.crls.some((crl) => crl.trustAnchorArn === anchor.trustAnchorArn)) {
    throw validationError('The trust anchor has a CRL; delete the CRL first')
  }
  state.trustAnchors = state.trustAnchors.filter((item) => item !== anchor)
  delete state.tags[anchor.trustAnchorArn]
  return anchor
}

const putSettingsRequest = structure({ trustAnchorId: uuid, notificationSettings })

function putNotificationSettings({ body }: Call, world: World): TrustAnchor {
  const request = parseShape(putSettingsRequest, body)
  const anchor = getTrustAnchor(world, request.trustAnchorId)
  return touch(anchor, world, {
    notificationSettings: mergeSettings(
      anchor.notificationSettings,
      request.notificationSettings,
      world.state.account,
    ),
  })
}

const resetSettingsRequest = structure({ trustAnchorId: uuid, notificationSettingKeys })

function resetNotificationSettings({ body }: Call, world: World): TrustAnchor {
  const request = parseShape(resetSettingsRequest, body)
  const anchor = getTrustAnchor(world, request.trustAnchorId)
  const kept = anchor.notificationSettings.filter(
    (setting) => !request.notificationSettingKeys.some(({ event }) => event === setting.event),
  )
  return touch(anchor, world, { notificationSettings: mergeSettings(kept, [], world.state.account) })
}

function touch(anchor: TrustAnchor, world: World, changes: Partial<TrustAnchor>): TrustAnchor {
  return Object.assign(anchor, changes, { updatedAt: world.now().toISOString() })
}

function setEnabled(enabled: boolean): Route['answer'] {
  return ({ path }, world) => reply(200, touch(getTrustAnchor(world, path.trustAnchorId), world, { enabled }))
}

function reply(status: number, trustAnchor: TrustAnchor) {
  return jsonReply(status, { trustAnchor })
}

export const TRUST_ANCHOR_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/trustanchors',
    answer: ({ body }, world) => reply(201, createTrustAnchor(world, body)),
  },
  {
    method: 'GET',
    path: '/trustanchors',
    answer: ({ query }, { state }) => pageReply('trustAnchors', state.trustAnchors, query),
  },
  {
    method: 'GET',
    path: '/trustanchor/{trustAnchorId}',
    answer: ({ path }, world) => reply(200, getTrustAnchor(world, path.trustAnchorId)),
  },
  {
    method: 'PATCH',
    path: '/trustanchor/{trustAnchorId}',
    answer: (call, world) => reply(200, updateTrustAnchor(call, world)),
  },
  {
    method: 'DELETE',
    path: '/trustanchor/{trustAnchorId}',
    answer: (call, world) => reply(200, deleteTrustAnchor(call, world)),
  },
  { method: 'POST', path: '/trustanchor/{trustAnchorId}/enable', answer: setEnabled(true) },
  { method: 'POST', path: '/trustanchor/{trustAnchorId}/disable', answer: setEnabled(false) },
  {
    method: 'PATCH',
    path: '/put-notifications-settings',
    answer: (call, world) => reply(200, putNotificationSettings(call, world)),
  },
  {
    method: 'PATCH',
    path: '/reset-notifications-settings',
    answer: (call, world) => reply(200, resetNotificationSettings(call, world)),
  },
]
