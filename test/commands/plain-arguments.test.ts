/** Command lines that are read without yargs mean what yargs makes of them. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import yargs from 'yargs'
import { builder } from '../../src/commands/credential-process.js'
import { FLAGS, type IdentityArguments } from '../../src/commands/options.js'
import { findPlainArguments } from '../../src/commands/plain-arguments.js'

/** What yargs hands to the command; undefined where it refuses the line. */
async function readWithYargs(args: readonly string[]): Promise<Record<string, unknown> | undefined> {
  let read: Record<string, unknown> | undefined
  try {
    await yargs([])
      .strict()
      .help(false)
      .version(false)
      .locale('en')
      .parserConfiguration({ 'dot-notation': false })
      .exitProcess(false)
      .fail((message, error) => {
        throw error ?? new Error(message)
      })
      .command({
        command: '$0 [name]',
        describe: 'a command',
        builder,
        handler: (argv) => {
          read = argv
        },
      })
      .parseAsync([...args])
  } catch {
    return undefined
  }
  return read
}

const flags = [
  ...Object.keys(FLAGS),
  'pkcs11-lib',
  'module',
  'config',
  'verify-ssl',
  'reuse-pin',
  'debug',
  'help',
  'x',
]

describe('findPlainArguments', () => {
  it('reads flags of an identity and its name', () => {
    const args = ['--pkcs11-uri', 'pkcs11:token=a b;id=%01?pin-source=file:/p', 'edge', '--timeout=5']
    assert.deepEqual(findPlainArguments([...args, '--debug', '--pkcs11-lib', '/m', '--pin-guard', 'off']), {
      pkcs11Uri: 'pkcs11:token=a b;id=%01?pin-source=file:/p',
      name: 'edge',
      timeout: 5,
      debug: true,
      pkcs11Module: '/m',
      pinGuard: 'off',
      verifySsl: true,
      agent: true,
    } satisfies IdentityArguments)
  })

  it('knows all names of a flag', () => {
    for (const name of ['--pkcs11-module', '--pkcs11-lib', '--module']) {
      assert.equal(findPlainArguments([name, 'tpm2'])?.pkcs11Module, 'tpm2', name)
    }
  })

  const others: string[][] = [
    ['--help'],
    ['-h'],
    ['--version'],
    ['--region'],
    ['--region', 'a', '--region', 'b'],
    ['--pkcs11-module', 'a', '--pkcs11-lib', 'b'],
    ['--module', 'a', '--pkcs11-module', 'b'],
    ['--pkcs11Uri', 'a'],
    ['--urj', 'a'],
    ['--region', ''],
    ['--region='],
    ['--region', '--debug'],
    ['--region', '"a"'],
    ['--no-verify-ssl'],
    ['--no-agent'],
    ['--no-debug'],
    ['--debug=true'],
    ['--debug', 'true'],
    ['--use-fips-endpoint', 'false'],
    ['--timeout', '0'],
    ['--timeout', '1e3'],
    ['--timeout', '٣'],
    ['--pin-guard', 'maybe'],
    ['a', 'b'],
    ['--', 'a'],
    ['constructor', '--__proto__=a'],
  ]
  for (const args of others) {
    it(`leaves ${JSON.stringify(args)} to yargs`, () => {
      assert.equal(findPlainArguments(args), undefined)
    })
  }

  it('gives what yargs gives', async () => {
    const flag = fc.constantFrom(...flags.flatMap((name) => [`--${name}`, `--no-${name}`]))
    const value = fc.oneof(
      fc.constantFrom(
        '',
        'a',
        'true',
        'false',
        '7',
        '007',
        '0x7',
        '7.',
        '-7',
        '-',
        '--',
        'true',
        'on',
        'off',
        'a=b',
        '"a"',
        "'",
      ),
      fc.constantFrom('a\nb', ' a ', 'a b', '__proto__', '[1]', '{}', 'a.b', 'ſ'),
      fc.string({ unit: 'binary', maxLength: 4 }),
    )
    const word = fc.oneof(
      { weight: 4, arbitrary: fc.tuple(flag, value) },
      { weight: 2, arbitrary: fc.tuple(flag, value).map(([name, text]) => [`${name}=${text}`]) },
      flag.map((name) => [name]),
      value.map((text) => [text]),
    )
    let compared = 0
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 3 }), async (words) => {
        const args = words.flat()
        const plain = findPlainArguments(args)
        if (plain === undefined) return
        const whole = await readWithYargs(args)
        assert.ok(whole, `yargs refuses ${JSON.stringify(args)}`)
        const fields = Object.entries(whole).filter(
          ([name, text]) => /^[a-z]+([A-Z0-9]\w*)*$/.test(name) && text !== undefined,
        )
        const { pkcs11Lib, module, ...expected } = Object.fromEntries(fields)
        assert.deepEqual({ ...plain }, expected)
        compared += 1
      }),
      { numRuns: 500 },
    )
    assert.ok(compared > 50, `${compared} lines were plain`)
  })
})
