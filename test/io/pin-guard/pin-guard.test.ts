import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmod,
  chown,
  cp,
  lchown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import fc from 'fast-check'
import { type ErrorCode, HoldfastError } from '../../../src/core/errors.js'
import type { PinIdentity, TokenIdentity } from '../../../src/core/pin/pin.js'
import { readPinFile } from '../../../src/io/pin-file.js'
import {
  forgetPinRecords,
  inspectPinGuard,
  type PinGuardOptions,
  withPinGuard,
} from '../../../src/io/pin-guard/pin-guard.js'
import type { GuardedLogin } from '../../support/pin-guard-login.js'

const uid = process.geteuid!()
const token: TokenIdentity = {
  manufacturer: 'SoftHSM project',
  model: 'SoftHSM v2',
  serial: '1f',
  label: 'edge',
}
const secret = (pin: string, name = 'HOLDFAST_PIN'): PinIdentity => ({
  kind: 'secret',
  name,
  pin: Buffer.from(pin),
})

describe('withPinGuard', () => {
  let folder: string
  let state: string
  let pinFile: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-guard-'))
    state = join(folder, 'state')
    pinFile = join(folder, 'pin')
  })
  afterEach(() => rm(folder, { recursive: true }))

  /** Counts logins; `outcome` is what the token says. */
  const createToken = (outcome: ErrorCode | 'good' | Error = 'good') => {
    const it = {
      logins: 0,
      outcome,
      login: () => {
        it.logins += 1
        if (it.outcome === 'good') return 'logged in'
        throw it.outcome instanceof Error
          ? it.outcome
          : new HoldfastError(it.outcome, `token says ${it.outcome}`)
      },
    }
    return it
  }
  const guard = (pin: PinIdentity, login: () => unknown, change: Partial<PinGuardOptions> = {}) =>
    withPinGuard(
      {
        token,
        pin,
        directories: [state],
        uid,
        now: () => new Date('2026-01-02T03:04:05Z'),
        signal: AbortSignal.timeout(10_000),
        ...change,
      },
      login,
    )
  const writePin = (pin: string) => writeFile(pinFile, pin, { mode: 0o600 })
  /** Fingerprints are salted with the path, and a temporary one makes two PINs the same once in 4096 runs. */
  const readPin = async (path = pinFile, realpath = '/etc/holdfast/pin'): Promise<PinIdentity> => {
    const { identity } = await readPinFile(path, { uid })
    return identity.kind === 'file' ? { ...identity, file: { ...identity.file, realpath } } : identity
  }
  const records = async (directory = state) => {
    const path = join(directory, 'pin')
    const names = await readdir(path)
    return Promise.all(names.map(async (name) => JSON.parse(await readFile(join(path, name), 'utf8'))))
  }
  const states = async () => (await records()).map((record) => record.state).sort()

  for (const kind of ['file', 'secret']) {
    describe(`with a PIN from a ${kind}`, () => {
      const give = async (pin: string) => {
        await writePin(pin)
        return kind === 'file' ? await readPin() : secret(pin)
      }

      it('lets many restarts with a wrong PIN cost one try', async () => {
        const pin = await give('wrong')
        const edge = createToken('PIN_INCORRECT')
        await assert.rejects(guard(pin, edge.login), { code: 'PIN_INCORRECT' })
        for (let restart = 0; restart < 10; restart++) {
          const again = kind === 'file' ? await readPin() : secret('wrong')
          await assert.rejects(guard(again, edge.login), {
            code: 'PIN_REFUSED_BEFORE',
            message: /2026-01-02T03:04:05.000Z.*correct the PIN.*retry-pin/,
          })
        }
        assert.equal(edge.logins, 1)
      })
      it('accepts a corrected PIN, and refuses each wrong one once', async () => {
        const edge = createToken('PIN_INCORRECT')
        for (const wrong of ['wrong', 'wrong as well']) {
          const pin = await give(wrong)
          await assert.rejects(guard(pin, edge.login), { code: 'PIN_INCORRECT' })
          await assert.rejects(guard(pin, edge.login), { code: 'PIN_REFUSED_BEFORE' })
        }
        edge.outcome = 'good'
        assert.equal(await guard(await give('right'), edge.login), 'logged in')
        assert.equal(edge.logins, 3)
      })
      it('gives back what the login gives, also if it is asynchronous', async () => {
        assert.equal(await guard(await give('right'), async () => 7), 7)
      })
      it('writes `trying` before the login, and `good` after it', async () => {
        await guard(await give('right'), async () => {
          assert.deepEqual(await states(), ['trying'])
        })
        assert.deepEqual(await states(), ['good'])
      })
      it('writes nothing once a PIN is good', async () => {
        const pin = await give('right')
        await guard(pin, createToken().login)
        const path = join(state, 'pin')
        await utimes(path, 1, 1)
        await guard(pin, async () => {
          assert.deepEqual(await states(), ['good'])
        })
        assert.equal((await stat(path)).mtimeMs, 1000)
        assert.deepEqual(await states(), ['good'])
      })
      it('tries once when a PIN that was good is no longer', async () => {
        const pin = await give('was right')
        await guard(pin, createToken().login)
        const edge = createToken('PIN_INCORRECT')
        await assert.rejects(guard(pin, edge.login), { code: 'PIN_INCORRECT' })
        await assert.rejects(guard(pin, edge.login), { code: 'PIN_REFUSED_BEFORE' })
        assert.equal(edge.logins, 1)
        assert.deepEqual(await states(), ['refused'])
      })
      it('leaves things as they were if an error is not about the PIN', async () => {
        const pin = await give('right')
        const edge = createToken()
        for (const error of [new HoldfastError('TOKEN_REMOVED', 'gone'), new Error('crash')]) {
          edge.outcome = error
          await assert.rejects(guard(pin, edge.login), error)
          assert.deepEqual(await states(), [])
        }
        edge.outcome = 'good'
        await guard(pin, edge.login)
        edge.outcome = 'TOKEN_REMOVED'
        await assert.rejects(guard(pin, edge.login), { code: 'TOKEN_REMOVED' })
        assert.deepEqual(await states(), ['good'])
      })
      it('remembers of a locked token nothing against a good PIN, but does against an unproven one', async () => {
        const pin = await give('right')
        await guard(pin, createToken().login)
        await assert.rejects(guard(pin, createToken('PIN_LOCKED').login), { code: 'PIN_LOCKED' })
        assert.deepEqual(await states(), ['good'])
        const edge = createToken('PIN_LOCKED')
        const other = { token: { ...token, serial: '20' } }
        await assert.rejects(guard(pin, edge.login, other), { code: 'PIN_LOCKED' })
        await assert.rejects(guard(pin, edge.login, other), { code: 'PIN_REFUSED_BEFORE' })
        assert.equal(edge.logins, 1)
      })
      it('waits with a TPM that is locked, and then lets a wrong PIN be tried once', async () => {
        const pin = await give('wrong')
        const tpm = { token: { ...token, store: '/etc/tpm2_pkcs11' } }
        const edge = createToken('PIN_LOCKED')
        for (let restart = 0; restart < 3; restart++) {
          await assert.rejects(guard(pin, edge.login, tpm), { code: 'PIN_LOCKED' })
          assert.deepEqual(await states(), [])
        }
        edge.outcome = 'PIN_INCORRECT'
        await assert.rejects(guard(pin, edge.login, tpm), { code: 'PIN_INCORRECT' })
        await assert.rejects(guard(pin, edge.login, tpm), { code: 'PIN_REFUSED_BEFORE' })
        assert.equal(edge.logins, 4)
      })
      it('takes a login that fails without a reason for a refusal of an unproven PIN, not of a good one', async () => {
        const pin = await give('right')
        const edge = createToken('LOGIN_FAILED')
        await assert.rejects(guard(pin, edge.login), {
          code: 'LOGIN_FAILED',
          message: /counts as refused.*retry-pin edge --state-dir \/.*\/state$/,
        })
        await assert.rejects(guard(pin, edge.login), {
          code: 'PIN_REFUSED_BEFORE',
          message: /without a reason/,
        })
        assert.equal(edge.logins, 1)
        await forgetPinRecords([state], uid)
        await guard(pin, createToken().login)
        await assert.rejects(guard(pin, edge.login), {
          code: 'LOGIN_FAILED',
          message: 'token says LOGIN_FAILED',
        })
        assert.deepEqual(await states(), ['good'])
      })
      it('keeps no PIN, in files and folders that only their owner can open', async () => {
        await assert.rejects(guard(await give('471108'), createToken('PIN_INCORRECT').login))
        const path = join(state, 'pin')
        const [name] = await readdir(path)
        assert.doesNotMatch(await readFile(join(path, name!), 'utf8'), /4711/)
        assert.equal((await stat(state)).mode & 0o777, 0o700)
        assert.equal((await stat(path)).mode & 0o777, 0o700)
        assert.equal((await stat(join(path, name!))).mode & 0o777, 0o600)
      })
    })
  }

  for (const [how, rewrite] of [
    ['written', () => writePin('wrong')],
    [
      'replaced',
      () =>
        writeFile(`${pinFile}.new`, 'wrong', { mode: 0o600 }).then(() => rename(`${pinFile}.new`, pinFile)),
    ],
    ['given its mode', () => chmod(pinFile, 0o600)],
  ] as const) {
    it(`does not try a wrong PIN again whose file is ${how} anew before each start`, async () => {
      await writePin('wrong')
      const edge = createToken('PIN_INCORRECT')
      await assert.rejects(guard(await readPin(), edge.login), { code: 'PIN_INCORRECT' })
      for (let restart = 0; restart < 5; restart++) {
        const before = await readPin()
        await rewrite()
        assert.notDeepEqual(await readPin(), before)
        await assert.rejects(guard(await readPin(), edge.login), { code: 'PIN_REFUSED_BEFORE' })
      }
      assert.equal(edge.logins, 1)
      edge.outcome = 'good'
      await writePin('right')
      await guard(await readPin(), edge.login)
      assert.equal(edge.logins, 2)
    })
  }
  for (const kind of ['file', 'secret']) {
    it(`says of a PIN from a ${kind} that parallel logins refused only that it was refused`, async () => {
      await writePin('was right')
      const pin = kind === 'file' ? await readPin() : secret('was right')
      await guard(pin, createToken().login)
      const edge = createToken('PIN_INCORRECT')
      const refusal = { code: 'PIN_INCORRECT', message: 'token says PIN_INCORRECT' }
      const parallel = async () => {
        // Both found the PIN good; the other one ends first.
        await assert.rejects(guard(pin, edge.login), refusal)
        return edge.login()
      }
      await assert.rejects(guard(pin, parallel), refusal)
      assert.deepEqual(await states(), ['refused'])
      await assert.rejects(guard(pin, edge.login), { code: 'PIN_REFUSED_BEFORE' })
      assert.equal(edge.logins, 2)
    })
  }
  it('drops the fingerprint of a PIN in a file as soon as it is good', async () => {
    await writePin('right')
    await guard(await readPin(), createToken().login)
    const names = await readdir(join(state, 'pin'))
    assert.equal(names.length, 1)
    assert.match(names[0]!, /-[0-9a-f]{16}\.json$/)
  })
  it('does not let a PIN that two programs share by name burn a try each time the other one is right', async () => {
    const edge = createToken()
    for (let restart = 0; restart < 10; restart++) {
      edge.outcome = 'good'
      await guard(secret('right'), edge.login)
      edge.outcome = 'PIN_INCORRECT'
      await assert.rejects(guard(secret('wrong'), edge.login))
    }
    assert.equal(edge.logins, 11)
    const later = { now: () => new Date('2026-01-03T03:04:06Z') }
    await guard(secret('right'), createToken().login, later)
    assert.deepEqual(await states(), ['good'])
  })
  it('drops the fingerprint of a PIN as soon as it is good', async () => {
    await guard(secret('right'), createToken().login)
    const names = await readdir(join(state, 'pin'))
    assert.equal(names.length, 1)
    assert.match(names[0]!, /-good\.json$/)
  })
  it('does not mix up tokens', async () => {
    await assert.rejects(guard(secret('1234'), createToken('PIN_INCORRECT').login))
    const other = createToken()
    await guard(secret('1234'), other.login, { token: { ...token, serial: '20' } })
    assert.equal(other.logins, 1)
  })
  it('does not stand in the way of a person who types, nor learn from them', async () => {
    const edge = createToken('PIN_INCORRECT')
    for (let attempt = 0; attempt < 3; attempt++) {
      await assert.rejects(guard({ kind: 'typed' }, edge.login, { directories: [] }), {
        code: 'PIN_INCORRECT',
      })
    }
    assert.equal(edge.logins, 3)
  })

  describe('and its records', () => {
    const recordPath = async (wanted = /./) => {
      const names = await readdir(join(state, 'pin'))
      return join(state, 'pin', names.find((name) => wanted.test(name))!)
    }
    beforeEach(async () => {
      await writePin('1234')
      await guard(await readPin(), createToken().login)
    })
    const refuses = async (code: ErrorCode, message: RegExp) => {
      const edge = createToken()
      await assert.rejects(async () => guard(await readPin(), edge.login), { code, message })
      assert.equal(edge.logins, 0)
    }

    it('takes a damaged one for a refusal and says which file it is', async () => {
      const path = await recordPath()
      for (const text of ['', '{', '{"version":2}', 'x'.repeat(5000)]) {
        await writeFile(path, text)
        await refuses('PIN_REFUSED_BEFORE', new RegExp(`${path} .*remove that file`))
      }
    })
    it('does not believe one that others can write, that is a link, or that is a stranger’s', async () => {
      const path = await recordPath()
      await chmod(path, 0o620)
      await refuses('PIN_REFUSED_BEFORE', /damaged/)
      await rename(path, join(folder, 'elsewhere'))
      await symlink(join(folder, 'elsewhere'), path)
      await refuses('PIN_REFUSED_BEFORE', /damaged/)
    })
    it('does not use a folder that others can write, nor its own one if they can even look into it', async () => {
      await chmod(state, 0o770)
      await refuses('PIN_GUARD_UNAVAILABLE', /chmod go-w .*\/state\b/)
      await chmod(state, 0o1777)
      await refuses('PIN_GUARD_UNAVAILABLE', /\/state is open to others: name a folder of your own/)
      await chmod(state, 0o755)
      await chmod(join(state, 'pin'), 0o755)
      await refuses('PIN_GUARD_UNAVAILABLE', /chmod go= .*\/state\/pin\b/)
      await chmod(join(state, 'pin'), 0o700)
      await guard(await readPin(), createToken().login)
    })
    it('does not use a stranger’s folder', async () => {
      if (uid === 0) await chown(state, 12345, 0)
      const us = uid === 0 ? 0 : uid + 1
      const edge = createToken()
      await assert.rejects(guard(secret('1234'), edge.login, { uid: us }), {
        code: 'PIN_GUARD_UNAVAILABLE',
        message: /belongs to uid \d+/,
      })
      assert.equal(edge.logins, 0)
    })
    it('uses a state folder through a link of its own user, but no link to the folder of records', async () => {
      const linked = join(folder, 'linked')
      await symlink(state, linked)
      await assert.rejects(
        guard(await readPin(), createToken('TOKEN_REMOVED').login, { directories: [linked] }),
        { code: 'TOKEN_REMOVED' },
      )
      assert.deepEqual(await states(), ['good'])
      await rename(join(state, 'pin'), join(folder, 'elsewhere'))
      await symlink(join(folder, 'elsewhere'), join(state, 'pin'))
      await refuses('PIN_GUARD_UNAVAILABLE', /state\/pin is not a folder/)
    })
    it('does not use a state folder through a stranger’s link', async () => {
      const linked = join(folder, 'linked')
      await symlink(state, linked)
      if (uid === 0) await lchown(linked, 12345, 0)
      const us = uid === 0 ? 0 : uid + 1
      const edge = createToken()
      await assert.rejects(guard(secret('1234'), edge.login, { directories: [linked], uid: us }), {
        code: 'PIN_GUARD_UNAVAILABLE',
        message: /linked belongs to uid \d+/,
      })
      assert.equal(edge.logins, 0)
    })
    it('remembers what was refused while another folder was the one to use', async () => {
      const edge = createToken('PIN_INCORRECT')
      const directories = [state, join(folder, 'second'), join(folder, 'third')]
      const logIn = (pin = secret('wrong')) => guard(pin, edge.login, { directories })
      await assert.rejects(logIn(), { code: 'PIN_INCORRECT' })
      await chmod(state, 0o777)
      await assert.rejects(logIn(), { code: 'PIN_REFUSED_BEFORE' })
      await assert.rejects(logIn(secret('as wrong')), { code: 'PIN_INCORRECT' })
      await chmod(state, 0o700)
      await assert.rejects(logIn(secret('as wrong')), { code: 'PIN_REFUSED_BEFORE' })
      assert.equal(edge.logins, 2)
      await guard(secret('right'), createToken().login, { directories })
    })
    it('believes no record of another folder that others could have written', async () => {
      const edge = createToken('PIN_INCORRECT')
      const second = join(folder, 'second')
      await assert.rejects(guard(secret('1234'), edge.login), { code: 'PIN_INCORRECT' })
      await chmod(await recordPath(/-[0-9a-f]{3}\.json$/), 0o622)
      await chmod(state, 0o777)
      await assert.rejects(guard(secret('1234'), edge.login, { directories: [second, state] }), {
        code: 'PIN_INCORRECT',
      })
      assert.equal(edge.logins, 2)
    })
    it('goes on to the next folder', async () => {
      await chmod(state, 0o777)
      const second = join(folder, 'second', 'deep')
      await guard(await readPin(), createToken().login, { directories: [state, second] })
      assert.equal((await records(second)).length, 1)
    })
    it('refuses an unproven PIN if there is no folder at all', async () => {
      const edge = createToken()
      for (const directories of [[], [join(pinFile, 'below')], ['/proc/holdfast']]) {
        await assert.rejects(guard(secret('1234'), edge.login, { directories }), {
          code: 'PIN_GUARD_UNAVAILABLE',
          message: /--state-dir.*--pin-guard off/,
        })
      }
      assert.equal(edge.logins, 0)
    })
  })

  it('logs in exactly when a PIN is not known to be wrong, whatever happens in which order', async () => {
    type Event = 'login' | 'killed' | 'gone' | 'tokenTakesThis' | 'rewritten' | 'corrected' | 'retry'
    const events: Event[] = [
      'login',
      'login',
      'login',
      'killed',
      'gone',
      'tokenTakesThis',
      'rewritten',
      'corrected',
      'retry',
    ]
    const step = fc.record({ pin: fc.integer({ min: 0, max: 2 }), event: fc.constantFrom(...events) })

    /** Puts back what was on disk in mid-login, written by a process that is no more. */
    const die = async (directory: string, copy: string) => {
      await rm(directory, { recursive: true })
      await rename(copy, directory)
      for (const name of await readdir(join(directory, 'pin'))) {
        const path = join(directory, 'pin', name)
        const record = JSON.parse(await readFile(path, 'utf8'))
        await writeFile(path, JSON.stringify({ ...record, writer: { ...record.writer, startTime: '1' } }))
      }
    }
    const rewrite = async (path: string, text = '1234') => {
      await writeFile(`${path}.new`, text, { mode: 0o600 })
      await rename(`${path}.new`, path)
    }

    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
        const home = await mkdtemp(join(folder, 'play-'))
        const directory = join(home, 'state')
        const copy = join(home, 'copy')
        const known: ('unknown' | 'good' | 'wrong')[] = ['unknown', 'unknown', 'unknown']
        const versions = [0, 0, 0]
        let right = 0
        for (const pin of known.keys()) await rewrite(join(home, `${pin}`))
        for (const { pin, event } of steps) {
          const path = join(home, `${pin}`)
          if (event === 'tokenTakesThis') right = pin
          else if (event === 'retry') {
            await forgetPinRecords([directory], uid)
            known.fill('unknown')
          } else if (event === 'rewritten') {
            await rewrite(path, `${1234 + versions[pin]!}`)
            if (known[pin] === 'good') known[pin] = 'unknown'
          } else if (event === 'corrected') {
            versions[pin]! += 1
            await rewrite(path, `${1234 + versions[pin]!}`)
            known[pin] = 'unknown'
          } else {
            let logins = 0
            const identity = await readPin(path, `/pin/${pin}`)
            const login = async () => {
              logins += 1
              if (event === 'gone') throw new HoldfastError('TOKEN_REMOVED', '')
              if (event === 'killed') await cp(directory, copy, { recursive: true })
              if (pin !== right) throw new HoldfastError('PIN_INCORRECT', '')
            }
            const code = await guard(identity, login, { directories: [directory] }).then(
              () => 'good',
              (error) => error.code,
            )
            if (known[pin] === 'wrong') {
              assert.deepEqual([code, logins], ['PIN_REFUSED_BEFORE', 0])
            } else {
              assert.equal(logins, 1)
              if (event === 'login') known[pin] = pin === right ? 'good' : 'wrong'
              if (event === 'killed') {
                await die(directory, copy)
                // Nothing is written for a PIN that is known to be good, so a kill leaves it so.
                known[pin] = known[pin] === 'good' ? 'good' : 'wrong'
              }
            }
          }
        }
        await rm(home, { recursive: true })
      }),
      { numRuns: 100 },
    )
  }).timeout(60_000)

  describe('in processes of their own', () => {
    let built: string
    let program: string
    const children: ChildProcess[] = []

    before(async () => {
      built = await mkdtemp(join(tmpdir(), 'holdfast-guard-program-'))
      await chmod(built, 0o755)
      program = join(built, 'program.mjs')
      const entryPoint = join(import.meta.dirname, '../../support/pin-guard-login.ts')
      await build({
        entryPoints: [entryPoint],
        outfile: program,
        bundle: true,
        platform: 'node',
        format: 'esm',
      })
    })
    after(() => rm(built, { recursive: true }))
    beforeEach(() => writePin('1234'))
    afterEach(() => {
      for (const child of children.splice(0)) child.kill('SIGKILL')
    })

    const start = (change: Partial<GuardedLogin>, prefix: string[] = []) => {
      const log = join(folder, 'log')
      const run: GuardedLogin = { directory: state, pinFile, log, outcome: 'good', thinksMs: 0, ...change }
      const [command, ...args] = [...prefix, process.execPath, program, JSON.stringify(run)]
      const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      children.push(child)
      return child
    }
    /** Code and message that a run ends with. */
    const finish = async (child: ChildProcess): Promise<{ code: string; message?: string }> => {
      const output = await text(child.stdout!)
      return JSON.parse(output.trimEnd().split('\n').at(-1)!)
    }
    const countLogins = async () => (await readFile(join(folder, 'log'), 'utf8')).split('login').length - 1
    const untilLogin = async (child: ChildProcess) => {
      const [chunk] = await once(child.stdout!, 'data')
      assert.equal(String(chunk), 'login\n')
    }

    it('counts a login in whose middle the process was killed as a refusal', async () => {
      const child = start({ thinksMs: null })
      await untilLogin(child)
      child.kill('SIGKILL')
      await once(child, 'exit')
      for (let restart = 0; restart < 3; restart++) {
        const { code, message } = await finish(start({}))
        assert.equal(code, 'PIN_REFUSED_BEFORE')
        assert.match(message!, /its end is not known/)
      }
      assert.equal(await countLogins(), 1)
      await forgetPinRecords([state], uid)
      assert.equal((await finish(start({}))).code, 'good')
    })
    it('counts a killed process that nobody has buried as dead', async () => {
      // sh replaces itself by sleep, which never waits for the child it inherits.
      const run = JSON.stringify({
        directory: state,
        pinFile,
        log: join(folder, 'log'),
        outcome: 'good',
        thinksMs: null,
      })
      const parent = spawn('sh', [
        '-c',
        '"$0" "$1" "$2" & echo $!; exec sleep 60',
        process.execPath,
        program,
        run,
      ])
      children.push(parent)
      let output = ''
      for await (const chunk of parent.stdout) {
        output += chunk
        if (output.includes('login')) break
      }
      process.kill(Number.parseInt(output, 10), 'SIGKILL')
      assert.equal((await finish(start({ waitsMs: 5000 }))).code, 'PIN_REFUSED_BEFORE')
    })
    it('lets several that start at once with a wrong PIN try it once', async () => {
      const runs = Array.from({ length: 6 }, () => finish(start({ outcome: 'PIN_INCORRECT', thinksMs: 300 })))
      const codes = (await Promise.all(runs)).map(({ code }) => code).sort()
      assert.deepEqual(codes, ['PIN_INCORRECT', ...Array(5).fill('PIN_REFUSED_BEFORE')])
      assert.equal(await countLogins(), 1)
    })
    it('lets several that start at once with the right PIN all log in', async () => {
      const runs = Array.from({ length: 6 }, () => finish(start({ thinksMs: 300 })))
      assert.deepEqual(new Set((await Promise.all(runs)).map(({ code }) => code)), new Set(['good']))
      assert.equal(await countLogins(), 6)
    })
    it('waits for another login no longer than it may', async () => {
      const other = start({ thinksMs: null })
      await untilLogin(other)
      const { code, message } = await finish(start({ waitsMs: 300 }))
      assert.equal(code, 'TOKEN_TIMEOUT')
      assert.match(message!, /another process is logging in to token "edge"/)
      assert.equal(await countLogins(), 1)
    })
    it('does not try an unproven PIN when the disk is full, and a good one still works', async () => {
      const full = ['sh', '-c', 'ulimit -f 0; exec "$@"', 'sh']
      // The log would be as full, so this login leaves none.
      const quiet = { log: '/dev/null' }
      const { code, message } = await finish(start(quiet, full))
      assert.equal(code, 'PIN_GUARD_UNAVAILABLE')
      assert.match(message!, /EFBIG/)
      assert.deepEqual(await readdir(join(state, 'pin')), [])
      assert.equal((await finish(start({}))).code, 'good')
      assert.equal((await finish(start(quiet, full))).code, 'good')
    })
    it('needs no writable folder for a good PIN, and says so where it would have to remember', async () => {
      // Modes do not bind root, so root becomes somebody else.
      const nobody = uid === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []
      if (uid === 0) for (const path of [folder, pinFile]) await chown(path, 65534, 65534)
      assert.equal((await finish(start({}, nobody))).code, 'good')
      for (const path of [join(state, 'pin'), state]) await chmod(path, 0o500)
      assert.equal((await finish(start({}, nobody))).code, 'good')
      const { code, message } = await finish(start({ outcome: 'PIN_INCORRECT' }, nobody))
      assert.equal(code, 'PIN_INCORRECT')
      assert.match(message!, /could not be remembered \(EACCES\), so each further run costs one more try/)
      await writePin('corrected')
      const unproven = await finish(start({}, nobody))
      assert.equal(unproven.code, 'PIN_GUARD_UNAVAILABLE')
      assert.match(unproven.message!, /EACCES/)
      assert.equal(await countLogins(), 3)
      for (const path of [state, join(state, 'pin')]) await chmod(path, 0o700)
    })
  })
})

