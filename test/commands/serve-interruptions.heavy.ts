/**
 * The agent through what befalls a machine: it sleeps past the end of a session, its clock is set, its network goes away.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { type Emulator, startEmulator } from '../../src/emulator/server.js'
import { type AgentEdge, askSocket, createAgentEdge } from '../support/agent-edge.js'
import { run } from '../support/command.js'
import { createEdge, type Edge } from '../support/edge.js'
import { until } from '../support/outcome.js'
import { type RunningProgram, startHoldfast } from '../support/program.js'

const SESSION_SECONDS = 10
const HOUR_SECONDS = 3600

describe('holdfast serve, when the machine', function () {
  this.timeout(180_000)
  let edge: Edge
  let machine: AgentEdge
  let agent: RunningProgram
  let emulator: Emulator
  let clockFile: string
  let url: string
  let authorization: string

  beforeEach(async () => {
    // Without TLS, so that another emulator can take the place of this one.
    edge = await createEdge({ tls: false })
    emulator = edge.emulator
    shortenSessions(emulator)
    machine = await createAgentEdge(edge)
    clockFile = join(machine.runtimeFolder, 'clock')
    await setClock(0)
  })
  afterEach(async () => {
    agent.child.kill('SIGCONT')
    await agent.stop()
    await emulator.close()
    await machine.dispose()
    await edge.dispose()
  })

  /** Roles Anywhere gives no sessions that a test could outlive. */
  const shortenSessions = ({ state }: Emulator) => {
    for (const profile of state.profiles) profile.durationSeconds = SESSION_SECONDS
  }
  const setClock = (seconds: number) => writeFile(clockFile, `${seconds < 0 ? '' : '+'}${seconds}\n`)

  const serve = async (env: Readonly<Record<string, string>> = {}) => {
    agent = await startHoldfast(
      ['serve', '--no-system', '--config', machine.config, '--container-port', '0'],
      {
        env: { ...machine.env, ...env },
        home: machine.runtimeFolder,
        ready: / ready /,
        timeoutMs: 30_000,
      },
    )
    const port = /FULL_URI=http:\/\/127\.0\.0\.1:(\d+)/.exec(agent.output())![1]!
    const add = ['consumer', 'add', 'edge', 'app', '--json', '--container-port', port]
    const { stdout } = await machine.run([...add, '--config', machine.config])
    const variables = JSON.parse(stdout)
    url = variables.AWS_CONTAINER_CREDENTIALS_FULL_URI
    authorization = await readFile(variables.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, 'utf8')
  }
  const serveWithClock = async () => {
    const preload = (await run('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD'])).trim()
    await serve({
      LD_PRELOAD: preload,
      FAKETIME_TIMESTAMP_FILE: clockFile,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    })
  }

  /** Asks both doors. What comes back is good for longer, or says that there is nothing. */
  const ask = async (): Promise<number[]> => {
    const [reply, answer] = await Promise.all([
      once(request(url, { headers: { authorization }, agent: false }).end(), 'response'),
      askSocket(machine.socket, '/credentials', { method: 'POST', body: '{"name":"edge"}' }),
    ])
    const [response] = reply
    const body = await text(response)
    verify(response.statusCode, body, JSON.parse(body).Expiration)
    verify(answer.status, answer.body, JSON.parse(answer.body).credentials?.expiration)
    return [response.statusCode, answer.status]
  }
  const verify = (status: number, body: string, expiration: string | undefined) => {
    if (status === 200) assert.ok(Date.parse(expiration!) > Date.now(), `expired at ${expiration}`)
    else {
      assert.equal(status, 503)
      assert.doesNotMatch(body, /ASIA/)
    }
  }
  const count = (event: string) => agent.output().split(` ${event} `).length - 1
  const lastExpiry = () => Date.parse([...agent.output().matchAll(/ expires=(\S+)/g)].at(-1)![1]!)
  const outliveSession = () => delay(lastExpiry() - Date.now() + 500)
  const isServed = async () => (await ask()).every((status) => status === 200)

  it('sleeps past the end of a session, hands out nothing old to those who have waited, and renews at once', async () => {
    await serve()
    await until(() => count('refreshed') === 1)
    agent.child.kill('SIGSTOP')
    await outliveSession()
    const asked = Array.from({ length: 10 }, ask)
    await delay(200)
    const renewed = count('refreshed')
    agent.child.kill('SIGCONT')
    const wokenAt = performance.now()
    await until(() => count('refreshed') > renewed)
    assert.ok(performance.now() - wokenAt < 5000)
    for (const [, status] of await Promise.all(asked)) assert.equal(status, 200)
  })

  it('sleeps, and wakes where there is no network: nothing old is handed out, and the next who asks has it renewed', async () => {
    await serve()
    await until(() => count('refreshed') === 1)
    agent.child.kill('SIGSTOP')
    await outliveSession()
    emulator.faults.failNext('drop', 1000)
    const asked = Array.from({ length: 10 }, ask)
    await delay(200)
    agent.child.kill('SIGCONT')
    assert.deepEqual([...new Set((await Promise.all(asked)).flat())], [503])
    emulator.faults.clear()
    await until(isServed)
  })

  it('sleeps while a session is being made, which has expired when the answer is read', async () => {
    emulator.faults.latencyMs = 3000
    await serve()
    await until(() => emulator.connections > 0)
    agent.child.kill('SIGSTOP')
    const sessions = emulator.journal.length
    emulator.faults.latencyMs = 0
    await delay((SESSION_SECONDS + 4) * 1000)
    const asked = Array.from({ length: 10 }, ask)
    agent.child.kill('SIGCONT')
    await Promise.all(asked)
    await until(isServed)
    assert.ok(emulator.journal.length > sessions)
  })

  it('has its clock set back: nothing is handed out past the real end of a session, and all goes on when the clock is right', async () => {
    await serveWithClock()
    await until(() => count('refreshed') === 1)
    await setClock(-HOUR_SECONDS)
    assert.deepEqual(await ask(), [200, 200])
    await outliveSession()
    assert.deepEqual(await ask(), [503, 503])
    assert.match(agent.output(), / refresh-failed .*code=CLOCK_WRONG/)
    await setClock(0)
    await until(() => count('clock-set') === 2)
    await until(isServed)
  })

  it('has its clock set forward: what has expired by it is not handed out, until it is right again', async () => {
    emulator.state.profiles[0]!.durationSeconds = 900
    await serveWithClock()
    await until(() => count('refreshed') === 1)
    await setClock(HOUR_SECONDS)
    assert.deepEqual(await ask(), [503, 503])
    await setClock(0)
    assert.deepEqual(await ask(), [200, 200])
    assert.equal(count('refreshed'), 1)
  })

  it('starts with a wrong clock, and gets its session as soon as the clock is set', async () => {
    await setClock(-HOUR_SECONDS)
    await serveWithClock()
    await until(() => count('refresh-failed') > 0)
    assert.deepEqual(await ask(), [503, 503])
    await setClock(0)
    await until(() => count('clock-set') > 0)
    await until(isServed)
  })

  it('loses its network: what is valid is handed out to its end, then the reason, and it recovers by itself', async () => {
    emulator.state.profiles[0]!.durationSeconds = 20
    await serve()
    await until(() => count('refreshed') === 1)
    await emulator.close()
    const expiry = lastExpiry()
    await until(() => count('refresh-failed') > 0)
    assert.ok(Date.now() < expiry)
    assert.deepEqual(await ask(), [200, 200])
    await outliveSession()
    assert.deepEqual(await ask(), [503, 503])
    const { port, state } = emulator
    emulator = await startEmulator({ port })
    Object.assign(emulator.state, state)
    await until(() => count('refreshed') > 1)
    assert.deepEqual(await ask(), [200, 200])
  })
})
