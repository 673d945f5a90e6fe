/** The files of consumers: laid, listed, looked up and taken away. */

import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findConsumer, formatRecord } from '../../../src/core/endpoints/consumer.js'
import {
  listConsumerFolders,
  listConsumers,
  locateConsumer,
  removeConsumer,
  writeConsumer,
} from '../../../src/io/consumers/consumer-files.js'
import { createConsumerLookup } from '../../../src/io/consumers/consumer-lookup.js'

const uid = process.getuid!()
let home: string
let folder: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'holdfast-consumers-'))
  ;[folder] = listConsumerFolders([join(home, 'holdfast/config.toml')]) as [string]
})
afterEach(() => rmSync(home, { recursive: true }))

const at = (name: string, identity = 'edge') => locateConsumer(folder, identity, name)
const lay = (name: string, token = `token of ${name}`, identity = 'edge') =>
  writeConsumer(at(name, identity), token, { uid })

describe('writeConsumer', () => {
  it('lays the token for one reader, without a line end, and the record for all', () => {
    lay('app')
    assert.equal(readFileSync(at('app').tokenFile, 'utf8'), 'token of app')
    assert.equal(statSync(at('app').tokenFile).mode & 0o777, 0o600)
    assert.equal(statSync(at('app').recordFile).mode & 0o777, 0o644)
    assert.ok(!readFileSync(at('app').recordFile, 'utf8').includes('token of app'))
  })

  it('refuses a consumer that is there, and leaves its token', () => {
    lay('app')
    assert.throws(() => lay('app', 'other'), { code: 'USAGE' })
    rmSync(at('app').recordFile)
    assert.throws(() => lay('app', 'other'), { code: 'USAGE' })
    assert.equal(readFileSync(at('app').tokenFile, 'utf8'), 'token of app')
  })

  it('refuses a folder that others can write, and lays nothing there', () => {
    lay('app')
    chmodSync(folder, 0o777)
    assert.throws(() => lay('web'), { code: 'CONFIG_UNSAFE' })
    assert.ok(!existsSync(at('web').tokenFile))
    assert.throws(() => lay('web', 'x', 'other'), { code: 'CONFIG_UNSAFE' })
    assert.ok(!existsSync(join(folder, 'other')))
  })

  it('says that it cannot write', () => {
    writeFileSync(join(home, 'holdfast'), '')
    assert.throws(() => lay('app'), { code: 'OUTPUT_FAILED' })
  })
})

describe('listConsumers', () => {
  it('lists those that have a record', () => {
    lay('web')
    lay('app')
    lay('app', 'x', 'line')
    rmSync(at('web').tokenFile)
    writeFileSync(join(folder, 'edge/stray.token'), '')
    const names = listConsumers(folder).map(({ identity, name }) => `${identity}/${name}`)
    assert.deepEqual(names, ['edge/app', 'edge/web', 'line/app'])
  })

  it('lists none where there is no folder', () => assert.deepEqual(listConsumers(folder), []))
})

describe('removeConsumer', () => {
  it('takes away both files, or what is left of them', () => {
    lay('app')
    assert.equal(removeConsumer(at('app')), true)
    assert.ok(!existsSync(at('app').tokenFile) && !existsSync(at('app').recordFile))
    lay('app')
    rmSync(at('app').recordFile)
    assert.equal(removeConsumer(at('app')), true)
    assert.equal(removeConsumer(at('app')), false)
  })
})

describe('createConsumerLookup', () => {
  const warnings: string[] = []
  const createLookup = (...more: string[]) => {
    warnings.length = 0
    isSettled = false
    return createConsumerLookup([folder, ...more], {
      uid,
      now: () => new Date(Date.now() + (isSettled ? 60_000 : 0)),
      warn: (text) => warnings.push(text),
    })
  }
  let isSettled: boolean
  /** Lets the last change be long ago, so that what was read is kept. */
  const settle = () => {
    isSettled = true
  }

  it('finds a consumer from the moment it is there to the moment it is not', () => {
    const lookUp = createLookup()
    const find = () => findConsumer(lookUp('edge'), 'token of app')?.name
    assert.equal(find(), undefined)
    lay('app')
    assert.equal(find(), 'app')
    settle()
    assert.equal(find(), 'app')
    lay('web')
    removeConsumer(at('app'))
    assert.equal(find(), undefined)
    rmSync(folder, { recursive: true })
    assert.deepEqual(lookUp('edge'), [])
    assert.deepEqual(warnings, [])
  })

  it('goes by a record that was written in place', () => {
    const lookUp = createLookup()
    const find = (token: string) => findConsumer(lookUp('edge'), token)?.name
    lay('app')
    settle()
    const [was, now] = ['token of app', 'another token']
    assert.equal(find(was), 'app')
    writeFileSync(at('app').recordFile, formatRecord('app', now))
    assert.deepEqual([find(was), find(now)], [undefined, 'app'])
    writeFileSync(at('app').recordFile, '')
    assert.equal(find(now), undefined)
  })

  it('finds the consumers of all folders, of one identity', () => {
    const [other] = listConsumerFolders([join(home, 'system/config.toml')]) as [string]
    lay('app')
    lay('app', 'x', 'line')
    writeConsumer(locateConsumer(other, 'edge', 'web'), 'x', { uid })
    assert.deepEqual(
      createLookup(other)('edge').map(({ name }) => name),
      ['app', 'web'],
    )
  })

  it('finds nobody by a name that is a path', () => {
    lay('app')
    for (const name of ['../consumers/edge', '.', '..', '', 'edge/'])
      assert.deepEqual(createLookup()(name), [])
  })

  it('counts nobody in a folder that others can write, and says so once', () => {
    lay('app')
    const lookUp = createLookup()
    chmodSync(join(folder, 'edge'), 0o777)
    assert.deepEqual(lookUp('edge'), [])
    assert.deepEqual(lookUp('edge'), [])
    assert.equal(warnings.length, 1)
    assert.match(warnings[0]!, /everyone can replace/)
  })

  for (const [title, spoil] of [
    ['that others can write', () => chmodSync(at('bad').recordFile, 0o666)],
    [
      'that is a link',
      () => {
        rmSync(at('bad').recordFile)
        symlinkSync(at('app').recordFile, at('bad').recordFile)
      },
    ],
    [
      'that is a folder',
      () => {
        rmSync(at('bad').recordFile)
        mkdirSync(at('bad').recordFile)
      },
    ],
    ['that is no record', () => writeFileSync(at('bad').recordFile, 'x')],
    ['that is large', () => writeFileSync(at('bad').recordFile, 'x'.repeat(10_000))],
  ] as const) {
    it(`leaves out a record ${title}, and says so`, () => {
      lay('app')
      lay('bad')
      spoil()
      assert.deepEqual(
        createLookup()('edge').map(({ name }) => name),
        ['app'],
      )
      assert.equal(warnings.length, 1)
      assert.match(warnings[0]!, /bad\.sha256/)
    })
  }
})
