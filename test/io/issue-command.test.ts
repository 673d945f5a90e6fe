import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HoldfastError } from '../../src/core/errors.js'
import { runIssueCommand } from '../../src/io/issue-command.js'
import { until } from '../support/outcome.js'

const never = new AbortController().signal
const env = { PATH: process.env.PATH, HOLDFAST_PIN: 'canary', NAME: 'edge' }

async function run(words: readonly string[], signal = never): Promise<string> {
  return Buffer.from(await runIssueCommand(words, 'the request\n', { env, signal })).toString()
}

describe('runIssueCommand', () => {
  it('gives the request on stdin, and what the program prints', async () => {
    assert.equal(await run(['cat']), 'the request\n')
  })

  it('passes words on as they are, and an environment without the PIN', async () => {
    const script = 'printf "%s|" "$@" "$NAME" "$HOLDFAST_PIN"'
    assert.equal(await run(['sh', '-c', script, 'sh', 'a b', '$HOME', '']), 'a b|$HOME||edge||')
  })

  it('does not mind a program that reads nothing', async () => {
    assert.equal(await run(['true']), '')
  })

  for (const [what, words, message] of [
    ['that is not there', ['/no/such/program'], /cannot be started: ENOENT/],
    ['that fails', ['sh', '-c', 'exit 3'], /exit status 3/],
    ['that is killed', ['sh', '-c', 'kill -9 $$'], /SIGKILL/],
    ['that prints without end', ['yes'], /1 MiB/],
  ] as const) {
    it(`refuses a program ${what}`, async () => {
      await assert.rejects(run(words), { code: 'ISSUER_FAILED', message })
    })
  }

  it('ends the program, and what that has started, with the wait', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-issue-'))
    try {
      const file = join(folder, 'pid')
      const controller = new AbortController()
      const running = run(['sh', '-c', `sleep 600 & echo $! >${file}; wait`], controller.signal)
      await until(async () => (await readFile(file, 'utf8').catch(() => '')).endsWith('\n'))
      controller.abort(new HoldfastError('INTERRUPTED', '^C'))
      await assert.rejects(running, { code: 'INTERRUPTED' })
      const pid = (await readFile(file, 'utf8')).trim()
      await until(
        async () => !/^\d+ \(sleep\) [^Z]/.test(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')),
      )
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('does not start what is no longer wanted', async () => {
    const signal = AbortSignal.abort(new HoldfastError('INTERRUPTED', '^C'))
    await assert.rejects(run(['/no/such/program'], signal), { code: 'INTERRUPTED' })
  })
})
