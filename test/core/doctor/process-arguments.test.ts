/** The words of a credential_process, as the program would understand them. */

import assert from 'node:assert/strict'
import yargs, { type Argv } from 'yargs'
import { builder } from '../../../src/commands/credential-process.js'
import {
  findArguments,
  PROCESS_FLAGS,
  parseProcessArguments,
} from '../../../src/core/doctor/process-arguments.js'

const parse = (line: string) => parseProcessArguments(['credential-process', ...line.split(' ')])

describe('findArguments', () => {
  it('finds what stands behind this program, whatever it is called', () => {
    for (const program of ['holdfast', '/usr/bin/holdfast', '/opt/bin.cjs', 'node /opt/bin.cjs']) {
      assert.deepEqual(findArguments([...program.split(' '), 'a', 'b'], '/opt/bin.cjs'), ['a', 'b'])
    }
    assert.equal(findArguments(['sudo', '-u', 'holdfast', 'holdfast'], '/opt/bin.cjs'), undefined)
  })
})

describe('PROCESS_FLAGS', () => {
  it('are those of the command', () => {
    const { key, boolean } = (
      builder(yargs([])) as Argv & { getOptions(): { key: object; boolean: string[] } }
    ).getOptions()
    const flags = Object.keys(key).filter((name) => /^[a-z\d-]+$/.test(name) && name !== 'name')
    const known = flags.map((name) => [name, !boolean.includes(name)])
    const sorted = (entries: Iterable<unknown>) => [...entries].map((entry) => String(entry)).sort()
    assert.deepEqual(
      sorted(PROCESS_FLAGS),
      sorted(known.filter(([name]) => name !== 'help' && name !== 'version')),
    )
  })
})

describe('parseProcessArguments', () => {
  it('reads flags in each of their forms', () => {
    assert.deepEqual(
      parse(
        'edge --role-arn R --timeout=5 --roleSessionName s --cache --no-agent --agent-dir /d --config /c',
      ),
      {
        name: 'edge',
        flags: { roleArn: 'R', timeout: 5, roleSessionName: 's', cache: true },
        config: '/c',
        agent: false,
        agentDir: '/d',
      },
    )
  })

  for (const [line, says] of [
    ['edge other', /two names/],
    ['--role-arn', /--role-arn has no value/],
    ['--role-arn --cache', /--role-arn has no value/],
    ['--no-role-arn x', /--no-role-arn has no value/],
    ['--cache --cache', /--cache is given twice/],
    ['--on-demand', /no flag --on-demand/],
    ['-x', /one dash/],
  ] as const) {
    it(`refuses ${line}`, () => {
      assert.throws(() => parse(line), { code: 'USAGE', message: says })
    })
  }

  it('refuses another command', () => {
    assert.throws(() => parseProcessArguments(['serve']), { code: 'USAGE', message: /"serve"/ })
    assert.throws(() => parseProcessArguments([]), { code: 'USAGE' })
  })
})