describe('forgetPinRecords', () => {
  it('forgets what is meant, or all, damaged records with it', async () => {
    const state = await mkdtemp(join(tmpdir(), 'holdfast-forget-'))
    try {
      const pin = secret('1234')
      const logIn = (serial: string) =>
        withPinGuard(
          {
            token: { ...token, serial },
            pin,
            directories: [state],
            uid,
            now: () => new Date(),
            signal: new AbortController().signal,
          },
          () => {
            throw new HoldfastError('PIN_INCORRECT', '')
          },
        )
      for (const serial of ['1', '2', '3']) await assert.rejects(logIn(serial), { code: 'PIN_INCORRECT' })
      await assert.rejects(logIn('1'), { code: 'PIN_REFUSED_BEFORE' })
      await writeFile(join(state, 'pin', `${'0'.repeat(16)}-${'0'.repeat(16)}-good.json`), '{')
      const { forgotten } = await forgetPinRecords(
        [state, join(state, 'none')],
        uid,
        (record) => record === undefined || record.token.serial === '1',
      )
      assert.deepEqual(forgotten.map(({ record }) => record?.token.serial).sort(), ['1', undefined])
      await assert.rejects(logIn('1'), { code: 'PIN_INCORRECT' })
      await assert.rejects(logIn('2'), { code: 'PIN_REFUSED_BEFORE' })
      assert.equal((await forgetPinRecords([state], uid)).forgotten.length, 3)
      assert.deepEqual(await forgetPinRecords([state], uid), { forgotten: [], leftAlone: [] })
    } finally {
      await rm(state, { recursive: true })
    }
  })

  describe('in a folder that is not as it should be', () => {
    const name = `${'0'.repeat(16)}-${'0'.repeat(16)}-good.json`
    let folder: string
    let victim: string
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'holdfast-forget-'))
      victim = join(folder, 'victim')
      await mkdir(victim, { mode: 0o700 })
      await writeFile(join(victim, name), '{}', { mode: 0o600 })
    })
    afterEach(() => rm(folder, { recursive: true }))
    const leaves = async (directory: string, why: RegExp) => {
      const { forgotten, leftAlone } = await forgetPinRecords([directory], uid)
      assert.deepEqual(forgotten, [])
      assert.equal(leftAlone.length, 1)
      assert.match(leftAlone[0]!, why)
      assert.deepEqual(await readdir(victim), [name])
    }

    it('follows no link to a folder of records', async () => {
      const state = join(folder, 'state')
      await mkdir(state, { mode: 0o700 })
      await symlink(victim, join(state, 'pin'))
      await leaves(state, /pin is not a folder/)
    })
    it('looks into none that others can write, or that is a stranger’s', async () => {
      const state = join(folder, 'state')
      await mkdir(join(state, 'pin'), { recursive: true, mode: 0o700 })
      await writeFile(join(state, 'pin', name), '{}', { mode: 0o600 })
      await chmod(state, 0o777)
      await leaves(state, /chmod go-w/)
      await chmod(state, 0o700)
      if (uid === 0) {
        await chown(state, 12345, 0)
        await leaves(state, /belongs to uid 12345/)
        await chown(state, 0, 0)
      }
      assert.equal((await forgetPinRecords([state], uid)).forgotten.length, 1)
    })
    it('removes only what has the name of a record, and waits for no FIFO', async () => {
      const state = join(folder, 'state')
      const path = join(state, 'pin')
      await mkdir(path, { recursive: true, mode: 0o700 })
      await writeFile(join(path, 'settings.json'), '{}', { mode: 0o600 })
      await promisify(execFile)('mkfifo', [join(path, name), join(path, 'x.json')])
      const { forgotten } = await forgetPinRecords([state], uid)
      assert.deepEqual(forgotten, [{ path: join(path, name), record: undefined }])
      assert.deepEqual((await readdir(path)).sort(), ['settings.json', 'x.json'])
    })
  })
})

