/**
 * Revocation lists: import, read, list, update, enable, disable, delete. A list takes effect at once, and
 * must be signed by a CA certificate of its trust anchor.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/APIReference/API_ImportCrl.html
 */
import { resourceName, tags, trustAnchorArn, uuid } from '../api-shapes.js'
import { readCertificatesPem } from '../certificate.js'
import { jsonReply } from '../http-message.js'
import { findRevocationListFault } from '../revocation.js'
import { notFound, validationError } from '../service-error.js'
import { boolean, optional, parseShape, type Shape, string, structure } from '../shape.js'
import { type Crl, newResource, type TrustAnchor, type World } from '../state.js'
import { type Call, pageReply, type Route } from './route.js'

const MAX_CRL_BYTES = 300_000
const MAX_CRLS_PER_ANCHOR = 2

/** Base64 of 1 to 300000 bytes, as a blob stands in JSON. */
const crlData: Shape<string> = (value, at, faults) => {
  const text = string()(value, at, faults)
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text)
    faults.push(`Value at '${at}' failed to satisfy constraint: Member must be base64`)
  if (bytes.length < 1)
    faults.push(
      `Value at '${at}' failed to satisfy constraint: Member must have length greater than or equal to 1`,
    )
  if (bytes.length > MAX_CRL_BYTES) {
    faults.push(
      `Value at '${at}' failed to satisfy constraint: Member must have length less than or equal to ${MAX_CRL_BYTES}`,
    )
  }
  return text
}

const importRequest = structure({
  name: resourceName,
  crlData,
  enabled: optional(boolean),
  tags: optional(tags),
  trustAnchorArn,
})

/**
 * Makes a revocation list from the body of ImportCrl. It is disabled unless `enabled` is true.
 * @throws ServiceError ValidationException, ResourceNotFoundException
 */
export async function importCrl(world: World, body: unknown): Promise<Crl> {
  const { state } = world
  const request = parseShape(importRequest, body)
  const anchor = findAnchor(world, request.trustAnchorArn)
  if (
    state.crls.filter((crl) => crl.trustAnchorArn === anchor.trustAnchorArn).length >= MAX_CRLS_PER_ANCHOR
  ) {
    throw validationError(`The trust anchor has ${MAX_CRLS_PER_ANCHOR} CRLs, more are not allowed`)
  }
  await verifyCrlData(request.crlData, anchor)
  const { id, arn } = newResource(state, 'crl')
  const createdAt = world.now().toISOString()
  const crl: Crl = {
    crlId: id,
    crlArn: arn,
    name: request.name,
    enabled: request.enabled ?? false,
    crlData: request.crlData,
    trustAnchorArn: anchor.trustAnchorArn,
    createdAt,
    updatedAt: createdAt,
  }
  state.crls.push(crl)
  if (request.tags !== undefined) state.tags[arn] = request.tags
  return crl
}

function findAnchor({ state }: World, arn: string): TrustAnchor {
  const anchor = state.trustAnchors.find((item) => item.trustAnchorArn === arn)
  if (anchor === undefined) throw notFound(`TrustAnchor ${arn} not found`)
  return anchor
}

async function verifyCrlData(data: string, anchor: TrustAnchor): Promise<void> {
  const issuers = readCertificatesPem(anchor.source.sourceData.x509CertificateData)
  let fault: string | undefined
  try {
    fault = await findRevocationListFault(Buffer.from(data, 'base64').toString(), issuers)
  } catch (error) {
    fault = (error as Error).message
  }
  if (fault !== undefined) throw validationError(`crlData cannot be used: ${fault}`)
}

function getCrl({ path }: Call, { state }: World): Crl {
  const { crlId } = parseShape(structure({ crlId: uuid }), path)
  const crl = state.crls.find((item) => item.crlId === crlId)
  if (crl === undefined) throw notFound(`Crl with id ${crlId} not found`)
  return crl
}

const updateRequest = structure({ name: optional(resourceName), crlData: optional(crlData) })

async function updateCrl(call: Call, world: World): Promise<Crl> {
  const crl = getCrl(call, world)
  const { name = crl.name, crlData: data = crl.crlData } = parseShape(updateRequest, call.body)
  await verifyCrlData(data, findAnchor(world, crl.trustAnchorArn))
  return Object.assign(crl, { name, crlData: data, updatedAt: world.now().toISOString() })
}

function deleteCrl(call: Call, world: World): Crl {
  const { state } = world
  const crl = getCrl(call, world)
  state.crls = state.crls.filter((item) => item !== crl)
  delete state.tags[crl.crlArn]
  return crl
}

function setEnabled(enabled: boolean): Route['answer'] {
  return (call, world) =>
    reply(200, Object.assign(getCrl(call, world), { enabled, updatedAt: world.now().toISOString() }))
}

function reply(status: number, crl: Crl) {
  return jsonReply(status, { crl })
}

export const CRL_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/crls',
    answer: async ({ body }, world) => reply(201, await importCrl(world, body)),
  },
  { method: 'GET', path: '/crls', answer: ({ query }, { state }) => pageReply('crls', state.crls, query) },
  { method: 'GET', path: '/crl/{crlId}', answer: (call, world) => reply(200, getCrl(call, world)) },
  {
    method: 'PATCH',
    path: '/crl/{crlId}',
    answer: async (call, world) => reply(200, await updateCrl(call, world)),
  },
  { method: 'DELETE', path: '/crl/{crlId}', answer: (call, world) => reply(200, deleteCrl(call, world)) },
  { method: 'POST', path: '/crl/{crlId}/enable', answer: setEnabled(true) },
  { method: 'POST', path: '/crl/{crlId}/disable', answer: setEnabled(false) },
]
