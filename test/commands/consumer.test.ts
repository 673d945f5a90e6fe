/** The commands about consumers, as their user sees them. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../support/command.js'
import { assertFailure } from '../support/outcome.js'
import { runHoldfast } from '../support/program.js'

describe('holdfast consumer', () => {
  let home: string
  let config: string
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'holdfast-consumer-'))
    config = join(home, 'config.toml')
    await writeFile(config, '[identity.edge]\n[identity.line-4]\n', { mode: 0o600 })
  })
  afterEach(() => rm(home, { recursive: true }))

  const consumer = (...args: string[]) => runHoldfast(['consumer', ...args, '--config', config])
  const folder = () => join(home, 'consumers/edge')

  describe('add', () => {
    it('lays a token that nobody else can read, and prints what the program needs', async () => {
      const { stdout, stderr, status } = await consumer('add', 'edge', 'app')
      assert.deepEqual([status, stderr], [0, ''])
      const file = join(folder(), 'app.token')
      assert.equal(
        stdout,
        `AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:9912/credentials/edge\nAWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=${file}\n`,
      )
      assert.match(await readFile(file, 'utf8'), /^[\w-]{43}$/)
      assert.equal((await stat(file)).mode & 0o777, 0o600)
      await run('sh', ['-c', 'cd "$0" && sha256sum --check app.sha256', folder()])
    })

    it('prints JSON for scripts, with the port that was named', async () => {
      const { stdout } = await consumer('add', 'edge', 'app', '--json', '--container-port', '8080')
      assert.equal(
        JSON.parse(stdout).AWS_CONTAINER_CREDENTIALS_FULL_URI,
        'http://127.0.0.1:8080/credentials/edge',
      )
    })

    it('warns of an identity that is not configured yet', async () => {
      const { stderr, status } = await consumer('add', 'later', 'app')
      assert.equal(status, 0)
      assert.match(stderr, /^holdfast: warning: the token is of no use yet: no identity "later"/)
    })

    it('gives each consumer another token, and refuses to replace one', async () => {
      await consumer('add', 'edge', 'app')
      const token = await readFile(join(folder(), 'app.token'))
      assertFailure(await consumer('add', 'edge', 'app'), 'USAGE', 2, /app already/)
      assert.deepEqual(await readFile(join(folder(), 'app.token')), token)
      await consumer('add', 'edge', 'web')
      assert.notDeepEqual(await readFile(join(folder(), 'web.token')), token)
    })

    it('lays nothing where everybody could', async () => {
      await mkdir(folder(), { recursive: true })
      await chmod(folder(), 0o777)
      assertFailure(await consumer('add', 'edge', 'app'), 'CONFIG_UNSAFE', 2, /everyone can replace/)
      assert.ok(!existsSync(join(folder(), 'app.token')))
    })

    for (const [title, args, says] of [
      ['no consumer', ['edge'], /<consumer> is missing/],
      ['a consumer that is a path', ['edge', '../app'], /"..\/app" cannot be the name of a consumer/],
      ['an identity that is a path', ['..', 'app'], /".." cannot be the name of an identity/],
      ['a user that is not there', ['edge', 'app', '--user', 'no-such-user'], /no user "no-such-user"/],
      ['port 0', ['edge', 'app', '--container-port', '0'], /--container-port/],
      ['a port that is no number', ['edge', 'app', '--container-port', 'x'], /--container-port/],
    ] as const) {
      it(`refuses ${title}`, async () => {
        assertFailure(await consumer('add', ...args), 'USAGE', 2, says)
        assert.ok(!existsSync(join(home, 'consumers')))
      })
    }
  })

  describe('list', () => {
    it('lists consumers, of all identities or of one, and never a token', async () => {
      await consumer('add', 'edge', 'app')
      await consumer('add', 'line-4', 'web')
      const file = join(folder(), 'app.token')
      const { stdout } = await consumer('list')
      assert.equal(stdout, `edge app ${file}\nline-4 web ${join(home, 'consumers/line-4/web.token')}\n`)
      assert.deepEqual(JSON.parse((await consumer('list', 'edge', '--json')).stdout), [
        { identity: 'edge', consumer: 'app', tokenFile: file },
      ])
    })

    it('says that there is none', async () => {
      assert.match((await consumer('list')).stdout, /^there is no consumer in /)
      assert.equal((await consumer('list', '--json')).stdout, '[]\n')
    })
  })

  describe('remove', () => {
    it('takes away both files, and refuses what is not there', async () => {
      await consumer('add', 'edge', 'app')
      assert.equal((await consumer('remove', 'edge', 'app')).stdout, 'removed app of edge\n')
      assert.equal((await consumer('list', '--json')).stdout, '[]\n')
      assert.ok(!existsSync(join(folder(), 'app.token')))
      await consumer('add', 'edge', 'web')
      const again = await consumer('remove', 'edge', 'app')
      assertFailure(again, 'CONFIG_NOT_FOUND', 2, /there is web of edge/)
    })

    it('follows no path out of the folder', async () => {
      await mkdir(folder(), { recursive: true })
      await writeFile(join(home, 'precious.token'), '')
      assertFailure(await consumer('remove', '..', 'precious'), 'CONFIG_NOT_FOUND', 2)
      assertFailure(await consumer('remove', 'edge', '../../precious'), 'CONFIG_NOT_FOUND', 2)
      assert.ok(existsSync(join(home, 'precious.token')))
    })
  })
})
