import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { findProcessStatus } from '../../src/core/process-status.js'

describe('findProcessStatus', () => {
  it('reads the line of this process', () => {
    const status = findProcessStatus(readFileSync('/proc/self/stat', 'utf8'))
    assert.equal(status?.pid, process.pid)
    assert.match(status.state, /^[RSD]$/)
    assert.match(status.startTime, /^[1-9]\d*$/)
  })
  it('is not led astray by a program name with parentheses and blanks', () => {
    const line = `42 (a) R 1 2 (b) S 1 7 7 34816 9 4194304 99 0 0 0 1 2 3 4 20 0 1 0 88817 3133440 352\n`
    assert.deepEqual(findProcessStatus(line), {
      pid: 42,
      state: 'S',
      processGroup: 7,
      terminal: 34816,
      terminalProcessGroup: 9,
      startTime: '88817',
    })
  })
  it('finds nothing in other text', () => {
    for (const text of [
      '',
      '42',
      '42 (a)',
      '42 (a) S 1 2',
      'x (a) S 1 7 7 3 9 4 9 0 0 0 1 2 3 4 20 0 1 0 8',
    ]) {
      assert.equal(findProcessStatus(text), undefined)
    }
  })
})
