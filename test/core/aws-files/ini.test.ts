/** Edits of one key: the cases that break other programs, and the property that nothing else changes. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import {
  editSection,
  findComment,
  findIniFault,
  findValue,
  setValue,
} from '../../../src/core/aws-files/ini.js'
import { run } from '../../support/command.js'

const isA = (header: string) => header === 'profile a'
const set = (text: string, value = 'NEW') =>
  setValue(text, { matches: isA, newSection: 'profile a' }, 'credential_process', value)
const find = (text: string) => findValue(text, isA, 'credential_process')

describe('setValue', () => {
  const cases: [what: string, before: string, after: string][] = [
    ['begins an empty file', '', '[profile a]\ncredential_process = NEW\n'],
    [
      'begins a file that has only a byte order mark',
      '\u{feff}',
      '\u{feff}[profile a]\ncredential_process = NEW\n',
    ],
    ['adds a section', '[x]\nk=v\n', '[x]\nk=v\n\n[profile a]\ncredential_process = NEW\n'],
    [
      'adds a section where a blank line ends the file',
      '[x]\n\n',
      '[x]\n\n[profile a]\ncredential_process = NEW\n',
    ],
    [
      'adds a section to a file without a final line end',
      '[x]\nk=v',
      '[x]\nk=v\n\n[profile a]\ncredential_process = NEW\n',
    ],
    [
      'keeps CRLF when it adds a section',
      '[x]\r\nk=v',
      '[x]\r\nk=v\r\n\r\n[profile a]\r\ncredential_process = NEW\r\n',
    ],
    [
      'adds a key',
      '[profile a]\nregion = x\n\n[b]\n',
      '[profile a]\ncredential_process = NEW\nregion = x\n\n[b]\n',
    ],
    ['adds a key to a header that ends the file', '[profile a]', '[profile a]\ncredential_process = NEW\n'],
    [
      'adds a key after the byte order mark',
      '\u{feff}[profile a]\n',
      '\u{feff}[profile a]\ncredential_process = NEW\n',
    ],
    [
      'indents a key as its neighbours, which would else become part of it',
      '[profile a]\n# c\n  region = x\n  output = json\n',
      '[profile a]\n  credential_process = NEW\n# c\n  region = x\n  output = json\n',
    ],
    [
      'indents a key as deep as the next header',
      '[profile a]\n  [b]\n  k = v\n',
      '[profile a]\n  credential_process = NEW\n  [b]\n  k = v\n',
    ],
    [
      'adds a key above a nested block',
      '[profile a]\ns3 =\n  credential_process = nested\n',
      '[profile a]\ncredential_process = NEW\ns3 =\n  credential_process = nested\n',
    ],
    [
      'replaces a value and nothing around it',
      '; c\r\n[profile a] \r\n# c\r\ncredential_process=old --x  \r\nregion=x\r\n',
      '; c\r\n[profile a] \r\n# c\r\ncredential_process = NEW\r\nregion=x\r\n',
    ],
    [
      'replaces a value at the end of the file',
      '[profile a]\ncredential_process = old',
      '[profile a]\ncredential_process = NEW',
    ],
    [
      'replaces a key in any case, and with a colon',
      '[profile a]\n Credential_Process : old\n',
      '[profile a]\n credential_process = NEW\n',
    ],
    [
      'replaces an empty value',
      '[profile a]\ncredential_process =\nregion = x\n',
      '[profile a]\ncredential_process = NEW\nregion = x\n',
    ],
    [
      'replaces all lines of a value, but not the comments in it',
      '[profile a]\ncredential_process = old \\\n    --certificate c \\\n# note\n\n    --key k\nregion = x\n',
      '[profile a]\ncredential_process = NEW\n# note\n\nregion = x\n',
    ],
    [
      'replaces the lines of a shell command that is continued without an indent',
      '[profile a]\ncredential_process = old \\\n--certificate c \\\n  --key k\nregion = x\n',
      '[profile a]\ncredential_process = NEW\nregion = x\n',
    ],
    [
      'leaves other sections alone, also ones with a longer name',
      '[profile ab]\ncredential_process = x\n[a]\ncredential_process = y\n[profile a]\nregion = x\n',
      '[profile ab]\ncredential_process = x\n[a]\ncredential_process = y\n[profile a]\ncredential_process = NEW\nregion = x\n',
    ],
    [
      'leaves keys with a longer name alone',
      '[profile a]\ncredential_process_x = 1\nx_credential_process = 2\n#credential_process = 3\n',
      '[profile a]\ncredential_process = NEW\ncredential_process_x = 1\nx_credential_process = 2\n#credential_process = 3\n',
    ],
    [
      'changes the last one where the key stands twice, since it is the one that counts',
      '[profile a]\ncredential_process = 1\ncredential_process = 2\n[profile a]\ncredential_process = 3\n[profile a]\n',
      '[profile a]\ncredential_process = 1\ncredential_process = 2\n[profile a]\ncredential_process = NEW\n[profile a]\n',
    ],
    [
      'reads a header as Python does, up to the last bracket',
      '[profile a] ; see [b]\n',
      '[profile a] ; see [b]\n\n[profile a]\ncredential_process = NEW\n',
    ],
    [
      'takes a carriage return for a line end, as Python does',
      '[profile a]\rregion = x\r[b]\r',
      '[profile a]\rcredential_process = NEW\nregion = x\r[b]\r',
    ],
    [
      'reads a header with a comment behind it',
      '[profile a] ; mine\n',
      '[profile a] ; mine\ncredential_process = NEW\n',
    ],
  ]
  for (const [what, before, after] of cases) {
    it(what, () => {
      assert.equal(set(before), after)
      assert.equal(find(after), 'NEW')
    })
  }

  it('changes nothing when it is done again', () => {
    fc.assert(fc.property(files, (text) => assert.equal(set(set(text)), set(text))))
  })

  it('takes away the former lines of the value only, and adds one', () => {
    fc.assert(
      fc.property(files, (text) => {
        const former = find(text)
        const after = set(text)
        assert.equal(find(after), 'NEW')
        const rest = linesOf(after).filter((line) => !line.includes('NEW'))
        if (former !== undefined) {
          const before = linesOf(text)
          assert.equal(before.length - rest.length, former.split('\n').length)
          assert.ok(isSubsequence(rest, before))
        } else {
          assert.ok(rest.join('').startsWith(text))
          assert.match(rest.join('').slice(text.length), /^\s*(\[profile a\]\r?\n)?$/)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('leaves every other value of the file as it was, in the eyes of Python’s configparser', async () => {
    // A shell's continuation without an indent is a key or an error to configparser.
    const judged = files.filter((text) => !/\\[ \r]*\n\s*-/.test(text))
    const pairs = fc.sample(judged, 1000).map((text) => [text, set(text)])
    const judge = `
import configparser, io, json, sys
def read(text):
    parser = configparser.RawConfigParser(strict=False)
    parser.read_file(io.StringIO(text, newline=None)) # line ends as in a file
    return {name: dict(parser[name]) for name in parser.sections()}
judged = 0
for before, after in json.load(open(sys.argv[1])):
    try:
        expected = read(before)
    except configparser.Error:
        continue
    judged += 1
    expected.setdefault("profile a", {})["credential_process"] = "NEW"
    found = read(after)
    assert found == expected, (before, after, expected, found)
print(judged)
`
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-ini-'))
    try {
      await writeFile(join(folder, 'pairs.json'), JSON.stringify(pairs))
      assert.ok(Number(await run('python3', ['-c', judge, join(folder, 'pairs.json')])) > 100)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('editSection', () => {
  const note = { beginsWith: '# note:', text: '# note: new' }
  const edit = (text: string, values: Record<string, string | undefined>) =>
    editSection(text, { matches: (header) => header === 'a', newSection: 'a', values, note })

  it('adds all keys in their order, below the note', () => {
    const block = '[a]\n# note: new\nx = 1\ny = 2\n'
    assert.equal(edit('', { x: '1', y: '2' }), block)
    assert.equal(edit('[a]\nz = 3', { x: '1', y: '2' }), `${block}z = 3`)
  })

  it('replaces keys and note where they stand, and adds what is missing below a note', () => {
    const before = '[a]\n;\n  # note: old\n  y=1\n    2\n\n  z : 3 \n[b]\nx = 4\n'
    assert.equal(edit(before, { y: '2' }), '[a]\n;\n  # note: new\n  y = 2\n\n  z : 3 \n[b]\nx = 4\n')
    assert.equal(
      edit(before, { x: '1', y: '2' }),
      '[a]\n  # note: new\n  x = 1\n;\n  y = 2\n\n  z : 3 \n[b]\nx = 4\n',
    )
  })

  it('takes keys away, and no other line', () => {
    const before = '# c\r\n[a]\r\nx = 1\r\n  2\r\n; c\r\ny = 2\r\n# note: old\r\n[b]\r\nx = 3'
    const after = '# c\r\n[a]\r\n; c\r\n# note: new\r\n[b]\r\nx = 3'
    assert.equal(edit(before, { x: undefined, y: undefined, z: undefined }), after)
  })

  it('takes a key away that ends the file', () => {
    assert.equal(edit('[a]\n# note:\nx = 1', { x: undefined }), '[a]\n# note: new\n')
  })

  it('leaves notes of other sections, and comments that begin otherwise', () => {
    const text = '# note: x\n[b]\n# note: x\n[a]\n# notes: x\n#note: x\n'
    assert.equal(edit(text, {}), text.replace('[a]\n', '[a]\n# note: new\n'))
  })

  it('gives a file of 10 MB, and of lines of 64 KiB, back in time', () => {
    const lines = `# ${'x'.repeat(65_534)}\nk = ${' '.repeat(65_000)}v\n`.repeat(40)
    const many = '[s]\nkey = value\n'.repeat(300_000)
    const text = `${many}${lines}[a]\nx = old\n${lines}`
    assert.ok(text.length > 10_000_000)
    assert.equal(edit(text, { x: 'new' }), text.replace('[a]\nx = old\n', '[a]\n# note: new\nx = new\n'))
  }).timeout(20_000)

  /** Any text, with enough of what a parser minds. */
  const anyText = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          '[a]',
          '[b]',
          'x = 1',
          'y: 2',
          '# note: old',
          '\n',
          '\r\n',
          '\r',
          ' ',
          '\t',
          '=',
          '[',
        ),
        fc.constantFrom('\u{feff}', '\x1c', '\x85', '\u2028', ']', '#', '\n[a]\nx=', '\n  ', 'z = 3\n'),
        fc.string({ unit: 'binary', maxLength: 5 }),
      ),
      { maxLength: 30 },
    )
    .map((parts) => parts.join(''))

  it('takes away lines of the named keys and the old note only, whatever the file', () => {
    fc.assert(
      fc.property(anyText, fc.option(fc.constant('NEW'), { nil: undefined }), (text, value) => {
        const after = edit(text, { x: value, y: value })
        const isOurs = (line: string) => /^[\s\x1c-\x1f\x85]*(# note: new|[xy] = NEW)[\r\n]*$/.test(line)
        const before = linesOf(text)
        const rest = linesOf(after).filter((line) => !isOurs(line))
        // A header that ended the file without a line end has got one.
        const last = rest.at(-1)?.replace(/\r?\n$/, '') ?? ''
        if (last !== '' && last === before.at(-1)) rest[rest.length - 1] = last
        if (!after.startsWith(text)) assert.ok(isSubsequence(rest, before))
        if (value !== undefined) assert.equal(edit(after, { x: value, y: value }), after)
      }),
      { numRuns: 2000 },
    )
  })

  it('leaves every other value as it was, in the eyes of Python’s configparser', async () => {
    const texts = [...fc.sample(anyText, 2000), ...fc.sample(files, 500).map((text) => `[a]\n${text}`)]
    const judged = texts.flatMap((text) =>
      [undefined, 'NEW'].map((value) => ({
        text,
        value: value ?? null,
        after: edit(text, { x: value, y: value }),
      })),
    )
    const judge = `
import configparser, io, json, re, sys
def read(text, strict):
    parser = configparser.RawConfigParser(strict=strict)
    parser.read_file(io.StringIO(text, newline=None)) # line ends as in a file
    return {name: dict(parser[name]) for name in parser.sections()}
judged = 0
for case in json.load(open(sys.argv[1])):
    strict = case["value"] is None # what is taken away may have hidden a former one of the same name
    try:
        expected = read(case["text"], strict)
    except configparser.Error:
        continue
    if re.search(r"\\\\\\s*[\\r\\n]\\s*-", case["text"]):
        continue # a shell's continuation without an indent is a key to configparser
    judged += 1
    section = expected.setdefault("a", {})
    for key in ("x", "y"):
        if case["value"] is None:
            section.pop(key, None)
        else:
            section[key] = case["value"]
    found = read(case["after"], strict)
    assert found == expected, (case, expected, found)
print(judged)
`
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-ini-'))
    try {
      await writeFile(join(folder, 'cases.json'), JSON.stringify(judged))
      assert.ok(Number(await run('python3', ['-c', judge, join(folder, 'cases.json')])) > 500)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('findIniFault', () => {
  const cases: [text: string, line: number, kind: string, name: string][] = [
    ['[a]\nk = 1\n\nfoo\n', 4, 'neither', ''],
    ['[profile edge\n', 1, 'outside', ''],
    ['[a]\n[b\n', 2, 'neither', ''],
    ['[a]\n= 1\n', 2, 'neither', ''],
    ['# c\nk = 1\n', 2, 'outside', 'k'],
    ['\u{feff}[a]\n', 1, 'outside', 'a'],
    ['[a]\n[b]\n[a]\n', 3, 'second section', 'a'],
    ['[a]\nKey = 1\nkey: 2\n', 3, 'second key', 'key'],
    ['[a]\nregion = x\n  credential_process = y\n', 3, 'deeper', 'credential_process'],
  ]
  for (const [text, line, kind, name] of cases) {
    it(`finds ${kind} in ${JSON.stringify(text)}`, () => {
      assert.deepEqual(findIniFault(text, 'credential_process'), { line, kind, name })
    })
  }

  it('finds none where there is none', () => {
    for (const text of ['', '# c\n', '[a]\nk = 1\n  more\n[b]\nk = 1\n', '  [a]\n  k = 1\n']) {
      assert.equal(findIniFault(text, 'credential_process'), undefined)
    }
  })

  it('finds one exactly where Python’s configparser refuses the file', async () => {
    const judged = files.filter((text) => !/\\[ \r]*\n\s*-/.test(text))
    const cases = fc.sample(judged, 1000).map((text) => [text, findIniFault(text, 'none') !== undefined])
    const judge = `
import configparser, io, json, sys
counts = {True: 0, False: 0}
for text, refused in json.load(open(sys.argv[1])):
    try:
        configparser.RawConfigParser().read_file(io.StringIO(text, newline=None))
        found = False
    except configparser.Error:
        found = True
    assert found == refused, (text, found)
    counts[found] += 1
print(min(counts.values()))
`
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-ini-'))
    try {
      await writeFile(join(folder, 'cases.json'), JSON.stringify(cases))
      assert.ok(Number(await run('python3', ['-c', judge, join(folder, 'cases.json')])) > 50)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('findComment', () => {
  it('finds the last one of its section that begins so', () => {
    const text = '# n 1\n[a]\n # n 2 \nk = v\n  # n 3\n[b]\n# n 4\n'
    assert.equal(
      findComment(text, (header) => header === 'a', '# n'),
      '# n 3',
    )
    assert.equal(
      findComment(text, (header) => header === 'b', '# m'),
      undefined,
    )
  })
})

describe('findValue', () => {
  it('joins the lines of a value', () => {
    assert.equal(find('[profile a]\ncredential_process = x\n  y\n\n  z\nq = 1\n'), 'x\ny\nz')
  })

  it('finds nothing outside its section', () => {
    assert.equal(find('credential_process = x\n[profile b]\ncredential_process = x\n'), undefined)
    assert.equal(find('[profile a]\ns3 =\n  credential_process = x\n'), undefined)
    assert.equal(find('[profile a]\n# credential_process = x\n'), undefined)
  })
})

/** Files made of the lines that matter, in any order, with any line ends. */
const files = fc
  .tuple(
    fc.constantFrom('', '\u{feff}'),
    fc.array(
      fc.tuple(
        fc.constantFrom('', '', ' ', '    ', '\t'),
        fc.constantFrom(
          '[profile a]',
          '[profile b]',
          '[default]',
          'credential_process = old',
          'credential_process=old \\',
          'Credential_Process : old',
          'region = x',
          's3 =',
          '--flag value \\',
          '-x = y',
          '# credential_process = no',
          '; c',
          'nonsense',
          '[broken',
          '',
        ),
        fc.constantFrom('', ' ', '\r'),
      ),
      { maxLength: 14 },
    ),
    fc.constantFrom('', '\n'),
  )
  .map(([mark, lines, end]) => mark + lines.map((parts) => parts.join('')).join('\n') + end)

function linesOf(text: string): string[] {
  return text.match(/[^\r\n]*(\r\n|[\r\n])|[^\r\n]+$/g) ?? []
}

function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let matched = 0
  for (const line of whole) if (line === part[matched]) matched++
  return matched === part.length
}
