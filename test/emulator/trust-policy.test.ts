/** The judge of trust policies: what it lets through, what it stops, and what it refuses to judge. */
import assert from 'node:assert/strict'
import { allowsAction, parseTrustPolicy, SESSION_ACTIONS } from '../../src/emulator/trust-policy.js'
import { refusal } from './refusal.js'

const ANCHOR = 'arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/a1'

const CONTEXT = new Map([
  ['aws:sourcearn', ANCHOR],
  ['aws:sourceaccount', '111122223333'],
  ['aws:principaltag/x509subject/cn', 'edge-1'],
])

const ALLOW = {
  Effect: 'Allow',
  Principal: { Service: 'rolesanywhere.amazonaws.com' },
  Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
}

const policy = (...statements: unknown[]) => ({ Version: '2012-10-17', Statement: statements })

function allows(document: unknown, context: ReadonlyMap<string, string> = CONTEXT): boolean {
  const parsed = parseTrustPolicy(document)
  return SESSION_ACTIONS.every((action) => allowsAction(parsed, action, context))
}

/** True if a policy with this condition lets the session through. */
const holds = (operator: string, key: string, value: unknown) =>
  allows(policy({ ...ALLOW, Condition: { [operator]: { [key]: value } } }))

describe('allowsAction', () => {
  it('lets the service through, and no other principal', () => {
    assert.equal(allows(policy(ALLOW)), true)
    assert.equal(allows(policy({ ...ALLOW, Principal: '*' })), true)
    assert.equal(
      allows(
        policy({ ...ALLOW, Principal: { Service: ['ec2.amazonaws.com', 'rolesanywhere.amazonaws.com'] } }),
      ),
      true,
    )
    assert.equal(allows(policy({ ...ALLOW, Principal: { Service: 'ec2.amazonaws.com' } })), false)
    assert.equal(allows(policy({ ...ALLOW, Principal: { AWS: '*' } })), false)
  })

  for (const action of SESSION_ACTIONS) {
    it(`wants ${action}`, () => {
      assert.equal(
        allows(policy({ ...ALLOW, Action: ALLOW.Action.filter((item) => item !== action) })),
        false,
      )
    })
  }

  it('takes actions from several statements, by wildcard, whatever their case', () => {
    assert.equal(allows(policy(...ALLOW.Action.map((Action) => ({ ...ALLOW, Action })))), true)
    assert.equal(allows(policy({ ...ALLOW, Action: 'sts:*' })), true)
    assert.equal(allows(policy({ ...ALLOW, Action: 'STS:assumerole' })), false)
    assert.equal(
      allows(policy({ ...ALLOW, Action: ['STS:assumerole', 'sts:tag*', 'sts:SetSourceIdentit?'] })),
      true,
    )
  })

  it('lets a denial win, if its conditions hold', () => {
    const deny = (cn: string) => ({
      ...ALLOW,
      Effect: 'Deny',
      Condition: { StringEquals: { 'aws:PrincipalTag/x509Subject/CN': cn } },
    })
    assert.equal(allows(policy(ALLOW, deny('edge-1'))), false)
    assert.equal(allows(policy(ALLOW, deny('edge-2'))), true)
  })

  it('wants all conditions to hold, and one value of each', () => {
    const both = (account: string) =>
      policy({
        ...ALLOW,
        Condition: {
          ArnEquals: {
            'aws:SourceArn': ['arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/a0', ANCHOR],
          },
          StringEquals: { 'aws:SourceAccount': account },
        },
      })
    assert.equal(allows(both('111122223333')), true)
    assert.equal(allows(both('444455556666')), false)
  })

  const CN = 'aws:PrincipalTag/x509Subject/CN'
  for (const [operator, key, yes, no] of [
    ['StringEquals', CN, 'edge-1', 'Edge-1'],
    ['StringEquals', 'aws:SourceAccount', 111122223333, '444455556666'],
    ['StringNotEquals', CN, 'edge-2', 'edge-1'],
    ['StringEqualsIgnoreCase', CN, 'EDGE-1', 'EDGE-2'],
    ['StringNotEqualsIgnoreCase', CN, 'EDGE-2', 'EDGE-1'],
    ['StringLike', CN, 'edge-?', 'edge.?'],
    ['StringNotLike', CN, 'node-*', 'edge-*'],
    ['StringLike', 'aws:SourceArn', 'arn:*', 'arn:*/a2'],
    ['ArnEquals', 'aws:SourceArn', ANCHOR, `${ANCHOR}2`],
    [
      'ArnLike',
      'aws:SourceArn',
      'arn:aws:rolesanywhere:*:111122223333:trust-anchor/*',
      'arn:aws:rolesanywhere:*:*:profile/*',
    ],
    ['ArnLike', 'aws:SourceArn', 'arn:*:*:*:*:*', 'arn:*:1:1:1:*'],
    ['ArnNotEquals', 'aws:SourceArn', `${ANCHOR}2`, ANCHOR],
    ['ArnNotLike', 'aws:SourceArn', 'arn:aws:*:*:*:profile/*', 'arn:aws:*:*:*:trust-anchor/*'],
    ['Null', CN, 'false', 'true'],
    ['Null', 'aws:PrincipalTag/x509Subject/OU', true, false],
  ] as const) {
    it(`${operator} ${key} holds for ${yes} and not for ${no}`, () => {
      assert.equal(holds(operator, key, yes), true)
      assert.equal(holds(operator, key, no), false)
    })
  }

  it('takes condition keys whatever their case', () => {
    assert.equal(holds('StringEquals', 'AWS:principaltag/X509subject/cn', 'edge-1'), true)
  })

  it('finds an absent tag unequal to everything, so StringNotEquals lets it through', () => {
    const OU = 'aws:PrincipalTag/x509Subject/OU'
    assert.equal(holds('StringEquals', OU, 'blocked'), false)
    assert.equal(holds('StringNotEquals', OU, 'blocked'), true)
    assert.equal(holds('StringEqualsIfExists', OU, 'blocked'), true)
    assert.equal(holds('StringEqualsIfExists', CN, 'blocked'), false)
  })
})

