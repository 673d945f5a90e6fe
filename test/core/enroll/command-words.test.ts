/** Commands split into words; a shell judges. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { parseCommand } from '../../../src/core/enroll/command-words.js'
import { HoldfastError } from '../../../src/core/errors.js'

const words = (text: string) => parseCommand(text, '--issue-command')

describe('parseCommand', () => {
  for (const [text, expected] of [
    ['step', ['step']],
    ['  /usr/bin/step ca\tsign \n-x ', ['/usr/bin/step', 'ca', 'sign', '-x']],
    [`a 'b c' "d 'e" f\\ g`, ['a', 'b c', "d 'e", 'f g']],
    [`a '' ""`, ['a', '', '']],
    [`a --x='b|c' "\\"\\\\\\$\\n" '$HOME'`, ['a', '--x=b|c', '"\\$\\n', '$HOME']],
  ] as const) {
    it(`splits ${JSON.stringify(text)}`, () => assert.deepEqual(words(text), expected))
  }

  for (const text of ['', '   ', "''", "'' a", "a 'canary", 'a "canary', 'a canary\\', 'a "canary\\"']) {
    it(`refuses ${JSON.stringify(text)}, and does not repeat it`, () => {
      assert.throws(() => words(text), { code: 'USAGE', message: /^--issue-command (?!.*canary)/ })
    })
  }

  for (const text of [
    'a | b',
    'a && b',
    'a;b',
    'a >b',
    'a $HOME',
    'a "$HOME"',
    'a `b`',
    'a "`b`"',
    'a *.pem',
    'a ~/b',
    'a {b,c}',
    'a #b',
  ]) {
    it(`refuses ${text}, which wants a shell`, () => {
      assert.throws(() => words(text), { code: 'USAGE', message: /no shell/ })
    })
  }

  it('splits as a shell does, or refuses', function () {
    this.timeout(60_000)
    const part = fc.constantFrom('a', ' ', "'", '"', '\\', '$', '=', '|', "'b c'", '"d e"', '\\"')
    const texts = fc
      .sample(fc.array(part, { minLength: 1, maxLength: 8 }), 300)
      .map((parts) => parts.join(''))
    let accepted = 0
    for (const text of texts) {
      let ours: string[]
      try {
        ours = words(`x ${text}`)
      } catch (error) {
        assert.ok(error instanceof HoldfastError && error.code === 'USAGE')
        continue
      }
      accepted++
      const script = `x() { printf '%s\\0' "$@"; }; x ${text}`
      const theirs = execFileSync('sh', ['-c', script], { encoding: 'utf8' })
      assert.equal(
        ours
          .slice(1)
          .map((word) => `${word}\0`)
          .join('') || '\0',
        theirs,
        text,
      )
    }
    assert.ok(accepted > 50)
  })
})
