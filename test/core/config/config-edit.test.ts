/** Edits of a config file: in every form that TOML allows, nothing but the named keys of the one identity changes. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseConfig } from '../../../src/core/config/config.js'
import { editIdentity, type IdentityChanges } from '../../../src/core/config/config-edit.js'

const edit = (text: string, changes: IdentityChanges, name = 'edge') =>
  editIdentity(text, name, changes, '/c.toml')

describe('editIdentity', () => {
  it('begins a file', () => {
    assert.equal(
      edit('', { region: 'eu-central-1', timeout: 5, 'allow-uri-module': true }),
      '[identity.edge]\nregion = "eu-central-1"\ntimeout = 5\nallow-uri-module = true\n',
    )
  })

  for (const [what, text, expected] of [
    [
      'behind other tables',
      '[identity.a]\nregion = "a"\n',
      '[identity.a]\nregion = "a"\n\n[identity.edge]\nregion = "x"\n',
    ],
    [
      'behind a last line that is open',
      '[identity.a] # no end',
      '[identity.a] # no end\n\n[identity.edge]\nregion = "x"\n',
    ],
    ['with the line ends of the file', '# c\r\n', '# c\r\n\r\n[identity.edge]\r\nregion = "x"\r\n'],
    ['behind a byte order mark', '\u{feff}# c\n\n', '\u{feff}# c\n\n[identity.edge]\nregion = "x"\n'],
  ] as const) {
    it(`adds a table ${what}`, () => {
      assert.equal(edit(text, { region: 'x' }), expected)
    })
  }

  it('quotes a name with a dot', () => {
    assert.equal(edit('', { region: 'x' }, 'a.b'), '[identity."a.b"]\nregion = "x"\n')
    assert.equal(edit('[identity."a.b"]\n', { region: 'x' }, 'a.b'), '[identity."a.b"]\nregion = "x"\n')
    assert.equal(
      edit('[identity.a.b]\n', { region: 'x' }, 'a.b'),
      '[identity.a.b]\n\n[identity."a.b"]\nregion = "x"\n',
    )
  })

  for (const [what, text, expected] of [
    ['in quotes', '[identity.edge]\nregion = "a" # why\n', '[identity.edge]\nregion = "x" # why\n'],
    ['of single quotes', "[identity.edge]\n  'region'='a'\t\n", '[identity.edge]\n  \'region\'="x"\t\n'],
    ['over several lines', '[identity.edge]\nregion = """\na\n""" # c', '[identity.edge]\nregion = "x" # c'],
    ['in a dotted key', 'identity.edge.region = "a"\n', 'identity.edge.region = "x"\n'],
    [
      'in an inline table',
      'identity = { edge = { region = "a", timeout = 3 } }',
      'identity = { edge = { region = "x", timeout = 3 } }',
    ],
    ['below [identity]', '[identity]\nedge.region = "a"\n', '[identity]\nedge.region = "x"\n'],
    ['that is not a text', '[identity.edge]\nregion = 1979-05-27\n', '[identity.edge]\nregion = "x"\n'],
  ] as const) {
    it(`replaces a value ${what}, in its place`, () => {
      assert.equal(edit(text, { region: 'x' }), expected)
    })
  }

  it('adds a key behind the last one of its table', () => {
    const text = '[identity.edge] # e\n\n# one\nregion = "a" # r\n\n# two\n[identity.b]\n'
    assert.equal(
      edit(text, { timeout: 5 }),
      '[identity.edge] # e\n\n# one\nregion = "a" # r\ntimeout = 5\n\n# two\n[identity.b]\n',
    )
    assert.equal(
      edit('[identity.edge] # e\n# one\n', { timeout: 5 }),
      '[identity.edge] # e\ntimeout = 5\n# one\n',
    )
  })

  it('takes keys away with their lines', () => {
    const text = '[identity.edge]\n\tregion = "a" # r\ntimeout = 5\n[identity.b]\nregion = "b"\n'
    assert.equal(
      edit(text, { region: undefined }),
      '[identity.edge]\ntimeout = 5\n[identity.b]\nregion = "b"\n',
    )
    assert.equal(
      edit(text, { region: undefined, timeout: undefined, endpoint: 'e' }),
      '[identity.edge]\nendpoint = "e"\n[identity.b]\nregion = "b"\n',
    )
    assert.equal(edit(text, { endpoint: undefined }), text)
  })

  for (const [what, text, changes] of [
    ['to add to an inline table', 'identity.edge = { region = "a" }', { timeout: 1 }],
    ['to add to an empty inline table', '[identity]\nedge = {}\n', { timeout: 1 }],
    ['to add below a value', 'identity = {}\n', { timeout: 1 }],
    ['to add to dotted keys', '[identity]\nedge.region = "a"\n', { timeout: 1 }],
    ['to take out of an inline table', 'identity.edge = { region = "a" }', { region: undefined }],
    ['what is not TOML', '[identity.edge\n', { timeout: 1 }],
    ['what is nested too deeply', `a = ${'['.repeat(50_000)}`, { timeout: 1 }],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => edit(text, changes), { code: 'CONFIG_INVALID', message: /^\/c\.toml/ })
    })
  }

  describe('with any file', () => {
    const name = fc.constantFrom('edge', 'other', 'a.b')
    const value = fc.oneof(
      fc.string({ minLength: 1, unit: 'grapheme' }),
      fc.constantFrom('\u{7f}"', '\\', '\t#'),
    )
    const form = fc.constantFrom<(text: string) => string>(
      (text) => JSON.stringify(text).replaceAll('\u{7f}', '\\u007f'),
      (text) => (/[\p{Cc}']/u.test(text) ? '"plain"' : `'${text}'`),
    )
    const white = fc.constantFrom('', ' ', '\t')
    const comment = fc.constantFrom('', ' # why', '# [identity.edge]', ' # region = "x"')
    const pair = fc
      .tuple(
        white,
        fc.constantFrom('region', '"region"', 'role-session-name', "'endpoint'"),
        white,
        form,
        value,
        comment,
      )
      .map(
        ([indent, key, space, format, text, behind]) =>
          `${indent}${key}${space}=${space}${format(text)}${behind}`,
      )
    const keyOf = (line: string) => /[a-z-]+/.exec(line)![0]
    const table = fc.tuple(
      name,
      comment,
      fc.uniqueArray(pair, { selector: keyOf, maxLength: 3 }),
      fc.constantFrom('', '# between'),
    )
    const file = fc
      .tuple(fc.uniqueArray(table, { selector: ([of]) => of, maxLength: 3 }), fc.constantFrom('\n', '\r\n'))
      .map(([tables, lineEnd]) =>
        tables
          .flatMap(([of, behind, pairs, between]) => [
            `[identity.${JSON.stringify(of)}]${behind}`,
            ...pairs,
            between,
          ])
          .map((line) => line + lineEnd)
          .join(''),
      )
    const key = fc.constantFrom('region', 'role-session-name', 'endpoint')
    // The values of a config file have no control characters, but those of TOML may.
    const read = (text: string) => {
      try {
        return parseConfig(text, '/c.toml')
      } catch {
        return undefined
      }
    }

    it('changes the named keys of the identity, and no other', () => {
      fc.assert(
        fc.property(
          file,
          fc.dictionary(key, fc.stringMatching(/^[ -~]+$/), { minKeys: 1 }),
          (text, changes) => {
            const before = read(text)
            fc.pre(before !== undefined)
            const fields = Object.fromEntries(
              Object.entries(changes).map(([of, to]) => [
                of === 'role-session-name' ? 'roleSessionName' : of,
                to,
              ]),
            )
            const expected = new Map([
              ...before,
              ['edge', { origin: 'identity "edge" in /c.toml', ...before.get('edge'), ...fields }],
            ])
            assert.deepEqual(parseConfig(edit(text, changes), '/c.toml'), expected)
          },
        ),
      )
    })

    it('keeps every other byte: what is set back or taken away again leaves the file as it was', () => {
      fc.assert(
        fc.property(file, key, value, value, (text, of, one, other) => {
          const first = edit(text, { [of]: one })
          assert.equal(edit(edit(first, { [of]: other }), { [of]: one }), first)
          const isThere = edit(text, { [of]: undefined }) !== text
          if (!isThere && text.includes('[identity."edge"]'))
            assert.equal(edit(first, { [of]: undefined }), text)
          if (!isThere && !text.includes('[identity."edge"]')) assert.ok(first.startsWith(text))
        }),
      )
    })

    it('changes nothing where there is nothing to change', () => {
      fc.assert(fc.property(file, (text) => assert.equal(edit(text, {}), text)))
    })
  })
})
