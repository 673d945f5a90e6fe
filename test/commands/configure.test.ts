/** `holdfast configure` in a temporary home, judged by the AWS CLI and the AWS SDK for JavaScript. */

import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fromProcess } from '@aws-sdk/credential-providers'
import yargs from 'yargs'
import { builder, run as configure } from '../../src/commands/configure.js'
import type { Context } from '../../src/commands/context.js'
import { HoldfastError } from '../../src/core/errors.js'
import { run } from '../support/command.js'

const URI = 'pkcs11:token=edge%20one;id=%01%ff;object=a&b?pin-source=file:/etc/holdfast/pin&module-name=m'
const ARNS = [
  ['--trust-anchor-arn', 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/a'],
  ['--profile-arn', 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/b'],
  ['--role-arn', 'arn:aws:iam::111122223333:role/edge/c'],
].flat()
const ARNS_ON_LINE =
  '--trust-anchor-arn arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/a ' +
  '--profile-arn arn:aws:rolesanywhere:eu-central-1:111122223333:profile/b ' +
  '--role-arn arn:aws:iam::111122223333:role/edge/c'

describe('holdfast configure', () => {
  let home: string
  let output: string
  let complaints: string[]
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'holdfast-configure-'))
    output = ''
    complaints = []
    // A program that notes its arguments, in place of this one.
    await write('bin/holdfast', '#!/bin/sh\nprintf "%s\\n" "$@" > "$0.arguments"\ncat "$0.json"\n')
    await chmod(join(home, 'bin/holdfast'), 0o755)
    await write(
      'bin/holdfast.json',
      '{"Version":1,"AccessKeyId":"ASIATESTAKID","SecretAccessKey":"s","SessionToken":"t","Expiration":"2099-01-01T00:00:00Z"}',
    )
    await write('config.toml', '[identity.edge]\nregion = "eu-central-1"\n')
  })
  afterEach(() => rm(home, { recursive: true }))

  async function write(name: string, text: string): Promise<void> {
    await mkdir(dirname(join(home, name)), { recursive: true })
    await writeFile(join(home, name), text)
  }

  const read = (name: string) => readFile(join(home, name), 'utf8')

  /** Runs the command with the flags as a shell hands them over. */
  async function execute(args: readonly string[], env: Record<string, string> = {}): Promise<void> {
    const context: Context = {
      env: { HOME: home, PATH: `/usr/bin:${join(home, 'bin')}`, ...env },
      uid: process.geteuid!(),
      execPath: '/opt/node',
      programPath: join(home, 'bin/holdfast'),
      takeChild: () => undefined,
      version: '0',
      buildDate: new Date(0),
      now: () => new Date(),
      stdout: async (text) => {
        output += text
      },
      stderr: (line) => complaints.push(line),
      log: (line) => complaints.push(line),
      onHangup: () => undefined,
      pid: 1,
      signal: new AbortController().signal,
    }
    await yargs([])
      .command({
        command: 'configure <name>',
        builder,
        handler: (argv) => configure(argv as never, context),
      })
      .strict()
      .exitProcess(false)
      .fail((message, error) => {
        throw error ?? new HoldfastError('USAGE', message)
      })
      .parseAsync(['configure', ...args])
  }

  /** As most tests want it: with the configuration of this home. */
  const configureEdge = (...args: string[]) =>
    execute(['edge', '--config', join(home, 'config.toml'), ...args])

  it('writes the profile of an identity, and says what and where', async () => {
    const config = join(home, 'config.toml')
    await configureEdge()
    const section = `[profile edge]\ncredential_process = holdfast credential-process edge --config ${config}\n`
    assert.equal(await read('.aws/config'), section)
    assert.equal(output, `Wrote to ${home}/.aws/config:\n\n${section}`)
    assert.equal((await stat(join(home, '.aws/config'))).mode & 0o777, 0o600)
    assert.deepEqual(complaints, [])
  })

  it('writes [default] and other names', async () => {
    await configureEdge('--profile', 'default')
    assert.match(await read('.aws/config'), /^\[default\]\n/)
    await configureEdge('--profile', 'work/edge')
    assert.match(await read('.aws/config'), /\n\n\[profile work\/edge\]\n/)
  })

  it('warns of an identity that is not there yet', async () => {
    await execute(['other', '--config', join(home, 'config.toml')])
    assert.match(await read('.aws/config'), /credential-process other /)
    assert.equal(complaints.length, 1)
    assert.match(complaints[0]!, /warning: .*no identity "other": there is edge; looked at/)
  })

  it('replaces a command over several lines, and touches nothing else', async () => {
    const file = (command: string) =>
      `# mine\r\n[default]\r\nregion=x\r\n\r\n[profile edge]\r\noutput   = json\r\n${command}\r\n; end\r\n[profile z]`
    await write(
      '.aws/config',
      file('credential_process = ./helper credential-process \\\r\n  --certificate c'),
    )
    await configureEdge()
    const command = `credential_process = holdfast credential-process edge --config ${home}/config.toml`
    assert.equal(await read('.aws/config'), file(command))
    assert.match(output, /^Replaced the former credential_process in /)
  })

  it('writes to AWS_CONFIG_FILE', async () => {
    await execute(['edge'], { AWS_CONFIG_FILE: join(home, 'elsewhere/aws') })
    assert.match(await read('elsewhere/aws'), /credential-process edge$/m)
  })

  it('puts flags that name a key on the line instead of the identity', async () => {
    await configureEdge('--pkcs11-uri', URI, ...ARNS, '--session-duration', '1800', '--use-fips-endpoint')
    // The configuration file is the identity's, and credential-process refuses it without one.
    assert.equal(
      await read('.aws/config'),
      '[profile edge]\ncredential_process = holdfast credential-process ' +
        `--pkcs11-uri "${URI}" ${ARNS_ON_LINE} --session-duration 1800 --use-fips-endpoint\n`,
    )
    assert.deepEqual(complaints, [])
  })

  it('puts other flags beside the identity', async () => {
    await configureEdge('--no-use-fips-endpoint', '--role-session-name', 'me', '--no-verify-ssl')
    assert.match(
      await read('.aws/config'),
      /credential-process edge --role-session-name me --no-use-fips-endpoint --config \S+ --no-verify-ssl$/m,
    )
  })

  it('makes paths absolute, for the command runs in any folder', async () => {
    await execute([
      'edge',
      '--certificate',
      'c.pem',
      '--private-key',
      'my keys/k.pem',
      '--pkcs11-module',
      'm.so',
      ...ARNS,
    ])
    assert.match(
      await read('.aws/config'),
      new RegExp(
        `--pkcs11-module m.so --certificate ${resolve('c.pem')} --private-key "${resolve('my keys/k.pem')}" `,
      ),
    )
  })

  describe('the first word', () => {
    const wordOf = async () =>
      /^credential_process = (.*?) credential-process/m.exec(await read('.aws/config'))?.[1]

    it('is holdfast if that is on PATH', async () => {
      await configureEdge()
      assert.equal(await wordOf(), 'holdfast')
    })

    it('is the path of the program if not', async () => {
      await execute(['edge'], { PATH: '/usr/bin' })
      assert.equal(await wordOf(), join(home, 'bin/holdfast'))
    })

    it('is Node if the program cannot be executed by itself', async () => {
      await chmod(join(home, 'bin/holdfast'), 0o644)
      await configureEdge()
      assert.equal(await wordOf(), `/opt/node ${join(home, 'bin/holdfast')}`)
    })

    it('is not taken from a relative folder, a folder of that name, or an empty PATH', async () => {
      await mkdir(join(home, 'dir/holdfast'), { recursive: true })
      for (const PATH of ['', ':.', join(home, 'dir')]) {
        await execute(['edge'], { PATH })
        assert.equal(await wordOf(), join(home, 'bin/holdfast'), PATH)
      }
    })
  })

  const refusals: [what: string, args: string[], code: string, message: RegExp][] = [
    [
      'a PIN',
      ['--pkcs11-uri', 'pkcs11:token=a?pin-value=Zq7', ...ARNS],
      'USAGE',
      /--pin-file, or pin-source/,
    ],
    [
      'a PIN with the certificate',
      ['--certificate', 'pkcs11:token=a?pin-value=Zq7', ...ARNS],
      'USAGE',
      /pin-source/,
    ],
    ['a URI that is not one', ['--pkcs11-uri', 'pkcs11:token', ...ARNS], 'URI_INVALID', /position 7/],
    ['a relative pin-source', ['--pkcs11-uri', 'pkcs11:?pin-source=pin', ...ARNS], 'USAGE', /absolute path/],
    [
      'a command as pin-source',
      ['--pkcs11-uri', 'pkcs11:?pin-source=|id', ...ARNS],
      'URI_INVALID',
      /commands/,
    ],
    [
      'a URI for which a shell has other ideas',
      ['--pkcs11-uri', 'pkcs11:token=$(id)', ...ARNS],
      'USAGE',
      /"\$".*\[identity\.NAME\]/,
    ],
    ['a key without its ARNs', ['--pkcs11-uri', URI], 'USAGE', /--trust-anchor-arn is missing/],
    [
      'an ARN of something else',
      ['--pkcs11-uri', URI, ...ARNS.slice(0, 5), ARNS[1]!],
      'ARN_INVALID',
      /--role-arn/,
    ],
    ['half a second', ['--session-duration', '0.5'], 'USAGE', /whole number/],
    ['a name that needs quotes', ['--profile', 'my profile'], 'USAGE', /letters, digits/],
    ['a path that not all read alike', ['--intermediates', '/a\\b'], 'USAGE', /read alike/],
  ]
  for (const [what, args, code, message] of refusals) {
    it(`refuses ${what}, and writes nothing`, async () => {
      await assert.rejects(configureEdge(...args), (error) => {
        assert.ok(error instanceof HoldfastError, String(error))
        assert.equal(error.code, code)
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /Zq7/)
        return true
      })
      await assert.rejects(stat(join(home, '.aws')), { code: 'ENOENT' })
      assert.equal(output, '')
    })
  }

  it('refuses a name that cannot be an identity', async () => {
    await assert.rejects(execute(['ed ge']), { code: 'USAGE' })
    await assert.rejects(execute(['.edge']), { code: 'USAGE' })
  })

  it('refuses a profile whose static keys would win, and says where they are', async () => {
    await write('.aws/credentials', '[other]\naws_access_key_id = A\n[edge]\naws_access_key_id = B\n')
    await assert.rejects(configureEdge(), (error) => {
      assert.ok(error instanceof HoldfastError)
      assert.equal(error.code, 'CONFIG_INVALID')
      assert.match(error.message, new RegExp(`aws_access_key_id in ${home}/.aws/credentials`))
      return true
    })
    await assert.rejects(stat(join(home, '.aws/config')), { code: 'ENOENT' })
    await write('.aws/credentials', '[other]\naws_access_key_id = A\n')
    await configureEdge()
  })

  describe('as AWS’s own programs read it', () => {
    const expected = ['credential-process', '--pkcs11-uri', URI, ...ARNS, '--certificate', '/a b/c;d.pem']
    beforeEach(async () => {
      await write('.aws/config', '# first\n[profile z]\nregion = x\n')
      await execute(['edge', '--pkcs11-uri', URI, '--certificate', '/a b/c;d.pem', ...ARNS], { PATH: '' })
    })
    const given = async () => (await read('bin/holdfast.arguments')).trimEnd().split('\n').sort()

    it('the AWS CLI runs it with these arguments', async () => {
      const printed = await run('aws', ['configure', 'list', '--profile', 'edge'], {
        HOME: home,
        AWS_CONFIG_FILE: join(home, '.aws/config'),
        AWS_SHARED_CREDENTIALS_FILE: join(home, '.aws/credentials'),
      })
      assert.match(printed, /\*AKID\s+custom-process/)
      assert.deepEqual(await given(), [...expected].sort())
    })

    it('the AWS SDK for JavaScript runs it with these arguments', async () => {
      const provider = fromProcess({
        profile: 'edge',
        configFilepath: join(home, '.aws/config'),
        filepath: join(home, '.aws/credentials'),
      })
      assert.equal((await provider()).accessKeyId, 'ASIATESTAKID')
      assert.deepEqual(await given(), [...expected].sort())
    })
  })
})
