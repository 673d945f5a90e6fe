/**
 * The pages for users against the program: what they say of commands, flags, defaults, codes, variables, keys and
 * functions is there, and what is there they say; their examples parse; their links lead somewhere.
 */

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { SETTINGS } from '../src/core/config/config.js'
import { run } from './support/command.js'
import { runHoldfast } from './support/program.js'

const ROOT = resolve(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const readme = read('README.md')
const pages = ['README.md', 'SECURITY.md', 'CHANGELOG.md']
const notes = readdirSync(join(ROOT, 'native-notes')).map((name) => `native-notes/${name}`)

/** The text below a heading, up to the next one of the same or a higher level. */
function section(heading: string): string {
  const lines = readme.split('\n')
  const start = lines.indexOf(heading)
  assert.notEqual(start, -1, `no heading ${heading}`)
  const level = heading.indexOf(' ')
  const end = lines.findIndex(
    (line, index) => index > start && /^#+ /.test(line) && line.indexOf(' ') <= level,
  )
  return lines.slice(start + 1, end === -1 ? undefined : end).join('\n')
}

/** The cells of the rows of all tables in `text`, without the heads. */
function tableRows(text: string): string[][] {
  const rows = text.split('\n').filter((line) => line.startsWith('|'))
  return rows
    .filter((row, index) => !/^\|[ -]+\|/.test(row) && !/^\|[ -]+\|/.test(rows[index + 1] ?? ''))
    .map((row) => row.split(/(?<!\\)\|/).slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim()))
}

/** The fenced blocks of a language. */
function blocks(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, name, body]) =>
    name === language ? [body!] : [],
  )
}

