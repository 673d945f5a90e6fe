/** A PIN that a person types: asked for by whoever wants credentials, handed to the agent, kept, refused, and forgotten. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, open, readFile, rename, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { formatAgentReply, parseAgentRequest } from '../../src/core/agent/agent-protocol.js'
import { type AgentEdge, askSocket, createAgentEdge } from '../support/agent-edge.js'
import { createEdge, type Edge } from '../support/edge.js'
import { assertCredentials, assertFailure, until } from '../support/outcome.js'
import { type RunningProgram, runHoldfastOnTerminal, type TerminalResult } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'

const PROMPT = /PIN of token .*: $/

describe('an identity whose PIN is typed', function () {
  this.timeout(300_000)
  let edge: Edge
  let machine: AgentEdge
  let agent: RunningProgram
  before(async () => {
    edge = await createEdge({ token: await createSoftHsmToken() })
  })
  after(() => edge.dispose())
  beforeEach(async () => {
    machine = await createAgentEdge(edge)
    await machine.configure({ edge: { 'pkcs11-uri': edge.uri.split('?')[0] } })
    agent = await machine.serve()
  })
  afterEach(async () => {
    await agent.stop()
    await machine.dispose()
  })

  const atTerminal = (args: readonly string[], ...typed: string[]): Promise<TerminalResult> =>
    runHoldfastOnTerminal(args, {
      env: machine.env,
      home: machine.runtimeFolder,
      prompt: PROMPT,
      typed: typed.map((pin) => `${pin}\r`),
      timeoutMs: 60_000,
    })
  const takeAtTerminal = (...typed: string[]) =>
    atTerminal(['credential-process', 'edge', '--config', machine.config], ...typed)
  const unlock = (...typed: string[]) => atTerminal(['unlock', 'edge'], ...typed)
  const status = async () => JSON.parse((await askSocket(machine.socket, '/status')).body).identities[0]

  it('is not touched before somebody asks', async () => {
    assertFailure(await machine.take(), 'PIN_NEEDED', 3, /terminal/)
    assert.equal(await machine.calls('C_Login'), 0)
    assert.equal((await status()).mode, 'locked')
  })

  it('is said to be needed at the start', async () => {
    assert.match(agent.output(), / locked identity=edge message="its PIN is typed: run holdfast unlock"/)
  })

  it('is not looked for where the agent does not take it from, and the message says where else', async () => {
    const env = { HOLDFAST_PIN: edge.token.pin }
    const args = ['credential-process', 'edge', '--config', machine.config]
    const advice = /agent takes none from HOLDFAST_PIN of yours.*configuration of the agent.*--no-agent/
    assertFailure(await machine.run(args, { env }), 'PIN_NEEDED', 3, advice)
    assertCredentials(await machine.run([...args, '--no-agent'], { env }))
    const { stderr } = await machine.run(['unlock', 'edge'])
    assert.match(stderr, /HOLDFAST_ASKPASS.*\(PIN_NEEDED\)\n$/)
    assert.doesNotMatch(stderr, /--/)
  })

  it('that is found to be needed is no failure', async () => {
    assertFailure(await machine.take(), 'PIN_NEEDED', 3)
    const { failures, failure } = await status()
    assert.deepEqual([failures, failure], [{}, undefined])
    assert.doesNotMatch(agent.output(), /refresh-failed/)
  })

  it('is asked for where the person is, tried once, and serves all until the end', async () => {
    const result = await takeAtTerminal(edge.token.pin)
    assertCredentials(result)
    assert.match(result.screen, /PIN of token "edge"/)
    assert.ok(!result.screen.includes(edge.token.pin))
    const others = await Promise.all([machine.take(), machine.take()])
    for (const other of others) assert.equal(other.stdout, result.stdout)
    assert.equal(await machine.calls('C_Login'), 1)
    assert.equal((await status()).mode, 'locked')
    assert.ok(!agent.output().includes(edge.token.pin))
  })

  it('is wrong: one try, the error where it was typed, and the next who asks is asked', async () => {
    assertFailure(await takeAtTerminal('00000000'), 'PIN_INCORRECT', 3)
    assert.equal(await machine.calls('C_Login'), 1)
    assertFailure(await machine.take(), 'PIN_NEEDED', 3)
    assertCredentials(await takeAtTerminal(edge.token.pin))
    assert.equal(await machine.calls('C_Login'), 2)
  })

  it('comes from an askpass program of whoever asks, under the guard of tried PINs', async () => {
    const askpass = join(machine.runtimeFolder, 'askpass')
    await writeFile(askpass, '#!/bin/sh\necho 00000000\n', { mode: 0o700 })
    const take = () =>
      machine.run(['credential-process', 'edge', '--config', machine.config, '--askpass', askpass])
    assertFailure(await take(), 'PIN_INCORRECT', 3, /askpass/)
    assertFailure(await take(), 'PIN_REFUSED_BEFORE', 3)
    assert.equal(await machine.calls('C_Login'), 1)
    await writeFile(askpass, `#!/bin/sh\necho ${edge.token.pin}\n`)
    assertCredentials(await take())
  })

  it('is asked for while there is still something valid, which is had where nobody gives it', async () => {
    const folder = join(machine.runtimeFolder, 'late')
    await mkdir(folder, { mode: 0o700 })
    const pins: string[] = []
    const keys = { secretAccessKey: 's', sessionToken: 't', expiration: new Date(Date.now() + 60_000) }
    const needPin = {
      role: 'user',
      flags: 0,
      token: { manufacturer: '', model: '', serial: '', label: 'edge' },
    } as const
    const late = createHttpServer(async (request, response) => {
      const { pin } = parseAgentRequest(await buffer(request))
      if (pin !== undefined) pins.push(String(Buffer.from(pin.bytes)))
      const credentials = { accessKeyId: pin === undefined ? 'ASIAOLD' : 'ASIANEW', ...keys }
      response.end(formatAgentReply(pin === undefined ? { credentials, needPin } : { credentials }).body)
    }).listen(join(folder, 'agent.sock'))
    await once(late, 'listening')
    try {
      const args = ['credential-process', 'edge', '--config', machine.config, '--agent-dir', folder]
      const keyOf = ({ stdout }: { stdout: string }) => JSON.parse(stdout).AccessKeyId
      assert.equal(keyOf(await machine.run(args)), 'ASIAOLD')
      assert.equal(keyOf(await atTerminal(args, '1234')), 'ASIANEW')
      assert.deepEqual(pins, ['1234'])
    } finally {
      late.close()
    }
  })

  it('is given to the agent, which then renews by itself, until it is locked', async () => {
    const { stdout, status: exit } = await unlock(edge.token.pin)
    assert.match(stdout, /^edge is unlocked/)
    assert.equal(exit, 0)
    assert.equal((await status()).mode, 'unlocked')
    const before = machine.sessions()
    agent.child.kill('SIGHUP')
    await until(() => machine.sessions() > before)
    const { stdout: said } = await machine.run(['lock', 'edge'])
    assert.equal(said, 'edge is locked\n')
    assert.equal((await status()).mode, 'locked')
    assertCredentials(await machine.take())
    assert.ok(!agent.output().includes(edge.token.pin))
  })

  it('is not kept where the token refuses it', async () => {
    const result = await unlock('00000000')
    assertFailure(result, 'PIN_INCORRECT', 3)
    assert.equal((await status()).mode, 'locked')
    agent.child.kill('SIGHUP')
    await until(() => agent.output().split(' configuration ').length > 2)
    assert.equal(await machine.calls('C_Login'), 1)
  })

  it('is not shown to another token of the same name, which takes the place of the first one', async () => {
    const other = await createSoftHsmToken({ pin: '99999999' })
    try {
      await other.importCertificate(await edge.authority.issue(await other.generateKey('P-256')))
      assert.equal((await unlock(edge.token.pin)).status, 0)
      await until(async () => !(await status()).refreshing)
      const logins = await machine.calls('C_Login')
      const { SOFTHSM2_CONF: settings } = edge.token.env as { SOFTHSM2_CONF: string }
      const former = await readFile(settings, 'utf8')
      await writeFile(settings, await readFile(other.env.SOFTHSM2_CONF!))
      try {
        agent.child.kill('SIGHUP')
        await until(() => / refresh-failed .*code=PIN_NEEDED .*was not tried/.test(agent.output()))
        assert.equal(await machine.calls('C_Login'), logins)
        assert.equal((await status()).mode, 'locked')
        const result = await unlock(other.pin)
        assert.match(result.stdout, /^edge is unlocked/)
        assert.ok((await machine.calls('C_Login')) > logins)
      } finally {
        await writeFile(settings, former)
      }
    } finally {
      await other.dispose()
    }
  })

  it('is handed on where another agent has left its socket', async () => {
    const left = join(machine.runtimeFolder, 'left')
    await mkdir(left, { mode: 0o700 })
    const system = await machine.serve('--system', '--agent-dir', left)
    const stale = createServer().listen(join(left, 'agent.sock.new'))
    await once(stale, 'listening')
    await rename(join(left, 'agent.sock.new'), join(left, 'agent.sock'))
    stale.close()
    try {
      const { stdout } = await atTerminal(['unlock', 'edge', '--agent-dir', left], edge.token.pin)
      assert.match(stdout, /^edge is unlocked/)
      assert.equal((await machine.run(['lock', 'edge', '--agent-dir', left])).stdout, 'edge is locked\n')
    } finally {
      await system.stop()
    }
  })

  it('says what is not there to be unlocked', async () => {
    assertFailure(await machine.run(['unlock', 'edg']), 'CONFIG_NOT_FOUND', 2, /no identity "edg"/)
    assertFailure(await machine.run(['lock', 'edg']), 'CONFIG_NOT_FOUND', 2)
    assertFailure(await machine.run(['lock', 'edge', '--agent-dir', '/nonexistent']), 'AGENT_FAILED', 6)
    assertFailure(await machine.run(['status', '--agent-dir', '/nonexistent']), 'AGENT_FAILED', 6)
  })

  it('needs none where one is stored', async () => {
    await machine.configure()
    await until(() => agent.output().includes(' refreshed '))
    const { stdout } = await machine.run(['unlock', 'edge'])
    assert.equal(stdout, 'edge needs no PIN\n')
    assert.match((await machine.run(['lock', 'edge'])).stdout, /^edge has no PIN that was typed/)
    assert.doesNotMatch(agent.output(), / locked identity=edge\n/)
  })

  it('is nowhere in the memory of the agent once it is forgotten', async () => {
    const [pin, reply] = ['Zebra-998877', await askUnlock('Zebra-998877')]
    assert.equal(JSON.parse(reply.body).failed.code, 'PIN_INCORRECT')
    assert.equal(await findInMemory(agent.child.pid!, pin), false)
    assert.equal(await findInMemory(agent.child.pid!, machine.config), true)
  })

  const askUnlock = (pin: string) => {
    const about = { name: 'edge', pin: { kind: 'terminal', name: 'terminal' } }
    const body = `${JSON.stringify(about)}\n${pin}`
    return askSocket(machine.socket, '/unlock', { method: 'POST', body })
  }
})

/** Looks for a text in all that a process can write to. */
async function findInMemory(pid: number, text: string): Promise<boolean> {
  const maps = await readFile(`/proc/${pid}/maps`, 'latin1')
  const memory = await open(`/proc/${pid}/mem`)
  try {
    for (const [, from, to] of maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm)) {
      const [start, end] = [Number.parseInt(from!, 16), Number.parseInt(to!, 16)]
      const bytes = Buffer.alloc(end - start)
      const { bytesRead } = await memory.read(bytes, 0, bytes.length, start)
      if (bytes.subarray(0, bytesRead).includes(text)) return true
    }
    return false
  } finally {
    await memory.close()
  }
}
