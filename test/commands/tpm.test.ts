/**
 * A key in a TPM, from the token that is made through PKCS#11 to the credential: tpm2-pkcs11 on swtpm, by its word. What
 * reaches the TPM is counted in swtpm's own log. The restarts with a wrong PIN are in pin.test.ts and pin.heavy.ts.
 */

import assert from 'node:assert/strict'
import { chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { certificatePem, type KeyAlgorithm } from '../support/certificates.js'
import { run } from '../support/command.js'
import { assertFails, assertWarns, diagnose } from '../support/diagnosis.js'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { type ProgramOptions, runHoldfast } from '../support/program.js'
import { createTpmToken, TPM_WARNING, type TpmToken } from '../support/swtpm.js'

/** What one credential may cost: one C_Initialize, one C_Login, one C_Sign. */
const MOST_COMMANDS = 31
const TPM2_SIGN = 0x15d
const TPM2_UNSEAL = 0x15e

describe('holdfast credential-process with a TPM', function () {
  this.timeout(120_000)

  for (const algorithm of ['P-256', 'P-384', 'RSA-2048'] satisfies KeyAlgorithm[]) {
    describe(`with a ${algorithm} key`, () => {
      let token: TpmToken
      let edge: Edge
      before(async () => {
        token = await createTpmToken()
        edge = await createEdge({ token, algorithm })
      })
      after(() => edge.dispose())

      const places: [place: string, flags: () => Promise<Record<string, string | undefined>>][] = [
        ['in the token', async () => ({})],
        [
          'in a file',
          async () => {
            const file = join(token.directory, 'edge.pem')
            await writeFile(file, certificatePem(edge.certificate))
            return { '--certificate': file, '--private-key': edge.uri, '--pkcs11-uri': undefined }
          },
        ],
      ]
      for (const [place, flags] of places) {
        it(`prints credentials for a certificate ${place}, at the price of ${MOST_COMMANDS} TPM commands at most`, async () => {
          const before = (await token.commands()).length
          const args = credentialProcess(edge, { '--pkcs11-module': 'tpm2', ...(await flags()) })
          // With --debug the program waits for the child's end, and so for all that reaches the TPM.
          const result = await runHoldfast([...args, '--debug'], { env: edge.env })
          assertCredentials(result, /debug: /)
          const commands = (await token.commands()).slice(before)
          assert.ok(commands.length <= MOST_COMMANDS, `${commands.length} commands`)
          const counts = [TPM2_SIGN, TPM2_UNSEAL].map(
            (code) => commands.filter((each) => each === code).length,
          )
          assert.deepEqual(counts, [1, 1])
        })
      }
    })
  }

  describe('that is not as it should be', () => {
    let token: TpmToken
    let edge: Edge
    let good: string
    before(async () => {
      token = await createTpmToken()
      edge = await createEdge({ token })
      good = token.env.TPM2_PKCS11_STORE!
    })
    after(() => edge.dispose())

    const runWith = (env: Record<string, string | undefined>, options: ProgramOptions = {}) =>
      runHoldfast(credentialProcess(edge, { '--pkcs11-module': 'tpm2' }), {
        ...options,
        env: { ...edge.env, ...env },
      })
    const look = (changes: Record<string, string | undefined> = {}, options: ProgramOptions = {}) =>
      diagnose(edge, { '--pkcs11-module': 'tpm2', ...changes }, options)
    const database = (store: string) => join(store, 'tpm2_pkcs11.sqlite3')

    /** A store beside the good one, changed. */
    async function otherStore(name: string, change: (file: string) => Promise<unknown>): Promise<string> {
      const store = join(token.directory, name)
      await mkdir(store)
      await cp(database(good), database(store))
      await change(database(store))
      return store
    }

    const sql = (file: string, statement: string) =>
      run('python3', [
        '-c',
        'import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.execute(sys.argv[2])\ndb.commit()',
        file,
        statement,
      ])

    it('is warned of where nothing manages its sessions', async () => {
      assertCredentials(await runWith({}), TPM_WARNING)
    })

    it('is well in all else, as holdfast doctor has it', async () => {
      const diagnosis = await look()
      assertWarns(diagnosis, 'module', /nothing manages the TPM's sessions/)
      assert.equal(diagnosis.findings.filter(({ status }) => status !== 'ok').length, 1)
      assert.equal(diagnosis.stderr, '')
    })

    it('is reached with what the module is told, whatever its path is called', async () => {
      assertCredentials(await runHoldfast(credentialProcess(edge), { env: edge.env }), TPM_WARNING)
    })

    it('is said to be missing', async () => {
      const result = await runWith({ TPM2_PKCS11_TCTI: 'device:/nonexistent/tpmrm0' })
      assertFailure(
        result,
        'DEVICE_UNREACHABLE',
        3,
        /no TPM at \/nonexistent\/tpmrm0: switch it on in the firmware/,
      )
    })

    it('is said not to answer', async () => {
      const nowhere = `swtpm:path=${join(token.directory, 'nobody')}`
      const result = await runWith({ TPM2_PKCS11_TCTI: nowhere })
      assertFailure(
        result,
        'DEVICE_UNREACHABLE',
        3,
        /no TPM answers at TPM2_PKCS11_TCTI=swtpm:path=.*nobody: start it/,
      )
      const broker = await runWith({ TPM2_PKCS11_TCTI: 'tabrmd:bus_name=none', DBUS_SESSION_BUS_ADDRESS: '' })
      assertFailure(broker, 'DEVICE_UNREACHABLE', 3, /start tpm2-abrmd/)
    })

    it('has a backend that is none', async () => {
      const result = await runWith({ TPM2_PKCS11_BACKEND: 'none' })
      assertFailure(result, 'STORE_UNUSABLE', 3, /TPM2_PKCS11_BACKEND=none is no backend/)
    })

    it('has a store that others can change, of which holdfast doctor warns', async () => {
      await chmod(good, 0o777)
      const diagnosis = await look()
      await chmod(good, 0o700)
      assertWarns(diagnosis, 'files', /others can change the store of tpm2-pkcs11 .*fix: chmod go-w /)
    })

    it('has a store that does not exist', async () => {
      const result = await runWith({ TPM2_PKCS11_STORE: '/nonexistent/store' })
      assertFailure(result, 'STORE_UNUSABLE', 3, /\/nonexistent\/store, does not exist: .*TPM2_PKCS11_STORE/)
    })

    it('has a store without tokens', async () => {
      const store = await otherStore('empty', (file) => rm(file))
      // The module makes an empty database there, so the second time there is one.
      for (const time of ['first', 'second']) {
        const result = await runWith({ TPM2_PKCS11_STORE: store })
        assertFailure(result, 'TOKEN_NOT_FOUND', 3, /\/empty, has no token: name the store/)
        const diagnosis = await look({}, { env: { TPM2_PKCS11_STORE: store } })
        assertFails(diagnosis, 'token', 'TOKEN_NOT_FOUND', /\/empty, has no token: name the store/)
        assert.ok((await readFile(database(store))).length > 0, time)
      }
    })

    it('has a store of a newer schema that the module does not understand', async () => {
      const store = await otherStore('newer', async (file) => {
        await sql(file, 'update schema set schema_version = 99')
        await sql(file, 'alter table tokens rename column config to settings')
      })
      const result = await runWith({ TPM2_PKCS11_STORE: store })
      assertFailure(
        result,
        'STORE_UNUSABLE',
        3,
        /schema 99, which versions of the module before 1\.10 do not read: .* install/,
      )
    })

    it('has a store of a newer schema in which the module sees no token', async () => {
      const store = await otherStore('newer-and-empty', async (file) => {
        await sql(file, 'update schema set schema_version = 99')
        await sql(file, 'delete from tokens')
      })
      const result = await runWith({ TPM2_PKCS11_STORE: store })
      assertFailure(
        result,
        'STORE_UNUSABLE',
        3,
        /schema 99, and version 1\.\d+ of the module reads up to \d+: install/,
      )
    })

    it('has a store of a newer schema that the module reads nevertheless', async () => {
      const store = await otherStore('newer-but-good', (file) =>
        sql(file, 'update schema set schema_version = 99'),
      )
      assertCredentials(await runWith({ TPM2_PKCS11_STORE: store }), TPM_WARNING)
    })

    it('has a store that is damaged', async () => {
      const store = await otherStore('damaged', (file) => writeFile(file, 'garbage\n'))
      const result = await runWith({ TPM2_PKCS11_STORE: store })
      assertFailure(result, 'STORE_UNUSABLE', 3, /damaged database: restore .*sqlite3 from a backup/)
    })

    it('is used from the account’s own store, not from the current folder, by a service without HOME', async () => {
      // Whoever runs the tests may have a store of their own: then its tokens are listed.
      const result = await runWith({ TPM2_PKCS11_STORE: undefined, HOME: undefined })
      assert.match(result.stderr, /\/\.tpm2_pkcs11|\/etc\/tpm2_pkcs11|Tokens present: token/)
      await assert.rejects(readFile('tpm2_pkcs11.sqlite3'), { code: 'ENOENT' })
    })

    it('has another token than the one that is looked for', async () => {
      const args = credentialProcess(edge, { '--pkcs11-module': 'tpm2', '--pkcs11-uri': 'pkcs11:token=none' })
      assertFailure(await runHoldfast(args, { env: edge.env }), 'TOKEN_NOT_FOUND', 3, /present: token "edge"/)
    })

    it('says of three wrong PINs that the whole TPM is locked, and not that a PIN is wrong', async () => {
      const file = join(token.directory, 'wrong')
      await writeFile(file, '00000000\n', { mode: 0o600 })
      const uri = edge.uri.split('?')[0]!
      const args = (pin: string, guard = 'on') =>
        credentialProcess(edge, {
          '--pkcs11-module': 'tpm2',
          '--pkcs11-uri': uri,
          '--pin-file': pin,
          '--pin-guard': guard,
          '--state-dir': join(token.directory, 'state'),
        })
      for (let time = 0; time < 3; time++) {
        assertFailure(
          await runHoldfast(args(file, 'off'), { env: edge.env }),
          'PIN_INCORRECT',
          3,
          /PIN is wrong/,
        )
      }
      await chmod(token.pinFile, 0o600)
      // The right PIN, of which nothing is known, is not held for a wrong one.
      for (let time = 0; time < 2; time++) {
        assertFailure(
          await runHoldfast(args(token.pinFile), { env: edge.env }),
          'PIN_LOCKED',
          3,
          /the whole TPM is locked.*tpm2_dictionarylockout --clear-lockout/,
        )
      }
      const changes = { '--pkcs11-uri': uri, '--pin-file': token.pinFile }
      const guarded = { ...changes, '--state-dir': join(token.directory, 'state-of-doctor') }
      const finding = assertFails(await look(guarded), 'login', 'PIN_LOCKED', /the whole TPM is locked/)
      assert.equal(finding.fix, undefined)
      await run('tpm2_dictionarylockout', ['-T', token.tcti, '--clear-lockout'])
      assert.equal((await look(guarded)).status, 0)
      assertCredentials(await runHoldfast(args(token.pinFile), { env: edge.env }), TPM_WARNING)
    })

    it('has been cleared, and the keys of its tokens with it', async () => {
      await run('tpm2_clear', ['-T', token.tcti])
      assertFailure(await runWith({}), 'LOGIN_FAILED', 3, /If the TPM was cleared, .* enrol anew/)
    })
  })
})
