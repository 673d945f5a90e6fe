/**
 * Modules and tokens that do not do as they should: files that are no module, modules that crash, hang, print or
 * fail, tokens in a bad state, and the differences between tokens that are no fault. The built program, with a
 * module that injects faults before SoftHSM.
 */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ErrorCode } from '../../src/core/errors.js'
import { certificatePem, createFileKey } from '../support/certificates.js'
import { findLibrary, run } from '../support/command.js'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { createFaultyModules, type FaultyModule } from '../support/faulty-module.js'
import { assertCredentials, assertFailure, ended } from '../support/outcome.js'
import { type ProgramOptions, type ProgramResult, runHoldfast } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'
import { createSpy } from '../support/spy.js'

describe('holdfast credential-process', () => {
  let edge: Edge
  let createFaulty: (faults: string) => FaultyModule
  before(async () => {
    edge = await createEdge({ token: await createSoftHsmToken() })
    createFaulty = await createFaultyModules(edge.token)
  })
  after(() => edge.dispose())

  const runWith = (
    module: FaultyModule,
    changes: Record<string, string> = {},
    options: ProgramOptions = {},
  ) =>
    runHoldfast(credentialProcess(edge, { '--pkcs11-module': module.modulePath, ...changes }), {
      ...options,
      env: { ...edge.env, ...module.env, ...options.env },
    })

  describe('with a file that is no module', () => {
    const path = (name: string) => join(edge.token.directory, name)
    const copy = async (name: string, change: (module: Buffer) => Uint8Array = (module) => module) => {
      await writeFile(path(name), change(await readFile(edge.token.modulePath)), { mode: 0o755 })
      return path(name)
    }
    const files: [title: string, make: () => Promise<string>, code: ErrorCode, says: RegExp][] = [
      ['that does not exist', async () => path('none.so'), 'MODULE_NOT_FOUND', /none\.so/],
      [
        'that the linker does not find',
        async () => 'no-such-module.so',
        'MODULE_NOT_FOUND',
        /no-such-module/,
      ],
      ['that is a folder', async () => edge.token.directory, 'MODULE_INVALID', /is not a file/],
      ['that is a device', async () => '/dev/zero', 'MODULE_INVALID', /is not a file/],
      ['that is a FIFO', () => makeFifo(path('fifo.so')), 'MODULE_INVALID', /is not a file/],
      ['that is empty', () => copy('empty.so', () => Buffer.alloc(0)), 'MODULE_INVALID', /empty\.so/],
      [
        'that is cut off',
        () => copy('cut.so', (module) => module.subarray(0, 20)),
        'MODULE_INVALID',
        /cut\.so/,
      ],
      [
        'of which the second half is missing',
        () => copy('half.so', (module) => module.subarray(0, module.length / 2)),
        'MODULE_INVALID',
        /half\.so is cut off: it has \d+ bytes/,
      ],
      ['that is a text', () => copy('text.so', () => Buffer.from('module\n')), 'MODULE_INVALID', /text\.so/],
      [
        'of another machine',
        () => copy('other.so', forAnotherMachine),
        'MODULE_INVALID',
        /for another kind of machine \((x64|arm64); this Node is for (arm64|x64)\)/,
      ],
      ['that is another library', async () => findLibrary('libc.so.6'), 'MODULE_INVALID', /PKCS#11 module/],
      [
        'without a function list',
        async () => createFaulty('').modulePath,
        'MODULE_INVALID',
        /faulty-module\.so/,
      ],
      [
        'that anybody can write',
        () => makeWritable(path('open.so')),
        'MODULE_INVALID',
        /chmod o-w .*open\.so/,
      ],
      [
        'in a folder that anybody can write',
        () => inFolder('open', 0o777),
        'MODULE_INVALID',
        /chmod o-w .*\/open/,
      ],
    ]
    for (const [title, make, code, says] of files) {
      it(`names a file ${title}`, async () => {
        const args = credentialProcess(edge, { '--pkcs11-module': await make() })
        const env = { ...edge.env, FAULTS: '', FAULTY_MODULE: '/nonexistent.so' }
        assertFailure(await runHoldfast(args, { env, timeoutMs: 15_000 }), code, 3, says)
      })
    }

    it('loads one from a folder with the sticky bit', async () => {
      const args = credentialProcess(edge, { '--pkcs11-module': await inFolder('sticky', 0o1777) })
      assertCredentials(await runHoldfast(args, { env: edge.env }))
    })

    it('takes the default from where the distribution has it, not from the current folder', async () => {
      const folder = path('trap')
      await mkdir(folder)
      await copyFile(createFaulty('').modulePath, join(folder, 'p11-kit-proxy.so'))
      const args = credentialProcess(edge, {
        '--pkcs11-module': undefined,
        '--pkcs11-uri': 'pkcs11:token=none',
      })
      const env = { ...edge.env, FAULTS: 'C_Initialize=crash', FAULTY_MODULE: edge.token.modulePath }
      const result = await runHoldfast(args, { env: { ...env, LD_LIBRARY_PATH: folder } })
      assertFailure(result, 'TOKEN_NOT_FOUND', 3)
    })

    async function inFolder(name: string, mode: number): Promise<string> {
      await mkdir(path(name))
      await chmod(path(name), mode)
      await copyFile(edge.token.modulePath, path(`${name}/module.so`))
      return path(`${name}/module.so`)
    }

    async function makeFifo(fifo: string): Promise<string> {
      await run('mkfifo', [fifo])
      return fifo
    }

    async function makeWritable(file: string): Promise<string> {
      await copyFile(edge.token.modulePath, file)
      await chmod(file, 0o757)
      return file
    }

    /** Changes e_machine of the ELF header: to AArch64, or there to x86-64. */
    function forAnotherMachine(module: Buffer): Uint8Array {
      module.writeUInt16LE(module.readUInt16LE(18) === 0xb7 ? 0x3e : 0xb7, 18)
      return module
    }
  })

  describe('with a module that returns an error', () => {
    let requests: number
    before(() => {
      requests = edge.emulator.journal.length
    })
    const faults: [fault: string, code: ErrorCode, status: number, says: RegExp][] = [
      ['C_Initialize=return:0x5', 'TOKEN_FAILED', 3, /C_Initialize of .*CKR_GENERAL_ERROR, 0x5/],
      ['C_GetInfo=return:0x54', 'TOKEN_FAILED', 3, /CKR_FUNCTION_NOT_SUPPORTED/],
      ['C_GetSlotList=return:0x30', 'TOKEN_FAILED', 3, /CKR_DEVICE_ERROR/],
      ['C_GetTokenInfo=return:0x30', 'TOKEN_FAILED', 3, /CKR_DEVICE_ERROR/],
      [
        'C_GetTokenInfo=return:0xe0',
        'TOKEN_NOT_FOUND',
        3,
        /plug it in.* Tokens present: none \(.*holdfast token init/,
      ],
      ['C_OpenSession=return:0xb1', 'TOKEN_FAILED', 3, /CKR_SESSION_COUNT/],
      ['C_FindObjectsInit=return:0x90', 'TOKEN_FAILED', 3, /CKR_OPERATION_ACTIVE/],
      ['C_FindObjects=return:0x32', 'TOKEN_REMOVED', 3, /CKR_DEVICE_REMOVED/],
      ['C_GetAttributeValue=return:0x6', 'TOKEN_FAILED', 3, /CKR_FUNCTION_FAILED/],
      ['C_GetMechanismList=return:0x6', 'TOKEN_FAILED', 3, /C_GetMechanismList/],
      ['C_Login=return:0xa0', 'PIN_INCORRECT', 3, /the PIN is wrong/],
      ['C_Login=return:0xa2', 'PIN_INCORRECT', 3, /too short or too long/],
      ['C_Login=return:0x7', 'PIN_INVALID', 3, /CKR_ARGUMENTS_BAD/],
      ['C_Login=return:0xa3', 'PIN_EXPIRED', 3, /CKR_PIN_EXPIRED/],
      ['C_Login=return:0xa4', 'PIN_LOCKED', 3, /holdfast token unblock/],
      ['C_Login=return:0x80000001', 'LOGIN_FAILED', 3, /CKR_VENDOR_DEFINED, 0x80000001/],
      // What it says of the PIN must not be lost because it then fails to end.
      ['C_Login=return:0xa0 C_Finalize=crash', 'PIN_INCORRECT', 3, /the PIN is wrong/],
      ['C_Login=return:0xa0 C_Finalize=hang', 'PIN_INCORRECT', 3, /the PIN is wrong/],
      ['C_SignInit=return:0x68', 'KEY_UNSUPPORTED', 4, /may not be used for signatures/],
      ['C_Sign=return:0x50', 'TOKEN_FAILED', 3, /cancelled at the token, or nobody confirmed/],
      ['C_Sign=return:0x32', 'TOKEN_REMOVED', 3, /plug it in again/],
      ['C_Sign=return:0x150', 'TOKEN_FAILED', 3, /CKR_BUFFER_TOO_SMALL/],
      ['C_Sign=corrupt', 'SIGNATURE_INVALID', 4, /Nothing was sent/],
      ['C_Sign=shorten:63', 'TOKEN_FAILED', 3, /a signature of 63 bytes/],
      ['C_Sign=shorten:0', 'TOKEN_FAILED', 3, /a signature of 0 bytes/],
    ]
    for (const [fault, code, status, says] of faults) {
      it(`explains ${fault}`, async () => {
        assertFailure(await runWith(createFaulty(fault)), code, status, says)
      })
    }

    it('sends nothing whatever the module does', () => {
      assert.equal(edge.emulator.journal.length, requests)
    })
  })

  describe('with a token in a bad state', () => {
    const states: [title: string, fault: string, code: ErrorCode, says: RegExp][] = [
      ['a locked PIN', 'C_GetTokenInfo=set-flags:0x40000', 'PIN_LOCKED', /is locked/],
      ['one try left', 'C_GetTokenInfo=set-flags:0x20000', 'PIN_FINAL_TRY', /one try left before it locks/],
      ['a PIN to be changed', 'C_GetTokenInfo=set-flags:0x80000', 'PIN_EXPIRED', /must be changed/],
      ['a PIN pad', 'C_GetTokenInfo=set-flags:0x100', 'PIN_PAD_UNSUPPORTED', /PIN pad/],
    ]
    for (const [title, fault, code, says] of states) {
      it(`tries no PIN on a token with ${title}`, async () => {
        const module = createFaulty(fault)
        const spy = createSpy({ ...edge.token, modulePath: module.modulePath, env: module.env })
        const result = await runWith({ ...module, ...spy })
        assertFailure(result, code, 3, says)
        assert.equal((await spy.counts()).C_Login, undefined)
      })
    }

    it('logs in once more if the token has forgotten the login, and signs', async () => {
      const module = createFaulty('C_Sign=lose-login-once')
      const spy = createSpy({ ...edge.token, modulePath: module.modulePath, env: module.env })
      assertCredentials(await runWith({ ...module, ...spy }))
      const { C_Login, C_Sign } = await spy.counts()
      assert.deepEqual({ C_Login, C_Sign }, { C_Login: 2, C_Sign: 2 })
    })

    it('logs in no more than once more', async () => {
      const module = createFaulty('C_Sign=lose-login')
      const spy = createSpy({ ...edge.token, modulePath: module.modulePath, env: module.env })
      assertFailure(await runWith({ ...module, ...spy }), 'TOKEN_FAILED', 3, /nobody is logged in/)
      const { C_Login, C_Sign } = await spy.counts()
      assert.deepEqual({ C_Login, C_Sign }, { C_Login: 2, C_Sign: 2 })
    })
  })

  describe('with a token that differs from others', () => {
    const differences: [title: string, faults: string][] = [
      ['has no public key objects', 'C_FindObjectsInit=hide-class:2'],
      ['shows the point of a key without its OCTET STRING', 'C_GetAttributeValue=raw-point'],
      ['shows the point of a key as BIT STRING', 'C_GetAttributeValue=bit-string-point'],
      ['does not show the curve of a key', 'C_GetAttributeValue=hide:0x180'],
      ['shows nothing of a public key', 'C_GetAttributeValue=hide:0x181'],
      ['refuses read-only sessions', 'C_OpenSession=read-only-returns:0xb7'],
      ['does not say that it wants a login', 'C_GetTokenInfo=clear-flags:0x4'],
      ['has seen a wrong PIN before', 'C_GetTokenInfo=set-flags:0x10000'],
      ['asks for a larger buffer', 'C_Sign=once:0x150'],
    ]
    for (const [title, faults] of differences) {
      it(`prints credentials for one that ${title}`, async () => {
        assertCredentials(await runWith(createFaulty(faults)))
      })
    }

    it('sends nothing signed by a key that is not the certificate’s, though the token does not show that', async () => {
      const { publicKey } = await createFileKey('P-256')
      const file = join(edge.token.directory, 'other.pem')
      await writeFile(file, certificatePem(await edge.authority.issue(publicKey)))
      const requests = edge.emulator.journal.length
      const result = await runWith(createFaulty('C_GetAttributeValue=hide:0x181'), { '--certificate': file })
      assertFailure(result, 'SIGNATURE_INVALID', 4, /Nothing was sent/)
      assert.equal(edge.emulator.journal.length, requests)
    })

    it('is not misled by a certificate that cannot be parsed beside the good one', async () => {
      const broken = await edge.authority.issue(
        await edge.token.generateKey('P-256', { id: '66', label: 'broken' }),
      )
      await edge.token.importCertificate(broken, { id: '66', label: 'broken' })
      const uri = edge.uri.replace('id=%01', '').replace(';?', '?')
      const result = await runWith(createFaulty('C_GetAttributeValue=corrupt:0x66'), { '--pkcs11-uri': uri })
      assertCredentials(result)
      assertFailure(await runWith(createFaulty(''), { '--pkcs11-uri': uri }), 'CERTIFICATE_AMBIGUOUS', 4)
    })

    it('is not hindered by another slot that cannot be read', async () => {
      const other = await createSoftHsmToken({ label: 'other', beside: edge.token })
      const results = await Promise.all(
        [edge.token, other].map(({ label }) =>
          runWith(createFaulty('C_GetTokenInfo=once:0x30'), {
            '--pkcs11-uri': edge.uri.replace('token=edge', `token=${label}`),
          }),
        ),
      )
      // Whichever slot comes first cannot be read; the token in the other is found, though `other` is empty.
      const lost = results.filter(({ stderr }) => stderr.includes('(TOKEN_NOT_FOUND)'))
      const found = results.filter(
        ({ status, stderr }) => status === 0 || /CERTIFICATE_NOT_FOUND/.test(stderr),
      )
      assert.deepEqual([lost.length, found.length], [1, 1])
    })
  })

  describe('with a module that crashes or ends the process', () => {
    const faults: [fault: string, says: RegExp][] = [
      ['C_Initialize=crash', /crashed \(SIGSEGV\)/],
      ['C_Sign=crash', /crashed \(SIGSEGV\)/],
      ['C_Login=exit:0', /ended with status 0/],
      ['C_GetSlotList=exit:7', /ended with status 7/],
      // The process that it leaves behind holds the pipes for 20 seconds.
      ['C_Initialize=leave C_Sign=crash', /crashed \(SIGSEGV\)/],
    ]
    for (const [fault, says] of faults) {
      it(`explains ${fault}`, async () => {
        const result = await runWith(createFaulty(fault))
        assertFailure(result, 'MODULE_CRASHED', 3, says)
        assert.ok(result.milliseconds < 15_000, `${result.milliseconds} ms`)
      })
    }

    it('shows with --debug what it printed before it crashed', async () => {
      const result = await runWith(createFaulty('C_Initialize=print:100 C_Login=crash'), {
        '--debug': 'true',
      })
      assertFailure(result, 'MODULE_CRASHED', 3)
      assert.match(result.stderr, /debug: the PKCS#11 module printed: A vendor's module says/)
    })

    it('prints credentials if it crashes afterwards', async () => {
      assertCredentials(await runWith(createFaulty('C_Finalize=crash')))
    })

    it('prints credentials if it leaves a process behind', async () => {
      const result = await runWith(createFaulty('C_Initialize=leave'))
      assertCredentials(result)
      assert.ok(result.milliseconds < 15_000, `${result.milliseconds} ms`)
    })
  })

  // These runs wait for most of their time, so they do it together.
  describe('with a module that hangs', function () {
    this.timeout(60_000)
    interface HangingRun {
      readonly module: FaultyModule
      readonly result: Promise<ProgramResult>
    }
    const runs = new Map<string, HangingRun>()
    const TIMED = ['C_Initialize', 'C_GetSlotList', 'C_Login', 'C_Sign']
    const FINALIZING = { 'at once': {}, 'soon with --debug': { '--debug': 'true' } }
    /** How the program is ended while the module hangs. */
    const ENDINGS: Record<string, (program: number, child: number) => void> = {
      SIGKILL: (program) => process.kill(program, 'SIGKILL'),
      SIGINT: (program) => process.kill(program, 'SIGINT'),
      SIGTERM: (program) => process.kill(program, 'SIGTERM'),
      SIGHUP: (program) => process.kill(program, 'SIGHUP'),
      SIGQUIT: (program) => process.kill(program, 'SIGQUIT'),
      'SIGINT to all its processes': (program, child) => {
        process.kill(child, 'SIGINT')
        process.kill(program, 'SIGINT')
      },
    }
    // One after the other up to the point where they hang: SoftHSM is not made for logins at the same moment.
    before(async () => {
      const start = async (title: string, call: string, flags = {}, end?: (typeof ENDINGS)[string]) => {
        const module = createFaulty(`${call}=hang`)
        let program: number | undefined
        const started = ({ pid }: ChildProcess) => {
          program = pid
        }
        const result = runWith(module, flags, { started })
        runs.set(title, { module, result })
        const child = await module.hungProcess(result)
        end?.(program!, child)
      }
      for (const call of TIMED) await start(call, call, { '--token-timeout': '3' })
      for (const [title, flags] of Object.entries(FINALIZING)) await start(title, 'C_Finalize', flags)
      for (const [title, end] of Object.entries(ENDINGS)) await start(title, 'C_Sign', {}, end)
    })

    /** The result; asserts that it came soon and that the process with the module has ended. */
    async function endOf({ module, result }: HangingRun): Promise<ProgramResult> {
      const startedAt = performance.now()
      const { milliseconds } = await result
      await ended(await module.hungProcess(result))
      assert.ok(milliseconds < 15_000, `${milliseconds} ms`)
      assert.ok(performance.now() - startedAt < 15_000, 'the child lives on')
      return result
    }

    for (const call of TIMED) {
      it(`ends ${call} when the time is up`, async () => {
        assertFailure(await endOf(runs.get(call)!), 'TOKEN_TIMEOUT', 3, /within 3 s \(--token-timeout\)/)
      })
    }

    for (const title of Object.keys(FINALIZING)) {
      it(`prints credentials ${title} if it hangs afterwards, and leaves no process`, async () => {
        assertCredentials(await endOf(runs.get(title)!), /^(holdfast: debug: .*\n)*$/)
      })
    }

    it('leaves no process behind after SIGKILL', async () => {
      const { stdout, signal } = await endOf(runs.get('SIGKILL')!)
      assert.deepEqual({ stdout, signal }, { stdout: '', signal: 'SIGKILL' })
    })

    for (const title of Object.keys(ENDINGS).slice(1)) {
      it(`ends by ${title} as a shell expects it`, async () => {
        const { stdout, stderr, signal } = await endOf(runs.get(title)!)
        assert.equal(signal, title.split(' ')[0])
        assert.equal(stdout, '')
        assert.match(stderr, new RegExp(`^holdfast: .*interrupted by ${signal} \\(INTERRUPTED\\)\n$`))
      })
    }
  })

  it('opens no debugger in the process that has the PIN', async () => {
    const module = createFaulty('C_Login=wait')
    const result = runWith(module, { '--debug': 'true' })
    process.kill(await module.hungProcess(result), 'SIGUSR1')
    await module.release()
    assertCredentials(await result, /^(holdfast: debug: (?!.*[Dd]ebugger).*\n)*$/)
  })

  describe('with a module that prints', () => {
    for (const fault of ['C_Initialize=print:100', 'C_Sign=print:70000 C_Finalize=print:2000000']) {
      it(`prints nothing but credentials (${fault})`, async () => {
        assertCredentials(await runWith(createFaulty(fault)))
      })
    }

    it('shows what it printed with --debug, on stderr, but not without end', async () => {
      const result = await runWith(createFaulty('C_Finalize=print:2000000'), { '--debug': 'true' })
      assertCredentials(result, /the PKCS#11 module printed: A vendor's module says/)
      assert.ok(result.stderr.length < 200_000, `${result.stderr.length} characters`)
    })

    it('explains bytes on a descriptor that is not the module’s', async () => {
      assertFailure(await runWith(createFaulty('C_Sign=garble')), 'MODULE_FAILED', 3, /descriptors/)
    })
  })
})
