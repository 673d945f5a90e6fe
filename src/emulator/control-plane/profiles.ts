/**
 * Profiles: create, read, list, update, enable, disable, delete, and their attribute mappings. Session and
 * managed policies are kept and shown; they play no part in who gets a session.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/APIReference/API_CreateProfile.html
 */
import {
  certificateField,
  durationSeconds,
  mappingRules,
  resourceName,
  roleArn,
  tags,
  uuid,
} from '../api-shapes.js'
import { jsonReply } from '../http-message.js'
import { notFound, validationError } from '../service-error.js'
import { DEFAULT_MAPPINGS } from '../session-tags.js'
import { boolean, list, optional, parseShape, string, structure } from '../shape.js'
import { newResource, type Profile, type World } from '../state.js'
import { type Call, pageReply, type Route } from './route.js'

const DEFAULT_DURATION_SECONDS = 3600

const roleArns = list(roleArn, 250)
const managedPolicyArns = list(string({ min: 1, max: 200 }), 50)

const createRequest = structure({
  name: resourceName,
  requireInstanceProperties: optional(boolean),
  sessionPolicy: optional(string()),
  roleArns,
  managedPolicyArns: optional(managedPolicyArns),
  durationSeconds: optional(durationSeconds),
  enabled: optional(boolean),
  tags: optional(tags),
  acceptRoleSessionName: optional(boolean),
})

/**
 * Makes a profile from the body of CreateProfile. It is disabled unless `enabled` is true.
 * @throws ServiceError ValidationException
 */
export function createProfile(world: World, body: unknown): Profile {
  const { tags: givenTags, ...request } = parseShape(createRequest, body)
  const { id, arn } = newResource(world.state, 'profile')
  const createdAt = world.now().toISOString()
  const profile: Profile = {
    profileId: id,
    profileArn: arn,
    name: request.name,
    requireInstanceProperties: request.requireInstanceProperties ?? false,
    enabled: request.enabled ?? false,
    createdBy: world.state.account,
    sessionPolicy: request.sessionPolicy,
    roleArns: request.roleArns,
    managedPolicyArns: request.managedPolicyArns ?? [],
    createdAt,
    updatedAt: createdAt,
    durationSeconds: request.durationSeconds ?? DEFAULT_DURATION_SECONDS,
    acceptRoleSessionName: request.acceptRoleSessionName ?? false,
    attributeMappings: [...DEFAULT_MAPPINGS],
  }
  world.state.profiles.push(profile)
  if (givenTags !== undefined) world.state.tags[arn] = givenTags
  return profile
}

/**
 * Finds a profile by id.
 * @throws ServiceError ValidationException, ResourceNotFoundException
 */
export function getProfile({ state }: World, id: unknown): Profile {
  const { profileId } = parseShape(structure({ profileId: uuid }), { profileId: id })
  const profile = state.profiles.find((item) => item.profileId === profileId)
  if (profile === undefined) throw notFound(`Profile with id ${profileId} not found`)
  return profile
}

const updateRequest = structure({
  name: optional(resourceName),
  sessionPolicy: optional(string({ min: 1, max: 100000 })),
  roleArns: optional(roleArns),
  managedPolicyArns: optional(managedPolicyArns),
  durationSeconds: optional(durationSeconds),
  acceptRoleSessionName: optional(boolean),
})

/**
 * Changes a profile as the body of UpdateProfile says.
 * @throws ServiceError ValidationException, ResourceNotFoundException
 */
export function updateProfile(world: World, id: unknown, body: unknown): Profile {
  const profile = getProfile(world, id)
  const given = Object.entries(parseShape(updateRequest, body)).filter(([, value]) => value !== undefined)
  return touch(profile, world, Object.fromEntries(given))
}

function deleteProfile({ path }: Call, world: World): Profile {
  const { state } = world
  const profile = getProfile(world, path.profileId)
  state.profiles = state.profiles.filter((item) => item !== profile)
  delete state.tags[profile.profileArn]
  return profile
}

const putMappingRequest = structure({ certificateField, mappingRules })

/** Adds rules to those of the certificate field. */
function putAttributeMapping({ path, body }: Call, world: World): Profile {
  const profile = getProfile(world, path.profileId)
  const { certificateField: field, mappingRules: added } = parseShape(putMappingRequest, body)
  if (added.length === 0) throw validationError('mappingRules is empty')
  const before = profile.attributeMappings.find((item) => item.certificateField === field)?.mappingRules ?? []
  const specifiers = new Set([...before, ...added].map((rule) => rule.specifier))
  const mapping = {
    certificateField: field,
    mappingRules: [...specifiers].map((specifier) => ({ specifier })),
  }
  const others = profile.attributeMappings.filter((item) => item.certificateField !== field)
  return touch(profile, world, { attributeMappings: [...others, mapping] })
}

/** Takes rules away: the named specifiers, or all of the field if none is named. */
function deleteAttributeMapping({ path, query }: Call, world: World): Profile {
  const profile = getProfile(world, path.profileId)
  const { certificateField: field } = parseShape(structure({ certificateField }), {
    certificateField: query.get('certificateField'),
  })
  const specifiers = query.getAll('specifiers')
  const mapping = profile.attributeMappings.find((item) => item.certificateField === field)
  const missing = specifiers.find(
    (specifier) => !mapping?.mappingRules.some((rule) => rule.specifier === specifier),
  )
  if (mapping === undefined || missing !== undefined)
    throw notFound(`There is no mapping of ${field}/${missing ?? '*'}`)
  const kept =
    specifiers.length === 0 ? [] : mapping.mappingRules.filter((rule) => !specifiers.includes(rule.specifier))
  const others = profile.attributeMappings.filter((item) => item !== mapping)
  return touch(profile, world, {
    attributeMappings:
      kept.length === 0 ? others : [...others, { certificateField: field, mappingRules: kept }],
  })
}

function touch(profile: Profile, world: World, changes: Partial<Profile>): Profile {
  return Object.assign(profile, changes, { updatedAt: world.now().toISOString() })
}

function reply(status: number, profile: Profile) {
  return jsonReply(status, { profile })
}

function setEnabled(enabled: boolean): Route['answer'] {
  return ({ path }, world) => reply(200, touch(getProfile(world, path.profileId), world, { enabled }))
}

export const PROFILE_ROUTES: readonly Route[] = [
  { method: 'POST', path: '/profiles', answer: ({ body }, world) => reply(201, createProfile(world, body)) },
  {
    method: 'GET',
    path: '/profiles',
    answer: ({ query }, { state }) => pageReply('profiles', state.profiles, query),
  },
  {
    method: 'GET',
    path: '/profile/{profileId}',
    answer: ({ path }, world) => reply(200, getProfile(world, path.profileId)),
  },
  {
    method: 'PATCH',
    path: '/profile/{profileId}',
    answer: ({ path, body }, world) => reply(200, updateProfile(world, path.profileId, body)),
  },
  {
    method: 'DELETE',
    path: '/profile/{profileId}',
    answer: (call, world) => reply(200, deleteProfile(call, world)),
  },
  { method: 'POST', path: '/profile/{profileId}/enable', answer: setEnabled(true) },
  { method: 'POST', path: '/profile/{profileId}/disable', answer: setEnabled(false) },
  {
    method: 'PUT',
    path: '/profiles/{profileId}/mappings',
    answer: (call, world) => reply(200, putAttributeMapping(call, world)),
  },
  {
    method: 'DELETE',
    path: '/profiles/{profileId}/mappings',
    answer: (call, world) => reply(200, deleteAttributeMapping(call, world)),
  },
]
