/**
 * Modules that are named by a word, and what keeps a module from its tokens: the built program, with the modules that
 * the distribution has, and files that carry the name of one that it has not.
 */

import assert from 'node:assert/strict'
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ErrorCode } from '../../src/core/errors.js'
import { findLibrary } from '../support/command.js'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { createFaultyModules, type FaultyModule } from '../support/faulty-module.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { type ProgramOptions, runHoldfast } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'

describe('holdfast credential-process --module', () => {
  let edge: Edge
  let createFaulty: (faults: string) => FaultyModule
  before(async () => {
    edge = await createEdge({ token: await createSoftHsmToken() })
    createFaulty = await createFaultyModules(edge.token)
  })
  after(() => edge.dispose())

  const path = (name: string) => join(edge.token.directory, name)
  const runWith = (module: string, env: ProgramOptions['env'] = {}, flag = '--module') =>
    runHoldfast(credentialProcess(edge, { '--pkcs11-module': undefined, [flag]: module }), {
      env: { ...edge.env, ...env },
    })

  describe('with the word for a module that is installed', () => {
    for (const flag of ['--module', '--pkcs11-module', '--pkcs11-lib']) {
      it(`prints credentials (${flag})`, async () => {
        assertCredentials(await runWith('softhsm', {}, flag))
      })
    }

    it('prints credentials where yargs reads the line', async () => {
      const args = credentialProcess(edge, { '--pkcs11-module': undefined, '--module': 'softhsm' })
      assertCredentials(await runHoldfast([...args, '--debug=false'], { env: edge.env }))
    })

    it('prints credentials where the configuration has it', async () => {
      const flags = credentialProcess(edge).slice(1)
      const settings = flags.flatMap((flag, index) =>
        index % 2 === 0
          ? [`${flag.slice(2)} = "${flag === '--pkcs11-module' ? 'softhsm' : flags[index + 1]}"`]
          : [],
      )
      const config = path('config.toml')
      await writeFile(config, ['[identity.edge]', ...settings, ''].join('\n'), { mode: 0o600 })
      const result = await runHoldfast(['credential-process', 'edge', '--config', config], { env: edge.env })
      assertCredentials(result)
    })

    it('takes the place of p11-kit’s proxy by its word', async () => {
      assertCredentials(await runWith('p11-kit'))
    })
  })

  describe('with the word for a module that is not installed', () => {
    it('says where it was looked for, and which command installs it', async () => {
      const result = await runWith('yubihsm')
      assertFailure(
        result,
        'MODULE_NOT_FOUND',
        3,
        /no yubihsm_pkcs11\.so in .*\/usr\/lib64, .*apt-get install yubihsm-pkcs11/,
      )
    })

    it('says what to install where no package has it', async () => {
      const result = await runWith('luna')
      assertFailure(
        result,
        'MODULE_NOT_FOUND',
        3,
        /\/usr\/safenet\/lunaclient\/lib.*Install the Luna HSM Client/,
      )
      assertFailure(await runWith('cloudhsm'), 'MODULE_NOT_FOUND', 3, /\/opt\/cloudhsm\/lib.*cloudhsm-pkcs11/)
    })

    it('lists the words where it is none of them', async () => {
      assertFailure(
        await runWith('softhms'),
        'MODULE_NOT_FOUND',
        3,
        /softhms is not installed.*one of softhsm, tpm2/,
      )
    })

    it('tells of the word where a path ends in the name of a known module', async () => {
      const result = await runWith('/nonexistent/libykcs11.so')
      assertFailure(result, 'MODULE_NOT_FOUND', 3, /apt-get install ykcs11 .*--pkcs11-module ykcs11/)
    })
  })

  describe('with SoftHSM', () => {
    const broken: [title: string, conf: string | undefined, says: RegExp][] = [
      [
        'a configuration that is not there',
        undefined,
        /no configuration \(SOFTHSM2_CONF=.*directories\.tokendir/,
      ],
      [
        'a token folder that is not there',
        'directories.tokendir = /nonexistent\n',
        /\/nonexistent .*does not exist/,
      ],
    ]
    for (const [title, conf, says] of broken) {
      it(`explains ${title}`, async () => {
        const file = path('broken.conf')
        await rm(file, { force: true })
        if (conf !== undefined) await writeFile(file, conf)
        assertFailure(await runWith('softhsm', { SOFTHSM2_CONF: file }), 'STORE_UNUSABLE', 3, says)
      })
    }

    it('lists what tokens there are where the store is good', async () => {
      const args = credentialProcess(edge, {
        '--pkcs11-module': 'softhsm',
        '--pkcs11-uri': 'pkcs11:token=none',
      })
      assertFailure(
        await runHoldfast(args, { env: edge.env }),
        'TOKEN_NOT_FOUND',
        3,
        /Tokens present: token "edge"/,
      )
    })
  })

  describe('with a smart card or YubiKey', () => {
    const socket = () => ({ PCSCLITE_CSOCK_NAME: path('pcscd.comm') })
    for (const module of ['ykcs11', 'opensc']) {
      it(`says through ${module} that pcscd does not run, and how it is started`, async () => {
        const result = await runWith(module, socket())
        assertFailure(
          result,
          'DEVICE_UNREACHABLE',
          3,
          /there is no .*pcscd\.comm.*: apt-get install pcscd, then systemctl/,
        )
      })
    }

    it('says something else where its socket is there', async () => {
      await writeFile(socket().PCSCLITE_CSOCK_NAME, '')
      const result = await runWith('opensc', socket())
      await rm(socket().PCSCLITE_CSOCK_NAME)
      assertFailure(result, 'TOKEN_NOT_FOUND', 3)
    })
  })

  describe('with the module of a network HSM', () => {
    const modules: [file: string, variable: string, says: RegExp][] = [
      ['yubihsm_pkcs11.so', 'YUBIHSM_PKCS11_CONF', /configuration file/],
      ['libCryptoki2_64.so', 'ChrystokiConfigurationPath', /folder of Chrystoki\.conf/],
    ]
    for (const [file, variable, says] of modules) {
      it(`says that ${variable} is missing, or names nothing`, async () => {
        const { modulePath, env } = createFaulty('C_Initialize=return:0x5')
        await mkdir(path('vendor'), { recursive: true })
        await copyFile(modulePath, path(`vendor/${file}`))
        const runVendor = (value?: string) => runWith(path(`vendor/${file}`), { ...env, [variable]: value })
        assertFailure(
          await runVendor(),
          'DEVICE_UNREACHABLE',
          3,
          new RegExp(`lacks ${variable}: .*${says.source}`),
        )
        assertFailure(
          await runVendor('/nonexistent'),
          'DEVICE_UNREACHABLE',
          3,
          /=\/nonexistent does not exist/,
        )
        assertFailure(await runVendor('/etc'), 'TOKEN_FAILED' satisfies ErrorCode, 3, /CKR_GENERAL_ERROR/)
      })
    }
  })

  describe('with the client of p11-kit', () => {
    const client = findLibrary('pkcs11/p11-kit-client.so')

    it('says that an address is none', async () => {
      const result = await runWith(client, { P11_KIT_SERVER_ADDRESS: '/run/p11' })
      assertFailure(
        result,
        'DEVICE_UNREACHABLE',
        3,
        /P11_KIT_SERVER_ADDRESS=\/run\/p11 is not an address: write unix:path=/,
      )
    })

    it('says that there is no server', async () => {
      const result = await runWith(client, { P11_KIT_SERVER_ADDRESS: `unix:path=${path('no%20socket')}` })
      assertFailure(result, 'DEVICE_UNREACHABLE', 3, /no such socket\): start it with p11-kit server/)
    })

    it('says that nobody listens at a socket', async () => {
      await writeFile(path('dead'), '')
      const result = await runWith(client, { P11_KIT_SERVER_ADDRESS: `unix:path=${path('dead')}` })
      assertFailure(result, 'DEVICE_UNREACHABLE', 3, /nobody listens there/)
    })

    it('looks where p11-kit does if there is no address', async () => {
      const result = await runWith(client, { XDG_RUNTIME_DIR: path('runtime') })
      assertFailure(result, 'DEVICE_UNREACHABLE', 3, /at .*\/runtime\/p11-kit\/pkcs11 /)
    })
  })

  it('hands a module its own variables, and those of a preset only where they lack', async () => {
    assert.ok(edge.env.SOFTHSM2_CONF)
    const other = await createSoftHsmToken({ label: 'elsewhere' })
    try {
      const result = await runWith('softhsm', other.env)
      assertFailure(result, 'TOKEN_NOT_FOUND', 3, /Tokens present: token "elsewhere"/)
    } finally {
      await other.dispose()
    }
  })
})
