import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { AskTerminal } from '../support/ask-terminal.js'
import { run } from '../support/command.js'
import { playAtTerminal, type TerminalSession, type TerminalStep } from '../support/terminal.js'

describe('askTerminal', () => {
  const support = join(import.meta.dirname, '../support')
  let folder: string
  let program: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-terminal-'))
    program = join(folder, 'program.mjs')
    const entryPoints = [join(support, 'ask-terminal.ts')]
    await build({ entryPoints, outfile: program, bundle: true, platform: 'node', format: 'esm' })
  })
  after(() => rm(folder, { recursive: true }))

  const play = (
    steps: TerminalStep[],
    { background = false, ...asked }: AskTerminal & { background?: boolean } = {},
  ) => playAtTerminal([process.execPath, program, JSON.stringify(asked)], steps, { background })
  /** Has a shell run `"$@"`, which asks. */
  const playInShell = (script: string, steps: TerminalStep[]) =>
    playAtTerminal(['/bin/sh', '-c', script, 'sh', process.execPath, program], steps)
  const answer = ({ stdout }: TerminalSession) => JSON.parse(stdout.trimEnd().split('\n').at(-1)!)

  it('reads a PIN without showing it, and leaves the terminal as it was', async () => {
    const session = await play([{ expect: '0: ', type: '47x\u007f1108\r' }])
    assert.deepEqual(answer(session), { pin: '471108' })
    assert.equal(session.screen, 'PIN of "a\\u{1b}[2J" 0: \r\n')
    assert.equal(session.echoWhileAsking, false)
    assert.equal(session.restored, true)
  })
  it('can ask again', async () => {
    const session = await play(
      [
        { expect: '0: ', type: '1\r' },
        { expect: '1: ', type: '2\r' },
      ],
      { times: 2 },
    )
    assert.equal(session.stdout, '{"pin":"1"}\n{"pin":"2"}\n')
    assert.equal(session.restored, true)
  })
  it('takes a PIN beyond ASCII that comes in pieces, and a paste in brackets', async () => {
    assert.deepEqual(
      answer(await play([{ expect: '0: ', type: '\u001b[200~pä' }, { type: 'ß鍵\u001b[201~\r' }])),
      {
        pin: 'päß鍵',
      },
    )
  })
  it('refuses an empty line', async () => {
    const session = await play([{ expect: '0: ', type: '\r' }])
    assert.equal(answer(session).code, 'PIN_INVALID')
    assert.equal(session.restored, true)
  })
  it('lets Ctrl-C end the process, as at any other moment, and restores the terminal', async () => {
    const session = await play([{ expect: '0: ', type: '4711\u0003' }])
    assert.equal(session.status, -2)
    assert.equal(session.restored, true)
    assert.doesNotMatch(session.screen, /4711/)
  })
  it('stops at a Ctrl-C that the program handles, and restores the terminal', async () => {
    const session = await play([{ expect: '0: ', type: '4711\u0003' }], { handled: ['SIGINT'] })
    assert.equal(answer(session).code, 'INTERRUPTED')
    assert.equal(session.status, 0)
    assert.equal(session.restored, true)
  })
  it('stops at Ctrl-D, and says how else to give a PIN', async () => {
    const session = await play([{ expect: '0: ', type: '\u0004' }])
    assert.equal(answer(session).code, 'PIN_NEEDED')
    assert.match(answer(session).message, /none was typed.*--pin-file.*--askpass/)
    assert.equal(session.restored, true)
  })
  it('restores the terminal when its time is up', async () => {
    const session = await play([{ expect: '0: ', type: '47' }], { timeoutMs: 1000 })
    assert.equal(answer(session).code, 'PIN_NEEDED')
    assert.match(answer(session).message, /none was typed in time/)
    assert.equal(session.restored, true)
  })
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'] as const) {
    it(`restores the terminal when a handled ${signal} aborts`, async () => {
      const session = await play([{ expect: '0: ', type: '47', signal }], { handled: [signal] })
      assert.deepEqual(answer(session), { code: 'INTERRUPTED', message: signal })
      assert.equal(session.restored, true)
    })
  }
  it('leaves a terminal that is restored also when nobody handles SIGTERM', async () => {
    const session = await play([{ expect: '0: ', type: '47', signal: 'SIGTERM' }])
    assert.equal(session.status, -15)
    assert.equal(session.restored, true)
  })
  it('leaves a terminal that is restored when an exception ends the process', async () => {
    const session = await play([{ expect: '0: ', type: '47', signal: 'SIGUSR2' }], { crashes: true })
    assert.equal(session.status, 1)
    assert.equal(session.restored, true)
  })
  it('asks when nobody else does at the terminal: who is done has it show again what is typed', async () => {
    const second = `trap '"$@" "{\\"timeoutMs\\":500}"; echo over >/dev/tty' URG`
    const session = await playInShell(`${second}; "$@" {} & wait; wait`, [
      { expect: '0: ', signal: 'SIGURG' },
      { expect: 'over', type: '4711\r' },
    ])
    const [waited, typed] = session.stdout.trimEnd().split('\n')
    assert.match(waited!, /PIN_NEEDED.*none was typed in time/)
    assert.deepEqual(JSON.parse(typed!), { pin: '4711' })
    assert.match(session.screen, /^PIN of .* 0: over\r?\n\r?\n$/)
    assert.equal(session.echoWhileAsking, false)
    assert.equal(session.restored, true)
  })
  it('asks when another one has been answered', async () => {
    const session = await playInShell('"$@" {} & "$@" {}; wait', [
      { expect: '0: ', type: '4711\r' },
      { expect: '0: ', type: '4711\r' },
    ])
    assert.equal(session.stdout, '{"pin":"4711"}\n{"pin":"4711"}\n')
    assert.match(session.screen, /^PIN of .* 0: \r\nPIN of .* 0: \r\n$/)
    assert.equal(session.echoWhileAsking, false)
    assert.equal(session.restored, true)
  })
  it('has the terminal show what is typed while SIGTSTP stops the process, and then asks anew', async () => {
    const session = await playInShell('set -m; "$@" {}; stty -a </dev/tty; fg', [
      { expect: '0: ', type: '47', signal: 'SIGTSTP' },
      { expect: '0: ', type: '11\r' },
    ])
    assert.match(session.stdout, / echo /)
    assert.deepEqual(answer(session), { pin: '11' })
    assert.equal(session.echoWhileAsking, false)
    assert.equal(session.restored, true)
  })
  it('does not wait for a person who has hung up', async () => {
    const session = await play([{ expect: '0: ', hangup: true }], { handled: ['SIGHUP'] })
    assert.match(answer(session).code, /^(INTERRUPTED|PIN_NEEDED)$/)
    assert.match(answer(session).message, /^SIGHUP$|the terminal went away/)
  })
  it('does not ask from the background, where asking would stop the process', async () => {
    const session = await play([], { background: true })
    assert.equal(answer(session).code, 'PIN_NEEDED')
    assert.match(answer(session).message, /not in the foreground.*--pin-file.*HOLDFAST_PIN/)
    assert.equal(session.screen, '')
  })
  it('does not ask where there is no terminal', async () => {
    const stdout = await run('setsid', ['--wait', process.execPath, program, '{}'])
    assert.equal(JSON.parse(stdout).code, 'PIN_NEEDED')
  })
})
