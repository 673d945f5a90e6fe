import assert from 'node:assert/strict'
import fc from 'fast-check'
import { HoldfastError } from '../../../src/core/errors.js'
import {
  parseArn,
  parseProfileArn,
  parseRoleArn,
  parseTrustAnchorArn,
  verifyArnsAgree,
} from '../../../src/core/roles-anywhere/arn.js'

const ANCHOR = 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/8a1f-4c2e'
const PROFILE = 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/77aa-0b1c'
const ROLE = 'arn:aws:iam::111122223333:role/edge/boxes/Uploader'

describe('parseArn', () => {
  it('splits an ARN and keeps its text', () => {
    assert.deepEqual(parseArn(ROLE, '--x'), {
      text: ROLE,
      partition: 'aws',
      service: 'iam',
      region: '',
      accountId: '111122223333',
      resourceType: 'role',
      resourceId: 'edge/boxes/Uploader',
    })
  })

  it('knows the names of other partitions', () => {
    assert.equal(parseArn(ANCHOR.replace('arn:aws:', 'arn:aws-us-gov:'), '--x').partition, 'aws-us-gov')
  })

  for (const [problem, text, words] of [
    ['an empty text', '', /--x: the ARN is empty/],
    ['something else', 'pkcs11:token=a', /is not an ARN/],
    ['a foreign partition', 'arn:gcp:iam::111122223333:role/a', /not of the form/],
    ['an account of eleven digits', 'arn:aws:iam::11112222333:role/a', /"11112222333" is not an AWS account/],
    ['an account with a letter', 'arn:aws:iam::11112222333x:role/a', /is not an AWS account/],
    ['a resource without a name', 'arn:aws:iam::111122223333:role/', /not of the form/],
    ['a resource without a type', 'arn:aws:iam::111122223333:role', /not of the form/],
    ['a blank at the end', `${ROLE} `, /blank/],
    ['a line end', `${ROLE}\n`, /blank/],
    ['a letter that is not ASCII', `${ROLE}é`, /not ASCII/],
    ['more than 1011 characters', `arn:aws:iam::111122223333:role/${'a'.repeat(1000)}`, /longer than 1011/],
  ] as const) {
    it(`refuses ${problem}`, () => {
      assert.throws(() => parseArn(text, '--x'), { code: 'ARN_INVALID', message: words })
    })
  }

  it('accepts 1011 characters', () => {
    const head = 'arn:aws:iam::111122223333:role/'
    assert.equal(parseArn(head + 'a'.repeat(1011 - head.length), '--x').text.length, 1011)
  })

  it('answers any text with an ARN or ARN_INVALID on one line', () => {
    const pieces = fc.array(
      fc.constantFrom('arn', ':', 'aws', 'iam', '111122223333', 'role/', '\n', 'é', '-'),
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          pieces.map((p) => p.join('')),
        ),
        (text) => {
          try {
            assert.equal(parseArn(text, '--x').text, text)
          } catch (error) {
            assert(error instanceof HoldfastError && error.code === 'ARN_INVALID')
            assert.doesNotMatch(error.message, /[\r\n]/)
          }
        },
      ),
    )
  })
})

describe('parseTrustAnchorArn, parseProfileArn, parseRoleArn', () => {
  it('accept their own kind', () => {
    assert.equal(parseTrustAnchorArn(ANCHOR).region, 'eu-central-1')
    assert.equal(parseProfileArn(PROFILE).resourceId, '77aa-0b1c')
    assert.equal(parseRoleArn(ROLE).accountId, '111122223333')
  })

  it('name the flag of an ARN that stands in the wrong place', () => {
    assert.throws(() => parseTrustAnchorArn(PROFILE), {
      code: 'ARN_INVALID',
      message: /--trust-anchor-arn needs the ARN of a trust anchor, but .* belongs in --profile-arn/,
    })
    assert.throws(() => parseProfileArn(ANCHOR), {
      message: /--profile-arn needs .* belongs in --trust-anchor-arn/,
    })
    assert.throws(() => parseRoleArn(ANCHOR), {
      message: /--role-arn needs .* belongs in --trust-anchor-arn/,
    })
    assert.throws(() => parseProfileArn(ROLE), { message: /--profile-arn needs .* belongs in --role-arn/ })
  })

  it('name the setting instead of the flag if told to', () => {
    assert.throws(() => parseRoleArn(PROFILE, 'role_arn of edge'), { message: /^role_arn of edge needs/ })
  })

  it('say what an ARN of no use here is', () => {
    assert.throws(() => parseRoleArn('arn:aws:iam::111122223333:user/bob'), { message: /an ARN of iam:user/ })
    assert.throws(() => parseRoleArn('arn:aws:sts::111122223333:assumed-role/a/b'), { code: 'ARN_INVALID' })
    assert.throws(() => parseProfileArn('arn:aws:iam::111122223333:profile/a'), { code: 'ARN_INVALID' })
  })

  it('refuse an anchor without a region and a role with one', () => {
    assert.throws(() => parseTrustAnchorArn(ANCHOR.replace('eu-central-1', '')), { message: /has a region/ })
    assert.throws(() => parseRoleArn(ROLE.replace('iam::', 'iam:eu-central-1:')), {
      message: /has no region/,
    })
  })
})

describe('verifyArnsAgree', () => {
  const verify = (anchor: string, profile: string, role: string) =>
    verifyArnsAgree(parseTrustAnchorArn(anchor), parseProfileArn(profile), parseRoleArn(role))

  it('accepts one region, one account, one partition', () => {
    verify(ANCHOR, PROFILE, ROLE)
    const china = (arn: string) =>
      arn.replace('arn:aws:', 'arn:aws-cn:').replace('eu-central-1', 'cn-north-1')
    verify(china(ANCHOR), china(PROFILE), china(ROLE))
  })

  it('accepts a region that is not known here', () => {
    const moon = (arn: string) => arn.replace('eu-central-1', 'moon-north-1')
    verify(moon(ANCHOR), moon(PROFILE), ROLE)
  })

  for (const [what, anchor, profile, role, words] of [
    [
      'a profile of another region',
      ANCHOR,
      PROFILE.replace('central', 'west'),
      ROLE,
      /profile in region eu-west-1/,
    ],
    [
      'a profile of another account',
      ANCHOR,
      PROFILE.replace('1111', '9999'),
      ROLE,
      /profile in account 999922223333/,
    ],
    [
      'a role of another account',
      ANCHOR,
      PROFILE,
      ROLE.replace('1111', '9999'),
      /role in account 999922223333/,
    ],
    [
      'a role of another partition',
      ANCHOR,
      PROFILE,
      ROLE.replace('aws', 'aws-cn'),
      /role in partition aws-cn/,
    ],
    [
      'a partition that does not have the region',
      ANCHOR.replace('aws', 'aws-cn'),
      PROFILE.replace('aws', 'aws-cn'),
      ROLE.replace('aws', 'aws-cn'),
      /eu-central-1 belongs to partition "aws"/,
    ],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => verify(anchor, profile, role), { code: 'ARN_INVALID', message: words })
    })
  }
})
