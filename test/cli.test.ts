/** What the command line makes of its arguments before a command runs, and how it says an error. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Context } from '../src/commands/context.js'
import { runHoldfast } from './support/program.js'

/** Runs a command line on a machine where nothing is installed; gives its exit status and what it said. */
async function run(...args: string[]): Promise<{ status: number; said: string[]; stdout: string }> {
  // Imported as bin.ts does it, so that the modules which commands import later are the same ones.
  const { runCli } = await import('../src/cli.js')
  const said: string[] = []
  let stdout = ''
  const context: Context = {
    env: { HOME: '/nonexistent' },
    uid: 65_534,
    execPath: '/opt/node',
    programPath: '/opt/holdfast',
    takeChild: () => undefined,
    version: '0',
    buildDate: new Date(0),
    now: () => new Date(),
    stdout: async (text) => {
      stdout += text
    },
    stderr: (line) => said.push(line),
    log: (line) => said.push(line),
    onHangup: () => undefined,
    pid: 1,
    signal: new AbortController().signal,
  }
  return { status: await runCli(args, context), said, stdout }
}

describe('runCli', () => {
  const usages: [args: string[], message: RegExp][] = [
    [[], /^name a command/],
    [['token'], /^name a command/],
    [['credential-procss'], /^there is no such command; did you mean credential-process\?/],
    [['credential-process', '--pkcs11-urj', 'x'], /pkcs11-urj/],
    [['credential-process', '--pkcs11-uri'], /pkcs11-uri/],
    [['credential-process', '--pin-guard', 'maybe'], /pin-guard.*"on", "off"/],
    [['credential-process', 'edge', '--region', 'a', '--region', 'b'], /--region is given twice/],
    [['credential-process', '--foo-bar', 'x'], /^Unknown argument: foo-bar \(/],
    [['credential-process', '--foo-bar', 'x', 'y', 'z'], /^Unknown arguments: foo-bar, z \(/],
    [['credential-process', '--cert-selector', 'x'], /^--cert-selector: .*--pkcs11-uri.*--certificate/],
    [['credential-process', '--pkcs8-password', 'x'], /^--pkcs8-password: .*openssl pkey/],
    [['credential-process', '--no-tpm-key-password'], /^--tpm-key-password: .*--module tpm2/],
    [['sign-string', '--private-key', 'x'], /^sign-string: .*holdfast doctor/],
    [['read-certificate-data', '--certificate', 'x'], /^read-certificate-data: .*holdfast cert show/],
    [['serve', '--use-latest-expiring-certificate'], /^--use-latest-expiring-certificate: .*--pkcs11-uri/],
    [['credential-process', 'edge', '--session-duration', '9e2'], /^--session-duration is written in digits/],
    [['token', 'list', '--slot=0x1'], /^--slot is written in digits/],
    [['configure'], /^<name> is missing: holdfast configure <name> \(/],
    [['consumer', 'add', 'x'], /^<consumer> is missing: holdfast consumer add <identity> <consumer> \(/],
  ]
  for (const [args, message] of usages) {
    it(`refuses ${JSON.stringify(args)} in one line`, async () => {
      const { status, said, stdout } = await run(...args)
      assert.equal(said.length, 1)
      assert.match(said[0]!, message)
      assert.match(said[0]!, / \(USAGE\)$/)
      assert.doesNotMatch(said[0]!, /\n/)
      assert.equal(status, 2, said.join())
      assert.equal(stdout, '')
    })
  }

  for (const [flag, isWarned] of [
    ['--no-verify-ssl', true],
    ['--no-verify-ssl=true', true],
    ['--no-verify-ssl=false', false],
    ['--verify-ssl=false', true],
  ] as const) {
    it(`takes ${flag}`, async () => {
      const arn = 'arn:aws:rolesanywhere:eu-central-1:111122223333'
      const role = 'arn:aws:iam::111122223333:role/edge'
      const arns = [
        `--trust-anchor-arn=${arn}:trust-anchor/a`,
        `--profile-arn=${arn}:profile/p`,
        '--role-arn',
        role,
      ]
      const key = [
        '--private-key=/nonexistent',
        '--certificate=/nonexistent',
        '--endpoint=http://127.0.0.1:1',
      ]
      const { said } = await run('credential-process', ...arns, ...key, '--no-agent', flag)
      assert.match(said.at(-1)!, /\(FILE_UNREADABLE\)$/)
      assert.equal(/TLS certificates are not checked/.test(said[0]!), isWarned)
    })
  }

  for (const command of [[], ['token'], ['key'], ['cert'], ['consumer'], ['ca'], ['completion']]) {
    it(`has an example in the help of ${command[0] ?? 'all'}`, async () => {
      const { stdout, stderr } = await runHoldfast([...command, '--help'])
      assert.match(stdout, /\nExamples:\n {2}holdfast /)
      assert.equal(stderr, '')
    })
  }

  it('takes no texts from a file that LC_ALL names', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-locale-'))
    const { LC_ALL } = process.env
    try {
      await writeFile(join(folder, 'evil.json'), '{"Unknown argument: %s":{"one":"EVIL","other":"EVIL"}}')
      process.env.LC_ALL = join(folder, 'evil')
      const { said } = await run('credential-process', 'edge', '--unknown')
      assert.match(said[0]!, /^Unknown argument/)
    } finally {
      if (LC_ALL === undefined) delete process.env.LC_ALL
      else process.env.LC_ALL = LC_ALL
      await rm(folder, { recursive: true })
    }
  })

  it('is not slow with long white space', async () => {
    const startedAt = performance.now()
    const { status } = await run('credential-process', 'edge', ' '.repeat(120_000))
    assert.equal(status, 2)
    assert.ok(performance.now() - startedAt < 3000)
  })

  it('says the PIN of no URI', async () => {
    for (const args of [
      ['credential-process', 'pkcs11:token=a?pin-value=Zq7'],
      ['credential-process', 'edge', 'pkcs11:token=a?pin-value=Zq7&module-name=m'],
      ['pkcs11:token=a?pin-value=Zq 7'],
      ['credential-process', 'pkcs11:token=a?pin-value\t=Zq7'],
      ['credential-process', 'pkcs11:token=a?pin- value=Zq7'],
      ['configure', 'pkcs11:token=a?pin-value=X\n Zq7'],
      ['configure', 'pkcs11:token=a?pin-value=X"Zq7'],
      ['configure', 'pkcs11:token=a?pin-value =X\tZq7'],
      ['credential-process', '\n--pkcs11-uri', 'pkcs11:token=a?pin-value=Zq7', '\n--certificate', '/c'],
    ]) {
      const { status, said } = await run(...args)
      assert.equal(status, 2, said.join())
      assert.match(said.join(), /(pin-|--pkcs11-uri).* \([A-Z_]+\)$/s)
      assert.doesNotMatch(said.join(), /Zq/)
    }
  })

  describe('with the pieces of a command on several lines of an AWS config file', () => {
    const refuse = async (args: string[], message: RegExp) => {
      const { status, said } = await run(...args)
      assert.equal(said.length, 1)
      assert.match(said[0]!, /^AWS config files have no line continuation/)
      assert.match(said[0]!, message)
      assert.equal(status, 2, said.join())
    }

    it('prints the right line', () =>
      refuse(
        ['credential-process', '\n--certificate', '/p a/c.pem', '\n--role-arn', 'arn:x'],
        /: write it on one line: credential_process = \/opt\/node \/opt\/holdfast credential-process --certificate "\/p a\/c\.pem" --role-arn arn:x \(USAGE\)$/,
      ))

    it('says that the rest is lost where it is', async () => {
      await refuse(
        ['credential-process', '\\'],
        /follows the backslash is lost: .* = .*credential-process … \(USAGE\)$/,
      )
      await refuse(['\\'], /\/opt\/holdfast … /)
    })

    it('prints no line that SDKs would read differently', () =>
      refuse(['credential-process', '\n--certificate', '/jörg'], /; and "\/jörg" cannot stand/))

    it('takes a command without identity and ARNs for the first line of one', async () => {
      const { status, said } = await run('credential-process', '--certificate', '/c')
      assert.match(said[0]!, /AWS config files have no line continuation.*\(USAGE\)$/)
      assert.equal(status, 2, said.join())
    })

    it('leaves other commands alone', async () => {
      const { said } = await run('configure', 'edge', '\\')
      assert.match(said[0]!, /^Unknown argument: \\/)
    })
  })
})
