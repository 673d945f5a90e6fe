/** Edits of one key: the cases that break other programs, and the property that nothing else changes. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { findValue, setValue } from '../../src/core/ini.js'
import { run } from '../support/command.js'

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
          assert.match(rest.join('').slice(text.length), /^(\r?\n)*(\[profile a\]\r?\n)?$/)
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
import configparser, json, sys
def read(text):
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
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
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? []
}

function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let matched = 0
  for (const line of whole) if (line === part[matched]) matched++
  return matched === part.length
}
