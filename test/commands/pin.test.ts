/**
 * Where PINs come from and what they cost: the built program, real tokens, real terminals, and OpenSC's pkcs11-spy
 * counting the logins.
 */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { chmod, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { run } from '../support/command.js'
import { assertCredentials, assertFailure, ended, until } from '../support/outcome.js'
import {
  type Given,
  IN_TURN,
  layAskpass,
  PIN_PLACES,
  type PinEdge,
  runThrough,
  withPinEdge,
} from '../support/pin-edge.js'
import { runHoldfast, runHoldfastOnTerminal } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'
import { createTpmToken } from '../support/swtpm.js'
import {
  playAtTerminal,
  type TerminalOptions,
  type TerminalSession,
  type TerminalStep,
} from '../support/terminal.js'

const PROGRAM = resolve(import.meta.dirname, '../../dist/bin.cjs')
const WRONG = '00000000'

const layWrong = (edge: PinEdge) => writeFile(edge.token.pinFile, WRONG)
const layRight = (edge: PinEdge) => writeFile(edge.token.pinFile, edge.token.pin)

describe('a stored PIN', () => {
  for (const { place, source, lay } of PIN_PLACES) {
    it(`in ${place} costs one login if it is wrong, however often the program restarts, and works once corrected`, () =>
      withPinEdge({}, async (edge) => {
        const wrong = await lay(edge, WRONG)
        assertFailure(await edge.run(wrong), 'PIN_INCORRECT', 3, source)
        for (let restart = 0; restart < (place === 'a file' ? 11 : 2); restart++) {
          assertFailure(await edge.run(wrong), 'PIN_REFUSED_BEFORE', 3, source)
        }
        assert.equal(await edge.logins(), 1)
        const warnings =
          place === 'the URI' ? /^holdfast: warning: the PIN stands in the PKCS#11 URI.*\n$/ : /^$/
        assertCredentials(await edge.run(await lay(edge, edge.token.pin)), warnings)
        assert.equal(await edge.logins(), 2)
        assert.equal(edge.emulator.journal.length, 1)
      }))
  }

  it('leaves a TPM unlocked, and works there once corrected', async () =>
    withPinEdge({ token: await createTpmToken() }, async (edge) => {
      await layWrong(edge)
      assertFailure(await edge.run(), 'PIN_INCORRECT', 3)
      // The third wrong PIN would lock it.
      for (let restart = 0; restart < 3; restart++) assertFailure(await edge.run(), 'PIN_REFUSED_BEFORE', 3)
      await layRight(edge)
      assertCredentials(await edge.run())
      assert.equal(await edge.logins(), 2)
    }))

  it('that was refused is tried once more after token retry-pin', () =>
    withPinEdge({}, async (edge) => {
      await layWrong(edge)
      const state = ['--state-dir', join(edge.token.directory, 'state')] as const
      const given = { flags: { [state[0]]: state[1] } }
      const { env, home } = await edge.prepare()
      const retry = (...token: string[]) =>
        runHoldfast(['token', 'retry-pin', ...token, ...state], { env, home })
      assertFailure(await edge.run(given), 'PIN_INCORRECT', 3, /the PIN came from file/)
      assertFailure(await edge.run(given), 'PIN_REFUSED_BEFORE', 3, /holdfast token retry-pin/)
      assert.match((await retry('other')).stdout, /^nothing is held/)
      assertFailure(await edge.run(given), 'PIN_REFUSED_BEFORE', 3)
      assert.match((await retry('--token', 'pkcs11:token=edge;serial=1')).stdout, /^nothing is held/)
      assertFailure(await retry('edge', '--token', 'edge'), 'USAGE', 2, /named twice/)
      assertFailure(await edge.run(given), 'PIN_REFUSED_BEFORE', 3)
      const { stdout, status } = await retry('--token', 'pkcs11:token=edge', '--module', 'softhsm')
      assert.match(stdout, /^forgot the PIN from file \/.* for token "edge" \(refused\)\n$/)
      assert.equal(status, 0)
      assertFailure(await edge.run(given), 'PIN_INCORRECT', 3)
      assertFailure(await edge.run(given), 'PIN_REFUSED_BEFORE', 3)
      assert.equal(await edge.logins(), 2)
      assert.match((await retry('edge')).stdout, /^forgot the PIN from file/)
    }))

  it('that is good is used again without writing anything', () =>
    withPinEdge({}, async (edge) => {
      assertCredentials(await edge.run())
      const records = await edge.records()
      assert.deepEqual(
        Object.values(records).map((record) => JSON.parse(record).state),
        ['good'],
      )
      const folder = join(edge.home, '.local/state/holdfast/pin')
      await utimes(folder, 1, 1)
      assertCredentials(await edge.run())
      assert.deepEqual(await edge.records(), records)
      assert.equal((await stat(folder)).mtimeMs, 1000)
    }))

  it('that a key refuses for its signature counts as refused, though the token took it', () =>
    withPinEdge({ key: { alwaysAuthenticate: true } }, async (edge) => {
      assertCredentials(await edge.run())
      assert.equal(await edge.logins(), 2)
      const faults = 'C_Login=context-returns:0xa0'
      assertFailure(await edge.run({ faults }), 'PIN_INCORRECT', 3, /the PIN came from file/)
      assertFailure(await edge.run({ faults }), 'PIN_REFUSED_BEFORE', 3)
      assert.equal(await edge.logins(), 4)
    }))

  for (const [which, pin, codes] of [
    ['wrong', WRONG, { PIN_INCORRECT: 1, PIN_REFUSED_BEFORE: 5 }],
    ['right', undefined, { none: 6 }],
  ] as const) {
    it(`that is ${which} costs ${pin ? 'one login' : 'each program its one login'} when several start for the first time at once`, () =>
      withPinEdge({}, async (edge) => {
        if (pin !== undefined) await layWrong(edge)
        const patience = { flags: { '--token-timeout': '60', '--timeout': '60' }, faults: IN_TURN }
        const results = await Promise.all(Array.from({ length: 6 }, () => edge.run(patience)))
        const counts: Record<string, number> = {}
        for (const result of results) {
          const code = /\((\w+)\)\n$/.exec(result.stderr)?.[1] ?? 'none'
          if (code === 'none') assertCredentials(result)
          counts[code] = (counts[code] ?? 0) + 1
        }
        assert.deepEqual(counts, codes)
        assert.equal(await edge.logins(), pin ? 1 : 6)
      }))
  }

  describe('whose login does not end', () => {
    const killed: [
      how: string,
      given: Given,
      kill: (program: ChildProcess, child: number) => void,
      code: RegExp,
    ][] = [
      [
        'because its process is killed',
        {},
        (_, child) => process.kill(child, 'SIGKILL'),
        /\(MODULE_CRASHED\)/,
      ],
      ['because the program is killed', {}, (program) => program.kill('SIGKILL'), /^$/],
      ['because the program is stopped', {}, (program) => program.kill('SIGTERM'), /\(INTERRUPTED\)/],
      ['within its time', { flags: { '--token-timeout': '2' } }, () => {}, /\(TOKEN_TIMEOUT\)/],
    ]
    for (const [how, given, kill, code] of killed) {
      it(`${how} counts as refused`, () =>
        withPinEdge({}, async (edge) => {
          const { args, hungProcess, ...options } = await edge.prepare({ ...given, faults: 'C_Login=hang' })
          let program: ChildProcess | undefined
          const hanging = runHoldfast(args, {
            ...options,
            started: (child) => {
              program = child
            },
          })
          const child = await hungProcess(hanging)
          kill(program!, child)
          assert.match((await hanging).stderr, code)
          await ended(child)
          for (let restart = 0; restart < 2; restart++) {
            assertFailure(await edge.run(), 'PIN_REFUSED_BEFORE', 3, /its end is not known/)
          }
          // The one that hung is not among them: what the spy knew of it died with its process.
          assert.equal(await edge.logins(), 0)
        }))
    }

    it('holds up other programs no longer than they may wait', () =>
      withPinEdge({}, async (edge) => {
        const { args, hungProcess, ...options } = await edge.prepare({ faults: 'C_Login=hang' })
        const hanging = runHoldfast(args, options)
        const child = await hungProcess(hanging)
        assertFailure(
          await edge.run({ flags: { '--token-timeout': '3' } }),
          'TOKEN_TIMEOUT',
          3,
          /another process is logging in to token "edge" with the same PIN/,
        )
        assert.equal(await edge.logins(), 0)
        process.kill(child, 'SIGKILL')
        await hanging
      }))
  })

  describe('without a place for its record', () => {
    const nowhere = { '--state-dir': '/proc/holdfast' }

    it('is not tried', () =>
      withPinEdge({}, async (edge) => {
        const result = await edge.run({ flags: nowhere })
        assertFailure(result, 'PIN_GUARD_UNAVAILABLE', 3, /\/proc\/holdfast.*--state-dir.*--pin-guard off/)
        assert.equal(await edge.logins(), 0)
      }))
    it('is tried in each run with --pin-guard off, which its refusal says', () =>
      withPinEdge({}, async (edge) => {
        const off = { flags: { ...nowhere, '--pin-guard': 'off' } }
        assertCredentials(await edge.run(off))
        await layWrong(edge)
        for (let restart = 0; restart < 2; restart++) {
          assertFailure(
            await edge.run(off),
            'PIN_INCORRECT',
            3,
            /--pin-guard off each further run costs one more/,
          )
        }
        assert.equal(await edge.logins(), 3)
        assert.deepEqual(await edge.records(), {})
      }))
    it('has it where --state-dir says', () =>
      withPinEdge({}, async (edge) => {
        const given = { flags: { '--state-dir': join(edge.token.directory, 'elsewhere') } }
        await layWrong(edge)
        assertFailure(await edge.run(given), 'PIN_INCORRECT', 3)
        assertFailure(await edge.run(given), 'PIN_REFUSED_BEFORE', 3)
        assert.deepEqual(await edge.records(), {})
        assertFailure(await edge.run(), 'PIN_INCORRECT', 3)
      }))
  })
})

describe('the source of a PIN', () => {
  it('may be named once only', () =>
    withPinEdge({}, async (edge) => {
      const result = await edge.run({ flags: { '--pin-file': '/etc/holdfast/pin' } })
      assertFailure(result, 'USAGE', 2, /--pin-file and pin-source/)
    }))

  it('is the first of systemd credential, HOLDFAST_PIN, askpass and terminal where none is named', () =>
    withPinEdge({}, async (edge) => {
      const [, environment, credential, askpass] = await Promise.all(
        PIN_PLACES.map(({ lay }) => lay(edge, `wrong in ${lay.name}`)),
      )
      const merge = (...given: readonly (Given | undefined)[]): Given => ({
        flags: Object.assign({}, ...given.map((each) => each?.flags)),
        env: Object.assign({}, ...given.map((each) => each?.env)),
      })
      const refused = async (given: Given, source: RegExp) =>
        assertFailure(await edge.run(given), 'PIN_INCORRECT', 3, source)
      await refused(merge(credential, environment, askpass), /\/holdfast\.pin/)
      await refused(merge(environment, askpass), /HOLDFAST_PIN/)
      await refused(merge(askpass), /askpass program/)
      const { flags } = merge(askpass)
      const fromVariable = {
        flags: { ...flags, '--askpass': undefined },
        env: { HOLDFAST_ASKPASS: flags!['--askpass'] },
      }
      assertFailure(await edge.run(fromVariable), 'PIN_REFUSED_BEFORE', 3, /askpass program/)
      const named = merge(environment, { flags: { '--pin-file': edge.token.pinFile } })
      await writeFile(edge.token.pinFile, edge.token.pin)
      assertCredentials(await edge.run(named))
    }))

  it('is not trusted if others can read or write it', () =>
    withPinEdge({}, async (edge) => {
      for (const [mode, says] of [
        [0o604, /everyone can read it/],
        [0o620, /its group can write it/],
      ] as const) {
        await chmod(edge.token.pinFile, mode)
        assertFailure(await edge.run(), 'PIN_SOURCE_UNSAFE', 3, says)
      }
      assert.equal(await edge.logins(), 0)
      await chmod(edge.token.pinFile, 0o640)
      assertCredentials(await edge.run())
    }))

  it('gives its first line, which must be UTF-8 and not empty', () =>
    withPinEdge({}, async (edge) => {
      for (const [bytes, says] of [
        ['', /is empty; it was not tried/],
        [Buffer.from('4711\xe4', 'latin1'), /not valid UTF-8; it was not tried/],
      ] as const) {
        await writeFile(edge.token.pinFile, bytes)
        assertFailure(await edge.run(), 'PIN_INVALID', 3, says)
      }
      assert.equal(await edge.logins(), 0)
      await writeFile(edge.token.pinFile, `${edge.token.pin}\r\nmore`)
      assertCredentials(await edge.run())
    }))

  it('cannot be a command in a URI', () =>
    withPinEdge({}, async (edge) => {
      const mark = join(edge.token.directory, 'mark')
      const result = await edge.run({
        flags: { '--pkcs11-uri': `${edge.bareUri}?pin-source=|touch%20${mark}` },
      })
      assertFailure(result, 'URI_INVALID', 2, /command/)
      await assert.rejects(stat(mark), { code: 'ENOENT' })
    }))

  it('in the URI is not shown to whoever lists processes', () =>
    withPinEdge({}, async (edge) => {
      const given = { flags: { '--pkcs11-uri': `${edge.bareUri}?pin-value=${edge.token.pin}` } }
      const { args, hungProcess, ...options } = await edge.prepare({ ...given, faults: 'C_Initialize=hang' })
      let program: ChildProcess | undefined
      const hanging = runHoldfast(args, {
        ...options,
        started: (child) => {
          program = child
        },
      })
      const child = await hungProcess(hanging)
      for (const pid of [program!.pid, child]) {
        const shown = await readFile(`/proc/${pid}/cmdline`, 'latin1')
        assert.ok(shown.length > 0 && !shown.includes(edge.token.pin), shown)
      }
      process.kill(child, 'SIGKILL')
      await hanging
    }))

  it('is not looked for if the token wants no PIN', async () =>
    withPinEdge({ token: await createTpmToken() }, async (edge) => {
      await emptyUserPin(edge)
      assertCredentials(await edge.run({ flags: { '--pkcs11-uri': edge.bareUri, '--askpass': '/nowhere' } }))
      assert.equal(await edge.logins(), 0)
      assert.deepEqual(await edge.records(), {})
    }))
})

/** What `tpm2_ptool initpin --userpin ''` does: the token then lacks CKF_LOGIN_REQUIRED. */
async function emptyUserPin({ token }: PinEdge): Promise<void> {
  const officer = ['--token-label', token.label, '--login', '--login-type', 'so', '--so-pin', token.soPin]
  await run(
    'pkcs11-tool',
    ['--module', token.modulePath, ...officer, '--init-pin', '--new-pin', ''],
    token.env,
  )
  const sql = `update tokens set config = replace(config, '}', '? !!str "empty-user-pin" : !!bool "true",}')`
  const program =
    'import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute(sys.argv[2]); db.commit()'
  await run('python3', ['-c', program, join(token.env.TPM2_PKCS11_STORE!, 'tpm2_pkcs11.sqlite3'), sql])
}

describe('an askpass program', () => {
  it('gets the question as its argument', () =>
    withPinEdge({}, async (edge) => {
      const asked = join(edge.token.directory, 'asked')
      const askpass = await layAskpass(edge, `echo "$#: $1" > '${asked}'; echo '${edge.token.pin}'`)
      assertCredentials(await edge.run({ flags: { '--pkcs11-uri': edge.bareUri, '--askpass': askpass } }))
      assert.match(
        await readFile(asked, 'utf8'),
        /^1: PIN of token "edge" \(SoftHSM project, serial [0-9a-f]+\): \n$/,
      )
    }))

  it('that fails gives no PIN, and costs no login', () =>
    withPinEdge({}, async (edge) => {
      const askpass = await layAskpass(edge, `echo '${edge.token.pin}'; exit 1`)
      const result = await edge.run({ flags: { '--pkcs11-uri': edge.bareUri, '--askpass': askpass } })
      assertFailure(result, 'PIN_NEEDED', 3, /askpass program \/.* gave none/)
      assert.equal(await edge.logins(), 0)
    }))

  it('that hangs ends with the program, which SIGINT ends', () =>
    withPinEdge({}, async (edge) => {
      const pidFile = join(edge.token.directory, 'pid')
      const askpass = await layAskpass(
        edge,
        `trap '' TERM; echo $$ > '${pidFile}.new'; mv '${pidFile}.new' '${pidFile}'; sleep 300`,
      )
      const given = { flags: { '--pkcs11-uri': edge.bareUri, '--askpass': askpass } }
      const { args, ...options } = await edge.prepare(given)
      let program: ChildProcess | undefined
      const hanging = runHoldfast(args, {
        ...options,
        started: (child) => {
          program = child
        },
      })
      await until(() =>
        stat(pidFile).then(
          () => true,
          () => false,
        ),
      )
      program!.kill('SIGINT')
      const { signal, stderr } = await hanging
      assert.equal(signal, 'SIGINT')
      assert.match(stderr, /\(INTERRUPTED\)\n$/)
      await ended(Number(await readFile(pidFile, 'utf8')))
      assert.deepEqual(await edge.records(), {})
    }))
})

describe('a person at a terminal', () => {
  const bare = ({ bareUri }: PinEdge): Given => ({ flags: { '--pkcs11-uri': bareUri } })
  const answer = async (edge: PinEdge, typed: readonly string[], given: Given = {}) => {
    const { args, ...options } = await edge.prepare({ ...bare(edge), ...given })
    return runHoldfastOnTerminal(args, { ...options, prompt: /PIN of token .*: /, typed })
  }

  it('is asked there, though stdout and stderr are elsewhere', () =>
    withPinEdge({}, async (edge) => {
      const { screen, ...result } = await answer(edge, [`${edge.token.pin}\r`])
      assertCredentials(result)
      assert.match(screen, /^PIN of token "edge" \(SoftHSM project, serial [0-9a-f]+\): \r\n$/)
      assert.deepEqual(await edge.records(), {})
    }))

  it('may be wrong, is told what is left, and is not asked again', () =>
    withPinEdge({}, async (edge) => {
      const result = await answer(edge, [`${WRONG}\r`, `${edge.token.pin}\r`])
      assertFailure(result, 'PIN_INCORRECT', 3, /few tries may be left/)
      assert.equal(result.screen.split('PIN of token').length, 2)
      assert.equal(await edge.logins(), 1)
      assert.deepEqual(await edge.records(), {})
      const second = await answer(edge, [`${edge.token.pin}\r`])
      assertCredentials(second)
      assert.match(second.screen, /few tries may be left: /)
    }))

  it('may use the last try, which a stored PIN may not', () =>
    withPinEdge({}, async (edge) => {
      const faults = 'C_GetTokenInfo=set-flags:0x20000'
      assertFailure(await edge.run({ faults }), 'PIN_FINAL_TRY', 3)
      assert.equal(await edge.logins(), 0)
      const { screen, ...result } = await answer(edge, [`${edge.token.pin}\r`], { faults })
      assertCredentials(result)
      assert.match(screen, /one try is left before the token locks: /)
    }))

  it('sees no escape sequences of a token’s label', async () => {
    const token = await createSoftHsmToken({ label: '\u001b[31mred\u001b[2J' })
    await withPinEdge({ token }, async (edge) => {
      const { screen, ...result } = await answer(edge, [`${WRONG}\r`])
      assert.match(screen, /^PIN of token "\\u\{1b\}\[31mred\\u\{1b\}\[2J" /)
      assert.match(result.stderr, /login to token "[^\u001b]*" failed.*\(PIN_INCORRECT\)\n$/)
    })
  })

  /** Runs the program at a terminal whose settings are looked at, with stderr in a file. */
  const play = async (
    edge: PinEdge,
    steps: TerminalStep[],
    { script = 'exec "$@" 2>"$0"', ...options }: TerminalOptions & { script?: string } = {},
  ): Promise<TerminalSession & { stderr: string }> => {
    const { args, env, home } = await edge.prepare(bare(edge))
    const stderr = join(edge.token.directory, 'stderr')
    const variables = {
      PATH: '/usr/bin:/bin',
      HOME: home,
      XDG_STATE_HOME: join(home, '.local/state'),
      ...env,
    }
    const pairs = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
    const program = ['/usr/bin/env', '-i', ...pairs, process.execPath, PROGRAM, ...args]
    const argv = ['/bin/sh', '-c', script, stderr, ...program]
    return { ...(await playAtTerminal(argv, steps, options)), stderr: await readFile(stderr, 'utf8') }
  }

  it('ends the program with Ctrl-C, and has the terminal back', () =>
    withPinEdge({}, async (edge) => {
      const session = await play(edge, [{ expect: '): ', type: '1234\u0003' }])
      assert.equal(session.status, -2)
      assert.equal(session.restored, true)
      assert.equal(session.echoWhileAsking, false)
      assert.match(session.stderr, /^holdfast: interrupted .*\(INTERRUPTED\)\n$/)
      assert.equal(session.stdout, '')
      assert.equal(await edge.logins(), 0)
      await until(async () => (await edge.finalizations()) === 1)
    }))

  it('may go away with the terminal, of which nobody tells', () =>
    withPinEdge({}, async (edge) => {
      const script = `trap '' HUP; "$@" 2>"$0"`
      const session = await play(edge, [{ expect: '): ', hangup: true }], { stdin: true, script })
      assert.match(session.stderr, /^holdfast: .* the terminal went away\. Ways .*\(PIN_NEEDED\)\n$/)
      assert.equal(session.status, 3)
    }))

  it('is not asked by a job in the background', () =>
    withPinEdge({}, async (edge) => {
      const session = await play(edge, [], { background: true })
      assert.equal(session.status, 3)
      assert.equal(session.screen, '')
      assert.match(session.stderr, /not in the foreground of a terminal.*--pin-file.*\(PIN_NEEDED\)\n$/)
    }))

  it('is not waited for where there is no terminal', () =>
    withPinEdge({}, async (edge) => {
      const result = await runThrough(edge, ['setsid', '--wait'], bare(edge))
      assertFailure(
        result,
        'PIN_NEEDED',
        3,
        /--pin-file FILE.*holdfast\.pin, HOLDFAST_PIN, --askpass PROGRAM/,
      )
      assert.equal(await edge.logins(), 0)
    }))
})
