import assert from 'node:assert/strict'
import { explainClockSkew, findClockTrouble } from '../../../src/core/doctor/clock.js'

const NOW = new Date('2026-06-01T12:00:00Z')
const BUILT = new Date('2026-01-01T00:00:00Z')
const minutesLater = (minutes: number) => new Date(NOW.getTime() + minutes * 60_000)

describe('findClockTrouble', () => {
  it('finds none where the clocks agree within a minute', () => {
    assert.equal(findClockTrouble(NOW, NOW, BUILT), undefined)
    assert.equal(findClockTrouble(NOW, minutesLater(0.9), BUILT), undefined)
  })

  it('warns of minutes', () => {
    assert.equal(findClockTrouble(NOW, minutesLater(3), BUILT)?.status, 'warn')
    assert.equal(findClockTrouble(NOW, minutesLater(-5), BUILT)?.status, 'warn')
  })

  it('fails from more than five minutes on', () => {
    assert.equal(findClockTrouble(NOW, minutesLater(6), BUILT)?.status, 'fail')
    assert.equal(findClockTrouble(NOW, minutesLater(-60), BUILT)?.status, 'fail')
  })
})

describe('explainClockSkew', () => {
  it('says on which side the clock is', () => {
    assert.match(
      explainClockSkew(NOW, minutesLater(90)),
      /says 2026-06-01T12:00:00Z, 1 h 30 min behind the endpoint's$/,
    )
    assert.match(explainClockSkew(NOW, minutesLater(-2)), /2 min ahead of the endpoint's$/)
  })
})
