/**
 * `holdfast enroll` killed at every place where it has something on disk: strace sends SIGKILL instead of the n-th rename of
 * the program or its token child, for each n. The same command goes on, and leaves one key, one certificate and one
 * identity. And an RSA key of a TPM.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { assertCredentials } from '../support/outcome.js'
import { createSite, OTHER_IDENTITY, type Site } from '../support/site.js'
import { createTpmToken, TPM_WARNING } from '../support/swtpm.js'

const PROGRAM = resolve(import.meta.dirname, '../../dist/bin.cjs')

/** Runs the program, kills it at its n-th system call of a kind, and tells whether it came so far. */
async function runAndKill(
  site: Site,
  args: readonly string[],
  when: number,
  call = 'rename',
  paths: readonly string[] = [],
): Promise<boolean> {
  const only = paths.flatMap((path) => ['-P', path])
  const inject = [...only, '-e', `trace=${call}`, '-e', `inject=${call}:signal=SIGKILL:when=${when}`]
  const env = {
    PATH: '/usr/bin:/bin',
    HOME: site.folder,
    XDG_STATE_HOME: join(site.folder, '.local/state'),
    // strace counts for each thread, and each rename is to be counted once.
    UV_THREADPOOL_SIZE: '1',
    ...site.options.env,
  }
  const child = spawn(
    'strace',
    ['-f', '-qq', '-o', '/dev/null', ...inject, process.execPath, PROGRAM, ...args],
    {
      env,
      stdio: 'ignore',
    },
  )
  const [status] = (await once(child, 'exit')) as [number | null]
  return status !== 0
}

async function assertWhole(site: Site, keys: number): Promise<void> {
  assertCredentials(await site.run(['credential-process', 'edge', '--config', site.config]))
  assert.deepEqual([(await site.keys()).length, (await site.certificates()).length], [keys, keys])
  assert.ok((await site.readConfig()).startsWith(OTHER_IDENTITY))
  // Whoever is killed while it takes a lock leaves a lock of its own that nobody waits for.
  const left = (await readdir(join(site.folder, '.local/state/holdfast/enroll'))).filter(
    (file) => !/\.(running|lock)-\d/.test(file),
  )
  assert.deepEqual(left, keys === 1 ? [] : ['edge.json'])
  const around = await readdir(site.folder)
  assert.deepEqual(
    around.filter((file) => /holdfast$|lock$|csr/.test(file)),
    [],
  )
}

describe('holdfast enroll, killed', function () {
  this.timeout(600_000)

  it('at each step of an enrolment goes on where it was', async () => {
    let kills = 0
    for (let when = 1, isKilled = true; isKilled; when++) {
      const site = await createSite()
      try {
        const args = site.enroll(...(await site.issuedBy()))
        isKilled = await runAndKill(site, args, when)
        if (isKilled) kills++
        const { stdout, stderr, status } = isKilled
          ? await site.run(args)
          : { stdout: '', stderr: '', status: 0 }
        // Killed behind the last step, there is an identity, and nothing is left to do.
        const isDone = status === 2 && stderr.includes('has a key already')
        assert.ok(status === 0 || isDone, `kill ${when}: ${stdout}${stderr}`)
        await assertWhole(site, 1)
      } finally {
        await site.dispose()
      }
    }
    assert.ok(kills >= 8, `${kills} places`)
  })

  it('at each step of a renewal keeps what is in use in use, and goes on where it was', async () => {
    let kills = 0
    for (let when = 1, isKilled = true; isKilled; when++) {
      const site = await createSite()
      try {
        const issued = await site.issuedBy()
        await site.run(site.enroll(...issued))
        const args = [
          'enroll',
          'edge',
          '--config',
          site.config,
          '--renew',
          '--if-expires-within',
          '400d',
          ...issued,
        ]
        isKilled = await runAndKill(site, args, when)
        if (isKilled) kills++
        assertCredentials(await site.run(['credential-process', 'edge', '--config', site.config]))
        const isFinished = (await site.keys()).length === 2 && /id=%02/.test(await site.readConfig())
        const { stderr, status } = await site.run(isFinished ? [...args.slice(0, 4), '--remove-old'] : args)
        assert.equal(status, 0, `kill ${when}: ${stderr}`)
        assertCredentials(await site.run(['credential-process', 'edge', '--config', site.config]))
      } finally {
        await site.dispose()
      }
    }
    assert.ok(kills >= 8, `${kills} places`)
  })

  it('while certificates of one key are exchanged in the token leaves the new one alone', async () => {
    const site = await createSite()
    try {
      const issued = await site.issuedBy()
      await site.run(site.enroll(...issued))
      const args = ['enroll', 'edge', '--config', site.config, '--renew', '--same-key', ...issued]
      const serials = new Set([(await site.readCertificate('01')).serialNumber])
      let kills = 0
      // SoftHSM unlinks the file of an object that is removed.
      while (await runAndKill(site, args, kills + 1, 'unlink')) {
        kills++
        const { stderr, status } = await site.run(args)
        assert.equal(status, 0, `kill ${kills}: ${stderr}`)
        assert.deepEqual([(await site.keys()).length, (await site.certificates()).length], [1, 1])
        assertCredentials(await site.run(['credential-process', 'edge', '--config', site.config]))
        serials.add((await site.readCertificate('01')).serialNumber)
      }
      assert.ok(kills >= 5, `${kills} places`)
      assert.equal(serials.size, kills + 1)
    } finally {
      await site.dispose()
    }
  })

  for (const way of ['goes on', 'is given up']) {
    it(`in its token child, before the former certificate of a key that stays is removed, ${way}`, async () => {
      const site = await createSite()
      try {
        const issued = await site.issuedBy()
        await site.run(site.enroll(...issued))
        const { serialNumber: former } = await site.readCertificate('01')
        const args = ['enroll', 'edge', '--config', site.config, '--renew', '--same-key', ...issued]
        const files = await readdir(join(site.token.directory, 'tokens'), { recursive: true })
        const objects = files.filter((file) => file.endsWith('.object'))
        const paths = objects.map((file) => join(site.token.directory, 'tokens', file))
        assert.ok(await runAndKill(site, args, 1, 'unlink', paths))
        assert.equal((await site.certificates()).length, 2)
        const { stderr, status } = await site.run(
          way === 'goes on' ? args : [...args.slice(0, 4), '--abandon'],
        )
        assert.equal(status, 0, stderr)
        await assertWhole(site, 1)
        const { serialNumber } = await site.readCertificate('01')
        assert.equal(serialNumber === former, way === 'is given up')
      } finally {
        await site.dispose()
      }
    })
  }
})

describe('holdfast enroll', function () {
  this.timeout(120_000)

  it('works on a TPM, with an RSA key, and renews there', async () => {
    const site = await createSite(await createTpmToken())
    try {
      const [issued, usual] = [await site.issuedBy(), ['credential-process', 'edge', '--config', site.config]]
      assert.equal((await site.run(site.enroll('--key-type', 'rsa-2048', ...issued))).status, 0)
      assertCredentials(await site.run(usual), TPM_WARNING)
      const renew = ['enroll', 'edge', '--config', site.config, '--renew', ...issued]
      assert.equal((await site.run(renew)).status, 0)
      assert.match(await site.token.showObject('privkey', '02'), /RSA/)
      assertCredentials(await site.run(usual), TPM_WARNING)
    } finally {
      await site.dispose()
    }
  })
})
