import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'mocha'
import { runHoldfast, runHoldfastOnTerminal, startHoldfast } from './program.js'

describe('running a program', () => {
  let directory: string
  let count = 0
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-program-'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  /** A program that stands in for the built one. */
  async function program(source: string): Promise<string> {
    const file = join(directory, `${++count}.mjs`)
    await writeFile(file, source)
    return file
  }

  it('gives what came out', async () => {
    const result = await runHoldfast(['a b', "c'd"], {
      program: await program(
        'console.log(process.argv.slice(2)); for await (const c of process.stdin) console.error(String(c)); process.exitCode = 3',
      ),
      input: 'typed',
    })
    assert.equal(result.stdout, `[ 'a b', "c'd" ]\n`)
    assert.equal(result.stderr, 'typed\n')
    assert.equal(result.status, 3)
    assert.equal(result.signal, null)
  })

  it('hands on nothing of its own environment, and a home that goes away', async () => {
    const { stdout } = await runHoldfast([], {
      program: await program('console.log(JSON.stringify(process.env))'),
      env: { GIVEN: 'yes' },
    })
    const env = JSON.parse(stdout)
    assert.deepEqual(Object.keys(env).sort(), ['GIVEN', 'HOME', 'PATH', 'XDG_STATE_HOME'])
    assert.notEqual(env.HOME, process.env.HOME)
    assert.equal(existsSync(env.HOME), false)
  })

  it('kills a program that takes too long', async () => {
    const endless = await program('setInterval(() => {}, 1000)')
    const { signal, status } = await runHoldfast([], { program: endless, timeoutMs: 200 })
    assert.deepEqual({ signal, status }, { signal: 'SIGKILL', status: null })
  })

  it('says so if the program is not built', async () => {
    await assert.rejects(runHoldfast([], { program: join(directory, 'none.js') }), /npm run build/)
  })

  it('types at the prompt of a terminal, and keeps stdout apart', async () => {
    const asking = await program(`
      import { openSync, readSync, writeSync } from 'node:fs'
      const terminal = openSync('/dev/tty', 'r+')
      const answers = [1, 2].map(() => {
        writeSync(terminal, 'PIN? ')
        const buffer = Buffer.alloc(100)
        return buffer.toString('utf8', 0, readSync(terminal, buffer))
      })
      console.log(JSON.stringify(answers), process.argv[2])
      process.exitCode = 4`)
    const result = await runHoldfastOnTerminal(["it's"], {
      program: asking,
      prompt: /PIN\? $/,
      typed: ['one\n', 'two\n'],
    })
    assert.equal(result.stdout, `["one\\n","two\\n"] it's\n`)
    assert.equal(result.status, 4)
    assert.match(result.screen, /PIN\? .*PIN\? /s)
  })

  it('starts a program and stops it', async () => {
    const serving = await program("console.log('port 42'); setInterval(() => {}, 1000)")
    const running = await startHoldfast([], { program: serving, ready: /port (\d+)/ })
    assert.equal(running.match[1], '42')
    assert.equal((await running.stop()).signal, 'SIGTERM')
  })

  it('says what a program printed that ends before it is ready', async () => {
    const failing = await program("console.error('no port'); process.exitCode = 2")
    await assert.rejects(startHoldfast([], { program: failing, ready: /port (\d+)/ }), /no port/)
  })
})
