/**
 * Tokens, modules and PINs that are broken on purpose, each in one thing: what `holdfast doctor` says of them, and how often
 * it logs in. The built program with SoftHSM, and the emulator.
 */

import assert from 'node:assert/strict'
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Finding } from '../../src/core/doctor/diagnosis.js'
import type { ErrorCode } from '../../src/core/errors.js'
import { certificatePem, createFileKey } from '../support/certificates.js'
import { findLibrary } from '../support/command.js'
import { assertFails, assertWarns, assertWell, diagnose, statusOf } from '../support/diagnosis.js'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { createFaultyModules } from '../support/faulty-module.js'
import { type ProgramOptions, runHoldfastOnTerminal } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'
import { createSpy } from '../support/spy.js'

describe('holdfast doctor', () => {
  let edge: Edge
  before(async () => {
    edge = await createEdge({ token: await createSoftHsmToken(), tls: false })
  })
  after(() => edge.dispose())

  const look = (
    changes: Record<string, string | undefined> = {},
    options: ProgramOptions & { more?: readonly string[] } = {},
  ) => diagnose(edge, changes, options)
  const path = (name: string) => join(edge.token.directory, name)
  const file = async (name: string, content: string | Uint8Array, mode = 0o600) => {
    await writeFile(path(name), content)
    await chmod(path(name), mode)
    return path(name)
  }
  const withPin = (pinFile: string) => ({ '--pkcs11-uri': edge.uri.split('?')[0], '--pin-file': pinFile })

  it('finds nothing wrong with a token where nothing is', async () => {
    const diagnosis = await look()
    assertWell(diagnosis)
    const names = diagnosis.findings.map(({ check }) => check)
    for (const name of ['module', 'token', 'pin-guard', 'login', 'key', 'mechanism', 'session']) {
      assert.ok(names.includes(name), name)
    }
  })

  it('tries nothing with --no-login, and leaves nothing behind', async () => {
    const spy = createSpy(edge.token)
    const home = path('untouched')
    await mkdir(home)
    const diagnosis = await look(
      { '--pkcs11-module': spy.modulePath },
      { env: spy.env, home, more: ['--no-login'] },
    )
    assert.equal(diagnosis.status, 0)
    assert.equal(statusOf(diagnosis, 'key'), 'ok')
    assert.equal(statusOf(diagnosis, 'login'), 'skip')
    assert.equal(statusOf(diagnosis, 'session'), 'skip')
    const { C_Login, C_Sign, C_OpenSession } = await spy.counts()
    assert.deepEqual([C_Login, C_Sign], [undefined, undefined])
    assert.ok(C_OpenSession! > 0)
    await assert.rejects(readFile(join(home, '.local')), { code: 'ENOENT' })
  })

  it('says when the key waits for a touch, as the session is signed', async () => {
    const faulty = (await createFaultyModules(edge.token))('C_GetInfo=yubico C_GetAttributeValue=touch:2')
    const diagnosis = await look({ '--pkcs11-module': faulty.modulePath }, { env: faulty.env })
    assertWell(diagnosis)
    assert.equal(diagnosis.stderr, 'holdfast: warning: touch your key: token "edge" waits for it\n')
  })

  describe('on the module', () => {
    const foreign = async () => {
      const bytes = await readFile(edge.token.modulePath)
      // e_machine of the ELF header: AArch64, or there x86-64.
      bytes.writeUInt16LE(process.arch === 'arm64' ? 62 : 183, 18)
      return file('foreign.so', bytes)
    }
    const writable = async () => {
      await copyFile(edge.token.modulePath, path('writable.so'))
      await chmod(path('writable.so'), 0o666)
      return path('writable.so')
    }
    const cases: [title: string, make: () => Promise<string>, code: ErrorCode, says: RegExp][] = [
      [
        'a path that leads nowhere',
        async () => '/usr/lib/none.so',
        'MODULE_NOT_FOUND',
        /no PKCS#11 module at \/usr\/lib\/none\.so.*fix: install the module/,
      ],
      [
        'one for another machine',
        foreign,
        'MODULE_INVALID',
        /another kind of machine.*fix: name the file of a PKCS#11 module for this machine/,
      ],
      [
        'a library that is no module',
        async () => findLibrary('libc.so.6'),
        'MODULE_INVALID',
        /cannot be loaded as a PKCS#11 module/,
      ],
      [
        'one that everybody can change',
        writable,
        'MODULE_INVALID',
        /everyone can write it: chmod o-w .*writable\.so/,
      ],
    ]
    for (const [title, make, code, says] of cases) {
      it(`names ${title}`, async () => {
        const diagnosis = await look({ '--pkcs11-module': await make() })
        assertFails(diagnosis, 'module', code, says)
        assert.equal(statusOf(diagnosis, 'token'), 'skip')
        assert.equal(statusOf(diagnosis, 'clock'), 'ok')
      })
    }

    it('names one that crashes', async () => {
      const faulty = (await createFaultyModules(edge.token))('C_Initialize=crash')
      const diagnosis = await look({ '--pkcs11-module': faulty.modulePath }, { env: faulty.env })
      assertFails(diagnosis, 'module', 'MODULE_CRASHED', /crashed \(SIGSEGV\)/)
    })
  })

  describe('on the token', () => {
    it('names a label that no token has', async () => {
      const diagnosis = await look({ '--pkcs11-uri': edge.uri.replace('token=edge', 'token=other') })
      assertFails(
        diagnosis,
        'token',
        'TOKEN_NOT_FOUND',
        /Tokens present: pkcs11:.*token=edge.*fix: holdfast token list/,
      )
    })

    it("warns of SoftHSM's files that others can change", async () => {
      const config = edge.token.env.SOFTHSM2_CONF!
      const folder = /tokendir *= *(.*)/.exec(await readFile(config, 'utf8'))![1]!
      await Promise.all([chmod(config, 0o666), chmod(folder, 0o777)])
      const diagnosis = await look()
      await Promise.all([chmod(config, 0o600), chmod(folder, 0o700)])
      assertWarns(diagnosis, 'files', /others can change SoftHSM's configuration .*fix: chmod go-w /)
      assertWarns(diagnosis, 'files', /others can change the folder of SoftHSM's tokens .*fix: chmod go-w /)
    })

    it('names two tokens with one label', async () => {
      const label = 'twin'
      const first = await createSoftHsmToken({ label })
      await createSoftHsmToken({ label, beside: first })
      try {
        const diagnosis = await look({ '--pkcs11-uri': `pkcs11:token=${label};id=%01` }, { env: first.env })
        assertFails(
          diagnosis,
          'token',
          'TOKEN_AMBIGUOUS',
          /2 tokens match .*serial=.*serial=.*fix: put one of these URIs/,
        )
      } finally {
        await first.dispose()
      }
    })

    const flags: [title: string, flag: number, code: ErrorCode, says: RegExp][] = [
      [
        'a PIN that is locked',
        0x40000,
        'PIN_LOCKED',
        /is locked after too many wrong ones: .* holdfast token unblock; fix: $/,
      ],
      ['a PIN with one try left', 0x20000, 'PIN_FINAL_TRY', /one try left before it locks/],
      ['a PIN that must be changed', 0x80000, 'PIN_EXPIRED', /must be changed.*fix: holdfast token set-pin/],
    ]
    for (const [title, flag, code, says] of flags) {
      it(`names ${title}, and does not log in`, async () => {
        const faulty = (await createFaultyModules(edge.token))(
          `C_GetTokenInfo=set-flags:${flag} C_Login=crash`,
        )
        const diagnosis = await look({ '--pkcs11-module': faulty.modulePath }, { env: faulty.env })
        assertFails(diagnosis, 'token-flags', code, says)
        assert.equal(statusOf(diagnosis, 'login'), 'skip')
      })
    }

    it('warns of a PIN with few tries left', async () => {
      const faulty = (await createFaultyModules(edge.token))(`C_GetTokenInfo=set-flags:${0x10000}`)
      const diagnosis = await look({ '--pkcs11-module': faulty.modulePath }, { env: faulty.env })
      assertWarns(diagnosis, 'token-flags', /few tries may be left; fix: log in once/)
    })
  })

  describe('on the PIN', () => {
    const pins: [title: string, make: () => Promise<string>, code: ErrorCode, says: RegExp][] = [
      [
        'a file that is not there',
        async () => path('none'),
        'PIN_SOURCE_UNREADABLE',
        /PIN file .*none does not exist/,
      ],
      [
        'a file that everybody can read',
        () => file('open-pin', '12345678\n', 0o644),
        'PIN_SOURCE_UNSAFE',
        /everyone can read it \(mode 0644\): chmod g-w,o= .*open-pin/,
      ],
      ['a file that is empty', () => file('empty-pin', '\n'), 'PIN_INVALID', /empty-pin is empty/],
      ['a folder', async () => edge.token.directory, 'PIN_SOURCE_UNSAFE', /is not a regular file/],
    ]
    for (const [title, make, code, says] of pins) {
      it(`names ${title}`, async () => {
        const diagnosis = await look(withPin(await make()))
        assertFails(diagnosis, 'pin-source', code, says)
        assert.equal(statusOf(diagnosis, 'login'), 'skip')
        assert.equal(statusOf(diagnosis, 'key'), 'ok')
      })
    }

    it('takes a file with Windows line ends', async () => {
      assertWell(await look(withPin(await file('windows-pin', '\ufeff12345678\r\n'))))
    })

    it('names two sources', async () => {
      const pinValue = `${edge.uri.split('?')[0]}?pin-value=Zq7-canary`
      const diagnosis = await look({ '--pin-file': edge.token.pinFile, '--pkcs11-uri': pinValue })
      assertFails(diagnosis, 'key-source', 'USAGE', /two sources, --pin-file and pin-value: name only one/)
      assert.doesNotMatch(diagnosis.stdout + diagnosis.stderr, /canary/)
    })

    it('warns of a PIN in the URI, and does not show it', async () => {
      const diagnosis = await look({
        '--pkcs11-uri': `${edge.uri.split('?')[0]}?pin-value=${edge.token.pin}`,
      })
      assertWarns(diagnosis, 'pin-source', /pin-value.*fix: put it into a file/)
      assert.ok(!diagnosis.stdout.includes(edge.token.pin))
    })

    it('warns of a guard that is off', async () => {
      assertWarns(
        await look({ '--pin-guard': 'off' }),
        'pin-guard',
        /the guard is off.*fix: leave out pin-guard/,
      )
    })

    it('asks a person once', async () => {
      const [, ...flags] = credentialProcess(edge, { '--pkcs11-uri': edge.uri.split('?')[0] })
      const typed = [`${edge.token.pin}\n`]
      const { screen, stdout, status } = await runHoldfastOnTerminal(['doctor', '--json', ...flags], {
        env: edge.env,
        prompt: /PIN of token "edge"/,
        typed,
        timeoutMs: 60_000,
      })
      assert.equal(status, 0)
      assert.equal(screen.match(/PIN of token/g)?.length, 1)
      const findings: Finding[] = JSON.parse(stdout)
      assert.match(findings.find(({ check }) => check === 'login')?.message ?? '', /comes with the session/)
      assert.equal(findings.find(({ check }) => check === 'session')?.status, 'ok')
    })

    it('asks an askpass program once', async () => {
      const askpass = await file(
        'askpass-once',
        `#!/bin/sh\necho >>${path('asked')}\necho ${edge.token.pin}\n`,
        0o700,
      )
      const diagnosis = await look({ '--pkcs11-uri': edge.uri.split('?')[0], '--askpass': askpass })
      assert.equal(diagnosis.status, 0, diagnosis.stderr)
      assert.equal(statusOf(diagnosis, 'session'), 'ok')
      assert.equal(await readFile(path('asked'), 'utf8'), '\n')
    })

    it('names an askpass program that is none', async () => {
      const askpass = await file('askpass', '#!/bin/sh\n')
      const diagnosis = await look({ '--pkcs11-uri': edge.uri.split('?')[0], '--askpass': askpass })
      assertFails(diagnosis, 'pin-source', 'PIN_SOURCE_UNREADABLE', /chmod u\+x/)
    })

    it('names a wrong one once, and then goes by the record of it', async () => {
      const spy = createSpy(edge.token)
      const home = path('home-of-a-wrong-pin')
      await mkdir(home)
      const wrong = { ...withPin(await file('wrong-pin', 'Zq7-canary\n')), '--pkcs11-module': spy.modulePath }
      const first = await look(wrong, { env: spy.env, home })
      assertFails(
        first,
        'login',
        'PIN_INCORRECT',
        /says that the PIN is wrong.*wrong-pin.*fix: correct the PIN/,
      )
      assert.equal((await spy.counts()).C_Login, 1)

      const second = await look(wrong, { env: spy.env, home })
      assertFails(
        second,
        'pin-guard',
        'PIN_REFUSED_BEFORE',
        /refused the PIN from .*wrong-pin .* run: holdfast token retry-pin edge --state-dir \/.*\/holdfast; fix: $/,
      )
      assert.equal(statusOf(second, 'login'), 'skip')
      assert.equal(statusOf(second, 'key'), 'ok')
      assert.equal((await spy.counts()).C_Login, 1)
      for (const { stdout, stderr } of [first, second]) assert.doesNotMatch(stdout + stderr, /canary/)
    })

    it('names a state folder that cannot be used', async () => {
      const state = await file('no-folder', '')
      const spy = createSpy(edge.token)
      const diagnosis = await look(
        { '--state-dir': state, '--pkcs11-module': spy.modulePath },
        { env: spy.env },
      )
      assertFails(
        diagnosis,
        'pin-guard',
        'PIN_GUARD_UNAVAILABLE',
        /no-folder.*fix: name a folder of your own in state-dir/,
      )
      assert.equal((await spy.counts()).C_Login, undefined)
    })

    it('names a state folder that cannot be used for the PIN of an askpass program', async () => {
      const askpass = await file('askpass-of-nobody', '#!/bin/sh\nexit 1\n', 0o700)
      const changes = { '--askpass': askpass, '--state-dir': await file('no-folder', '') }
      const diagnosis = await look({ '--pkcs11-uri': edge.uri.split('?')[0], ...changes })
      assertFails(diagnosis, 'pin-guard', 'PIN_GUARD_UNAVAILABLE', /no-folder/)
    })

    it('warns of a blank or a quotation mark around a PIN, which it does not show', async () => {
      for (const text of ['Zq7-canary \n', '"Zq7-canary"\n']) {
        const diagnosis = await look(withPin(await file('rim-pin', text)))
        const warning = diagnosis.findings.find(({ check }) => check === 'pin-source')
        assert.equal(warning?.status, 'warn')
        assert.match(warning.message, /rim-pin begins or ends with a blank or a quotation mark/)
        assert.doesNotMatch(diagnosis.stdout + diagnosis.stderr, /canary/)
      }
    })

    it('names a state folder that others can write', async () => {
      const state = path('open-state')
      await mkdir(state)
      await chmod(state, 0o777)
      const diagnosis = await look({ '--state-dir': state })
      assertFails(
        diagnosis,
        'pin-guard',
        'PIN_GUARD_UNAVAILABLE',
        /is open to others: chmod go-w .*open-state/,
      )
    })
  })

  describe('on certificate and key', () => {
    it('names a certificate that the token does not have', async () => {
      await edge.token.generateKey('P-256', { id: '02', label: 'bare' })
      const diagnosis = await look({ '--pkcs11-uri': edge.uri.replace('id=%01', 'id=%02') })
      assertFails(
        diagnosis,
        'certificate',
        'CERTIFICATE_NOT_FOUND',
        /Certificates seen: pkcs11:.*id=%01.*fix: holdfast cert list/,
      )
    })

    it('knows an id that lacks its per cent signs', async () => {
      const diagnosis = await look({ '--pkcs11-uri': edge.uri.replace('id=%01', 'id=01') })
      assertFails(diagnosis, 'certificate', 'CERTIFICATE_NOT_FOUND', /in hexadecimal is written as id=%01,/)
    })

    it('names one that cannot be read', async () => {
      const faulty = (await createFaultyModules(edge.token))('C_GetAttributeValue=corrupt:0x01')
      const diagnosis = await look({ '--pkcs11-module': faulty.modulePath }, { env: faulty.env })
      assertFails(
        diagnosis,
        'certificate',
        'CERTIFICATE_NOT_FOUND',
        /Certificates seen: .*id=%01.* \(it cannot be read: delete it, and import it again\)/,
      )
    })

    it("names another key's", async () => {
      await edge.token.generateKey('P-256', { id: '03', label: 'mismatched' })
      const other = await createFileKey('P-256')
      await edge.token.importCertificate(await edge.authority.issue(other.publicKey), {
        id: '03',
        label: 'mismatched',
      })
      const changes = { '--pkcs11-uri': edge.uri.replace('id=%01', 'id=%03') }
      for (const more of [[], ['--no-login']]) {
        const diagnosis = await look(changes, { more })
        assertFails(
          diagnosis,
          'key',
          'KEY_MISMATCH',
          /does not belong to any matching private key .*id=%03.*fix: holdfast cert list/,
        )
      }
    })

    it('names a key that is not there', async () => {
      const pem = certificatePem(edge.certificate)
      const diagnosis = await look({
        '--certificate': await file('edge.pem', pem),
        '--pkcs11-uri': edge.uri.replace('id=%01', 'id=%09'),
      })
      assertFails(
        diagnosis,
        'key',
        'KEY_NOT_FOUND',
        /check id and object of the key's URI.*fix: holdfast key list/,
      )
    })

    it('warns of keys that cannot be seen without a login', async () => {
      const certificate = await file('edge.pem', certificatePem(edge.certificate))
      const faulty = (await createFaultyModules(edge.token))('C_FindObjectsInit=hide-class:2')
      const diagnosis = await look(
        { '--certificate': certificate, '--pkcs11-module': faulty.modulePath },
        { env: faulty.env, more: ['--no-login'] },
      )
      assertWarns(diagnosis, 'key', /shows no key without a login/)
    })

    it('finds the key in one token and the certificate in another', async () => {
      const second = await createSoftHsmToken({ label: 'certificates', beside: edge.token })
      await second.importCertificate(edge.certificate)
      assertWell(
        await look({
          '--pkcs11-uri': undefined,
          '--private-key': edge.uri,
          '--certificate': 'pkcs11:token=certificates;id=%01',
        }),
      )
    })
  })

  it('shows no PIN, key or credential, whatever goes wrong', async () => {
    const env = {
      HOLDFAST_PIN: 'Zq7-canary-pin',
      HTTPS_PROXY: 'http://user:Zq7-canary@127.0.0.1:1',
      AWS_SECRET_ACCESS_KEY: 'Zq7-canary',
      AWS_SESSION_TOKEN: 'Zq7-canary',
    }
    const uri = edge.uri.split('?')[0]
    const runs = [
      await look({ '--pkcs11-uri': uri }, { env, more: ['--debug'] }),
      await look({ '--pkcs11-uri': `${uri}?pin-value=Zq7-canary` }, { env, more: ['--debug'] }),
      await look({ '--pkcs11-uri': `${uri};pin-value=Zq7-canary` }, { env }),
      await look({ '--endpoint': 'https://user:Zq7-canary@rolesanywhere.test/' }, { env }),
    ]
    for (const { stdout, stderr, status } of runs) {
      assert.doesNotMatch(stdout + stderr, /canary/)
      assert.notEqual(status, 0)
    }
  })
})
