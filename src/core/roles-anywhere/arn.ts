/**
 * The three ARNs of a CreateSession request: their form, and whether they can belong together. The patterns
 * are those of the Roles Anywhere API, narrowed to what AWS really issues (an account of twelve digits, one
 * named resource). Whether the resources exist, only the service knows.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
 */

import { HoldfastError } from '../errors.js'
import { findPartition } from './endpoint.js'

/** The parts of an ARN, `arn:partition:service:region:accountId:resourceType/resourceId`. */
export interface Arn {
  /** The whole ARN, as it was given. */
  readonly text: string
  readonly partition: string
  readonly service: string
  /** Empty for IAM, which is global. */
  readonly region: string
  /** Twelve digits. */
  readonly accountId: string
  /** `trust-anchor`, `profile`, `role`, … */
  readonly resourceType: string
  /** All that follows the first slash; of a role, its path and name. */
  readonly resourceId: string
}

const MAX_LENGTH = 1011
const ARN_PATTERN =
  /^arn:(aws(?:-[a-z0-9-]+)?):([a-z0-9-]+):([a-z0-9-]*):(\d{12}):([a-z0-9-]+)\/([\x21-\x7e]+)$/

/** The kinds of ARN that a request needs, and how people call them. */
const KINDS = {
  'rolesanywhere:trust-anchor': { title: 'a trust anchor', flag: '--trust-anchor-arn' },
  'rolesanywhere:profile': { title: 'a Roles Anywhere profile', flag: '--profile-arn' },
  'iam:role': { title: 'an IAM role', flag: '--role-arn' },
} as const
type Kind = keyof typeof KINDS

/**
 * Splits the ARN of any resource that has an account, a type and a name.
 * @param origin the flag or setting it comes from, for error messages
 * @throws HoldfastError ARN_INVALID
 */
export function parseArn(text: string, origin: string): Arn {
  const match = ARN_PATTERN.exec(text)
  if (!match || text.length > MAX_LENGTH) {
    throw new HoldfastError('ARN_INVALID', `${origin}: ${describeFault(text)}`)
  }
  const [, partition, service, region, accountId, resourceType, resourceId] = match as unknown as string[]
  return {
    text,
    partition: partition!,
    service: service!,
    region: region!,
    accountId: accountId!,
    resourceType: resourceType!,
    resourceId: resourceId!,
  }
}

function describeFault(text: string): string {
  if (text === '') return 'the ARN is empty'
  if (text.length > MAX_LENGTH) return `the ARN is longer than ${MAX_LENGTH} characters`
  if (/[^\x21-\x7e]/.test(text)) return 'the ARN has a blank or a character that is not ASCII'
  const shown = `"${text.slice(0, 100)}${text.length > 100 ? '…' : ''}"`
  if (!text.startsWith('arn:')) return `${shown} is not an ARN, which begins with "arn:aws"`
  const accountId = text.split(':')[4]
  if (accountId !== undefined && !/^\d{12}$/.test(accountId)) {
    return `in ${shown}, "${accountId.slice(0, 30)}" is not an AWS account number of twelve digits`
  }
  return `${shown} is not of the form arn:partition:service:region:account:type/name`
}

/**
 * Reads the ARN of a trust anchor.
 * @throws HoldfastError ARN_INVALID, which says what the ARN is instead
 */
export function parseTrustAnchorArn(text: string, origin = '--trust-anchor-arn'): Arn {
  return parseKind(text, 'rolesanywhere:trust-anchor', origin)
}

/**
 * Reads the ARN of a Roles Anywhere profile.
 * @throws HoldfastError ARN_INVALID, which says what the ARN is instead
 */
export function parseProfileArn(text: string, origin = '--profile-arn'): Arn {
  return parseKind(text, 'rolesanywhere:profile', origin)
}

/**
 * Reads the ARN of an IAM role.
 * @throws HoldfastError ARN_INVALID, which says what the ARN is instead
 */
export function parseRoleArn(text: string, origin = '--role-arn'): Arn {
  return parseKind(text, 'iam:role', origin)
}

function parseKind(text: string, wanted: Kind, origin: string): Arn {
  const arn = parseArn(text, origin)
  const found = `${arn.service}:${arn.resourceType}`
  if (found !== wanted) {
    const known = Object.hasOwn(KINDS, found) ? KINDS[found as Kind] : undefined
    const what = known ? `the ARN of ${known.title}` : `an ARN of ${found}`
    const where = known ? `, which belongs in ${known.flag}` : ''
    throw new HoldfastError(
      'ARN_INVALID',
      `${origin} needs the ARN of ${KINDS[wanted].title}, but "${shorten(text)}" is ${what}${where}`,
    )
  }
  const global = arn.service === 'iam'
  if (global !== (arn.region === '')) {
    const rule = global ? 'has no region, since IAM is global' : 'has a region'
    throw new HoldfastError(
      'ARN_INVALID',
      `${origin}: the ARN of ${KINDS[wanted].title} ${rule}; it is "${shorten(text)}"`,
    )
  }
  return arn
}

function shorten(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

/**
 * Refuses three ARNs that no CreateSession can join: anchor and profile must be in one region, all three in
 * one account and one partition.
 * @throws HoldfastError ARN_INVALID
 */
export function verifyArnsAgree(trustAnchor: Arn, profile: Arn, role: Arn): void {
  for (const [title, arn] of [['profile', profile] as const, ['role', role] as const]) {
    refuseDifference('partition', trustAnchor.partition, title, arn.partition)
    refuseDifference('account', trustAnchor.accountId, title, arn.accountId)
  }
  refuseDifference('region', trustAnchor.region, 'profile', profile.region)
  const home = findPartition(trustAnchor.region)?.name
  if (home !== undefined && home !== trustAnchor.partition) {
    throw new HoldfastError(
      'ARN_INVALID',
      `region ${trustAnchor.region} belongs to partition "${home}", but the trust anchor ARN says "${trustAnchor.partition}"`,
    )
  }
}

function refuseDifference(part: string, anchor: string, title: string, other: string): void {
  if (anchor === other) return
  throw new HoldfastError(
    'ARN_INVALID',
    `the trust anchor is in ${part} ${anchor} and the ${title} in ${part} ${other}; Roles Anywhere needs them in one ${part}`,
  )
}
