/**
 * What a PIN costs in the long run: a hundred restarts, a TPM that locks, thirty programs at once, a read-only disk, another user.
 */

import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { run } from '../support/command.js'
import { assertCredentials, assertFailure, ended } from '../support/outcome.js'
import {
  IN_TURN,
  layAskpass,
  PIN_PLACES,
  type PinEdge,
  runThrough,
  withPinEdge,
} from '../support/pin-edge.js'
import { createTpmToken } from '../support/swtpm.js'

const ROOT = resolve(import.meta.dirname, '../..')
const WRONG = '00000000'
const NOBODY = 65534

const layWrong = (edge: PinEdge) => writeFile(edge.token.pinFile, WRONG)
const layRight = (edge: PinEdge) => writeFile(edge.token.pinFile, edge.token.pin)

describe('a PIN', () => {
  let asking: Promise<void>
  // Takes as long as the tests that follow.
  before(() => {
    asking = askInVain()
    asking.catch(() => undefined)
  })

  describe('that is stored', () => {
    for (const { place, source, lay } of PIN_PLACES) {
      it(`in ${place} costs one login in a hundred restarts, and works once corrected`, () =>
        withPinEdge({}, async (edge) => {
          const wrong = await lay(edge, WRONG)
          assertFailure(await edge.run(wrong), 'PIN_INCORRECT', 3, source)
          for (let restart = 1; restart < 100; restart++) {
            assertFailure(await edge.run(wrong), 'PIN_REFUSED_BEFORE', 3, source)
          }
          assert.equal(await edge.logins(), 1)
          assert.equal((await edge.run(await lay(edge, edge.token.pin))).status, 0)
          assert.equal(await edge.logins(), 2)
        })).timeout(600_000)
    }

    it('leaves a TPM unlocked through twenty restarts', async () =>
      withPinEdge({ token: await createTpmToken() }, async (edge) => {
        await layWrong(edge)
        assertFailure(await edge.run(), 'PIN_INCORRECT', 3)
        for (let restart = 1; restart < 20; restart++)
          assertFailure(await edge.run(), 'PIN_REFUSED_BEFORE', 3)
        assert.equal(await edge.logins(), 1)
        await layRight(edge)
        assertCredentials(await edge.run())
      })).timeout(300_000)

    it('locks a TPM in three runs without the guard, and no right PIN opens it then', async () =>
      withPinEdge({ token: await createTpmToken() }, async (edge) => {
        const off = { flags: { '--pin-guard': 'off' } }
        await layWrong(edge)
        for (let restart = 0; restart < 3; restart++) assertFailure(await edge.run(off), 'PIN_INCORRECT', 3)
        assertFailure(await edge.run(off), 'PIN_LOCKED', 3)
        await layRight(edge)
        assertFailure(await edge.run(off), 'PIN_LOCKED', 3, /tpm2_dictionarylockout --clear-lockout/)
      }))

    for (const [which, pin, codes] of [
      ['wrong', WRONG, { PIN_INCORRECT: 1, PIN_REFUSED_BEFORE: 29 }],
      ['right', undefined, { none: 30 }],
    ] as const) {
      for (const place of PIN_PLACES.slice(0, 2)) {
        it(`that is ${which}, in ${place.place}, costs ${pin ? 'one login' : 'one login each'} when thirty programs start for the first time at once`, () =>
          withPinEdge({}, async (edge) => {
            const { flags, env = {} } = await place.lay(edge, pin ?? edge.token.pin)
            const patient = {
              flags: { ...flags, '--token-timeout': '300', '--timeout': '300' },
              env,
              faults: IN_TURN,
            }
            const results = await Promise.all(Array.from({ length: 30 }, () => edge.run(patient)))
            const counts: Record<string, number> = {}
            for (const { stderr } of results) {
              const code = /\((\w+)\)\n$/.exec(stderr)?.[1] ?? 'none'
              counts[code] = (counts[code] ?? 0) + 1
            }
            assert.deepEqual(counts, codes)
            assert.equal(await edge.logins(), pin ? 1 : 30)
          })).timeout(300_000)
      }
    }
  })

  describe('that is stored, where nothing can be written,', () => {
    let installed: string
    before(async () => {
      installed = await mkdtemp(join(tmpdir(), 'holdfast-installed-'))
      for (const part of ['package.json', 'dist']) {
        await cp(join(ROOT, part), join(installed, part), { recursive: true })
      }
      await run('chmod', ['-R', 'go+rX', installed])
    })
    after(() => rm(installed, { recursive: true }))

    const program = () => join(installed, 'dist/bin.cjs')
    const stateOf = (edge: PinEdge) => join(edge.token.directory, 'state')
    const given = (edge: PinEdge) => ({ flags: { '--state-dir': stateOf(edge) } })
    const asUser = (uid: number) =>
      ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'] as [string, ...string[]]
    /** All that is in the token's folder, also what was made since, becomes the user's. */
    const handOver = ({ token }: PinEdge, uid: number) =>
      run('chown', ['-R', `${uid}:${uid}`, token.directory])

    /** Who runs the program, and what keeps it from writing to its state folder. */
    const obstacles: [
      title: string,
      code: string,
      uid: number,
      meet: (edge: PinEdge) => Promise<[string, ...string[]]>,
    ][] = [
      [
        'on a disk that is read-only',
        'EROFS',
        0,
        async (edge) => {
          const mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
          return ['unshare', '--mount', 'sh', '-c', mount, stateOf(edge)]
        },
      ],
      [
        'in a folder that the user may only read',
        'EACCES',
        NOBODY,
        async (edge) => {
          await run('chmod', ['-R', 'u-w', stateOf(edge)])
          return asUser(NOBODY)
        },
      ],
    ]

    for (const [title, code, uid, meet] of obstacles) {
      describe(`${title},`, () => {
        it('is not tried if it is not known to be good', () =>
          withPinEdge({}, async (edge) => {
            await mkdir(join(stateOf(edge), 'pin'), { recursive: true, mode: 0o700 })
            await handOver(edge, uid)
            const result = await runThrough(edge, await meet(edge), given(edge), program())
            assertFailure(result, 'PIN_GUARD_UNAVAILABLE', 3, new RegExp(`state: ${code}\\b`))
            assert.equal(await edge.logins(), 0)
          }))

        it('works if it is known to be good, and says what it means when it no longer is', () =>
          withPinEdge({}, async (edge) => {
            await handOver(edge, uid)
            assertCredentials(await runThrough(edge, asUser(uid), given(edge), program()))
            const through = await meet(edge)
            assertCredentials(await runThrough(edge, through, given(edge), program()))
            await edge.token.pkcs11Tool('--change-pin', '--new-pin', '99999999')
            const says = `could not be remembered \\(${code}\\), so each further run costs one more try`
            for (const logins of [3, 4]) {
              const result = await runThrough(edge, through, given(edge), program())
              assertFailure(result, 'PIN_INCORRECT', 3, new RegExp(says))
              assert.equal(await edge.logins(), logins)
            }
          }))
      })
    }

    it('is guarded for a user other than root as well', () =>
      withPinEdge({}, async (edge) => {
        await layWrong(edge)
        await handOver(edge, NOBODY)
        const start = () => runThrough(edge, asUser(NOBODY), {}, program())
        assertFailure(await start(), 'PIN_INCORRECT', 3)
        assertFailure(await start(), 'PIN_REFUSED_BEFORE', 3)
        assert.equal((await stat(join(edge.home, '.local/state/holdfast'))).uid, NOBODY)
        await layRight(edge)
        assertCredentials(await start())
        assert.equal(await edge.logins(), 2)
      }))
  })

  describe('that a person shall give', () => {
    it('is waited for two minutes, and then the askpass program is ended', () => asking).timeout(180_000)
  })
})

/** An askpass program that nobody answers; what comes of it takes two minutes. */
function askInVain(): Promise<void> {
  return withPinEdge({}, async (edge) => {
    const pidFile = join(edge.token.directory, 'pid')
    const askpass = await layAskpass(edge, `echo $$ > '${pidFile}'; exec sleep 600`)
    const result = await edge.run({ flags: { '--pkcs11-uri': edge.bareUri, '--askpass': askpass } })
    assertFailure(result, 'PIN_NEEDED', 3, /gave none within 120 s/)
    assert.ok(result.milliseconds > 120_000, `${result.milliseconds} ms`)
    await ended(Number(await readFile(pidFile, 'utf8')))
    assert.equal(await edge.logins(), 0)
  })
}
