/** Tables that Python's sqlite3 wrote are read; damaged files are refused and never loop. */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { readTable } from '../../../src/core/pkcs11/sqlite.js'
import { run } from '../../support/command.js'

describe('readTable', () => {
  let directory: string
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'holdfast-sqlite-'))
  })
  after(() => rmSync(directory, { recursive: true }))

  async function write(name: string, ...statements: string[]): Promise<Buffer> {
    const file = join(directory, name)
    const program =
      'import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\nfor s in sys.argv[2:]: db.execute(s)\ndb.commit()'
    await run('python3', ['-c', program, file, ...statements])
    return readFileSync(file)
  }

  it('gives integers of every size, and texts', async () => {
    const numbers = [0, 1, -1, 127, 128, -129, 32768, 8388608, 2 ** 31, -(2 ** 40), 2 ** 50]
    const file = await write(
      'values',
      'create table other(x)',
      'create table wanted(id integer primary key, number integer, word text, half real, bytes blob)',
      ...numbers.map(
        (n) => `insert into wanted(number, word, half, bytes) values(${n}, 'wört ${n}', 0.5, x'00')`,
      ),
    )
    assert.deepEqual(
      readTable(file, 'wanted'),
      numbers.map((n) => [undefined, n, `wört ${n}`, undefined, undefined]),
    )
    assert.deepEqual(readTable(file, 'other'), [])
  })

  it('gives all rows of a table that has many pages, in order', async () => {
    const file = await write(
      'many',
      'create table numbers(n)',
      'with recursive c(n) as (select 0 union all select n + 1 from c where n < 19999) insert into numbers select n from c',
    )
    const rows = readTable(file, 'numbers')!
    assert.equal(rows.length, 20_000)
    assert.ok(rows.every(([n], index) => n === index))
  })

  it('says that a table is not there, also where an index has its name', async () => {
    const file = await write('index', 'create table a(x)', 'create index b on a(x)')
    assert.equal(readTable(file, 'b'), undefined)
    assert.equal(readTable(file, 'none'), undefined)
  })

  it('leaves out a text that goes on in another page', async () => {
    const file = await write('long', 'create table a(x)', 'insert into a values(hex(zeroblob(9000)))')
    assert.deepEqual(readTable(file, 'a'), [[undefined]])
  })

  it('refuses what is no database', () => {
    for (const file of [Buffer.alloc(0), Buffer.from('garbage\n'), Buffer.from('SQLite format 3\0')]) {
      assert.throws(() => readTable(file, 'a'), RangeError)
    }
  })

  it('throws nothing but RangeError for a damaged one, and ends', async () => {
    const file = await write(
      'damaged',
      'pragma page_size = 512',
      'create table a(n, t)',
      "with recursive c(n) as (select 0 union all select n + 1 from c where n < 300) insert into a select n, 'text' from c",
    )
    const change = fc.tuple(fc.nat(file.length - 1), fc.nat(255))
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const damaged = Buffer.from(file)
        for (const [at, byte] of changes) damaged[at] = byte
        try {
          readTable(damaged, 'a')
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error))
        }
      }),
      { numRuns: 300 },
    )
  })
})
