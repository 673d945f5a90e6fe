/**
 * PIN files that are none, and PINs that no token can want: named, and never tried. What a wrong PIN costs, and
 * where PINs come from, is in pin.test.ts. The built program with SoftHSM.
 */

import assert from 'node:assert/strict'
import { rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ErrorCode } from '../../src/core/errors.js'
import { run } from '../support/command.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { withPinEdge } from '../support/pin-edge.js'

describe('holdfast credential-process with a PIN file', () => {
  type Case = [title: string, make: (path: string) => Promise<unknown>, code: ErrorCode, says: RegExp]
  const lay = (content: string) => (path: string) => writeFile(path, content, { mode: 0o600 })
  const files: Case[] = [
    ['that does not exist', async () => undefined, 'PIN_SOURCE_UNREADABLE', /does not exist/],
    ['that is a FIFO', (path) => run('mkfifo', [path]), 'PIN_SOURCE_UNSAFE', /not a regular file/],
    [
      'that is huge',
      (path) => lay('')(path).then(() => truncate(path, 2 ** 32)),
      'PIN_SOURCE_UNREADABLE',
      /is longer than 4096 bytes/,
    ],
    ['with a NUL character', lay('ca\0nary'), 'PIN_INVALID', /NUL character; it was not tried/],
    ['with an empty first line', lay('\ncanary'), 'PIN_INVALID', /is empty; it was not tried/],
    ['with a PIN that is too long', lay('canary'.repeat(99)), 'PIN_INVALID', /longer than the 255 bytes/],
  ]
  it('names each that cannot be used, and logs in with none', () =>
    withPinEdge({}, async (edge) => {
      const path = join(edge.token.directory, 'pin')
      const flags = { '--pkcs11-uri': edge.bareUri, '--pin-file': path }
      for (const [title, make, code, says] of files) {
        await make(path)
        const result = await edge.run({ flags })
        assertFailure(result, code, 3, says)
        assert.ok(code === 'PIN_INVALID' || result.stderr.includes(path), title)
        assert.doesNotMatch(result.stderr, /canary/)
        await rm(path, { force: true })
      }
      for (const [named, says] of [
        ['/dev/zero', /not a regular file/],
        [edge.home, /not a regular file/],
      ] as const) {
        const result = await edge.run({ flags: { ...flags, '--pin-file': named } })
        assertFailure(result, 'PIN_SOURCE_UNSAFE', 3, says)
      }
      assert.equal(await edge.logins(), 0)
      await writeFile(path, edge.token.pin, { mode: 0o600 })
      assertCredentials(await edge.run({ flags }))
    }))
})
