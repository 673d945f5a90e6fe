import assert from 'node:assert/strict'
import {
  createExamination,
  type Finding,
  findVerdict,
  formatFinding,
} from '../../../src/core/doctor/diagnosis.js'
import { tell } from '../../../src/core/doctor/told.js'
import { HoldfastError } from '../../../src/core/errors.js'

const well = <T>(value: T) => ({ value, message: tell`well` })
const fail = (code: 'USAGE' | 'KEY_NOT_FOUND' = 'KEY_NOT_FOUND') => {
  throw new HoldfastError(code, 'it is not there')
}

describe('createExamination', () => {
  let reported: Finding[]
  const create = () => {
    reported = []
    return createExamination(
      async (finding) => void reported.push(finding),
      ({ code }) => (code === 'USAGE' ? tell`say it otherwise` : undefined),
    )
  }

  it('hands what one check found to those that need it, and reports each at once', async () => {
    const examination = create()
    const one = await examination.check('one', {}, () => well(1))
    const two = await examination.check('two', { one }, async ({ one }) => well(one + 1))
    assert.deepEqual(two, { passed: true, value: 2 })
    assert.deepEqual(reported, [
      { check: 'one', status: 'ok', message: 'well' },
      { check: 'two', status: 'ok', message: 'well' },
    ])
    assert.deepEqual(examination.findings, reported)
  })

  it('leaves out what needs a check that failed, and names that one', async () => {
    const examination = create()
    const one = await examination.check('one', {}, () => fail())
    const two = await examination.check('two', { one }, () => assert.fail('it is made'))
    await examination.check('three', { two }, () => assert.fail('it is made'))
    await examination.check('four', {}, () => well(4))
    assert.deepEqual(
      reported.map(({ check, status, message }) => [check, status, message]),
      [
        ['one', 'fail', 'it is not there'],
        ['two', 'skip', 'left out, because of one'],
        ['three', 'skip', 'left out, because of one'],
        ['four', 'ok', 'well'],
      ],
    )
  })

  it('has a code and a fix for an error, where there is one', async () => {
    const examination = create()
    await examination.check('one', {}, () => fail('USAGE'))
    await examination.check('two', {}, () => fail())
    assert.equal(reported[0]!.code, 'USAGE')
    assert.equal(reported[0]!.fix, 'say it otherwise')
    assert.equal(reported[1]!.fix, undefined)
  })

  it('goes on after a warning, but not after a failure among the troubles', async () => {
    const examination = create()
    const warning = { status: 'warn', message: tell`not good` } as const
    const failure = { status: 'fail', code: 'USAGE', message: tell`bad` } as const
    const one = await examination.check('one', {}, () => ({ ...well(1), troubles: [warning] }))
    const two = await examination.check('two', { one }, () => ({ ...well(2), troubles: [warning, failure] }))
    assert.ok(one.passed)
    assert.ok(!two.passed)
    assert.deepEqual(
      reported.map(({ status }) => status),
      ['warn', 'warn', 'fail'],
    )
  })

  it('ends with an error that is a bug, and with an interruption', async () => {
    const examination = create()
    const bug = () => {
      throw new TypeError('oh')
    }
    await assert.rejects(examination.check('one', {}, bug), TypeError)
    const interrupt = () => {
      throw new HoldfastError('INTERRUPTED', 'interrupted')
    }
    await assert.rejects(examination.check('two', {}, interrupt), { code: 'INTERRUPTED' })
    assert.deepEqual(reported, [])
  })

  it('says why a check is left out on purpose', async () => {
    const outcome = await create().skip('one', tell`by --no-login`)
    assert.deepEqual(outcome, { passed: false, because: 'one' })
    assert.deepEqual(reported, [{ check: 'one', status: 'skip', message: 'by --no-login' }])
  })
})

describe('formatFinding', () => {
  it('puts status, check, message, code and fix on one line', () => {
    const finding = {
      check: 'key',
      status: 'fail',
      code: 'KEY_NOT_FOUND',
      message: tell`none`,
      fix: tell`make one`,
    } as const
    assert.equal(formatFinding(finding), 'fail  key                none (KEY_NOT_FOUND); fix: make one')
    assert.equal(
      formatFinding({ check: 'key', status: 'ok', message: tell`one` }),
      'ok    key                one',
    )
  })
})

describe('findVerdict', () => {
  const finding = (check: string, code?: 'USAGE' | 'KEY_NOT_FOUND'): Finding =>
    code === undefined
      ? { check, status: 'warn', message: tell`m` }
      : { check, status: 'fail', code, message: tell`m` }

  it('has the code of the first failure', () => {
    const verdict = findVerdict([finding('a'), finding('b', 'KEY_NOT_FOUND'), finding('c', 'USAGE')])
    assert.equal(verdict?.code, 'KEY_NOT_FOUND')
    assert.equal(verdict?.message, 'the check "b" failed, and 1 more: see the report')
  })

  it('is none where nothing failed', () => {
    assert.equal(findVerdict([finding('a')]), undefined)
  })
})
