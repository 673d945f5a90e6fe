/** Profile sections, keys that win, a command line that sh and Python's shlex must split alike, and one in pieces. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  findContinuedCommand,
  findWinningKey,
  formatCommand,
  formatProfileHeader,
  isProfileSection,
} from '../../../src/core/aws-files/aws-config.js'
import { findValue, setValue } from '../../../src/core/aws-files/ini.js'
import { run } from '../../support/command.js'

describe('formatProfileHeader', () => {
  it('puts "profile" before every name but default', () => {
    assert.equal(formatProfileHeader('edge-1.a@b'), 'profile edge-1.a@b')
    assert.equal(formatProfileHeader('default'), 'default')
  })

  for (const name of ['', 'a b', 'a]', '"a"', 'é', 'a\nb', '#a']) {
    it(`refuses ${JSON.stringify(name)}`, () =>
      assert.throws(() => formatProfileHeader(name), { code: 'USAGE' }))
  }
})

describe('isProfileSection', () => {
  it('recognises every way in which SDKs read a name', () => {
    for (const header of [
      'profile edge',
      ' profile  edge ',
      'profile "edge"',
      "profile 'edge'",
      'profile\tedge',
    ]) {
      assert.ok(isProfileSection('edge')(header), header)
    }
    assert.ok(isProfileSection('default')('default'))
    assert.ok(isProfileSection('default')('profile default'))
  })

  it('takes no other section for it', () => {
    for (const header of [
      'edge',
      'profileedge',
      'profile edges',
      'profile',
      'sso-session edge',
      'Profile edge',
    ]) {
      assert.ok(!isProfileSection('edge')(header), header)
    }
    assert.ok(!isProfileSection('profile')('profile'))
  })
})

describe('findWinningKey', () => {
  it('finds what SDKs prefer, in either file', () => {
    const config = '[profile edge]\nrole_arn = x\n[profile b]\n'
    const credentials = '[b]\nAWS_ACCESS_KEY_ID=x\n[c]\ncredential_process = x\n'
    assert.deepEqual(findWinningKey('edge', config, credentials), { key: 'role_arn', file: 'config' })
    assert.deepEqual(findWinningKey('b', config, credentials), {
      key: 'aws_access_key_id',
      file: 'credentials',
    })
    assert.deepEqual(findWinningKey('c', config, credentials), {
      key: 'credential_process',
      file: 'credentials',
    })
  })

  it('minds no other key and no other profile', () => {
    const config = '[profile edge]\ncredential_process = x\nregion = y\n[profile b]\nrole_arn = x\n'
    assert.equal(
      findWinningKey('edge', config, '[profile edge]\naws_access_key_id = x\n[b]\naws_access_key_id = x\n'),
      undefined,
    )
  })
})

describe('formatCommand', () => {
  it('quotes only what needs it', () => {
    assert.equal(
      formatCommand([
        'holdfast',
        'credential-process',
        '--pkcs11-uri',
        'pkcs11:token=a;id=%01?pin-source=/p',
        '--x',
        '/a b',
      ]),
      'holdfast credential-process --pkcs11-uri "pkcs11:token=a;id=%01?pin-source=/p" --x "/a b"',
    )
  })

  for (const word of [
    '',
    'a"b',
    'a$b',
    '$(id)',
    '`id`',
    'a\\b',
    'a\nb',
    'a\rb',
    'a\tb',
    'a\0b',
    'é',
    'a #b',
    'a ;b',
    '\x7f',
  ]) {
    it(`refuses ${JSON.stringify(word)}`, () => {
      assert.throws(() => formatCommand(['holdfast', word]), { code: 'USAGE' })
    })
  }

  it('gives back the same words through a config file, in sh and in Python', async () => {
    const words = fc
      .string({ unit: 'binary-ascii', minLength: 1 })
      .map((word) => word.replaceAll(/[^ -~]|["$`\\]/g, '').replaceAll(/ [#;]/g, '_'))
      .filter((word) => word !== '')
    const commands = fc.sample(fc.array(words, { minLength: 1, maxLength: 5 }), 300)
    const special = [...` !#%&'()*+,-./09:;<=>?@AZ[]^_az{|}~`].map((character) => `x${character}y`)
    commands.push(
      special,
      special.map((word) => word.slice(1)),
    )
    const isSection = (header: string) => header === 'p'
    const section = { matches: isSection, newSection: 'p' }
    const lines = commands.map((command) => {
      const text = setValue('', section, 'credential_process', formatCommand(command))
      return findValue(text, isSection, 'credential_process')!
    })
    const expected = JSON.stringify(commands)
    const shlex =
      'import json, shlex, sys; print(json.dumps([shlex.split(line) for line in json.loads(sys.argv[1])]))'
    assert.equal(
      JSON.stringify(JSON.parse(await run('python3', ['-c', shlex, JSON.stringify(lines)]))),
      expected,
    )
    const shell = lines.map((line) => `printf '%s\\001' ${line}; printf '\\002'`).join('\n')
    const printed = (await run('sh', ['-c', shell])).split('\x02').slice(0, -1)
    assert.equal(JSON.stringify(printed.map((part) => part.split('\x01').slice(0, -1))), expected)
  })
})

describe('findContinuedCommand', () => {
  const whole = ['credential-process', '--certificate', '/p a/c.pem', '--role-arn', 'arn:x']
  const forms: [what: string, args: string[], words: string[]][] = [
    [
      'indented lines',
      ['credential-process', '\n--certificate', '/p a/c.pem', '\n--role-arn', 'arn:x'],
      whole,
    ],
    [
      'no space before the backslash',
      ['credential-process\n--certificate', '/p a/c.pem\n--role-arn', 'arn:x'],
      whole,
    ],
    [
      'a value on the next line',
      ['credential-process', '--certificate', '\n/p a/c.pem', '--role-arn', '\narn:x'],
      whole,
    ],
    [
      'equals signs',
      ['credential-process', '\n--role-arn=arn:x'],
      ['credential-process', '--role-arn=arn:x'],
    ],
    [
      'a break within quotes',
      ['credential-process', '--pkcs11-uri', 'pkcs11:token=a;\\\nid=%01', '\n--role-arn', 'arn:x'],
      ['credential-process', '--pkcs11-uri', 'pkcs11:token=a;id=%01', '--role-arn', 'arn:x'],
    ],
    [
      'two backslashes',
      ['credential-process', '\\', '--certificate', '/p a/c.pem', '\\', '--role-arn', 'arn:x'],
      whole,
    ],
    ['a break before the command', ['\ncredential-process', '\nedge'], ['credential-process', 'edge']],
  ]
  for (const [what, args, words] of forms) {
    it(`puts together what Python splits: ${what}`, () =>
      assert.deepEqual(findContinuedCommand(args), { words, cut: false }))
  }

  for (const [args, words] of [
    [['credential-process', '\\'], ['credential-process']],
    [['credential-process\\'], ['credential-process']],
    [
      ['credential-process', '--certificate', '/c\\'],
      ['credential-process', '--certificate', '/c'],
    ],
    [['\\'], []],
  ] as const) {
    it(`sees that ${JSON.stringify(args)} was cut`, () =>
      assert.deepEqual(findContinuedCommand(args), { words, cut: true }))
  }

  for (const [uri, shown] of [
    ['pkcs11:token=a?pin-value=Zq7', 'pkcs11:token=a?pin-source=file:PATH'],
    ['pkcs11:?pin-value=Zq 7&module-name=m', 'pkcs11:?pin-source=file:PATH&module-name=m'],
    ['pkcs11:?pin-value=Z\\\nq7', 'pkcs11:?pin-source=file:PATH'],
    ['pkcs11:?pin-value=Z\nq7', 'pkcs11:?pin-source=file:PATH'],
    ['pkcs11:?Pin-Value =Zq7', 'pkcs11:?pin-source=file:PATH'],
    ['pkcs11:?pin- value\t=Zq7&module-name=m', 'pkcs11:?pin-source=file:PATH&module-name=m'],
  ] as const) {
    it(`replaces the PIN of ${JSON.stringify(uri)}`, () => {
      const args = ['credential-process', '\n--pkcs11-uri', `${uri}\n--role-arn`, 'x']
      const words = ['credential-process', '--pkcs11-uri', shown, '--role-arn', 'x']
      assert.deepEqual(findContinuedCommand(args), { words, cut: false })
    })
  }

  it('minds no command on one line', () => {
    for (const args of [[], whole, ['credential-process', '--certificate', '/a\\b', '^', '`', '']]) {
      assert.equal(findContinuedCommand(args), undefined)
    }
  })
})
