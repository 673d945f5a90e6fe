/**
 * Trouble with a token that passes: it is pulled and put back, its module crashes or hangs, its daemon is started again.
 * The credential that fails says what happened, and the next one needs nothing but the end of the trouble. The same
 * for a TPM behind tpm2-abrmd is in tpm.heavy.ts.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ErrorCode } from '../../src/core/errors.js'
import { type AgentEdge, createAgentEdge } from '../support/agent-edge.js'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { createFaultyModules, type FaultyModule } from '../support/faulty-module.js'
import { assertCredentials, assertFailure, until } from '../support/outcome.js'
import { type P11KitServer, startP11KitServer } from '../support/p11-kit.js'
import { type ProgramResult, type RunningProgram, runHoldfast, startHoldfast } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'

describe('a token', function () {
  this.timeout(120_000)
  let edge: Edge
  let createFaulty: (faults: string) => FaultyModule
  let home: string
  before(async () => {
    edge = await createEdge({ token: await createSoftHsmToken() })
    createFaulty = await createFaultyModules(edge.token)
    // The record of tried PINs outlives the trouble, as it does on a machine.
    home = join(edge.token.directory, 'home')
    await mkdir(home)
  })
  after(() => edge.dispose())

  const troubles: [title: string, faults: string, code: ErrorCode, says: RegExp][] = [
    ['that is not there', 'C_GetTokenInfo=return:0xe0', 'TOKEN_NOT_FOUND', /plug it in/],
    ['that is pulled before the login', 'C_Login=return:0x32', 'TOKEN_REMOVED', /plug it in again/],
    ['that is pulled in mid-signature', 'C_Sign=return:0x32', 'TOKEN_REMOVED', /signing .*plug it in again/],
    ['whose reader is pulled', 'C_FindObjectsInit=return:0xe0', 'TOKEN_REMOVED', /plug it in again/],
    ['whose session is closed', 'C_Sign=return:0xb3', 'TOKEN_FAILED', /CKR_SESSION_HANDLE_INVALID/],
    ['with a device error', 'C_Sign=return:0x30', 'TOKEN_FAILED', /device error/],
    ['whose module crashes at the login', 'C_Login=crash', 'MODULE_CRASHED', /SIGSEGV/],
    ['whose module crashes in mid-signature', 'C_Sign=crash', 'MODULE_CRASHED', /SIGSEGV/],
    ['whose module hangs at the login', 'C_Login=hang', 'TOKEN_TIMEOUT', /within 3 s/],
    ['that nobody touches', 'C_Sign=hang', 'TOKEN_TIMEOUT', /waiting for a touch/],
  ]
  for (const [title, faults, code, says] of troubles) {
    it(`${title} fails with ${code}, and works once that is over`, async () => {
      const module = createFaulty(faults)
      const run = () =>
        runHoldfast(
          credentialProcess(edge, { '--pkcs11-module': module.modulePath, '--token-timeout': '3' }),
          { env: { ...edge.env, ...module.env }, home },
        )
      await module.mend()
      assertCredentials(await run())
      await module.mend(false)
      assertFailure(await run(), code, 3, says)
      await module.mend()
      assertCredentials(await run())
    })
  }

  it('whose module prints on stdout is no trouble', async () => {
    const module = createFaulty('C_Sign=print:5000')
    const args = credentialProcess(edge, { '--pkcs11-module': module.modulePath })
    assertCredentials(await runHoldfast(args, { env: { ...edge.env, ...module.env } }))
  })

  describe('of an agent', () => {
    let machine: AgentEdge
    let agent: RunningProgram | undefined
    before(async () => {
      machine = await createAgentEdge(edge)
    })
    afterEach(() => agent?.stop())
    after(() => machine.dispose())

    it('that is pulled and put back works without a restart', async () => {
      const module = createFaulty('C_Sign=return:0x32')
      Object.assign(machine.env, module.env)
      await machine.configure({ edge: { 'pkcs11-module': module.modulePath } })
      agent = await machine.serve()
      await until(() => agent!.output().includes('TOKEN_REMOVED'))
      assertFailure(await machine.take(), 'TOKEN_REMOVED', 3, /plug it in again/)
      await module.mend()
      let result: ProgramResult | undefined
      await until(async () => {
        result = await machine.take()
        return result.status === 0
      })
      assertCredentials(result!)
    })

    it('whose key waits for a touch tells all who wait for it', async () => {
      const module = createFaulty('C_GetInfo=yubico C_GetAttributeValue=touch:2 C_Sign=wait')
      Object.assign(machine.env, module.env)
      await machine.configure({ edge: { 'pkcs11-module': module.modulePath, 'on-demand': true } })
      agent = await machine.serve()
      const notice = /^holdfast: warning: touch your key: token "edge" waits for it\n$/
      const take = () =>
        startHoldfast(['credential-process', 'edge', '--config', machine.config], {
          env: machine.env,
          ready: notice,
          timeoutMs: 30_000,
        })
      const [first, second] = [await take(), await take()]
      await module.release()
      for (const client of [first, second]) {
        if (client.child.exitCode === null) await once(client.child, 'exit')
        assertCredentials(await client.stop(), notice)
      }
    })
  })

  describe('that p11-kit lends', () => {
    let server: P11KitServer
    let module: FaultyModule
    before(async () => {
      module = createFaulty('C_Sign=hang')
      await module.mend()
      server = await startP11KitServer({ ...edge.token, modulePath: module.modulePath, env: module.env })
    })
    after(() => server.kill())
    const run = () =>
      runHoldfast(credentialProcess(edge, { '--pkcs11-module': server.modulePath }), {
        env: { ...edge.env, ...server.env },
        home,
      })

    it('is missed while the server is down, and works once it is back', async () => {
      assertCredentials(await run())
      await server.kill()
      assertFailure(
        await run(),
        'DEVICE_UNREACHABLE',
        3,
        /nobody listens there, .*start it with p11-kit server/,
      )
      await server.start()
      assertCredentials(await run())
    })

    it('is lost when its connection ends in mid-signature, and works the next time', async () => {
      await module.mend(false)
      const result = run()
      const remote = await module.hungProcess(result)
      assert.deepEqual(await server.connections(), [remote])
      process.kill(remote, 'SIGKILL')
      assertFailure(await result, 'TOKEN_FAILED', 3, /CKR_DEVICE_ERROR/)
      await module.mend()
      assertCredentials(await run())
    })
  })
})
