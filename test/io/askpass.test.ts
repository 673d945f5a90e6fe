import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HoldfastError } from '../../src/core/errors.js'
import { runAskpass } from '../../src/io/askpass.js'

describe('runAskpass', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-askpass-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  const script = async (body: string) => {
    const path = join(folder, 'ask pass')
    await writeFile(path, `#!/bin/sh\n${body}\n`)
    await chmod(path, 0o755)
    return path
  }
  const ask = async (body: string, signal = AbortSignal.timeout(10_000), env: NodeJS.ProcessEnv = {}) =>
    Buffer.from(
      await runAskpass(await script(body), 'PIN of token "a$(id)`id`;\u001b[2J\n": ', {
        signal,
        env: { PATH: process.env.PATH, ...env },
      }),
    ).toString()

  it('gives the first line of what the program prints', async () => {
    assert.equal(await ask('echo 471108; echo more'), '471108')
  })
  it('passes the question as the one argument, through no shell', async () => {
    assert.equal(await ask('printf "%s|%s" $# "$1"'), '1|PIN of token "a$(id)`id`;\\u{1b}[2J\\u{a}": ')
  })
  it('hides HOLDFAST_PIN from the program, and nothing else', async () => {
    const env = { HOLDFAST_PIN: '471108', DISPLAY: ':0' }
    assert.equal(await ask('echo "<$HOLDFAST_PIN$DISPLAY>"', undefined, env), '<:0>')
  })
  it('has no PIN if the program fails, whatever it printed', async () => {
    await assert.rejects(ask('echo 471108; exit 1'), (error: HoldfastError) => {
      assert.equal(error.code, 'PIN_NEEDED')
      return !error.message.includes('4711')
    })
    await assert.rejects(ask('kill -9 $$'), { code: 'PIN_NEEDED' })
  })
  it('refuses an empty answer and one that is no PIN', async () => {
    await assert.rejects(ask('echo'), { code: 'PIN_INVALID', message: /askpass program .*ask pass is empty/ })
    await assert.rejects(ask('exit 0'), { code: 'PIN_INVALID' })
    await assert.rejects(ask("printf '\\377'"), { code: 'PIN_INVALID' })
  })
  it('ends a program that prints without end', async () => {
    await assert.rejects(ask('exec yes'), { code: 'PIN_INVALID', message: /printed more than a PIN/ })
  })
  it('says so if there is no such program, or it cannot be started', async () => {
    const options = { signal: AbortSignal.timeout(10_000), env: { PATH: '/usr/bin' } }
    for (const program of ['/nowhere/askpass', 'holdfast-no-such-program', folder, 'a\0b']) {
      await assert.rejects(runAskpass(program, '', options), { code: 'PIN_SOURCE_UNREADABLE' }, program)
    }
    assert.equal(Buffer.from(await runAskpass('echo', '1234', options)).toString(), '1234')
  })
  for (const [manners, first] of [
    ['', ':'],
    [', also those that do not want to end', "trap '' TERM"],
  ] as const) {
    it(`ends the program, and what it started, when it is aborted${manners}`, async () => {
      const pids = join(folder, 'pids')
      const abort = new AbortController()
      const body = `${first}; sleep 60 & echo $! $$ > '${pids}.new'; mv '${pids}.new' '${pids}'; wait; wait`
      const asked = ask(body, abort.signal)
      const text = await waitFor(() => readFile(pids, 'utf8').catch(() => undefined))
      abort.abort(new HoldfastError('DEADLINE_EXCEEDED', 'too late'))
      await assert.rejects(asked, { code: 'DEADLINE_EXCEEDED' })
      for (const pid of text.trim().split(' '))
        await waitFor(async () => ((await isAlive(pid)) ? undefined : 'gone'))
    })
  }
  it('has no PIN if the time is up, and starts nothing if it already was', async () => {
    await assert.rejects(ask('exec sleep 60', AbortSignal.timeout(100)), {
      code: 'PIN_NEEDED',
      message: /in time/,
    })
    const mark = join(folder, 'mark')
    await assert.rejects(ask(`touch '${mark}'; echo 1`, AbortSignal.abort()), { code: 'PIN_NEEDED' })
    await assert.rejects(readFile(mark))
  })
})

/** Looks until `find` finds something. */
async function waitFor<T>(find: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await find()
    if (found !== undefined) return found
    await new Promise(setImmediate)
  }
}

async function isAlive(pid: string): Promise<boolean> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z')
  return !/\) [ZX]/.test(line)
}
