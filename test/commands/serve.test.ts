/** The agent as a whole program: what it hands out, to whom, and what it makes of changes, outages and sudden ends. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { link, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Context } from '../../src/commands/context.js'
import { run as takeCredentials } from '../../src/commands/credential-process.js'
import { HoldfastError } from '../../src/core/errors.js'
import { type AgentEdge, askSocket, createAgentEdge } from '../support/agent-edge.js'
import { createEdge, type Edge } from '../support/edge.js'
import { assertCredentials, assertFailure, until } from '../support/outcome.js'
import type { RunningProgram } from '../support/program.js'

describe('holdfast serve', function () {
  this.timeout(300_000)
  let edge: Edge
  let machine: AgentEdge
  let agent: RunningProgram | undefined
  before(async () => {
    edge = await createEdge()
  })
  after(() => edge.dispose())
  beforeEach(async () => {
    machine = await createAgentEdge(edge)
  })
  afterEach(async () => {
    edge.emulator.faults.clear()
    await agent?.stop()
    agent = undefined
    await machine.dispose()
  })

  const keyOf = (stdout: string): string => JSON.parse(stdout).AccessKeyId
  const refreshed = (count = 1) => until(() => agent!.output().split(' refreshed ').length > count)

  it('makes one session, with one signature, for all who ask at once', async () => {
    edge.emulator.faults.latencyMs = 3000
    const [before, signatures] = [machine.sessions(), await machine.calls('C_Sign')]
    agent = await machine.serve()
    const results = await Promise.all(Array.from({ length: 12 }, () => machine.take()))
    for (const result of results) assertCredentials(result)
    assert.equal(new Set(results.map(({ stdout }) => keyOf(stdout))).size, 1)
    assert.equal(machine.sessions() - before, 1)
    assert.equal((await machine.calls('C_Sign')) - signatures, 1)
    assert.equal(await machine.calls('C_Initialize'), 1)
  })

  it('has a socket that only its user can reach, and leaves nothing behind', async () => {
    agent = await machine.serve()
    assert.equal(statSync(machine.socket).mode & 0o777, 0o600)
    assert.equal(statSync(join(machine.runtimeFolder, 'holdfast')).mode & 0o777, 0o700)
    const { status, signal } = await agent.stop('SIGTERM')
    assert.deepEqual([status, signal], [0, null])
    assert.equal(existsSync(machine.socket), false)
    assertCredentials(await machine.take())
  })

  it('takes the place of one that was killed, and not of one that runs', async () => {
    agent = await machine.serve()
    await refreshed()
    const sessions = machine.sessions()
    const second = await machine.run(['serve', '--no-system', '--config', machine.config])
    assertFailure({ ...second, stderr: second.stderr.replace(/^\d.*\n/gm, '') }, 'AGENT_RUNNING', 2)
    assert.equal(machine.sessions(), sessions)
    await agent.stop('SIGKILL')
    assert.ok(existsSync(machine.socket))
    assertCredentials(await machine.take())
    agent = await machine.serve()
    assertCredentials(await machine.take())
    assert.match(agent.output(), / handed-out identity=edge /)
  })

  it('ends when another one has taken its place', async () => {
    agent = await machine.serve()
    await rm(machine.socket)
    const other = await machine.serve()
    const former = agent
    agent = other
    const [status] = await once(former.child, 'exit')
    assert.equal(status, new HoldfastError('AGENT_RUNNING', '').exitStatus)
    assertCredentials(await machine.take())
    assert.match(other.output(), /handed-out/)
  })

  it('opens no debugger', async () => {
    agent = await machine.serve()
    agent.child.kill('SIGUSR1')
    assertCredentials(await machine.take())
    assert.doesNotMatch(agent.output(), /Debugger/)
  })

  it('writes who was given what, and never a secret', async () => {
    agent = await machine.serve('--log-format', 'json', '--debug')
    const { stdout } = await machine.take()
    await until(() => agent!.output().includes('handed-out'))
    const lines = agent.output().trim().split('\n')
    const events = lines.map((line) => JSON.parse(line))
    const line = events.find(({ event }) => event === 'handed-out')
    const { SecretAccessKey, SessionToken, Expiration } = JSON.parse(stdout)
    assert.equal(line.identity, 'edge')
    assert.equal(line.door, 'socket')
    assert.equal(line.place, machine.socket)
    assert.equal(line.expires, Expiration)
    assert.match(line.serial, /^[\da-f]+$/)
    assert.ok(line['claimed-pid'] > 0)
    for (const secret of [SecretAccessKey, SessionToken, edge.token.pin]) {
      assert.ok(!agent.output().includes(secret))
    }
  })

  describe('asked for an identity by flags', () => {
    const flags = (changes: readonly string[] = []) => ['credential-process', ...edge.args, ...changes]

    it('gives that which means the same session', async () => {
      agent = await machine.serve()
      await refreshed()
      const sessions = machine.sessions()
      assertCredentials(await machine.run(flags(['--timeout', '20'])))
      assert.equal(machine.sessions(), sessions)
    })

    for (const change of [
      ['--session-duration', '1800'],
      ['--certificate', 'pkcs11:object=edge;type=cert'],
    ]) {
      it(`leaves one with another ${change[0]} to whoever asks`, async () => {
        agent = await machine.serve()
        await refreshed()
        const sessions = machine.sessions()
        assertCredentials(await machine.run(flags(change)))
        assert.equal(machine.sessions(), sessions + 1)
        assert.match(agent.output(), /result=unknown/)
      })
    }

    it('is not asked with --no-agent', async () => {
      agent = await machine.serve()
      await refreshed()
      const sessions = machine.sessions()
      assertCredentials(await machine.take('--no-agent'))
      assert.equal(machine.sessions(), sessions + 1)
    })
  })

  it('gives its own failure as the answer, and nobody tries again', async () => {
    edge.emulator.faults.failNext('throttle', 1000)
    agent = await machine.serve()
    await until(() => agent!.output().includes('refresh-failed'))
    const signatures = await machine.calls('C_Sign')
    const results = await Promise.all([machine.take(), machine.take()])
    for (const result of results) assertFailure(result, 'THROTTLED', 6)
    assert.ok((await machine.calls('C_Sign')) <= signatures + 1)
    edge.emulator.faults.clear()
    await refreshed()
    assertCredentials(await machine.take())
  })

  it('does not hammer a token that refuses its PIN, and takes up the right one by itself', async () => {
    const pinFile = join(machine.runtimeFolder, 'pin')
    await writeFile(pinFile, '00000000\n', { mode: 0o600 })
    await machine.configure({ edge: { 'pkcs11-uri': edge.uri.split('?')[0], 'pin-file': pinFile } })
    agent = await machine.serve()
    await until(() => agent!.output().includes('code=PIN_INCORRECT'))
    for (let asked = 0; asked < 3; asked++) assertFailure(await machine.take(), 'PIN_INCORRECT', 3)
    // The next try, whatever it comes from, ends before the login.
    agent.child.kill('SIGHUP')
    await until(() => agent!.output().includes('code=PIN_REFUSED_BEFORE'))
    assert.equal(await machine.calls('C_Login'), 1)
    await writeFile(pinFile, `${edge.token.pin}\n`)
    await refreshed()
    assertCredentials(await machine.take())
    assert.equal(await machine.calls('C_Login'), 2)
  })

  it('takes up another configuration by itself, and keeps the old one where the new one is wrong', async () => {
    agent = await machine.serve()
    await refreshed()
    const former = keyOf((await machine.take()).stdout)
    await machine.configure({ edge: { 'session-duration': 1800 }, other: {} })
    await refreshed(3)
    const { stdout } = await machine.take()
    assert.notEqual(keyOf(stdout), former)
    assert.ok(Date.parse(JSON.parse(stdout).Expiration) < Date.now() + 1_900_000)
    assertCredentials(await machine.run(['credential-process', 'other', '--config', machine.config]))

    await writeFile(machine.config, '[identity.edge\n')
    await until(() => agent!.output().includes('code=CONFIG_INVALID'))
    const { status, body } = await askSocket(machine.socket, '/status')
    assert.equal(status, 200)
    const report = JSON.parse(body)
    assert.equal(report.configFailure.code, 'CONFIG_INVALID')
    assert.deepEqual(
      report.identities.map(({ name }: { name: string }) => name),
      ['edge', 'other'],
    )
  })

  it('is asked by name where the configuration cannot be understood any more', async () => {
    agent = await machine.serve()
    const folder = join(machine.runtimeFolder, 'holdfast')
    await writeFile(join(folder, 'config.toml'), '[identity.edge\n', { mode: 0o600 })
    const warnings: string[] = []
    let printed = ''
    // Root's configuration would be that of this machine.
    const uid = process.getuid!() || 12_345
    const context: Context = {
      env: { ...machine.env, XDG_CONFIG_HOME: machine.runtimeFolder },
      uid,
      execPath: process.execPath,
      programPath: '/opt/holdfast',
      takeChild: () => undefined,
      version: '0',
      buildDate: new Date(0),
      now: () => new Date(),
      stdout: async (text) => {
        printed = text
      },
      stderr: (line) => warnings.push(line),
      log: () => undefined,
      onHangup: () => undefined,
      pid: process.pid,
      signal: new AbortController().signal,
    }
    const take = (argv: object = {}) =>
      takeCredentials({ name: 'edge', verifySsl: true, debug: false, ...argv }, context)
    await take()
    assert.match(keyOf(printed), /^ASIA/)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0]!, /^warning: .*config\.toml/)
    await assert.rejects(take({ timeout: 20 }), { code: 'CONFIG_INVALID' })
    await agent.stop()
    await assert.rejects(take(), { code: 'CONFIG_INVALID' })
  })

  it('renews with SIGHUP, and when a file of the identity is written', async () => {
    const certificate = join(machine.runtimeFolder, 'edge.der')
    await writeFile(certificate, edge.certificate)
    await machine.configure({ edge: { certificate } })
    agent = await machine.serve()
    await refreshed()
    agent.child.kill('SIGHUP')
    await refreshed(2)
    await utimes(certificate, new Date(), new Date())
    await refreshed(3)
    assert.equal(agent.child.exitCode, null)
  })

  it('opens the other sockets where the group of one is not there', async () => {
    const folder = join(machine.runtimeFolder, 'sockets')
    await machine.configure({ edge: {}, other: { 'socket-group': 'no-such-group' } })
    agent = await machine.serve('--system', '--agent-dir', folder)
    assert.deepEqual(readdirSync(folder).sort(), ['control.sock', 'edge.sock'])
    assert.match(agent.output(), / error code=CONFIG_INVALID message=.*no-such-group/)
    assert.equal((await askSocket(join(folder, 'edge.sock'), '/status')).status, 404)
    await machine.configure({ edge: {}, other: {} })
    await until(() => existsSync(join(folder, 'other.sock')))
  })

  it('opens its socket again where somebody has taken it away, with the folder', async () => {
    agent = await machine.serve()
    await rm(join(machine.runtimeFolder, 'holdfast'), { recursive: true })
    await until(() => existsSync(machine.socket))
    assertCredentials(await machine.take())
    await until(() => agent!.output().includes('handed-out'))
  })

  it('is asked at the socket of one identity that is all there is, as in a container', async () => {
    const [all, alone] = ['all', 'alone'].map((name) => join(machine.runtimeFolder, name)) as [string, string]
    await mkdir(all, { mode: 0o755 })
    await mkdir(alone, { mode: 0o755 })
    agent = await machine.serve('--system', '--agent-dir', all)
    await link(join(all, 'edge.sock'), join(alone, 'edge.sock'))
    const { stdout, stderr } = await machine.run(['credential-process', 'edge', '--agent-dir', alone])
    assert.equal(stderr, '')
    assert.match(keyOf(stdout), /^ASIA/)
  })

  it('serves only the identities that are named, and says so where one is not there', async () => {
    await machine.configure({ edge: {}, other: {} })
    agent = await machine.serve('other')
    await refreshed()
    assertCredentials(await machine.take())
    assert.match(agent.output(), /refused identity=|result=unknown/)
    await agent.stop()
    const { stderr, status } = await machine.run(['serve', '--no-system', '--config', machine.config, 'othr'])
    assert.match(stderr, /no identity "othr": there is edge, other \(CONFIG_NOT_FOUND\)\n$/)
    assert.equal(status, 2)
  })

  it('answers what is no request of its own with an error, and goes on', async () => {
    agent = await machine.serve()
    const post = (path: string, body: string) => askSocket(machine.socket, path, { method: 'POST', body })
    assert.equal((await post('/credentials', 'x')).status, 400)
    assert.equal((await post('/credentials', '{"name":1}')).status, 400)
    assert.equal((await post('/credentials', '{}')).status, 404)
    assert.equal(
      (await post('/credentials', '{"name":"edge","pin":{"kind":"file","name":"x"}}\n1')).status,
      400,
    )
    assert.equal((await post('/credentials', 'x'.repeat(100_000))).status, 413)
    assert.equal((await post('/__proto__', '{}')).status, 404)
    assert.equal((await askSocket(machine.socket, '/credentials')).status, 405)
    assertCredentials(await machine.take())
  })

  describe('a socket of somebody else', () => {
    const hostile = async (folder: string, use: () => Promise<void>) => {
      await mkdir(join(folder, 'holdfast'), { recursive: true, mode: 0o700 })
      const path = join(folder, 'holdfast/agent.sock')
      let asked = 0
      const server = createServer((socket) => {
        asked++
        socket.end()
      })
      await once(server.listen(path), 'listening')
      try {
        await use()
        assert.equal(asked, 0)
      } finally {
        server.close()
      }
    }

    it('is not asked below /tmp, whoever has made it', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'holdfast-hostile-'))
      await hostile(folder, async () => {
        const { stdout, stderr, status } = await machine.run(
          ['credential-process', 'edge', '--config', machine.config],
          { env: { XDG_RUNTIME_DIR: folder } },
        )
        assert.equal(status, 0)
        assert.match(keyOf(stdout), /^ASIA/)
        assert.match(stderr, /^holdfast: warning: the agent's socket .* is not asked: .*\/tmp.*\n$/)
      })
      await rm(folder, { recursive: true })
    })

    it('is not asked in a folder that others can write', async () => {
      const folder = join(machine.runtimeFolder, 'holdfast')
      await mkdir(folder)
      await hostile(machine.runtimeFolder, async () => {
        const { chmod } = await import('node:fs/promises')
        await chmod(folder, 0o777)
        const { stderr, status } = await machine.take()
        assert.equal(status, 0)
        assert.match(stderr, /is not asked: .*chmod (o|go)-w/)
      })
    })

    it('has no agent beside it: none is started below /tmp', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'holdfast-hostile-'))
      const result = await machine.run(['serve', '--no-system', '--config', machine.config], {
        env: { XDG_RUNTIME_DIR: folder },
      })
      assert.match(result.stderr, /anybody can make folders in \/tmp.*\(SOCKET_UNUSABLE\)\n$/)
      assert.equal(result.status, 7)
      await rm(folder, { recursive: true })
    })
  })

  it('is believed when it breaks off in the middle of an answer', async () => {
    await mkdir(join(machine.runtimeFolder, 'holdfast'), { mode: 0o700 })
    const server = createServer((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{')),
    )
    await once(server.listen(machine.socket), 'listening')
    try {
      assertFailure(await machine.take(), 'AGENT_FAILED', 6)
    } finally {
      server.close()
    }
  })
})
