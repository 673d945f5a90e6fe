/** `holdfast update` as a user runs it, on files that others have written; judged by botocore through the AWS CLI. */

import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../support/command.js'
import { createEdge, type Edge } from '../support/edge.js'
import { assertFailure, until } from '../support/outcome.js'
import { runHoldfast, startHoldfast } from '../support/program.js'

const OTHERS = '# mine\r\n[default]\r\naws_access_key_id = AKIAEXAMPLE\r\naws_secret_access_key=kept\r\n'

describe('holdfast update', function () {
  this.timeout(120_000)
  let edge: Edge
  let home: string
  let file: string
  before(async () => {
    edge = await createEdge()
  })
  after(() => edge.dispose())
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'holdfast-update-'))
    file = join(home, '.aws/credentials')
    edge.emulator.faults.clear()
  })
  afterEach(() => rm(home, { recursive: true }))

  const args = (...more: string[]) => ['update', ...edge.args, ...more]
  const options = () => ({ home, env: edge.env })
  const update = (...more: string[]) => runHoldfast(args(...more), options())
  const start = (...more: string[]) =>
    startHoldfast(args(...more), { ...options(), ready: /wrote credentials/ })
  const read = () => readFile(file, 'utf8')
  const write = async (text: string) => {
    await mkdir(join(home, '.aws'), { mode: 0o700 })
    await writeFile(file, text, { mode: 0o600 })
  }

  it('writes one set to the profile default, in a file for this user only, with --once', async () => {
    const { stdout, stderr, status } = await update('--once')
    assert.equal(stderr, '')
    assert.equal(status, 0)
    const [, expiration] = /^profile default: wrote credentials that expire at (\S+Z)\n$/.exec(stdout)!
    assert.match(
      await read(),
      new RegExp(
        `^\\[default\\]\n# holdfast update: (ASIA\\w+) expires at ${expiration}\naws_access_key_id = \\1\naws_secret_access_key = \\S+\naws_session_token = \\S+\n$`,
      ),
    )
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    assert.equal((await stat(join(home, '.aws'))).mode & 0o777, 0o700)
    assert.deepEqual(await readdir(join(home, '.aws')), ['credentials'])
  })

  it('leaves every other byte, and is read by the AWS CLI', async () => {
    await write(`${OTHERS}[edge]\r\nregion = eu-central-1`)
    assert.equal((await update('--once', '--profile', 'edge')).status, 0)
    const text = await read()
    assert.ok(text.startsWith(`${OTHERS}[edge]\r\n# holdfast update: `))
    assert.ok(text.endsWith('\r\nregion = eu-central-1'))
    const env = { HOME: home, AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: file }
    const get = async (key: string) =>
      (await run('aws', ['configure', 'get', key, '--profile', 'edge'], env)).trim()
    assert.equal(await get('aws_access_key_id'), /^aws_access_key_id = (ASIA\w+)\r$/m.exec(text)![1])
    assert.equal(await get('aws_session_token'), /^aws_session_token = (\S+)\r$/m.exec(text)![1])
    assert.equal(await get('region'), 'eu-central-1')
  })

  it('replaces what it has written, and what AWS’s own helper has', async () => {
    await write('[edge]\naws_access_key_id = ASIAOLD\naws_secret_access_key = x\naws_session_token = y\n')
    for (let turn = 0; turn < 2; turn++) {
      assert.equal((await update('--once', '--profile', 'edge')).status, 0)
      assert.equal((await read()).match(/^aws_/gm)!.length, 3)
    }
    assert.doesNotMatch(await read(), /ASIAOLD/)
  })

  it('does not replace a long-lived key, and asks for no session, unless it is forced', async () => {
    await write(OTHERS)
    const sessions = edge.emulator.journal.length
    assertFailure(
      await update('--once'),
      'CONFIG_INVALID',
      2,
      /profile default in .*\/\.aws\/credentials has/,
    )
    assertFailure(await update(), 'CONFIG_INVALID', 2)
    assert.equal(await read(), OTHERS)
    assert.equal(edge.emulator.journal.length, sessions)
    assert.equal((await update('--once', '--force')).status, 0)
    assert.doesNotMatch(await read(), /AKIA/)
  })

  it('refuses a profile that not every SDK could look up', async () => {
    assertFailure(await update('--once', '--profile', 'a b'), 'USAGE', 2)
    assert.deepEqual(await readdir(home), [])
  })

  it('warns where other users can read the file', async () => {
    await write('')
    await chmod(file, 0o644)
    const { stderr, status } = await update('--once')
    assert.match(stderr, /^holdfast: warning: every user can read the credentials in .*: chmod 600 .*\n$/)
    assert.equal(status, 0)
    assert.equal((await stat(file)).mode & 0o777, 0o644)
  })

  it('ends with the failure where there is no first set', async () => {
    const bad = args('--once').map((arg) => (arg === 'arn:aws:iam::111122223333:role/edge' ? `${arg}s` : arg))
    const { status, stderr } = await runHoldfast(bad, options())
    assert.match(stderr, /\(REFUSED_\w+\)\n$/)
    assert.equal(status, 5)
    const daemon = await runHoldfast(
      bad.filter((arg) => arg !== '--once'),
      options(),
    )
    assert.equal(daemon.status, 5)
    assert.deepEqual(await readdir(join(home, '.aws')), [])
  })

  it('takes away an expired set that an earlier run has left', async () => {
    const keys = 'aws_access_key_id = ASIAOLD\naws_secret_access_key = x\naws_session_token = y\n'
    await write(`[edge]\n# holdfast update: ASIAOLD expires at 2026-01-02T03:04:05Z\n${keys}`)
    edge.emulator.faults.failNext('error', 10)
    assertFailure(await update('--once', '--profile', 'edge'), 'SERVICE_UNAVAILABLE', 6)
    assert.equal(
      await read(),
      '[edge]\n# holdfast update: ASIAOLD expired at 2026-01-02T03:04:05Z and was removed\n',
    )
  })

  it('goes on until it is told to end, and leaves the set', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const daemon = await start('--profile', 'edge')
      const text = await read()
      const { status, stderr } = await daemon.stop(signal)
      assert.equal(stderr, '')
      assert.equal(status, 0)
      assert.equal(await read(), text)
      assert.match(text, /# holdfast update: ASIA\w+ expires at /)
    }
  })

  it('gets a new set with SIGHUP', async () => {
    const daemon = await start('--profile', 'edge')
    const text = await read()
    daemon.child.kill('SIGHUP')
    await until(async () => daemon.output().match(/wrote credentials/g)!.length === 2)
    assert.notEqual(await read(), text)
    assert.equal((await daemon.stop()).status, 0)
  })

  it('waits for a service that is not there yet', async () => {
    edge.emulator.faults.failNext('unavailable', 4)
    const daemon = await startHoldfast(args(), {
      ...options(),
      ready: /wrote credentials/,
      timeoutMs: 60_000,
    })
    assert.match(
      daemon.output(),
      /^holdfast: warning: profile default: .*SERVICE_UNAVAILABLE\); the next try is in/,
    )
    await daemon.stop()
  })

  it('goes by what the configuration says when a set is made', async () => {
    const config = join(home, 'config.toml')
    const settings = edge.args.flatMap((arg, index) =>
      index % 2 === 0 ? [`${arg.slice(2)} = ${JSON.stringify(edge.args[index + 1])}`] : [],
    )
    const text = ['[identity.edge]', ...settings, ''].join('\n')
    const nobodyThere = text.replace(/^endpoint = .*$/m, 'endpoint = "https://127.0.0.1:9"')
    await writeFile(config, nobodyThere, { mode: 0o600 })
    const daemon = await startHoldfast(['update', 'edge', '--config', config], {
      ...options(),
      ready: /the next try is in/,
    })
    await writeFile(config, text)
    await until(async () => /wrote credentials/.test(daemon.output()))
    await daemon.stop()
  })

  it('loses nothing where several write one file at the same time, and one of them is killed', async () => {
    await write(OTHERS)
    const killed = await start('--profile', 'killed')
    const profiles = ['a', 'b', 'c', 'd', 'e']
    const updates = profiles.map((profile) => update('--once', '--profile', profile))
    await killed.stop('SIGKILL')
    for (const { status, stderr } of await Promise.all(updates)) {
      assert.equal(stderr, '')
      assert.equal(status, 0)
    }
    const text = await read()
    assert.ok(text.startsWith(OTHERS))
    for (const profile of [...profiles, 'killed']) {
      assert.match(
        text,
        new RegExp(`\\[${profile}\\]\r\n#.*\r\naws_access_key_id.*\r\naws_sec.*\r\naws_ses.*\r\n`),
      )
    }
    await until(async () => (await readdir(join(home, '.aws'))).length === 1)
  })
})
