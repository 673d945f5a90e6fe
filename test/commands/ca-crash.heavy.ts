/**
 * The database of a CA, and kill -9 at each step of each write; a full disk, a read-only one, a folder of another user.
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type CaHome, createCaHome } from '../support/ca.js'
import { run } from '../support/command.js'
import { assertFailure } from '../support/outcome.js'

const DIE = resolve(import.meta.dirname, '../support/die-at-step.cjs')
const SUBJECT = 'CN=Example Edge CA'

describe('the folder of a CA', function () {
  this.timeout(600_000)
  let at: CaHome
  let csr: string
  beforeEach(async () => {
    at = await createCaHome()
    csr = await at.request('edge', '/CN=edge')
  })
  afterEach(() => at.dispose())
  const init = () => at.caJson('init', '--subject', SUBJECT)

  /** Kills `holdfast ca` at its first step, then at its second, and so on, until a run ends by itself. */
  async function killAtEachStep(
    args: readonly string[],
    afterEachDeath: () => Promise<void>,
    half = '',
  ): Promise<number> {
    for (let step = 1; ; step++) {
      const env = { NODE_OPTIONS: `--require ${DIE}`, DIE_AT: `${step} ${half}` }
      const { status, signal, stdout, stderr } = await at.ca(args, { env })
      if (signal === null) {
        assert.equal(status, 0, stderr)
        return step
      }
      assert.deepEqual([signal, stdout], ['SIGKILL', ''])
      await afterEachDeath()
    }
  }
  const count = async (kind: string) => {
    const names = await readdir(join(at.directory, kind))
    return names.filter((name) => !name.startsWith('.new-')).length
  }

  for (const half of ['', 'half']) {
    it(`opens after any death of ca sign${half && ' in the middle of a write'}, and has what was issued`, async () => {
      await init()
      const steps = await killAtEachStep(
        ['sign', csr],
        async () => {
          const { certificates } = await at.caJson('list')
          assert.equal(certificates!.length, await count('issued'))
        },
        half,
      )
      // write, sync, link, remove the temporary name, sync the folder
      assert.equal(steps, 6)
      // Those that died after the link, and the last.
      assert.equal(await count('issued'), 3)
    })
  }

  it('is whole or not there after any death of ca init', async () => {
    const steps = await killAtEachStep(['init', '--subject', SUBJECT], async () => {
      const { status, stderr } = await at.ca(['list'])
      if (status === 0) {
        await at.caJson('sign', csr)
        // The next one begins anew.
        await run('rm', ['-r', at.directory])
      } else {
        assert.match(stderr, /CA_NOT_FOUND/)
      }
    })
    assert.ok(steps > 10, `${steps} steps`)
    await at.caJson('sign', csr)
  })

  it('lists after any death of ca revoke and ca crl what was revoked', async () => {
    await init()
    const { serialNumber } = await at.caJson('sign', csr)
    await killAtEachStep(['revoke', serialNumber!], async () => {
      assert.equal((await at.caJson('crl')).revoked, await count('revoked'))
    })
    let last = await count('crl')
    await killAtEachStep(['crl'], async () => {
      const { number, revoked } = await at.caJson('crl')
      assert.equal(revoked, 1)
      assert.ok(Number(number) > last)
      last = Number(number)
    })
  })

  it('says that the disk is full, and has then issued nothing', async () => {
    await mkdir(at.directory, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'none', at.directory])
    try {
      await init()
      const filler = join(at.directory, 'crl/.new-filler')
      await writeFile(filler, Buffer.alloc(1 << 20)).catch(() => undefined)
      assertFailure(await at.ca(['sign', csr]), 'OUTPUT_FAILED', 7, /cannot be written \(ENOSPC\)/)
      assertFailure(await at.ca(['crl']), 'OUTPUT_FAILED', 7, /ENOSPC/)
      assert.deepEqual([await count('issued'), await count('crl')], [0, 0])
      await run('rm', [filler])
      await at.caJson('sign', csr)

      execFileSync('mount', ['-o', 'remount,ro', at.directory])
      assertFailure(await at.ca(['sign', csr]), 'OUTPUT_FAILED', 7, /EROFS/)
      const { certificates } = await at.caJson('list')
      assert.equal(certificates!.length, 1)
    } finally {
      execFileSync('umount', [at.directory])
    }
  })

  it('is not used if another user owns it, or something in it', async () => {
    const { keyFile } = await init()
    const { serialNumber, record } = await at.caJson('sign', csr)
    const nobody = 65534
    for (const path of [at.directory, join(at.directory, 'revoked'), at.certificateFile, keyFile!, record!]) {
      await chown(path, nobody, nobody)
      const args = path === record ? ['revoke', serialNumber!] : ['sign', csr]
      assertFailure(await at.ca(args), 'CA_UNSAFE', 4, /belongs to uid 65534/)
      await chown(path, 0, 0)
    }
    assert.match(await readFile(record!, 'utf8'), /BEGIN CERTIFICATE/)
    await at.caJson('sign', csr)
  })
})
