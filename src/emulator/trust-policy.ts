/**
 * A small judge of IAM role trust policies: the part of the policy language that is used with Roles
 * Anywhere. A policy that it cannot judge exactly is refused when the role is added, never guessed at.
 * Left out: NotPrincipal, NotAction, policy variables, set operators, numeric, date, Bool and IP operators.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
import { validationError } from './service-error.js'

/** Condition keys in lower case, without the `aws:` key names being case sensitive, and their values. */
export type ConditionContext = ReadonlyMap<string, string>

/** The three actions that a trust policy must allow. */
export const SESSION_ACTIONS = ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'] as const

const SERVICE_PRINCIPAL = 'rolesanywhere.amazonaws.com'

type Match = (actual: string, wanted: string) => boolean

/** `*` and `?` as IAM has them. */
function globMatch(actual: string, pattern: string): boolean {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's').test(actual)
}

function splitArn(arn: string): string[] {
  const parts = arn.split(':')
  return [...parts.slice(0, 5), parts.slice(5).join(':')]
}

/** ArnEquals and ArnLike are the same: each of the six parts is matched by itself. */
function arnMatch(actual: string, pattern: string): boolean {
  const parts = splitArn(actual)
  return splitArn(pattern).every((part, index) => globMatch(parts[index]!, part))
}

const OPERATORS: Readonly<Record<string, { match: Match; negated: boolean }>> = {
  StringEquals: { match: (a, b) => a === b, negated: false },
  StringNotEquals: { match: (a, b) => a === b, negated: true },
  StringEqualsIgnoreCase: { match: (a, b) => a.toLowerCase() === b.toLowerCase(), negated: false },
  StringNotEqualsIgnoreCase: { match: (a, b) => a.toLowerCase() === b.toLowerCase(), negated: true },
  StringLike: { match: globMatch, negated: false },
  StringNotLike: { match: globMatch, negated: true },
  ArnEquals: { match: arnMatch, negated: false },
  ArnLike: { match: arnMatch, negated: false },
  ArnNotEquals: { match: arnMatch, negated: true },
  ArnNotLike: { match: arnMatch, negated: true },
}

/** Keys that Roles Anywhere sets when it assumes a role; tags by prefix. */
const CONDITION_KEYS = ['aws:sourcearn', 'aws:sourceaccount', 'sts:sourceidentity', 'sts:rolesessionname']
const CONDITION_KEY_PREFIXES = ['aws:principaltag/', 'aws:requesttag/']

interface Condition {
  readonly operator: string
  readonly ifExists: boolean
  /** Lower case. */
  readonly key: string
  readonly values: readonly string[]
}

interface Statement {
  readonly effect: 'Allow' | 'Deny'
  readonly appliesToService: boolean
  readonly actions: readonly string[]
  readonly conditions: readonly Condition[]
}

function unsupported(what: string): Error {
  return validationError(`The emulator cannot judge this trust policy: ${what}`)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function stringList(value: unknown, where: string): string[] {
  const values = Array.isArray(value) ? value : [value]
  if (values.length === 0 || !values.every((item) => typeof item === 'string')) {
    throw unsupported(`${where} is not a string or a list of strings`)
  }
  return values
}

/** True if the principal covers the service; a principal that covers others only is fine, and idle. */
function namesService(principal: unknown): boolean {
  if (principal === '*') return true
  if (!isObject(principal)) throw unsupported('Principal is neither "*" nor an object')
  return (
    principal.Service !== undefined &&
    stringList(principal.Service, 'Principal.Service').includes(SERVICE_PRINCIPAL)
  )
}

function parseCondition(operatorText: string, key: string, value: unknown): Condition {
  const ifExists = operatorText !== 'Null' && operatorText.endsWith('IfExists')
  const operator = ifExists ? operatorText.slice(0, -'IfExists'.length) : operatorText
  if (operator !== 'Null' && !Object.hasOwn(OPERATORS, operator))
    throw unsupported(`condition operator ${operatorText}`)
  const lowerKey = key.toLowerCase()
  if (
    !CONDITION_KEYS.includes(lowerKey) &&
    !CONDITION_KEY_PREFIXES.some((prefix) => lowerKey.startsWith(prefix))
  ) {
    throw unsupported(`condition key ${key}`)
  }
  const asText = (item: unknown) =>
    typeof item === 'boolean' || typeof item === 'number' ? String(item) : item
  const values = stringList(
    Array.isArray(value) ? value.map(asText) : asText(value),
    `${operatorText} ${key}`,
  )
  if (values.some((item) => item.includes('${')))
    throw unsupported(`policy variable in ${operatorText} ${key}`)
  if (operator === 'Null' && values.some((item) => item !== 'true' && item !== 'false'))
    throw unsupported(`Null ${key} is neither true nor false`)
  if (operator.startsWith('Arn') && values.some((item) => item.split(':').length < 6)) {
    throw unsupported(`${operatorText} ${key} is not an ARN of six parts`)
  }
  return { operator, ifExists, key: lowerKey, values }
}

function parseStatement(statement: unknown): Statement {
  if (!isObject(statement)) throw unsupported('a statement is not an object')
  const {
    Effect: effect,
    Principal: principal,
    Action: action,
    Condition: condition,
    Sid: _sid,
    ...rest
  } = statement
  const [extra] = Object.keys(rest)
  if (extra !== undefined) throw unsupported(`element ${extra}`)
  if (effect !== 'Allow' && effect !== 'Deny') throw unsupported('Effect is neither Allow nor Deny')
  if (condition !== undefined && !isObject(condition)) throw unsupported('Condition is not an object')
  const conditions = Object.entries(condition ?? {}).flatMap(([operator, block]) => {
    if (!isObject(block)) throw unsupported(`condition block ${operator} is not an object`)
    return Object.entries(block).map(([key, value]) => parseCondition(operator, key, value))
  })
  return {
    effect,
    appliesToService: namesService(principal),
    actions: stringList(action, 'Action'),
    conditions,
  }
}

/**
 * Reads a trust policy.
 * @throws ServiceError ValidationException if it holds anything that the emulator cannot judge
 */
export function parseTrustPolicy(document: unknown): readonly Statement[] {
  if (!isObject(document)) throw unsupported('it is not a JSON object')
  const { Version: version, Statement: statements, Id: _id, ...rest } = document
  const [extra] = Object.keys(rest)
  if (extra !== undefined) throw unsupported(`element ${extra}`)
  if (version !== '2012-10-17') throw unsupported('Version is not 2012-10-17')
  return (Array.isArray(statements) ? statements : [statements]).map(parseStatement)
}

function conditionHolds(condition: Condition, context: ConditionContext): boolean {
  const actual = context.get(condition.key)
  if (condition.operator === 'Null') return condition.values.includes(String(actual === undefined))
  const { match, negated } = OPERATORS[condition.operator]!
  // An absent key makes a positive operator false and a negated one TRUE: the trap of StringNotEquals.
  if (actual === undefined) return condition.ifExists || negated
  return condition.values.some((wanted) => match(actual, wanted)) !== negated
}

/** True if some statement allows `action` to the service in this context and none denies it. */
export function allowsAction(
  policy: readonly Statement[],
  action: string,
  context: ConditionContext,
): boolean {
  const effects = policy
    .filter(
      (statement) =>
        statement.appliesToService &&
        statement.actions.some((pattern) => globMatch(action.toLowerCase(), pattern.toLowerCase())) &&
        statement.conditions.every((condition) => conditionHolds(condition, context)),
    )
    .map((statement) => statement.effect)
  return effects.includes('Allow') && !effects.includes('Deny')
}
