/** The shell as judge: it makes of a quoted word the word. */

import assert from 'node:assert/strict'
import { quoteForShell } from '../../src/core/shell.js'
import { run } from '../support/command.js'

describe('quoteForShell', () => {
  for (const word of [
    'plain-1.pem',
    '/a b/c',
    "it's",
    '$HOME',
    '`id`',
    'a"b',
    '*',
    '',
    'a\nb',
    '~',
    '!x',
    'é',
  ]) {
    it(`keeps ${JSON.stringify(word)} one word`, async () => {
      assert.equal(await run('sh', ['-c', `printf '<%s>' ${quoteForShell(word)}`]), `<${word}>`)
    })
  }
  it('leaves words that need no quotes as they are', () => {
    assert.equal(quoteForShell('fileb:///tmp/crl.pem'), 'fileb:///tmp/crl.pem')
  })
})
