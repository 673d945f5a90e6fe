/** The endpoints of the built program: what opens them, who gets credentials, and what bad flags come to. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type AgentEdge, createAgentEdge } from '../support/agent-edge.js'
import { createEdge, type Edge } from '../support/edge.js'
import { assertFailure, until } from '../support/outcome.js'
import { type RunningProgram, startHoldfast } from '../support/program.js'

describe('the endpoints of holdfast serve', function () {
  this.timeout(120_000)
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

  /** Value of a variable that the agent has printed. */
  const printed = (name: string) => {
    const value = agent!.output().match(new RegExp(`^${name}=(.*)$`, 'm'))?.[1]
    assert.ok(value, agent!.output())
    return value
  }
  const ask = async (url: string, headers: Record<string, string> = {}, method = 'GET') => {
    const [reply] = await once(request(url, { headers, method, agent: false }).end(), 'response')
    return { status: reply.statusCode as number, body: String(await buffer(reply)) }
  }
  const askImds = async () => {
    const url = printed('AWS_EC2_METADATA_SERVICE_ENDPOINT')
    const ttl = { 'x-aws-ec2-metadata-token-ttl-seconds': '60' }
    const { body: token } = await ask(`${url}latest/api/token`, ttl, 'PUT')
    const roles = `${url}latest/meta-data/iam/security-credentials/`
    return ask(`${roles}edge`, { 'x-aws-ec2-metadata-token': token })
  }
  const refreshed = () => until(() => agent!.output().includes(' refreshed '))
  /** Flags of the identity that differ are added after these. */
  const serveBare = (...args: string[]) =>
    startHoldfast(['serve', ...edge.args, ...args], {
      env: { ...edge.env, XDG_RUNTIME_DIR: undefined },
      ready: / ready /,
      timeoutMs: 30_000,
    })

  describe('for an identity of flags whose PIN a person gives', () => {
    const flags = () => edge.args.map((arg) => (arg === edge.uri ? edge.uri.split('?')[0]! : arg))
    const home = () => machine.runtimeFolder

    it('are ready once it is given, at the start', async () => {
      const askpass = join(home(), 'askpass')
      await writeFile(askpass, `#!/bin/sh\necho ${edge.token.pin}\n`, { mode: 0o700 })
      agent = await startHoldfast(['serve', ...flags(), '--port', '0', '--askpass', askpass], {
        env: edge.env,
        home: home(),
        ready: / ready /,
        timeoutMs: 30_000,
      })
      assert.match(agent.output(), / unlocked identity=default\n/)
      await until(() => agent!.output().includes('AWS_EC2_METADATA_SERVICE_ENDPOINT'))
      assert.doesNotMatch(agent.output(), /refresh-failed| locked /)
      assert.equal((await askImds()).status, 200)
    })

    it('are not opened where nobody is there to give it', async () => {
      const result = await machine.run(['serve', ...flags(), '--port', '0'], { timeoutMs: 30_000 })
      assert.match(result.stderr, /--pin-file FILE.*--agent-dir FOLDER opens a socket \(PIN_NEEDED\)\n$/)
      assert.doesNotMatch(result.stderr, / ready /)
      assert.equal(result.status, 3)
    })
  })

  it('take up a consumer that is added, and drop one that is removed, while they run', async () => {
    agent = await machine.serve('--container-port', '0')
    await refreshed()
    const url = printed('AWS_CONTAINER_CREDENTIALS_FULL_URI')
    const { stdout } = await machine.run([
      'consumer',
      'add',
      'edge',
      'app',
      '--json',
      '--config',
      machine.config,
    ])
    const authorization = await readFile(JSON.parse(stdout).AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, 'utf8')
    const { status, body } = await ask(url, { authorization })
    assert.equal(status, 200)
    assert.match(JSON.parse(body).AccessKeyId, /^ASIA/)
    assert.equal((await ask(url)).status, 401)
    assert.equal((await ask(url.replace(/edge$/, 'other'), { authorization })).status, 401)
    await machine.run(['consumer', 'remove', 'edge', 'app', '--config', machine.config])
    assert.equal((await ask(url, { authorization })).status, 401)
    assert.ok(!agent.output().includes(authorization))
    assert.match(
      agent.output(),
      / handed-out identity=edge door=container place=127\.0\.0\.1:\d+ .* consumer=app /,
    )
  })

  it('are the metadata service of EC2 where flags describe the identity, with no socket and no folder for one', async () => {
    agent = await serveBare('--port', '0')
    await refreshed()
    const { status, body } = await askImds()
    assert.equal(status, 200)
    assert.equal(JSON.parse(body).Code, 'Success')
    assert.doesNotMatch(agent.output(), /sockets=/)
    assert.equal((await agent.stop()).status, 0)
  })

  it('listen on 9911 where no port is named', async () => {
    agent = await serveBare()
    assert.equal(printed('AWS_EC2_METADATA_SERVICE_ENDPOINT'), 'http://127.0.0.1:9911/')
    const second = await machine.run(['serve', ...edge.args], { timeoutMs: 30_000 })
    assertFailure(
      { ...second, stderr: withoutLog(second.stderr) },
      'NETWORK_FAILED',
      6,
      /127\.0\.0\.1:9911: another/,
    )
  })

  it('answer at another loopback address, by its name', async () => {
    agent = await serveBare('--imds-address', '127.0.0.2', '--port', '0')
    assert.match(printed('AWS_EC2_METADATA_SERVICE_ENDPOINT'), /^http:\/\/127\.0\.0\.2:/)
    await refreshed()
    assert.equal((await askImds()).status, 200)
  })

  it('are closed to users who are not named', async () => {
    agent = await machine.serve('--imds', '--port', '0', '--allow-uid', '12345,54321')
    assert.equal((await askImds()).status, 403)
    await agent.stop()
    agent = await machine.serve('--imds', '--port', '0', '--allow-uid', `12345,${process.getuid!()}`)
    await refreshed()
    assert.equal((await askImds()).status, 200)
  })

  it('give out one of several identities by IMDS only if told which', async () => {
    await machine.configure({ edge: {}, line: {} })
    const vague = await machine.run(['serve', '--no-system', '--config', machine.config, '--imds'])
    assertFailure(
      { ...vague, stderr: withoutLog(vague.stderr) },
      'USAGE',
      2,
      /--imds-identity which of edge, line/,
    )
    agent = await machine.serve('--port', '0', '--imds-identity', 'line')
    await until(() => agent!.output().includes(' refreshed identity=line'))
    assert.equal((await askImds()).status, 200)
    assert.match(agent.output(), / handed-out identity=line door=imds /)
    await machine.configure()
  })

  for (const [title, args, says] of [
    ['a port that is none', ['--container-port', '65536'], /--container-port must be/],
    ['a port of IMDS that is none', ['--port', 'x'], /--port must be/],
    ['a user by name', ['--imds', '--allow-uid', 'root'], /numbers of users/],
    ['an address by name', ['--imds', '--imds-address', 'localhost'], /--imds-address must be an IP address/],
    ['all addresses', ['--imds', '--port', '0', '--imds-address', '0.0.0.0'], /all addresses/],
    ['another hop limit', ['--imds', '--hop-limit', '1'], /IPTTL=1 and FileDescriptorName=imds/],
    ['a hop limit that EC2 has not', ['--imds', '--hop-limit', '65'], /from 1 to 64/],
    ['users of endpoints where there is none', ['--allow-uid', '0'], /--allow-uid is about endpoints/],
    ['a hop limit of 0', ['--imds', '--hop-limit', '0'], /--hop-limit must be/],
    ['an identity both by name and by flags', ['edge', '--role-arn', 'x'], /either flags describe/],
  ] as const) {
    it(`refuse ${title}`, async () => {
      const result = await machine.run(['serve', '--no-system', '--config', machine.config, ...args])
      assertFailure({ ...result, stderr: withoutLog(result.stderr) }, 'USAGE', 2, says)
    })
  }

  it('refuse flags that do not describe a whole identity', async () => {
    const { stderr, ...result } = await machine.run([
      'serve',
      '--role-arn',
      'arn:aws:iam::111122223333:role/edge',
    ])
    assertFailure({ ...result, stderr: withoutLog(stderr) }, 'USAGE', 2, /--trust-anchor-arn is missing/)
  })

  it('take a hop limit of 64, as Linux sends', async () => {
    agent = await serveBare('--port', '0', '--hop-limit', '64')
    await refreshed()
    assert.equal((await askImds()).status, 200)
  })
})

/** What was said beside the log. */
function withoutLog(stderr: string): string {
  return stderr.replaceAll(/^\d{4}-.*\n/gm, '')
}
