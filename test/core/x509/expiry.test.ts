import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseCertificate } from '../../../src/core/x509/certificate.js'
import { findExpiryWarning, findIntermediateWarnings, formatTimeLeft } from '../../../src/core/x509/expiry.js'
import { createAuthority } from '../../support/certificates.js'

const DAY = 86_400_000
const END = new Date('2026-06-30T12:00:00Z')

function warn(daysLeft: number, lifetimeDays = 365): string | undefined {
  const notBefore = new Date(END.getTime() - lifetimeDays * DAY)
  const now = new Date(END.getTime() - daysLeft * DAY)
  return findExpiryWarning({ serialNumber: 0x1a2bn, notBefore, notAfter: END }, now)
}

describe('findExpiryWarning', () => {
  it('says which certificate ends when, and what to do', () => {
    assert.equal(
      warn(12.5),
      'the certificate with serial 1a2b expires in 12 days, at 2026-06-30T12:00:00Z: renew it, for example with holdfast enroll NAME --renew',
    )
  })

  for (const [lifetime, last, first] of [
    [365, 30, 30.001],
    [90, 30, 30.001],
    [30, 10, 10.001],
    [1, 0.33, 0.34],
  ] as const) {
    it(`begins ${last} days before the end of ${lifetime}`, () => {
      assert.equal(warn(first, lifetime), undefined)
      assert.match(warn(last, lifetime) ?? '', /expires in/)
    })
  }

  it('ends with the certificate', () => {
    assert.match(warn(0) ?? '', /in 0 minutes/)
    assert.equal(warn(-0.001), undefined)
  })
})

describe('findIntermediateWarnings', () => {
  it('says which of them end soon, or have ended', async () => {
    const { certificate } = await createAuthority('Plant CA')
    const parsed = parseCertificate(certificate)
    const warn = (daysLeft: number) =>
      findIntermediateWarnings([parsed], new Date(parsed.notAfter.getTime() - daysLeft * DAY))
    assert.deepEqual(warn(31), [])
    const [soon, late] = [warn(3.5), warn(-1)]
    assert.match(soon.join(), /^the intermediate "CN=Plant CA", .* expires in 3 days, at .*--intermediates/)
    assert.match(late.join(), /^the intermediate "CN=Plant CA", .* expired at /)
  })
})

describe('formatTimeLeft', () => {
  for (const [minutes, text] of [
    [0.9, '0 minutes'],
    [1, '1 minute'],
    [119.9, '119 minutes'],
    [120, '2 hours'],
    [48 * 60 - 1, '47 hours'],
    [48 * 60, '2 days'],
  ] as const) {
    it(`calls ${minutes} minutes ${text}`, () => assert.equal(formatTimeLeft(minutes * 60_000), text))
  }

  it('never promises more than is left', () => {
    const UNITS = { minute: 60_000, hour: 3_600_000, day: DAY }
    fc.assert(
      fc.property(fc.nat(400 * DAY), (left) => {
        const [count, unit] = formatTimeLeft(left).split(' ')
        assert.ok(Number(count) * UNITS[unit!.replace(/s$/, '') as keyof typeof UNITS] <= left)
      }),
    )
  })
})