function inlineCode(text: string): string[] {
  return [...text.replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/`([^`]+)`/g)].map(([, code]) => code!)
}

async function help(...command: string[]): Promise<string> {
  const { stdout, status } = await runHoldfast([...command, '--help'])
  assert.equal(status, 0)
  return stdout
}

/** Names of flags, aliases too, and what the help text says is their default. */
function helpFlags(text: string): Map<string, string | undefined> {
  const options = /^Options:\n([\s\S]*?)(?:\n\n|$(?![\s\S]))/m.exec(text)?.[1] ?? ''
  const flags = new Map<string, string | undefined>()
  for (const entry of options.split(/\n(?= {2,6}(?:-\w, )?--)/)) {
    const names = /^ *(?:-\w, )?(--[\w-]+(?:, --[\w-]+)*)/.exec(entry)![1]!.split(', ')
    const value = /\[default: ([^\]]*)\]/.exec(entry.replaceAll(/\s+/g, ' '))?.[1]
    for (const name of names) flags.set(name, value?.replaceAll('"', ''))
  }
  flags.delete('--help')
  flags.delete('--version')
  return flags
}

/** All commands, the words of each joined by blanks. */
async function listCommands(...above: string[]): Promise<string[]> {
  const text = await help(...above)
  const listed = /^Commands:\n([\s\S]*?)\n\n/m.exec(text)?.[1]
  if (listed === undefined || above.length > 1) return [above.join(' ')]
  const prefix = ['holdfast', ...above].join(' ')
  const names = [...listed.matchAll(new RegExp(`^ +${prefix} ([a-z-]+)`, 'gm'))].map(([, name]) => name!)
  const found: string[] = []
  for (const name of names) found.push(...(await listCommands(...above, name)))
  return found
}

/** The words of a command line, as a shell splits it; of variables only the names are known. */
function splitCommand(line: string): string[] {
  return [...line.matchAll(/(?:"[^"]*"|[^\s"])+/g)].map(([word]) => word.replaceAll('"', ''))
}

/** Command lines of Holdfast in examples: those of shells, and those of AWS config files. */
function exampleCommands(): string[][] {
  const shell = blocks(readme, 'sh').flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'))
  const ini = blocks(readme, 'ini').flatMap((block) => block.split('\n'))
  const lines = [...shell, ...ini.map((line) => line.replace(/^credential_process = /, ''))]
  return lines.filter((line) => /^holdfast /.test(line)).map(splitCommand)
}

describe('README.md', function () {
  // Each command is asked for its help.
  this.timeout(300_000)
  const flags = new Map<string, Map<string, string | undefined>>()
  let directory: string
  before(async () => {
    for (const command of await listCommands()) {
      flags.set(command, helpFlags(await help(...command.split(' '))))
    }
    directory = await mkdtemp(join(tmpdir(), 'holdfast-readme-'))
    await mkdir(join(directory, 'bin'))
    await symlink(join(ROOT, 'dist/bin.cjs'), join(directory, 'bin/holdfast'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  /** `holdfast configure`, with the program on PATH and a home of its own. */
  const configure = (...args: string[]) =>
    runHoldfast(['configure', ...args], {
      home: directory,
      env: { PATH: `${join(directory, 'bin')}:${dirname(process.execPath)}:/usr/bin:/bin` },
    })

  describe('on commands and flags', () => {
    it('has a section for each command, and no other', () => {
      const sections = [...readme.matchAll(/^### holdfast (.*)$/gm)].map(([, command]) => command!)
      assert.deepEqual(sections.sort(), [...flags.keys()].sort())
    })

    it('has a row for each flag of each command, with its default, and no other', () => {
      const describedIn = (heading: string) =>
        new Map(
          tableRows(section(heading)).flatMap(([names, , value]) =>
            [...names!.matchAll(/`(--[\w-]+)/g)].map(([, flag]) => [flag!, value!] as const),
          ),
        )
      const sharedFlags = describedIn('### Flags for tokens')
      for (const [command, known] of flags) {
        const described = describedIn(`### holdfast ${command}`)
        const expected = new Map(known)
        if (['configure', 'update', 'doctor'].includes(command)) {
          assert.match(
            section(`### holdfast ${command}`),
            /takes all flags of\s+`holdfast credential-process`/,
          )
          for (const flag of flags.get('credential-process')!.keys()) {
            const isOurs: boolean = command === 'configure' || !flag.startsWith('--agent')
            assert.equal(expected.delete(flag), isOurs, flag)
          }
        }
        if (command === 'enroll') {
          assert.match(section('### holdfast enroll'), /all flags of\s+`holdfast credential-process` but/)
          for (const flag of flags.get('credential-process')!.keys()) {
            const isOurs = !/^--(agent|(pkcs11-uri|certificate|private-key)$)/.test(flag)
            assert.equal(expected.delete(flag), isOurs, flag)
          }
        }
        if (command === 'serve') {
          assert.match(
            section('### holdfast serve'),
            /takes all flags of\s+`holdfast credential-process`\s+that describe an identity/,
          )
          for (const flag of flags.get('credential-process')!.keys()) {
            if (!described.has(flag)) expected.delete(flag)
          }
        }
        if (section(`### holdfast ${command}`).includes('[flags for tokens](#flags-for-tokens)')) {
          for (const [flag, value] of sharedFlags) if (!described.has(flag)) described.set(flag, value)
          for (const flag of sharedFlags.keys()) if (!expected.has(flag)) described.delete(flag)
        }
        assert.deepEqual([...described.keys()].sort(), [...expected.keys()].sort(), command)
        for (const [flag, value] of expected) {
          assert.ok(described.get(flag)!.includes(value ?? ''), `${command} ${flag}: default ${value}`)
        }
      }
    })

    it('uses only commands and flags that exist', () => {
      const special = [
        ...['--help', '--version', '--no-verify-ssl', '--no-agent', '--no-login', '--no-session'],
        ...['--reuse-pin', '--with-proxy'],
      ]
      const examples = exampleCommands()
      assert.ok(examples.length > 8)
      for (const [, ...words] of examples) {
        const command = [...flags.keys()].find((name) => `${words.join(' ')} `.startsWith(`${name} `))
        assert.ok(command, words.join(' '))
        for (const word of words.filter((text) => text.startsWith('--'))) {
          assert.ok(flags.get(command)!.has(word) || special.includes(word), `${command} ${word}`)
        }
      }
      const all = new Set([...flags.values()].flatMap((known) => [...known.keys()]))
      const elsewhere = readme.replace(section('## Replacing aws_signing_helper'), '')
      for (const code of inlineCode(elsewhere).filter((text) => text.startsWith('--'))) {
        const name = code.split(/[ =]/)[0]!
        assert.ok(all.has(name) || special.includes(name), name)
      }
    })

    it('tells right what of aws_signing_helper is accepted and what is not there', async () => {
      const [accepted, missing] = section('## Replacing aws_signing_helper').split('Not there:')
      const isFlag = (code: string) => code.startsWith('--')
      const known = inlineCode(accepted!).filter(isFlag)
      const boolean = ['--reuse-pin', '--with-proxy', '--no-verify-ssl', '--debug']
      const args = known.flatMap((flag) => (boolean.includes(flag) ? [flag] : [flag, '1']))
      const { stderr } = await runHoldfast(['credential-process', ...args])
      assert.doesNotMatch(stderr, /Unknown argument|Not enough arguments/)
      assert.ok(known.length > 10)

      const unknown = inlineCode(missing!).filter(isFlag)
      assert.ok(unknown.length > 5)
      for (const flag of unknown) {
        const refused = await runHoldfast(['credential-process', flag, '1'])
        assert.match(
          refused.stderr,
          new RegExp(`^holdfast: --${flag.replace(/^--(no-)?/, '')}: .*\\(USAGE\\)$`, 'm'),
        )
      }
      const commands = /the commands ([^:]*):/.exec(missing!)![1]!
      for (const command of inlineCode(commands)) {
        // One that is there after all may run for ever.
        const { stderr: said } = await runHoldfast([command], { timeoutMs: 10_000 })
        assert.match(said, new RegExp(`^holdfast: ${command}: there is no such command; .*\\(USAGE\\)$`, 'm'))
      }
    })
  })

  describe('on exit statuses', () => {
    const codes = new Map(
      [...read('src/core/errors.ts').matchAll(/^ {2}([A-Z_]+): (\d),$/gm)].map(([, code, status]) => [
        code!,
        Number(status),
      ]),
    )

    it('lists each code with its status, and no other', () => {
      const listed = new Map(
        tableRows(section('## Exit statuses')).flatMap(([status, , names]) =>
          inlineCode(names!).map((code) => [code, Number(status)] as const),
        ),
      )
      assert.ok(codes.size > 40)
      assert.deepEqual(listed, codes)
    })

    it('lists no code that nothing throws', () => {
      const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts') && name !== 'core/errors.ts')
        .map((name) => read(join('src', name)).replaceAll(/\/\*[\s\S]*?\*\//g, ''))
        .join('\n')
      for (const code of codes.keys()) assert.ok(sources.includes(`'${code}'`), code)
    })

    it('explains only codes that exist', () => {
      const explained = tableRows(section('## Troubleshooting')).flatMap(([names]) => inlineCode(names!))
      assert.ok(explained.length >= 10)
      for (const code of explained) assert.ok(codes.has(code) || code.startsWith('CKR_'), code)
    })
  })

  describe('on the environment', () => {
    it('lists each variable that is read, and no other', () => {
      const listed = tableRows(section('## Environment variables')).flatMap(([names]) => inlineCode(names!))
      assert.deepEqual([...listed].sort(), [...findVariables()].sort())
    })
  })

  describe('on the configuration file', () => {
    it('lists each key, and no other', () => {
      const listed = tableRows(section('## Configuration file')).flatMap(([names]) => inlineCode(names!))
      assert.deepEqual(listed.sort(), SETTINGS.map(({ key }) => key).sort())
    })

    it('has an example that the program reads, and the line that it writes for it', async () => {
      const [example] = blocks(readme, 'toml')
      const config = join(directory, 'config.toml')
      await writeFile(config, example!, { mode: 0o600 })
      const { stderr, stdout, status } = await configure('edge', '--config', config)
      assert.equal(stderr, '')
      assert.equal(status, 0)
      const [line] = blocks(section('## Use'), 'ini')
      assert.ok(stdout.includes(`${line!.trimEnd()} --config ${config}\n`), stdout)

      await writeFile(config, example!.replace('pin-file', 'pinfile'))
      assert.match(
        (await configure('edge', '--config', config)).stderr,
        /CONFIG_INVALID|unknown key "pinfile"/,
      )
    })

    it('has a line without it that the program would write itself', async () => {
      const [, line] = blocks(section('## Use'), 'ini')
      const [, , ...args] = splitCommand(line!.split(' = ')[1]!)
      const { stdout, stderr } = await configure('edge', ...args)
      assert.equal(stderr, '')
      assert.ok(stdout.endsWith(line!), stdout)
    })
  })

  it('has examples for the shell that parse', async () => {
    const examples = pages.flatMap((page) => blocks(read(page), 'sh'))
    assert.ok(examples.length > 8)
    for (const [index, example] of examples.entries()) {
      const file = join(directory, `${index}.sh`)
      await writeFile(file, example)
      await run('bash', ['-n', file])
    }
  })

  it('has examples of the library that fit its types', async () => {
    const project = join(directory, 'library')
    await mkdir(join(project, 'node_modules'), { recursive: true })
    await symlink(ROOT, join(project, 'node_modules/holdfast'))
    for (const name of ['@aws-sdk', '@types']) {
      await symlink(join(ROOT, 'node_modules', name), join(project, 'node_modules', name))
    }
    await writeFile(join(project, 'package.json'), '{"type":"module"}')
    const examples = blocks(section('## Library'), 'ts')
    assert.ok(examples.length > 1)
    const files = examples.map((_, index) => join(project, `${index}.ts`))
    for (const [index, example] of examples.entries()) await writeFile(files[index]!, example)
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
    const strict = [
      '--strict',
      '--exactOptionalPropertyTypes',
      '--noEmit',
      '--skipLibCheck',
      '--types',
      'node',
    ]
    const target = ['--ignoreConfig', '--module', 'nodenext', '--target', 'es2023']
    const check = (...names: string[]) => run(process.execPath, [compiler, ...strict, ...target, ...names])
    await check(...files)
    const wrong = join(project, 'wrong.ts')
    await writeFile(wrong, examples[1]!.replace('trustAnchorArn:', 'trustAnchor:'))
    await assert.rejects(check(wrong), /trustAnchor/)
  })

  it('names the version that the package has', () => {
    const { version } = JSON.parse(read('package.json'))
    const names = [...readme.matchAll(/holdfast-(\d+\.\d+\.\d+)\.tgz/g)].map(([, number]) => number)
    assert.deepEqual([...new Set(names)], [version])
    assert.match(read('CHANGELOG.md'), new RegExp(`^## \\[(Unreleased|${version})\\]`, 'm'))
  })
})

