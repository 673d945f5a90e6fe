import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { formatCommand } from '../../../src/core/aws-files/aws-config.js'
import { splitCommand } from '../../../src/core/aws-files/command-line.js'

describe('splitCommand', () => {
  const hazardsOf = (line: string) =>
    splitCommand(line).hazards.map(({ kind, character }) => kind + character)

  it('splits at white space outside of quotation marks', () => {
    assert.deepEqual(splitCommand(' a  "b c" d\'e f\'g\t"" ').words, ['a', 'b c', 'de fg', ''])
    assert.deepEqual(splitCommand('').words, [])
  })

  it('finds nothing in a line that all read alike', () => {
    assert.deepEqual(
      hazardsOf('holdfast credential-process --pkcs11-uri "pkcs11:token=e;id=%01?x=1&y=2"'),
      [],
    )
    assert.deepEqual(hazardsOf("holdfast 'a;b $c *'"), [])
  })

  it('finds what a shell reads otherwise', () => {
    assert.deepEqual(hazardsOf('a;b'), ['operator;'])
    assert.deepEqual(hazardsOf('a x&y | z'), ['operator&', 'operator|'])
    assert.deepEqual(hazardsOf('a "$HOME" `b`'), ['expanded$', 'expanded`'])
    assert.deepEqual(hazardsOf('a ~/x y~z'), ['expanded~'])
    assert.deepEqual(hazardsOf('a x?y'), ['pattern?'])
  })

  it('finds what some parsers of config files take for a comment, also in quotation marks', () => {
    assert.deepEqual(hazardsOf('a "b #c"'), ['comment#'])
    assert.deepEqual(hazardsOf('a b#c'), [])
  })

  it('finds a line that goes on, and quotation marks that are open', () => {
    assert.deepEqual(hazardsOf('a \\'), ['continued\\'])
    assert.deepEqual(hazardsOf('a\nb'), ['continued\\'])
    assert.deepEqual(hazardsOf('a "b'), ['unclosed"'])
  })

  it('splits as Python does', function () {
    this.timeout(60_000)
    const part = fc.constantFrom('a', 'B', ' ', '\t', '"', "'", '\\', ';', '$', '%', '\\"', '\\ ', '#', '\n')
    const lines = fc.sample(
      fc.array(part, { maxLength: 12 }).map((parts) => parts.join('')),
      2000,
    )
    // What shlex refuses, it says with null.
    const program = `import json, shlex, sys
def split(line):
    try: return shlex.split(line)
    except ValueError: return None
print(json.dumps([split(line) for line in json.load(sys.stdin)]))`
    const said: (string[] | null)[] = JSON.parse(
      execFileSync('python3', ['-c', program], { input: JSON.stringify(lines), encoding: 'utf8' }),
    )
    assert.ok(said.filter((words) => words !== null).length > 500)
    for (const [index, line] of lines.entries()) {
      const { words, hazards } = splitCommand(line)
      const isRefused = hazards.some(({ kind }) => kind === 'unclosed' || kind === 'continued')
      if (said[index] === null) assert.ok(isRefused, JSON.stringify(line))
      else assert.deepEqual(words, said[index], JSON.stringify(line))
    }
  })

  it('finds something in each line that a shell splits otherwise', function () {
    this.timeout(60_000)
    const part = fc.constantFrom(
      'a',
      'B=',
      '-',
      ' ',
      '"',
      "'",
      '\\',
      ';',
      '&',
      '$a',
      '%',
      '!',
      '{x,y}',
      '~',
      '*',
      '#',
      '(',
    )
    const lines = fc
      .sample(
        fc.array(part, { maxLength: 9 }).map((parts) => parts.join('')),
        4000,
      )
      .filter((line) => splitCommand(line).hazards.length === 0)
    assert.ok(lines.length > 300)
    const script = lines.map((line) => `p ${line}`).join('\n')
    const said = execFileSync(
      'sh',
      ['-c', `p() { for a; do printf '%s\\1' "$a"; done; printf '\\2'; }\n${script}`],
      {
        encoding: 'utf8',
      },
    )
    const split = said.split('\u{2}').map((words) => words.split('\u{1}').slice(0, -1))
    for (const [index, line] of lines.entries()) {
      assert.deepEqual(splitCommand(line).words, split[index], JSON.stringify(line))
    }
  })

  it('takes apart what formatCommand has put together, and finds nothing in it', () => {
    const word = fc.string({ unit: 'grapheme-ascii', minLength: 1 })
    fc.assert(
      fc.property(fc.array(word, { minLength: 1 }), (words) => {
        let line: string
        try {
          line = formatCommand(words)
        } catch {
          return // it says itself that this cannot stand there
        }
        assert.deepEqual(splitCommand(line), { words, hazards: [] })
      }),
    )
  })
})
