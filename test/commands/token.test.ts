/** `holdfast token` as a user runs it, on a SoftHSM that begins without a token; pkcs11-tool says what came of it. */

import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../support/command.js'
import { createEmptySoftHsm, type EmptySoftHsm } from '../support/empty-softhsm.js'
import { assertFailure } from '../support/outcome.js'
import { type ProgramResult, runHoldfast, runHoldfastOnTerminal } from '../support/program.js'

const SO_PIN = 'so-Zq7-pin'
const PIN = 'user-Zq7-pin'
const NEW_PIN = 'new-Zq7-pin'

describe('holdfast token', function () {
  this.timeout(120_000)
  let at: EmptySoftHsm
  let files: { so: string; user: string; new: string }
  let outputs: string[]
  beforeEach(async () => {
    at = await createEmptySoftHsm()
    outputs = []
    files = {
      so: await at.layPin('so-pin', SO_PIN),
      user: await at.layPin('pin', PIN),
      new: await at.layPin('new-pin', NEW_PIN),
    }
  })
  afterEach(async () => {
    // Whatever a test does: no PIN comes out, nor stays behind in a record.
    const state = join(at.home, '.local/state')
    for (const name of await readdir(state, { recursive: true }).catch(() => [])) {
      outputs.push(await readFile(join(state, name), 'utf8').catch(() => ''))
    }
    for (const pin of [SO_PIN, PIN, NEW_PIN]) assert.ok(!outputs.join('\n').includes(pin), 'a PIN came out')
    await at.dispose()
  })

  const options = () => ({ env: at.env, home: at.home })
  const line = (command: string, ...args: string[]) => ['token', command, '--module', at.modulePath, ...args]
  const keep = <Result extends ProgramResult>(result: Result): Result => {
    outputs.push(result.stdout, result.stderr)
    return result
  }
  const token = async (command: string, ...args: string[]) =>
    keep(await runHoldfast([...line(command, ...args), '--debug'], options()))
  const typing = async (typed: string[], prompt: RegExp, command: string, ...args: string[]) =>
    keep(
      await runHoldfastOnTerminal(line(command, ...args), {
        ...options(),
        prompt,
        typed: typed.map((text) => `${text}\n`),
      }),
    )
  const succeed = (result: ProgramResult): ProgramResult => {
    assert.equal(result.status, 0, result.stderr)
    return result
  }
  const list = async () => JSON.parse(succeed(await token('list', '--json')).stdout)
  const init = (label: string, ...more: string[]) =>
    token('init', '--label', label, '--so-pin-file', files.so, '--new-pin-file', files.user, ...more)
  const login = (pin: string, label = 'edge') =>
    run('pkcs11-tool', ['--module', at.modulePath, '--token-label', label, '-l', '-p', pin, '-O'], at.env)

  describe('list', () => {
    it('shows the empty slot, and then the token with the URI that means it', async () => {
      const empty = succeed(await token('list'))
      assert.match(empty.stdout, /^Implementation of PKCS11, version 2\.\d+: \/.*\/libsofthsm2\.so\n/)
      assert.match(empty.stdout, /^slot \d+: empty, for holdfast token init /m)
      assert.doesNotMatch(empty.stdout, /pkcs11:/)
      const [{ userPin, soPin }] = (await list()).tokens
      assert.deepEqual([userPin, soPin], ['not set', 'not set'])

      succeed(await init('edge'))
      const { stdout } = succeed(await token('list', '--token', 'edge'))
      assert.match(stdout, /^slot \d+: token "edge" \(SoftHSM v2, SoftHSM project, serial [0-9a-f]{16}\)$/m)
      assert.match(stdout, /^ {2}user PIN: set; SO PIN: set$/m)
      assert.match(
        stdout,
        /^ {2}makes keys: p-256, p-384, rsa-2048, rsa-3072, rsa-4096; signs with: rsa, ec$/m,
      )
      assert.doesNotMatch(stdout, /empty/)
      const uri = /^ {2}(pkcs11:.*)$/m.exec(stdout)![1]!
      const { tokens } = JSON.parse(succeed(await token('list', '--json', '--token', uri)).stdout)
      assert.equal(tokens.length, 1)
      assert.deepEqual([tokens[0].label, tokens[0].userPin, tokens[0].pinPad], ['edge', 'set', false])
    })

    it('fails where what was named is not there, and says what is', async () => {
      succeed(await init('edge'))
      for (const flags of [
        ['--token', 'egde'],
        ['--token', 'pkcs11:serial=0'],
        ['--slot', '77'],
      ]) {
        const present = /no token is as it was named .*; present: token "edge" .* the empty slot \d+/
        assertFailure(await token('list', ...flags), 'TOKEN_NOT_FOUND', 3, present)
      }
    })

    it('says that a PIN was wrong', async () => {
      succeed(await init('edge'))
      await assert.rejects(login('wrong'))
      assert.match((await token('list')).stdout, /user PIN: few tries left; SO PIN: set/)
    })

    it('names a module that is not there', async () => {
      assertFailure(
        await runHoldfast(['token', 'list', '--module', '/nonexistent.so']),
        'MODULE_NOT_FOUND',
        3,
      )
    })
  })

  describe('init', () => {
    it('makes a token that others can use', async () => {
      const { stdout } = succeed(await init('edge'))
      assert.match(stdout, /^initialised token "edge" \(serial [0-9a-f]{16}\)\npkcs11:.*;token=edge\n$/)
      await login(PIN)
      await assert.rejects(login(SO_PIN))
      await run(
        'pkcs11-tool',
        [
          '--module',
          at.modulePath,
          '-l',
          '--login-type',
          'so',
          '--so-pin',
          SO_PIN,
          '--init-pin',
          '--new-pin',
          NEW_PIN,
        ],
        at.env,
      )
    })

    it('asks a person for both PINs, each of them twice', async () => {
      const typed = [SO_PIN, SO_PIN, PIN, PIN]
      const { status, screen, stderr } = await typing(typed, /: $/, 'init', '--label', 'edge')
      assert.equal(status, 0, stderr)
      assert.match(
        screen,
        /^New SO PIN for token "edge" .*: \r\nAgain: \r\nNew PIN for token "edge" .*: \r\nAgain: /,
      )
      for (const pin of typed) assert.ok(!screen.includes(pin))
      await login(PIN)
    })

    it('changes nothing if the second one is another', async () => {
      const result = await typing([SO_PIN, 'something else'], /: $/, 'init', '--label', 'edge')
      assertFailure(result, 'PIN_INVALID', 3, /differ; nothing was changed/)
      assert.equal((await list()).tokens.length, 1)
    })

    it('changes nothing if a PIN is too short', async () => {
      const short = await at.layPin('short', '123')
      const result = await token(
        'init',
        '--label',
        'edge',
        '--so-pin-file',
        files.so,
        '--new-pin-file',
        short,
      )
      assertFailure(result, 'PIN_INVALID', 3, /shorter than the 4 bytes that token "edge" wants/)
      assert.equal((await list()).tokens.length, 1)
    })

    it('wants a label, and a slot that is there', async () => {
      assertFailure(await token('init'), 'USAGE', 2, /label/)
      assertFailure(await init('x'.repeat(33)), 'USAGE', 2, /1 to 32 bytes/)
      assertFailure(await init('edge', '--slot', '77'), 'TOKEN_NOT_FOUND', 3, /in slot 77/)
      assertFailure(await init('edge', '--slot', '-1'), 'USAGE', 2)
    })

    it('makes no second token of one label', async () => {
      succeed(await init('edge'))
      assertFailure(await init('edge'), 'TOKEN_INITIALIZED', 3, /there is token "edge" .* already.*--force/)
      succeed(await init('other'))
      const both = await init('edge', '--token', 'other', '--force', '--yes', 'other')
      assertFailure(both, 'TOKEN_INITIALIZED', 3, /there is token "edge"/)
      succeed(await init('edge', '--token', 'edge', '--force', '--yes', 'edge'))
    })

    it('destroys nothing unasked', async () => {
      succeed(await init('edge'))
      const before = (await list()).tokens.find(({ initialized }: { initialized: boolean }) => initialized)
      const slot = String(before.slot)
      assertFailure(await init('new', '--slot', slot), 'TOKEN_INITIALIZED', 3, /token "edge".*--force/)
      assertFailure(await init('new', '--token', 'edge'), 'USAGE', 2, /--force/)
      const force = ['--token', 'edge', '--force']
      assertFailure(await init('new', ...force), 'USAGE', 2, /name has to be typed.*--yes NAME/)
      assertFailure(await init('new', ...force, '--yes', 'new'), 'USAGE', 2, /"new" is not it/)
      const files_ = ['--so-pin-file', files.so, '--new-pin-file', files.user]
      const mistyped = await typing(['egde'], /to go on: $/, 'init', '--label', 'new', ...force, ...files_)
      assertFailure(mistyped, 'USAGE', 2, /"egde" is not it; nothing was changed/)
      const wrong = ['--label', 'new', ...force, '--yes', 'edge', '--so-pin-file', files.new]
      assertFailure(await token('init', ...wrong, '--new-pin-file', files.user), 'PIN_INCORRECT', 3)
      const after = (await list()).tokens.find(({ label }: { label: string }) => label === 'edge')
      assert.equal(after.serial, before.serial)
    })

    it('starts anew where the label was typed, or given', async () => {
      succeed(await init('edge'))
      const args = ['--label', 'new', '--token', 'edge', '--force', '--so-pin-file', files.so]
      const { status, screen, stderr } = await typing(
        ['edge'],
        /to go on: $/,
        ...(['init', ...args, '--new-pin-file', files.user] as [string, ...string[]]),
      )
      assert.equal(status, 0, stderr)
      assert.match(
        screen,
        /^This will destroy all keys and certificates in token "edge" .*to go on: edge\r\n$/,
      )
      succeed(await init('newer', '--token', 'new', '--force', '--yes', 'new'))
      await login(PIN, 'newer')
      const labels = (await list()).tokens.map(({ label }: { label: string }) => label)
      assert.deepEqual(labels.sort(), ['', 'newer'])
    })
  })

  describe('set-pin', () => {
    beforeEach(async () => void succeed(await init('edge')))

    it('changes the PIN', async () => {
      const { stdout } = succeed(
        await token('set-pin', '--pin-file', files.user, '--new-pin-file', files.new),
      )
      assert.match(stdout, /^the user PIN of token "edge" .* is changed\n$/)
      await login(NEW_PIN)
      await assert.rejects(login(PIN))
      // The old one is known to be good no more.
      assert.deepEqual(await readdir(join(at.home, '.local/state/holdfast/pin')), [])
    })

    it('asks a person for the old one once, and for the new one twice', async () => {
      const { status, screen, stderr } = await typing([PIN, NEW_PIN, NEW_PIN], /: $/, 'set-pin')
      assert.equal(status, 0, stderr)
      assert.match(screen, /^PIN of token "edge" .*: \r\nNew PIN for token "edge" .*: \r\nAgain: /)
      await login(NEW_PIN)
    })

    it('tries a wrong one once', async () => {
      const change = () => token('set-pin', '--pin-file', files.so, '--new-pin-file', files.new)
      assertFailure(await change(), 'PIN_INCORRECT', 3)
      assertFailure(await change(), 'PIN_REFUSED_BEFORE', 3)
      await login(PIN)
    })

    it('does not hold a bad new PIN against the old one', async () => {
      const short = await at.layPin('short', '123')
      const change = (file: string) => token('set-pin', '--pin-file', files.user, '--new-pin-file', file)
      assertFailure(await change(short), 'PIN_INVALID', 3, /the new PIN came from file .*short: correct it/)
      succeed(await change(files.new))
      await login(NEW_PIN)
    })
  })

  describe('unblock', () => {
    beforeEach(async () => void succeed(await init('edge')))
    const unblock = (so: string) => token('unblock', '--so-pin-file', so, '--new-pin-file', files.new)

    it('sets the PIN without the old one', async () => {
      succeed(await unblock(files.so))
      await login(NEW_PIN)
    })

    it('lets a PIN be tried again that was refused while there was another one', async () => {
      const change = (file: string) => token('set-pin', '--pin-file', files.new, '--new-pin-file', file)
      assertFailure(await change(files.user), 'PIN_INCORRECT', 3)
      assertFailure(await change(files.user), 'PIN_REFUSED_BEFORE', 3)
      succeed(await unblock(files.so))
      succeed(await change(files.user))
    })

    it('tries a wrong SO PIN once, and says what a person is to do', async () => {
      assertFailure(
        await unblock(files.user),
        'PIN_INCORRECT',
        3,
        /login as security officer to token "edge".*the SO PIN came from file/,
      )
      assertFailure(
        await unblock(files.user),
        'PIN_REFUSED_BEFORE',
        3,
        /refused the SO PIN from .*holdfast token retry-pin/,
      )
      // The same file has the user's PIN, of which nothing is known.
      succeed(await token('set-pin', '--pin-file', files.user, '--new-pin-file', files.new))
      const retried = succeed(keep(await runHoldfast(['token', 'retry-pin', '--json'], options())))
      const { forgotten } = JSON.parse(retried.stdout)
      assert.ok(
        forgotten.some(
          ({ state, token: label }: { state: string; token: string }) =>
            state === 'refused' && label === 'edge',
        ),
      )
      assertFailure(await unblock(files.user), 'PIN_INCORRECT', 3)
    })

    it('asks nobody where nobody is', async () => {
      assertFailure(
        await token('unblock', '--new-pin-file', files.new),
        'PIN_NEEDED',
        3,
        /--so-pin-file FILE/,
      )
    })
  })
})
