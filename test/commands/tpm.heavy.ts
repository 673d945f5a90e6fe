/**
 * A TPM behind tpm2-abrmd: programs that are killed or hang in mid-use, a restart of the broker, a user without access.
 *
 * Beside it the same without a resource manager, where kills do harm: what the program's warning is about.
 */

import assert from 'node:assert/strict'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { run } from '../support/command.js'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { createFaultyModules } from '../support/faulty-module.js'
import { assertCredentials, assertFailure, ended, until } from '../support/outcome.js'
import { type ProgramResult, runHoldfast, runHoldfastOnTerminal } from '../support/program.js'
import { createTpmToken, TPM_WARNING, type TpmToken } from '../support/swtpm.js'
import { startTpmBroker, type TpmBroker } from '../support/tpm-broker.js'

const ROOT = resolve(import.meta.dirname, '../..')
const NOBODY = 65534

describe('holdfast credential-process with a TPM', function () {
  this.timeout(300_000)
  let token: TpmToken
  let edge: Edge
  let createFaulty: Awaited<ReturnType<typeof createFaultyModules>>
  beforeEach(async () => {
    token = await createTpmToken()
    edge = await createEdge({ token, algorithm: 'RSA-2048' })
    createFaulty = await createFaultyModules(token)
  })
  afterEach(() => edge.dispose())

  const runGood = (env: Record<string, string> = {}): Promise<ProgramResult> =>
    runHoldfast(credentialProcess(edge, { '--pkcs11-module': 'tpm2' }), { env: { ...edge.env, ...env } })

  /** A run whose child hangs in C_Sign, when it is logged in and has its key loaded. */
  async function hang(
    env: Record<string, string>,
    flags = {},
  ): Promise<{ child: number; end: Promise<ProgramResult> }> {
    const module = createFaulty('C_Sign=hang')
    const args = credentialProcess(edge, { '--pkcs11-module': module.modulePath, ...flags })
    const end = runHoldfast(args, { env: { ...edge.env, ...module.env, ...env } })
    return { child: await module.hungProcess(end), end }
  }

  async function killTimes(times: number, env: Record<string, string>): Promise<void> {
    for (let time = 0; time < times; time++) {
      const { child, end } = await hang(env)
      process.kill(child, 'SIGKILL')
      assertFailure(await end, 'MODULE_CRASHED', 3, /crashed \(SIGKILL\)/)
    }
  }

  describe('behind tpm2-abrmd', () => {
    let broker: TpmBroker
    beforeEach(async () => {
      broker = await startTpmBroker(token)
    })
    afterEach(() => broker.dispose())

    it('prints credentials, and warns of nothing', async () => {
      assertCredentials(await runGood(broker.env))
    })

    it('prints credentials after six children were killed between login and signature', async () => {
      await killTimes(6, broker.env)
      assertCredentials(await runGood(broker.env))
    })

    it('ends a hanging child when its time is up, and prints the next credentials', async () => {
      for (let time = 0; time < 4; time++) {
        const { child, end } = await hang(broker.env, { '--token-timeout': '5' })
        assertFailure(await end, 'TOKEN_TIMEOUT', 3, /within 5 s/)
        await ended(child)
      }
      assertCredentials(await runGood(broker.env))
    })

    it('says that the broker is gone, and prints credentials once it is back', async () => {
      assertCredentials(await runGood(broker.env))
      await broker.kill()
      assertFailure(
        await runGood(broker.env),
        'DEVICE_UNREACHABLE',
        3,
        /TPM2_PKCS11_TCTI=tabrmd:.*start tpm2-abrmd/,
      )
      await broker.start()
      assertCredentials(await runGood(broker.env))
    })

    it('says what happened to the child whose broker goes away in mid-use', async () => {
      const module = createFaulty('C_Login=wait')
      const args = credentialProcess(edge, { '--pkcs11-module': module.modulePath })
      const end = runHoldfast(args, { env: { ...edge.env, ...module.env, ...broker.env } })
      await module.hungProcess(end)
      await broker.kill()
      await module.release()
      const { status, stderr } = await end
      assert.match(stderr, /\((LOGIN_FAILED|TOKEN_FAILED|MODULE_CRASHED|DEVICE_UNREACHABLE)\)\n$/)
      assert.equal(status, 3)
      await broker.start()
      assertCredentials(await runGood(broker.env))
    })
  })

  describe('without a resource manager', () => {
    it('keeps nothing for a program that Ctrl-C ends while a person is asked', async () => {
      const listHandles = async () =>
        (await run('tpm2_getcap', ['-T', token.tcti, 'handles-transient'])) +
        (await run('tpm2_getcap', ['-T', token.tcti, 'handles-loaded-session']))
      const before = await listHandles()
      const args = ['key', 'delete', '--module', 'tpm2', '--token', 'edge', '--id', '01']
      for (let time = 0; time < 4; time++) {
        const interrupted = await runHoldfastOnTerminal([...args, '--pin-file', token.pinFile], {
          env: edge.env,
          prompt: /to go on: /,
          typed: ['\u0003'],
        })
        assert.equal(interrupted.status, 130)
        await until(async () => (await listHandles()) === before)
      }
      assertCredentials(await runGood(), TPM_WARNING)
    })

    it('is full after a few such kills, until it is flushed', async () => {
      assertCredentials(await runGood(), TPM_WARNING)
      let good: ProgramResult | undefined
      for (let kills = 0; kills < 6 && (good === undefined || good.status === 0); kills++) {
        await killTimes(1, {})
        good = await runGood()
      }
      assertFailure(good!, 'LOGIN_FAILED', 3, /CKR_GENERAL_ERROR.*run tpm2_flushcontext --loaded-session/)
      for (const what of ['--loaded-session', '--transient-object']) {
        await run('tpm2_flushcontext', ['-T', token.tcti, what])
      }
      assertCredentials(await runGood(), TPM_WARNING)
    })
  })

  describe('for a user without rights', () => {
    let installed: string
    before(async () => {
      installed = await mkdtemp(join(tmpdir(), 'holdfast-installed-'))
      for (const part of ['package.json', 'dist']) {
        await cp(join(ROOT, part), join(installed, part), { recursive: true })
      }
      await run('chmod', ['-R', 'go+rX', installed])
    })
    after(() => rm(installed, { recursive: true }))

    const runAsNobody = async (env: Record<string, string>): Promise<ProgramResult> => {
      const node = join(token.directory, 'node')
      const user = `setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups`
      await writeFile(node, `#!/bin/sh\nexec ${user} ${process.execPath} "$@"\n`, { mode: 0o755 })
      const program = join(installed, 'dist/bin.cjs')
      const args = credentialProcess(edge, { '--pkcs11-module': 'tpm2' })
      return runHoldfast(args, { env: { ...edge.env, ...env }, node, program, home: token.directory })
    }

    it('names the group for the device, and the command that gives it', async () => {
      await run('chown', ['-R', `${NOBODY}:${NOBODY}`, token.directory])
      const device = join(token.directory, 'tpmrm0')
      await writeFile(device, '', { mode: 0o660 })
      const result = await runAsNobody({ TPM2_PKCS11_TCTI: `device:${device}` })
      assertFailure(
        result,
        'DEVICE_UNREACHABLE',
        3,
        /user nobody may not open the TPM .*: run usermod -aG tss nobody/,
      )
    })

    it('names the store that the user may not write', async () => {
      await run('chmod', ['-R', 'go+rX', token.directory])
      const result = await runAsNobody({})
      assertFailure(
        result,
        'STORE_UNUSABLE',
        3,
        /store, may not be written by this user, .*: chown it \(EACCES\)/,
      )
    })

    it('names the store on a disk that is read-only', async () => {
      const node = join(token.directory, 'node')
      const mount = 'mount --bind "$STORE" "$STORE" && mount -o remount,bind,ro "$STORE" && exec "$NODE" "$@"'
      await writeFile(node, `#!/bin/sh\nexec unshare --mount sh -c '${mount}' sh "$@"\n`, { mode: 0o755 })
      const env = { ...edge.env, STORE: edge.env.TPM2_PKCS11_STORE, NODE: process.execPath }
      const args = credentialProcess(edge, { '--pkcs11-module': 'tpm2' })
      const result = await runHoldfast(args, { env, node })
      assertFailure(result, 'STORE_UNUSABLE', 3, /is on a read-only disk, .*ReadWritePaths=/)
    })
  })
})
