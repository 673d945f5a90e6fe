/** Config files in a temporary home: which are read, and which are too unsafe to read. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { HoldfastError } from '../../src/core/errors.js'
import { listConfigFiles, loadIdentity, readConfigFile } from '../../src/io/config-file.js'

const uid = process.geteuid!()

async function write(path: string, text: string | Buffer, mode = 0o644): Promise<string> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  await writeFile(path, text)
  await chmod(path, mode)
  return path
}

describe('listConfigFiles', () => {
  const list = (env: Record<string, string>, user: number, configFile?: string) =>
    listConfigFiles({ env, uid: user, configFile })

  it('looks at the user, then at the system', () => {
    assert.deepEqual(list({ HOME: '/home/u' }, 1000), [
      '/home/u/.config/holdfast/config.toml',
      '/etc/holdfast/config.toml',
    ])
  })

  it('follows XDG_CONFIG_HOME if it is absolute', () => {
    assert.equal(list({ HOME: '/h', XDG_CONFIG_HOME: '/x' }, 1000)[0], '/x/holdfast/config.toml')
    assert.equal(list({ HOME: '/h', XDG_CONFIG_HOME: 'x' }, 1000)[0], '/h/.config/holdfast/config.toml')
    assert.equal(list({ HOME: '/h', XDG_CONFIG_HOME: '' }, 1000)[0], '/h/.config/holdfast/config.toml')
  })

  it('asks the user database where HOME is not set', () => {
    assert.equal(list({}, 1000)[0], join(homedir(), '.config/holdfast/config.toml'))
  })

  it('looks at nothing of a user for root', () => {
    assert.deepEqual(list({ HOME: '/home/u', XDG_CONFIG_HOME: '/x' }, 0), ['/etc/holdfast/config.toml'])
  })

  it('looks only at a file that is named', () => {
    assert.deepEqual(list({ HOME: '/home/u' }, 0, '/a/b.toml'), ['/a/b.toml'])
    assert.deepEqual(list({ HOME: '/home/u' }, 1000, '/a/b.toml'), ['/a/b.toml'])
  })
})

describe('config files on disk', () => {
  let home: string
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'holdfast-config-'))
  })
  afterEach(() => rm(home, { recursive: true }))

  const options = () => ({
    env: { XDG_CONFIG_HOME: join(home, 'user') },
    // Root reads no user's file, so a test that runs as root gives another number; files of root are fine to anyone.
    uid: uid === 0 ? 1000 : uid,
    systemFile: join(home, 'etc/config.toml'),
  })
  const userFile = () => join(home, 'user/holdfast/config.toml')

  async function assertUnsafe(path: string, message: string, user = uid) {
    await assert.rejects(readConfigFile(path, user), (error) => {
      assert.ok(error instanceof HoldfastError, String(error))
      assert.equal(error.code, 'CONFIG_UNSAFE')
      assert.ok(error.message.includes(message), error.message)
      return true
    })
  }

  describe('loadIdentity', () => {
    it('takes the whole entry of the user where both have one', async () => {
      await write(userFile(), '[identity.a]\nregion = "user"\n')
      await write(
        join(home, 'etc/config.toml'),
        '[identity.a]\nendpoint = "system"\n[identity.b]\nregion = "b"\n',
      )
      const [a, b] = [await loadIdentity('a', options()), await loadIdentity('b', options())]
      assert.deepEqual(a, { origin: `identity "a" in ${userFile()}`, region: 'user' })
      assert.equal(b.region, 'b')
    })

    it('names what there is, and the files, if the identity is missing', async () => {
      await write(userFile(), '[identity.b]\n[identity.a]\n')
      await assert.rejects(loadIdentity('c', options()), {
        code: 'CONFIG_NOT_FOUND',
        message:
          `no identity "c": there is a, b; looked at ${userFile()} and ` +
          `${join(home, 'etc/config.toml')} (there is no such file)`,
      })
    })

    it('says so if there is no file at all', async () => {
      await assert.rejects(loadIdentity('c', { ...options(), configFile: join(home, 'none/x.toml') }), {
        code: 'CONFIG_NOT_FOUND',
        message: `no identity "c": there is none at all; looked at ${home}/none/x.toml (there is no such file)`,
      })
    })

    it('does not need the system file where the user has the identity', async () => {
      await write(userFile(), '[identity.a]\n')
      await write(join(home, 'etc/config.toml'), 'not TOML')
      assert.ok(await loadIdentity('a', options()))
      await assert.rejects(loadIdentity('b', options()), { code: 'CONFIG_INVALID' })
    })
  })

  describe('readConfigFile', () => {
    const text = '[identity.a]\nregion = "x"\npin-file = "pin"\n'

    it('resolves paths against the folder of the file', async () => {
      const path = await write(join(home, 'c.toml'), `\u{feff}${text}`)
      assert.equal((await readConfigFile(path, uid))?.get('a')?.pinFile, join(home, 'pin'))
    })

    it('gives nothing for a file that is not there', async () => {
      assert.equal(await readConfigFile(join(home, 'c.toml'), uid), undefined)
      await write(join(home, 'file'), '')
      assert.equal(await readConfigFile(join(home, 'file/c.toml'), uid), undefined)
    })

    for (const mode of [0o646, 0o602]) {
      it(`refuses mode ${mode.toString(8)}`, async () => {
        const path = await write(join(home, 'c.toml'), text, mode)
        await assertUnsafe(path, `chmod go-w ${path}`)
      })
    }

    it('accepts a file and a folder that the group can write which a user is alone in', async () => {
      const path = await write(join(home, 'd/c.toml'), text, 0o664)
      await chmod(join(home, 'd'), 0o2775)
      assert.ok(await readConfigFile(path, uid))
      if (uid !== 0) return
      for (const file of [home, join(home, 'd'), path]) await chown(file, 1000, 1000)
      assert.ok(await readConfigFile(path, 1000))
      await chown(join(home, 'd'), 0, 2000)
      await assertUnsafe(path, `chmod g-w ${join(home, 'd')}`, 1000)
      await chown(join(home, 'd'), 0, 0)
      await chown(path, 0, 2000)
      await assertUnsafe(path, `chmod go-w ${path}`, 1000)
    })

    for (const mode of [0o600, 0o644, 0o440]) {
      it(`accepts mode ${mode.toString(8)}`, async () => {
        assert.ok(await readConfigFile(await write(join(home, 'c.toml'), text, mode), uid))
      })
    }

    it('refuses a folder that others can write, but for one with the sticky bit', async () => {
      const path = await write(join(home, 'd/c.toml'), text)
      await chmod(join(home, 'd'), 0o777)
      await assertUnsafe(path, `chmod o-w ${join(home, 'd')}`)
      await chmod(join(home, 'd'), 0o1777)
      assert.ok(await readConfigFile(path, uid))
    })

    it('refuses a link out of, and a link into, a folder that others can write', async () => {
      const open = join(home, 'open')
      const closed = await write(join(home, 'closed/c.toml'), text)
      const inOpen = await write(join(open, 'c.toml'), text)
      await chmod(open, 0o777)
      await symlink(closed, join(open, 'link.toml'))
      await symlink(inOpen, join(home, 'closed/link.toml'))
      await symlink(closed, join(home, 'closed/good.toml'))
      await assertUnsafe(join(open, 'link.toml'), `chmod o-w ${open}`)
      await assertUnsafe(join(home, 'closed/link.toml'), `chmod o-w ${open}`)
      assert.ok(await readConfigFile(join(home, 'closed/good.toml'), uid))
    })

    it('refuses a folder further above that others can write', async () => {
      const path = await write(join(home, 'a/b/c.toml'), text)
      await chmod(join(home, 'a'), 0o777)
      await assertUnsafe(path, `chmod o-w ${join(home, 'a')}`)
      await chmod(join(home, 'a'), 0o1777)
      assert.ok(await readConfigFile(path, uid))
    })

    it('refuses the file of a stranger', async () => {
      const path = await write(join(home, 'c.toml'), text)
      if (uid === 0) {
        await chown(path, 1000, 1000)
        await assertUnsafe(path, `chown 2000 ${path}`, 2000)
        await assertUnsafe(path, `chown 0 ${path}`, 0)
        await chown(home, 1000, 1000)
        assert.ok(await readConfigFile(path, 1000))
      } else {
        await assertUnsafe(path, `chown ${uid + 1} ${path}`, uid + 1)
      }
    })

    it('refuses a pin-value that everybody can read', async () => {
      const path = await write(join(home, 'c.toml'), '[identity.a]\npkcs11-uri = "pkcs11:?pin-value=Zq7"\n')
      await assertUnsafe(path, `chmod 600 ${path}`)
      await chmod(path, 0o640)
      assert.ok(await readConfigFile(path, uid))
    })

    it('says where the text is not UTF-8', async () => {
      const path = await write(join(home, 'c.toml'), Buffer.from('# a\n# \xff', 'latin1'))
      await assert.rejects(readConfigFile(path, uid), {
        code: 'CONFIG_INVALID',
        message: `${path}:2:3: not UTF-8`,
      })
    })

    it('refuses what is no regular file, or huge', async () => {
      await assert.rejects(readConfigFile(home, uid), { code: 'CONFIG_UNREADABLE' })
      execFileSync('mkfifo', [join(home, 'fifo')])
      await assert.rejects(readConfigFile(join(home, 'fifo'), uid), { code: 'CONFIG_UNREADABLE' })
      const huge = await write(join(home, 'c.toml'), '#'.repeat(1024 * 1024 + 1))
      await assert.rejects(readConfigFile(huge, uid), { code: 'CONFIG_UNREADABLE' })
    })
  })
})