describe('parseTrustPolicy', () => {
  for (const [what, document] of [
    ['no object', []],
    ['another version', { Version: '2008-10-17', Statement: [ALLOW] }],
    ['no statement', { Version: '2012-10-17' }],
    ['an element it does not know', { ...policy(ALLOW), Resource: '*' }],
    ['NotPrincipal', policy({ ...ALLOW, NotPrincipal: '*' })],
    ['NotAction', policy({ ...ALLOW, NotAction: '*' })],
    ['no action', policy({ ...ALLOW, Action: undefined })],
    ['no principal', policy({ ...ALLOW, Principal: undefined })],
    ['another effect', policy({ ...ALLOW, Effect: 'allow' })],
    ['a condition that is a list', policy({ ...ALLOW, Condition: [] })],
    ['a condition block that is text', policy({ ...ALLOW, Condition: { StringEquals: 'x' } })],
    [
      'an operator it does not know',
      policy({ ...ALLOW, Condition: { DateLessThan: { 'aws:CurrentTime': 'x' } } }),
    ],
    [
      'a set operator',
      policy({ ...ALLOW, Condition: { 'ForAnyValue:StringEquals': { 'aws:SourceArn': 'x' } } }),
    ],
    [
      'an inherited name as operator',
      policy({ ...ALLOW, Condition: { toString: { 'aws:SourceArn': 'x' } } }),
    ],
    ['a key that it never sets', policy({ ...ALLOW, Condition: { StringEquals: { 'aws:SourceIp': 'x' } } })],
    [
      'a policy variable',
      policy({ ...ALLOW, Condition: { StringEquals: { 'aws:SourceArn': `\${aws:x}` } } }),
    ],
    [
      'an ARN operator without an ARN',
      policy({ ...ALLOW, Condition: { ArnLike: { 'aws:SourceArn': '*' } } }),
    ],
    ['Null without true or false', policy({ ...ALLOW, Condition: { Null: { 'aws:SourceArn': 'x' } } })],
    ['values that are objects', policy({ ...ALLOW, Condition: { StringEquals: { 'aws:SourceArn': [{}] } } })],
  ] as const) {
    it(`refuses ${what}`, () => {
      const expected = { status: 400, type: 'ValidationException', message: /^The emulator cannot judge/ }
      assert.throws(() => parseTrustPolicy(document), refusal(expected))
    })
  }

  it('takes one statement without a list, a Sid and an Id', () => {
    assert.equal(
      parseTrustPolicy({ Version: '2012-10-17', Id: 'x', Statement: { ...ALLOW, Sid: 'y' } }).length,
      1,
    )
  })
})
