/**
 * The endpoints among hostile neighbours: a page in Chromium whose name is rebound, another user, sockets from systemd with a hop limit.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, mkdtemp, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type AgentEdge, createAgentEdge } from '../support/agent-edge.js'
import { run } from '../support/command.js'
import { createEdge, type Edge } from '../support/edge.js'
import { visitHostilePage } from '../support/hostile-page.js'
import { until } from '../support/outcome.js'
import { type RunningProgram, startHoldfast } from '../support/program.js'

const PROGRAM = resolve(import.meta.dirname, '../../dist/bin.cjs')
const NOBODY = '65534'

describe('the endpoints of holdfast serve', function () {
  this.timeout(300_000)
  let edge: Edge
  let machine: AgentEdge
  let agent: RunningProgram | undefined
  before(async () => {
    edge = await createEdge()
    machine = await createAgentEdge(edge)
  })
  after(async () => {
    await machine?.dispose()
    await edge?.dispose()
  })
  afterEach(async () => {
    await agent?.stop()
    agent = undefined
  })

  const portOf = (name: string) =>
    Number(agent!.output().match(new RegExp(`^${name}=http://.*?:(\\d+)/`, 'm'))![1])
  const refreshed = () => until(() => agent!.output().includes(' refreshed '))
  /** What curl gets as a user: status and body. */
  const askAs = async (uid: string, ...args: string[]) =>
    run('setpriv', [
      `--reuid=${uid}`,
      `--regid=${uid}`,
      '--clear-groups',
      'curl',
      '-s',
      '-w',
      ' %{http_code}',
      ...args,
    ])
  const takeAs = async (uid: string, port: number) => {
    const url = `http://127.0.0.1:${port}/latest`
    const ttl = 'x-aws-ec2-metadata-token-ttl-seconds: 60'
    const token = (await askAs(uid, '-X', 'PUT', '-H', ttl, `${url}/api/token`)).replace(/ 200$/, '')
    return askAs(
      uid,
      '-H',
      `x-aws-ec2-metadata-token: ${token}`,
      `${url}/meta-data/iam/security-credentials/edge`,
    )
  }

  describe('visited by a page in a browser', () => {
    it('would be robbed if they looked at nothing', async () => {
      const careless = createServer((request, reply) => {
        reply.end(request.method === 'PUT' ? 'token' : '{"SecretAccessKey":"canary"}')
      }).listen(0, '127.0.0.1')
      await once(careless, 'listening')
      const attempts = await visitHostilePage((careless.address() as AddressInfo).port)
      careless.close()
      careless.closeAllConnections()
      const stolen = attempts.find(({ what }) => what === 'credentials by its own name')
      assert.equal(stolen?.outcome, '200 {"SecretAccessKey":"canary"}')
    })

    for (const [name, args] of [
      ['AWS_EC2_METADATA_SERVICE_ENDPOINT', ['--port', '0']],
      ['AWS_CONTAINER_CREDENTIALS_FULL_URI', ['--container-port', '0']],
    ] as const) {
      it(`give it nothing at ${name}, and go on`, async () => {
        agent = await machine.serve(...args)
        await refreshed()
        const attempts = await visitHostilePage(portOf(name))
        assert.equal(attempts.length, 12)
        for (const { what, outcome } of attempts) {
          const expected = what.endsWith(' by its own name')
            ? /^403 /
            : /^(opaque|TypeError: Failed to fetch)$/
          assert.match(outcome, expected, what)
          assert.doesNotMatch(outcome, /AccessKey|ASIA/, what)
        }
        assert.doesNotMatch(agent.output(), / handed-out /)
        assert.match(agent.output(), / refused door=\w+ .* result=foreign /)
        if (args[0] === '--port') assert.match(await takeAs('0', portOf(name)), /"Success".* 200$/)
      })
    }
  })

  it('serve another user only if he is allowed', async () => {
    agent = await machine.serve('--port', '0', '--allow-uid', '0')
    await refreshed()
    const port = portOf('AWS_EC2_METADATA_SERVICE_ENDPOINT')
    assert.match(await takeAs(NOBODY, port), /"Forbidden".* 403$/)
    assert.match(await takeAs('0', port), /"Success".* 200$/)
    assert.match(agent.output(), / refused door=imds .* result=uid uid=65534\n/)
    await agent.stop()
    agent = await machine.serve('--port', '0', '--allow-uid', NOBODY)
    await refreshed()
    assert.match(await takeAs(NOBODY, portOf('AWS_EC2_METADATA_SERVICE_ENDPOINT')), /"Success".* 200$/)
  })

  it('have tokens that another user reads only if they are his', async () => {
    // Others do not get to root's home.
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-neighbour-'))
    await chmod(folder, 0o755)
    const config = join(folder, 'config.toml')
    await copyFile(machine.config, config)
    const add = (name: string, ...args: string[]) =>
      machine.run(['consumer', 'add', 'edge', name, '--json', '--config', config, ...args])
    const fileOf = ({ stdout }: { stdout: string }) =>
      JSON.parse(stdout).AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE as string
    const [ours, his] = [fileOf(await add('ours')), fileOf(await add('his', '--user', 'nobody'))]
    assert.equal((await stat(his)).uid, Number(NOBODY))
    assert.equal((await stat(his)).mode & 0o777, 0o600)
    agent = await startHoldfast(['serve', '--no-system', '--config', config, '--container-port', '0'], {
      env: machine.env,
      home: machine.runtimeFolder,
      ready: / ready /,
      timeoutMs: 30_000,
    })
    await refreshed()
    const url = agent.output().match(/^AWS_CONTAINER_CREDENTIALS_FULL_URI=(.*)$/m)![1]!
    const ask = (file: string) =>
      run('setpriv', [
        ...[`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'],
        ...['sh', '-c', 'curl -s -w " %{http_code}" -H "Authorization: $(cat "$0")" "$1"', file, url],
      ])
    assert.match(await ask(his), /"AccessKeyId".* 200$/)
    assert.match(await ask(ours), /"Unauthorized".* 401$/)
    assert.match(agent.output(), / handed-out identity=edge door=container .* consumer=his uid=65534\n/)
    await rm(folder, { recursive: true })
  })

  it('send answers as far as the socket that systemd passes says', async () => {
    for (const [ttl, isReached] of [
      [64, true],
      [1, false],
    ] as const) {
      const { child, port, output } = await passSocket(ttl)
      await until(() => output().includes(' refreshed '))
      assert.equal(await isReachedFrom64Hops(port), isReached)
      assert.equal(/--hop-limit 1 is not verified: .*IPTTL=/.test(output()), ttl === 1)
      child.kill()
      await once(child, 'close')
    }
  })

  /** Starts the program as systemd does: with a socket that listens already, whose TTL is set. */
  async function passSocket(ttl: number) {
    const python = `
import os, socket, sys
server = socket.create_server(("127.0.0.1", 0))
server.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(sys.argv[1]))
print(f"PORT={server.getsockname()[1]}", file=sys.stderr, flush=True)
os.dup2(server.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="imds")
os.execv(sys.argv[2], sys.argv[2:])`
    const child = spawn(
      'python3',
      [
        ...['-c', python, String(ttl), process.execPath, PROGRAM],
        ...['serve', '--no-system', '--config', machine.config, '--hop-limit', String(ttl)],
      ],
      {
        env: { ...machine.env, PATH: process.env.PATH, XDG_STATE_HOME: machine.runtimeFolder },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    await until(() => / ready /.test(said))
    return { child, port: Number(/PORT=(\d+)/.exec(said)![1]), output: () => said }
  }

  /** A client that drops what could not have come over one hop more: IP_MINTTL, which is 21 on Linux. */
  async function isReachedFrom64Hops(port: number): Promise<boolean> {
    const python = `
import socket, sys
client = socket.socket()
client.setsockopt(socket.IPPROTO_IP, 21, 64)
client.settimeout(3)
try:
    client.connect(("127.0.0.1", int(sys.argv[1])))
    print("reached")
except TimeoutError:
    print("timeout")`
    return (await run('python3', ['-c', python, String(port)])).trim() === 'reached'
  }
})