describe('the pages for users', () => {
  for (const page of [...pages, ...notes]) {
    it(`${page} has links that lead somewhere`, () => {
      for (const [, target] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https:\/\//.test(target!)) continue
        const [path, anchor] = target!.split('#')
        const file = path === '' ? page : join(dirname(page), path!)
        assert.ok(existsSync(join(ROOT, file)), target)
        if (anchor !== undefined) assert.ok(anchorsOf(read(file)).includes(anchor), target)
      }
    })

    it(`${page} names only functions that are where it says`, () => {
      for (const [, names, path] of read(page).matchAll(
        /((?:`\w+`(?:, | and )?)+) \(\[[^\]]*\]\(([^)]+)\)\)/g,
      )) {
        const code = read(join(dirname(page), path!))
        for (const name of inlineCode(names!)) {
          assert.match(code, new RegExp(`(function|const|class|interface) ${name}\\b`), `${name} in ${path}`)
        }
      }
    })
  }

  it('cite code where they promise something', () => {
    assert.ok((read('SECURITY.md').match(/\(\[src\//g) ?? []).length > 20)
  })
})

/** As GitHub makes them of headings. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  )
}

/** Names of environment variables in the code: `env.X`, `{ X } = env`, and names of AWS's in quotes. */
function findVariables(): Set<string> {
  const found = new Set<string>()
  for (const name of readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts') || name.startsWith('emulator/')) continue
    const code = read(join('src', name)).replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
    for (const [, variable] of code.matchAll(/\benv\??\.([A-Za-z_]\w*)/g)) found.add(variable!)
    for (const [, names] of code.matchAll(/\{([^{}]*)\} = (?:process\.)?env\b/g)) {
      for (const [variable] of names!.matchAll(/\b[A-Z][A-Z0-9_]+\b/g)) found.add(variable)
    }
    for (const [, variable] of code.matchAll(/'(AWS_[A-Z_]+)'/g)) found.add(variable!)
  }
  return found
}
