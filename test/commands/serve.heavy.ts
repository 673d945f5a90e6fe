/**
 * The agent where other users, 200 processes at a time, a week of refreshes, a parser of Prometheus and systemd are needed.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmod, chown, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { type AgentEdge, askSocket, createAgentEdge } from '../support/agent-edge.js'
import { run } from '../support/command.js'
import { createEdge, type Edge } from '../support/edge.js'
import { assertCredentials, assertFailure, until } from '../support/outcome.js'
import { type ProgramResult, type RunningProgram, startHoldfast } from '../support/program.js'
import { installPythonClients, PYTHON } from '../support/python.js'

const ROOT = resolve(import.meta.dirname, '../..')
/** Users without a name, and a group that one of them is in. */
const [SERVICE, MEMBER, STRANGER, GROUP] = [54_001, 54_002, 54_003, 54_010] as const

describe('holdfast serve', function () {
  this.timeout(600_000)
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

  it('makes one session, with one signature, for 200 processes at once', async () => {
    // So many at once are slow to start; the session is to be under way until the last one asks.
    edge.emulator.faults.latencyMs = 30_000
    await machine.configure({ edge: { timeout: 300 } })
    const [sessions, signatures] = [machine.sessions(), await machine.calls('C_Sign')]
    agent = await machine.serve()
    const results = await Promise.all(Array.from({ length: 200 }, () => machine.take()))
    for (const result of results) assertCredentials(result)
    assert.equal(new Set(results.map(({ stdout }) => stdout)).size, 1)
    assert.equal(machine.sessions() - sessions, 1)
    assert.equal((await machine.calls('C_Sign')) - signatures, 1)
    assert.equal(agent.output().split(' handed-out ').length - 1, 200)
  })

  describe('for other users', () => {
    /** Below a folder of root's, as /run is. */
    let place: string
    let folder: string
    let program: string
    before(async () => {
      place = await mkdtemp('/var/lib/holdfast-test-')
      await chmod(place, 0o755)
      for (const part of ['package.json', 'dist'])
        await cp(join(ROOT, part), join(place, part), { recursive: true })
      await run('chmod', ['-R', 'go+rX', place])
      program = join(place, 'dist/bin.cjs')
    })
    after(() => rm(place, { recursive: true }))
    beforeEach(() => {
      folder = join(place, `run-${crypto.randomUUID()}`)
    })

    const serve = () =>
      startHoldfast(['serve', '--system', '--config', machine.config, '--agent-dir', folder], {
        env: machine.env,
        home: machine.runtimeFolder,
        ready: / ready /,
        timeoutMs: 30_000,
      })

    const runAs = async (
      uid: number,
      args: readonly string[],
      groups: number[] = [],
    ): Promise<ProgramResult> => {
      const supplementary = groups.length === 0 ? '--clear-groups' : `--groups=${groups.join()}`
      const user = [`--reuid=${uid}`, `--regid=${uid}`, supplementary]
      const child = spawn('setpriv', [...user, process.execPath, program, ...args, '--agent-dir', folder], {
        env: { PATH: '/usr/bin:/bin', HOME: '/nonexistent' },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const ended = new Promise<number | null>((done) => child.on('close', done))
      const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), ended])
      return { stdout, stderr, status, signal: null, milliseconds: 0 }
    }

    it('lets the members of an identity’s group have its credentials, and nobody else', async () => {
      await machine.configure({ edge: { 'socket-group': String(GROUP) } })
      agent = await serve()
      // They cannot read the configuration, and need not.
      assertCredentials(await runAs(MEMBER, ['credential-process', 'edge'], [GROUP]))
      assertFailure(
        await runAs(STRANGER, ['credential-process', 'edge']),
        'AGENT_FAILED',
        6,
        /you may not use/,
      )
      assert.match(agent.output(), new RegExp(`handed-out identity=edge .* claimed-uid=${MEMBER} `))
    })

    it('lets nobody without the group in, not even by flags', async () => {
      agent = await serve()
      const result = await runAs(STRANGER, ['credential-process', ...edge.args])
      assert.notEqual(result.status, 0)
      assert.equal(result.stdout, '')
      assert.doesNotMatch(agent.output(), /handed-out/)
    })

    it('takes PINs, tells and forgets for its own user and root only', async () => {
      await machine.configure({ edge: { 'socket-group': String(GROUP) } })
      agent = await serve()
      for (const command of [['status'], ['unlock', 'edge'], ['lock', 'edge']]) {
        assertFailure(
          await runAs(MEMBER, command, [GROUP]),
          'AGENT_FAILED',
          6,
          /only its own user and root may/,
        )
        assert.equal((await machine.run([...command, '--agent-dir', folder])).status, 0)
      }
      const pin = '{"name":"edge","pin":{"kind":"terminal","name":"x"}}\n00000000'
      const socket = join(folder, 'edge.sock')
      for (const path of ['/credentials', '/unlock', '/lock']) {
        const { status, body } = await askSocket(socket, path, { method: 'POST', body: pin })
        assert.equal(status, 400, body)
      }
      for (const path of ['/metrics', '/status']) assert.equal((await askSocket(socket, path)).status, 404)
    })

    it('keeps its time for all where a member sends thousands of requests at once', async () => {
      const changes = { 'socket-group': String(GROUP) }
      await machine.configure({ edge: changes, other: changes })
      agent = await serve()
      const flood = `
        const { connect } = require('node:net')
        const request = 'POST /credentials HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 15\\r\\n\\r\\n{"name":"edge"}'
        const requests = Buffer.from(request.repeat(20000))
        const go = () => {
          const socket = connect(process.argv[1], () => socket.write(requests)).resume()
          socket.on('error', () => undefined).on('close', () => setImmediate(go))
        }
        for (let count = 0; count < 8; count++) go()`
      const user = [`--reuid=${MEMBER}`, `--regid=${MEMBER}`, `--groups=${GROUP}`]
      const command = [process.execPath, '-e', flood, join(folder, 'edge.sock')]
      const member = spawn('setpriv', [...user, ...command], { stdio: 'ignore' })
      try {
        await until(() => agent!.output().split(' handed-out identity=edge ').length > 10)
        const times: number[] = []
        for (let count = 0; count < 30; count++) {
          const started = performance.now()
          const ask = { method: 'POST', body: '{"name":"other"}' }
          assert.equal((await askSocket(join(folder, 'other.sock'), '/credentials', ask)).status, 200)
          times.push(performance.now() - started)
        }
        const [median] = times.sort((one, other) => one - other).slice(15)
        assert.ok(median! < 200, `${median} ms`)
      } finally {
        member.kill('SIGKILL')
      }
    })

    it('is trusted in the folder of the user that the configuration names, and of no other', async () => {
      agent = await serve()
      await chown(folder, SERVICE, SERVICE)
      const { stdout, stderr } = await machine.take('--agent-dir', folder)
      assert.match(
        stderr,
        new RegExp(`warning: the agent's socket .* is not asked: .* belongs to uid ${SERVICE}`),
      )
      assert.match(stdout, /ASIA/)
      assert.doesNotMatch(agent.output(), /handed-out/)
      await machine.configure({ edge: { 'agent-user': String(SERVICE) } })
      const { stderr: silent } = await machine.take('--agent-dir', folder)
      assert.equal(silent, '')
      await until(() => agent!.output().includes('handed-out'))
    })

    it('says what is wrong with a group that is not there, and with a name that it needs itself', async () => {
      await machine.configure({ edge: { 'socket-group': 'no-such-group' } })
      await assert.rejects(serve(), /socket-group \\?"no-such-group\\?".*CONFIG_INVALID/)
      await machine.configure({ control: {} })
      await assert.rejects(serve(), /give the identity control another name.*CONFIG_INVALID/)
    })
  })

  it('holds no more memory after a week than after a day', async () => {
    const script = resolve(import.meta.dirname, '../agent/week.ts')
    const output = await run(process.execPath, ['--expose-gc', '--import', 'tsx', script], {}, 540_000)
    const { early, late } = JSON.parse(output)
    assert.ok(late.refreshes > 240 && late.refreshes < 300, output)
    assert.ok(late.heapUsed - early.heapUsed < 1_000_000, output)
    assert.ok(late.rss - early.rss < 30_000_000, output)
  })

  it('has figures that the makers of Prometheus can read', async () => {
    await installPythonClients()
    await machine.configure({ edge: {}, wrong: { 'pkcs11-uri': 'pkcs11:token=nowhere?pin-source=/nowhere' } })
    agent = await machine.serve('--metrics-port', '0')
    await until(() => / refreshed .* refresh-failed | refresh-failed .* refreshed /s.test(agent!.output()))
    assertCredentials(await machine.take())
    const [, port] = /metrics-port=(\d+)/.exec(agent.output())!
    const page = await fetch(`http://127.0.0.1:${port}/metrics`)
    assert.match(page.headers.get('content-type')!, /^text\/plain; version=0\.0\.4/)
    const reader = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families
families = text_string_to_metric_families(sys.stdin.read())
print(json.dumps([[f.type, s.name, s.labels, s.value] for f in families for s in f.samples]))
`
    const file = join(machine.runtimeFolder, 'metrics')
    await writeFile(file, await page.text())
    const samples: [string, string, Record<string, string>, number][] = JSON.parse(
      await run('sh', ['-c', `"${PYTHON}" -c "$READER" < "${file}"`], { READER: reader }),
    )
    const find = (name: string, labels: object) =>
      samples.find(([, sample, has]) => sample === name && JSON.stringify(has) === JSON.stringify(labels))
    assert.deepEqual(find('holdfast_refreshes_total', { identity: 'edge' })?.[3], 1)
    assert.deepEqual(
      find('holdfast_refresh_failures_total', { identity: 'wrong', code: 'TOKEN_NOT_FOUND' })?.[0],
      'counter',
    )
    const left = find('holdfast_credentials_expiry_seconds', { identity: 'edge' })!
    assert.ok(left[0] === 'gauge' && left[3] > 3000 && left[3] <= 3600)
    assert.equal(find('holdfast_requests_total', { identity: 'edge', door: 'socket', result: 'ok' })?.[3], 1)
  })

  it('tells systemd, through its own program, that it is ready, that it lives, and that it ends', async () => {
    const heard = join(machine.runtimeFolder, 'heard')
    const path = join(machine.runtimeFolder, 'notify')
    const listener = spawn('python3', [
      '-c',
      `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
with open(sys.argv[2], 'a', buffering=1) as out:
    while True:
        data, fds, flags, _ = socket.recv_fds(s, 4096, 4)
        for fd in fds: socket.close(fd)
        print(data.decode().replace('\\n', ' '), file=out)
`,
      path,
      heard,
    ])
    try {
      await new Promise((bound) => listener.stdout.once('data', bound))
      agent = await startHoldfast(['serve', '--no-system', '--config', machine.config], {
        env: { ...machine.env, NOTIFY_SOCKET: path, WATCHDOG_USEC: '1000000' },
        home: machine.runtimeFolder,
        ready: / ready /,
        timeoutMs: 30_000,
      })
      const messages = () => readFile(heard, 'utf8').catch(() => '')
      await until(async () => /READY=1[\s\S]*WATCHDOG=1[\s\S]*WATCHDOG=1/.test(await messages()))
      await agent.stop()
      await until(async () => (await messages()).includes('STOPPING=1'))
    } finally {
      listener.kill()
    }
  })

  it('is not kept from its work by clients that say nothing', async () => {
    agent = await machine.serve()
    const idle = Array.from({ length: 900 }, () => connect(machine.socket).on('error', () => undefined))
    try {
      assertCredentials(await machine.take())
    } finally {
      for (const socket of idle) socket.destroy()
    }
  })
})
