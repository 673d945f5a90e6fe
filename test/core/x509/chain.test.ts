/** Which certificates of those that lie about lead upwards from an end-entity certificate. */

import 'reflect-metadata'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Certificate, parseCertificate } from '../../../src/core/x509/certificate.js'
import { findChain } from '../../../src/core/x509/chain.js'
import { type Authority, certify, createAuthority, createFileKey } from '../../support/certificates.js'
import {
  commonName,
  element,
  handmadeCertificate,
  oid,
  sequence,
} from '../../support/handmade-certificate.js'

const DAY = 86_400_000
const days = (count: number) => new Date(Date.now() + count * DAY)
const parse = (...certificates: Uint8Array[]) => certificates.map((der) => parseCertificate(der))
const hex = (certificates: readonly Certificate[]) =>
  certificates.map(({ der }) => Buffer.from(der).toString('hex'))

/** Asserts the chain above `leaf`, whatever the order of the candidates. */
function assertChain(
  leaf: Uint8Array,
  candidates: readonly Uint8Array[],
  expected: readonly Uint8Array[],
): void {
  const shuffled = fc.shuffledSubarray([...candidates], { minLength: candidates.length })
  fc.assert(
    fc.property(shuffled, (some) => {
      assert.deepEqual(hex(findChain(parseCertificate(leaf), parse(...some))), hex(parse(...expected)))
    }),
    { numRuns: 20 },
  )
}

describe('findChain', () => {
  let publicKey: Uint8Array
  let root: Authority
  let upper: Authority
  let lower: Authority
  let leaf: Uint8Array
  before(async () => {
    publicKey = (await createFileKey('P-256')).publicKey
    root = await createAuthority('Root')
    upper = await root.intermediate('Upper')
    lower = await upper.intermediate('Lower')
    leaf = await lower.issue(publicKey)
  })

  it('gives the intermediates, nearest first, without leaf and root', () => {
    assertChain(
      leaf,
      [root.certificate, upper.certificate, leaf, lower.certificate],
      [lower.certificate, upper.certificate],
    )
  })

  it('gives what there is where one is missing', () => {
    assertChain(leaf, [lower.certificate], [lower.certificate])
    assertChain(leaf, [upper.certificate, root.certificate], [])
    assertChain(leaf, [], [])
  })

  it('gives nothing for a leaf that the root issued itself', async () => {
    assertChain(await root.issue(publicKey), [root.certificate, upper.certificate, lower.certificate], [])
  })

  it('gives nothing for a self-signed leaf', () => {
    const selfSigned = handmadeCertificate({ issuer: commonName('edge') })
    assertChain(selfSigned, [selfSigned, root.certificate], [])
  })

  it('leaves out the leaf even where its key signed an issuer', () => {
    const [one, two] = [commonName('one'), commonName('two')]
    const below = handmadeCertificate({ subject: one, issuer: two })
    const above = handmadeCertificate({ subject: two, issuer: one })
    assertChain(below, [below, above], [above])
  })

  it('leaves out unrelated certificates', async () => {
    const stranger = await createAuthority('Stranger')
    const strangers = [stranger.certificate, (await stranger.intermediate('Below')).certificate]
    const sibling = await lower.issue((await createFileKey('P-256')).publicKey)
    assertChain(
      leaf,
      [...strangers, sibling, upper.certificate, lower.certificate],
      [lower.certificate, upper.certificate],
    )
  })

  it('takes each certificate once, however often it is there', () => {
    const twice = [lower.certificate, upper.certificate, root.certificate]
    assertChain(leaf, [...twice, ...twice], [lower.certificate, upper.certificate])
  })

  it('leaves out an impostor of the same name, whose key did not sign', async () => {
    const impostor = await (await createAuthority('Root')).intermediate('Lower')
    const longer = await certify(await createAuthority('Root'), impostor, { notAfter: days(9999) })
    assertChain(leaf, [longer, impostor.certificate, lower.certificate], [lower.certificate])
    assertChain(leaf, [longer, impostor.certificate], [])
  })

  it('leaves out a certificate of another name, though its key did sign', async () => {
    const otherName = await certify(upper, lower, { subject: 'CN=Other' })
    assertChain(leaf, [otherName], [])
  })

  it('leaves out an issuer whose key cannot be read', () => {
    const broken = handmadeCertificate({
      subject: commonName('Lower'),
      publicKeyInfo: sequence(sequence(oid('2a0304')), element(3, Buffer.of(0, 1))),
    })
    assertChain(leaf, [broken], [])
    assertChain(leaf, [broken, lower.certificate], [lower.certificate])
  })

  it('takes the renewed certificate of an issuer, and an expired one only if there is no other', async () => {
    const expired = await certify(upper, lower, { notBefore: days(-9), notAfter: days(-1) })
    const renewed = await certify(upper, lower, { notAfter: days(700) })
    assertChain(leaf, [expired, lower.certificate, renewed], [renewed])
    assertChain(leaf, [expired, upper.certificate], [expired, upper.certificate])
  })

  it('goes one way where an issuer is cross-signed: that of the certificate that expires last', async () => {
    const other = await createAuthority('Other Root')
    const crossed = await certify(other, upper, { notAfter: days(700) })
    const all = [lower.certificate, upper.certificate, crossed, root.certificate, other.certificate]
    assertChain(leaf, all, [lower.certificate, crossed])
    const shorter = await certify(other, upper, { notAfter: days(7) })
    assertChain(leaf, [lower.certificate, upper.certificate, shorter], [lower.certificate, upper.certificate])
  })

  it('ends where two authorities have certified each other', async () => {
    const [one, two] = [await createAuthority('One'), await createAuthority('Two')]
    const [oneByTwo, twoByOne] = [await certify(two, one), await certify(one, two)]
    const below = await one.issue(publicKey)
    assertChain(below, [twoByOne, oneByTwo, one.certificate], [oneByTwo, twoByOne])
  })

  it('takes the certificate of an authority’s new key that its old key signed', async () => {
    const renewed = await createAuthority('Root')
    const newWithOld = await certify(root, renewed)
    assertChain(
      await renewed.issue(publicKey),
      [newWithOld, renewed.certificate, root.certificate],
      [newWithOld],
    )
  })

  it('verifies signatures of every kind of issuer', async () => {
    const rsa = await root.intermediate('RSA', 'RSA-2048')
    const p384 = await rsa.intermediate('P-384', 'P-384')
    const p521 = await p384.intermediate('P-521', 'P-521')
    const chain = [p521.certificate, p384.certificate, rsa.certificate]
    assertChain(await p521.issue(publicKey), [...chain, root.certificate], chain)
  })

  it('accepts five intermediates and refuses six', async () => {
    const all: Uint8Array[] = []
    let authority = root
    for (let index = 1; index <= 6; index++) {
      authority = await authority.intermediate(`Level ${index}`)
      all.unshift(authority.certificate)
      const end = await authority.issue(publicKey, { serialNumber: '2a' })
      if (index === 5) assertChain(end, [root.certificate, ...all], all)
      if (index === 6) {
        assert.throws(() => findChain(parseCertificate(end), parse(root.certificate, ...all)), {
          code: 'CERTIFICATE_UNSUITABLE',
          message: /^the certificate with serial 2a needs more than 5 intermediate certificates/,
        })
      }
    }
  })
})