describe('inspectPinGuard', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-guard-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  const options = (pin: PinIdentity, state = join(folder, 'state')) => ({
    token,
    pin,
    directories: [state],
    uid,
    now: () => new Date('2026-01-02T03:04:05Z'),
  })
  const logIn = (pin: PinIdentity, login: () => unknown) =>
    withPinGuard({ ...options(pin), signal: AbortSignal.timeout(10_000) }, login)

  it('says that a PIN was not tried, and makes no folder', async () => {
    const view = inspectPinGuard(options(secret('1234')))
    assert.equal(view?.verdict, 'unproven')
    assert.deepEqual(await readdir(folder), [])
  })

  it('says that a PIN was taken, and where that stands', async () => {
    await logIn(secret('1234'), () => undefined)
    const view = inspectPinGuard(options(secret('1234')))
    assert.equal(view?.verdict, 'proven')
    assert.equal(view?.folder.path, join(folder, 'state/pin'))
  })

  it('throws for a PIN that was refused, and writes nothing', async () => {
    const refuse = () => {
      throw new HoldfastError('PIN_INCORRECT', 'wrong')
    }
    await assert.rejects(logIn(secret('wrong'), refuse), { code: 'PIN_INCORRECT' })
    const before = await readdir(join(folder, 'state/pin'))
    assert.throws(() => inspectPinGuard(options(secret('wrong'))), { code: 'PIN_REFUSED_BEFORE' })
    assert.deepEqual(await readdir(join(folder, 'state/pin')), before)
  })

  it('throws where a refusal could not be remembered', async () => {
    await writeFile(join(folder, 'file'), '')
    const view = () => inspectPinGuard(options(secret('1234'), join(folder, 'file/state')))
    assert.throws(view, { code: 'PIN_GUARD_UNAVAILABLE' })
  })

  it('has nothing to say of a PIN that is typed', () => {
    assert.equal(inspectPinGuard(options({ kind: 'typed' })), undefined)
  })
})
