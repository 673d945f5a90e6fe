/** The lock, among calls and among processes of which some are killed. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { HoldfastError } from '../../src/core/errors.js'
import { tryLock, withLock } from '../../src/io/lock.js'

const CODE = resolve(import.meta.dirname, '../../src/io/lock.ts')
const signal = new AbortController().signal

describe('tryLock and withLock', () => {
  let folder: string
  let path: string
  let children: ChildProcess[]
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-lock-'))
    path = join(folder, 'lock')
    children = []
  })
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL')
    await rm(folder, { recursive: true })
  })

  /** Another process that runs code, to which `tryLock`, `withLock` and the lock's `path` are known. */
  function start(code: string): ChildProcess {
    const program = `import { tryLock, withLock } from ${JSON.stringify(CODE)}
      import { readFileSync, writeFileSync } from 'node:fs'
      const path = ${JSON.stringify(path)}
      ${code}`
    const args = ['--import=tsx', '--input-type=module', '--eval', program]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(child)
    return child
  }
  const holdForEver = "tryLock(path); console.log('held'); setInterval(() => {}, 1e6)"
  /** Puts a holder of that name into the lock. */
  const pretend = (holder: string) => {
    mkdirSync(path)
    writeFileSync(join(path, holder), '')
  }
  const ourName = () => {
    const release = tryLock(path)!
    const [name] = readdirSync(path)
    release()
    return name!.split('-')
  }

  it('gives the lock to one, and to the next when it is let go', () => {
    const release = tryLock(path)
    assert.ok(release)
    assert.equal(tryLock(path), undefined)
    release()
    assert.deepEqual(readdirSync(folder), [])
    tryLock(path)!()
  })

  it('lets go only once', () => {
    const first = tryLock(path)!
    first()
    const second = tryLock(path)!
    first()
    assert.equal(tryLock(path), undefined)
    second()
  })

  it('is held by a living process, and free when that was killed', async () => {
    const child = start(holdForEver)
    await once(child.stdout!, 'data')
    assert.equal(tryLock(path), undefined)
    child.kill('SIGKILL')
    await once(child, 'exit')
    tryLock(path)!()
  })

  it('says PID and start time of its holder', () => {
    tryLock(path)
    const [pid, startTime] = readdirSync(path)[0]!.split('-')
    assert.equal(Number(pid), process.pid)
    assert.ok(readFileSync('/proc/self/stat', 'utf8').split(') ')[1]!.split(' ').includes(startTime!))
  })

  it('takes over from a process that had the same PID, and from before the machine was started', () => {
    const [pid, startTime, boot, namespace] = ourName()
    for (const holder of [
      [pid, String(Number(startTime) - 1), boot, namespace],
      [pid, startTime, boot!.replace(/./g, '0'), namespace],
      ['not', 'a', 'holder'],
    ]) {
      pretend([...holder, 'abc'].join('-'))
      tryLock(path)!()
    }
  })

  it('believes a process that it cannot see, for five minutes', () => {
    const [, , boot] = ourName()
    const holder = ['999999999', '1', boot, '1', 'abc'].join('-')
    pretend(holder)
    assert.equal(tryLock(path), undefined)
    const then = Date.now() / 1000 - 301
    utimesSync(join(path, holder), then, then)
    tryLock(path)!()
  })

  it('keeps processes apart, also where some are killed while they hold it', async () => {
    const counter = join(folder, 'counter')
    writeFileSync(counter, '0')
    const killed = start(holdForEver)
    await once(killed.stdout!, 'data')
    const count = `
      const signal = new AbortController().signal
      for (let turn = 0; turn < 25; turn++) {
        await withLock(path, signal, async () => {
          const number = Number(readFileSync(${JSON.stringify(counter)}))
          await new Promise((done) => setImmediate(done))
          writeFileSync(${JSON.stringify(counter)}, String(number + 1))
        })
      }`
    const counting = Array.from({ length: 8 }, () => start(count))
    const ended = Promise.all(counting.map((child) => once(child, 'exit')))
    killed.kill('SIGKILL')
    assert.deepEqual(
      (await ended).map(([status]) => status),
      counting.map(() => 0),
    )
    assert.equal(readFileSync(counter, 'utf8'), '200')
    assert.deepEqual(readdirSync(folder), ['counter'])
  })

  it('is not taken from a living holder, however long ago that began, but where a limit says so', () => {
    const release = tryLock(path)!
    const [holder] = readdirSync(path)
    const dayAgo = new Date(Date.now() - 86_400_000)
    utimesSync(join(path, holder!), dayAgo, dayAgo)
    assert.equal(tryLock(path), undefined)
    assert.ok(tryLock(path, { maxHeldMs: 1000 }))
    release()
  })

  it('lets go when the work fails', async () => {
    const failure = new Error('no')
    await assert.rejects(
      withLock(path, signal, () => Promise.reject(failure)),
      failure,
    )
    tryLock(path)!()
  })

  it('ends waiting when it is interrupted', async () => {
    tryLock(path)
    const interrupt = new AbortController()
    const waiting = withLock(path, interrupt.signal, async () => assert.fail())
    interrupt.abort(new HoldfastError('INTERRUPTED', 'by a test'))
    await assert.rejects(waiting, { code: 'INTERRUPTED' })
  })

  it('fails where the folder is not there', () => {
    assert.throws(() => tryLock(join(folder, 'no/lock')), { code: 'ENOENT' })
    assert.deepEqual(readdirSync(folder), [])
  })
})
