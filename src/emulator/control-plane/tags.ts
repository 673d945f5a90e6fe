/**
 * Tags of trust anchors, profiles, revocation lists and subjects.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/APIReference/API_TagResource.html
 */
import { anyArn, tagKey, tags } from '../api-shapes.js'
import { jsonReply } from '../http-message.js'
import { notFound, ServiceError } from '../service-error.js'
import { list, parseShape, structure } from '../shape.js'
import type { Tag, World } from '../state.js'
import type { Route } from './route.js'

const MAX_TAGS = 200

/** The resource's tags, which exist for resources that do. */
function tagsOf({ state }: World, resourceArn: string): readonly Tag[] {
  const { trustAnchors, profiles, crls, subjects } = state
  const known = [
    ...trustAnchors.map((item) => item.trustAnchorArn),
    ...profiles.map((item) => item.profileArn),
    ...crls.map((item) => item.crlArn),
    ...subjects.map((item) => item.subjectArn),
  ]
  if (!known.includes(resourceArn)) throw notFound(`Resource ${resourceArn} not found`)
  return state.tags[resourceArn] ?? []
}

const tagRequest = structure({ resourceArn: anyArn, tags })
const untagRequest = structure({ resourceArn: anyArn, tagKeys: list(tagKey, MAX_TAGS) })

export const TAG_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/TagResource',
    answer: ({ body }, world) => {
      const { resourceArn, tags: given } = parseShape(tagRequest, body)
      const kept = tagsOf(world, resourceArn).filter((tag) => !given.some(({ key }) => key === tag.key))
      if (kept.length + given.length > MAX_TAGS) {
        throw new ServiceError(400, 'TooManyTagsException', `A resource has at most ${MAX_TAGS} tags`)
      }
      world.state.tags[resourceArn] = [...kept, ...given]
      return jsonReply(201, {})
    },
  },
  {
    method: 'POST',
    path: '/UntagResource',
    answer: ({ body }, world) => {
      const { resourceArn, tagKeys } = parseShape(untagRequest, body)
      world.state.tags[resourceArn] = tagsOf(world, resourceArn).filter((tag) => !tagKeys.includes(tag.key))
      return jsonReply(200, {})
    },
  },
  {
    method: 'GET',
    path: '/ListTagsForResource',
    answer: ({ query }, world) => {
      const request = { resourceArn: query.get('resourceArn') }
      const { resourceArn } = parseShape(structure({ resourceArn: anyArn }), request)
      return jsonReply(200, { tags: tagsOf(world, resourceArn) })
    },
  },
]
