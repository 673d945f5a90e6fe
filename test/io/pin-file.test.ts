import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmod,
  chown,
  link,
  mkdir,
  mkdtemp,
  realpath,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findSystemdCredential, readPinFile } from '../../src/io/pin-file.js'

const uid = process.geteuid!()

describe('readPinFile', () => {
  let folder: string
  let path: string
  const read = (file = path) => readPinFile(file, { uid })
  const write = async (text: string | Uint8Array, mode = 0o600, file = path) => {
    await writeFile(file, text)
    await chmod(file, mode)
  }

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'holdfast-pin-')))
    path = join(folder, 'pin')
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('gives the first line and says which file it was', async () => {
    await write('471108\nsecond line\n')
    const { pin, identity, warnings } = await read()
    assert.equal(Buffer.from(pin).toString(), '471108')
    assert.equal(identity.kind, 'file')
    assert.equal(identity.kind === 'file' && identity.file.realpath, path)
    assert.deepEqual(warnings, [])
  })
  it('lets owner and group read', async () => {
    for (const mode of [0o400, 0o440, 0o600, 0o640]) {
      await write('471108', mode)
      assert.equal((await read()).pin.length, 6)
      await rm(path)
    }
  })
  it('refuses a file that the world can read, or group or world can write, with the chmod that mends it', async () => {
    for (const mode of [0o604, 0o644, 0o602, 0o620, 0o660, 0o666]) {
      await write('471108', mode)
      await assert.rejects(
        read(),
        { code: 'PIN_SOURCE_UNSAFE', message: /chmod g-w,o= .*\/pin$/ },
        mode.toString(8),
      )
      execFileSync('chmod', ['g-w,o=', path])
      assert.equal((await read()).pin.length, 6)
    }
  })
  it('refuses a file of a stranger', async () => {
    await write('471108')
    if (uid === 0) await chown(path, 12345, 0)
    const ours = uid === 0 ? 0 : uid + 1
    await assert.rejects(readPinFile(path, { uid: ours }), { code: 'PIN_SOURCE_UNSAFE', message: /chown/ })
    assert.equal((await readPinFile(path, { uid: uid === 0 ? 12345 : uid })).pin.length, 6)
  })
  it('refuses a folder in which everyone can replace the file, however far above it', async () => {
    const deep = join(folder, 'a', 'b')
    await mkdir(deep, { recursive: true })
    const file = join(deep, 'pin')
    await write('471108', 0o600, file)
    await chmod(join(folder, 'a'), 0o777)
    await assert.rejects(read(file), { code: 'PIN_SOURCE_UNSAFE', message: /chmod o-w .*\/a$/ })
    await chmod(join(folder, 'a'), 0o1777)
    assert.equal((await read(file)).pin.length, 6)
  })
  it('refuses a link in a folder in which everyone can put another', async () => {
    const open = join(folder, 'open')
    await mkdir(open)
    await chmod(open, 0o777)
    await write('471108')
    await symlink(path, join(open, 'link'))
    await assert.rejects(read(join(open, 'link')), {
      code: 'PIN_SOURCE_UNSAFE',
      message: /chmod o-w .*\/open$/,
    })
    await chmod(open, 0o755)
    assert.equal((await read(join(open, 'link'))).pin.length, 6)
  })
  it('refuses a folder of a stranger, or of a group; a group that root chose is told', async () => {
    const deep = join(folder, 'a')
    await mkdir(deep)
    const file = join(deep, 'pin')
    await write('471108', 0o600, file)
    if (uid !== 0) {
      await assert.rejects(readPinFile(file, { uid: uid + 1 }), { code: 'PIN_SOURCE_UNSAFE' })
      return
    }
    await chown(deep, 12345, 12345)
    await assert.rejects(read(file), { code: 'PIN_SOURCE_UNSAFE', message: /\/a belongs to uid 12345/ })
    await chown(deep, 0, 50)
    await chmod(deep, 0o2775)
    const { warnings } = await read(file)
    assert.deepEqual(warnings.length, 1)
    assert.match(warnings[0]!, /is used, but group 50 can replace/)
    await chown(folder, 12345, 0)
    await chown(deep, 12345, 50)
    await chown(file, 12345, 50)
    await assert.rejects(readPinFile(file, { uid: 12345 }), {
      code: 'PIN_SOURCE_UNSAFE',
      message: /chmod g-w .*\/a$/,
    })
    await chown(deep, 12345, 12345)
    assert.equal((await readPinFile(file, { uid: 12345 })).pin.length, 6)
  })
  it('refuses what is not a file, and does not wait for the writer of a FIFO', async () => {
    execFileSync('mkfifo', ['-m', '600', path])
    for (const other of [path, folder, '/dev/null', '/dev/tty']) {
      await assert.rejects(read(other), (error: { code: string }) => /^PIN_SOURCE_/.test(error.code))
    }
    await assert.rejects(read(), { code: 'PIN_SOURCE_UNSAFE', message: /not a regular file/ })
  })
  it('follows links, and looks at the file behind them', async () => {
    const target = join(folder, 'target')
    await write('471108', 0o600, target)
    await symlink(target, path)
    const { identity } = await read()
    assert.equal(identity.kind === 'file' && identity.file.realpath, target)
    await chmod(target, 0o644)
    await assert.rejects(read(), { code: 'PIN_SOURCE_UNSAFE' })
  })
  it('says what is wrong with a file that it cannot read', async () => {
    await assert.rejects(read(), { code: 'PIN_SOURCE_UNREADABLE', message: /does not exist/ })
    await assert.rejects(read(join(path, 'below')), { code: 'PIN_SOURCE_UNREADABLE' })
    await assert.rejects(read('a\0b'), { code: 'PIN_SOURCE_UNREADABLE', message: /a\\u\{0\}b/ })
    await symlink(path, path)
    await assert.rejects(read(), { code: 'PIN_SOURCE_UNREADABLE', message: /ELOOP/ })
  })
  it('refuses a file that is too long to be a PIN, and takes the longest one that is not', async () => {
    await write('1'.repeat(4097))
    await assert.rejects(read(), { code: 'PIN_SOURCE_UNREADABLE', message: /longer than 4096/ })
    await write('1'.repeat(4096))
    assert.equal((await read()).pin.length, 4096)
  })
  it('refuses an empty file and one that is not UTF-8, without showing it', async () => {
    await write('')
    await assert.rejects(read(), { code: 'PIN_INVALID', message: /empty/ })
    await write(Buffer.from('4711\xe4', 'latin1'))
    await assert.rejects(read(), (error: Error & { code: string }) => {
      assert.equal(error.code, 'PIN_INVALID')
      return !error.message.includes('4711')
    })
  })
  it('calls a file that was written, replaced, touched or linked anew another one, and an untouched one the same', async () => {
    await write('471108')
    const seen = new Set<string>()
    const look = async () => {
      const { identity } = await read()
      const text = JSON.stringify(identity)
      seen.add(text)
      return text
    }
    assert.equal(await look(), await look())
    await write('471109')
    await look()
    await write('471108', 0o600, `${path}.new`)
    await rename(`${path}.new`, path)
    await look()
    await utimes(path, 1, 1)
    await look()
    await link(path, `${path}.other`)
    await look()
    assert.equal(seen.size, 5)
  })

  describe('in a folder of secrets', () => {
    it('only warns, and tells PINs apart by what they are', async () => {
      await chmod(folder, 0o777)
      await write('471108', 0o666)
      const { pin, identity, warnings } = await readPinFile(path, { uid, credentialsDirectory: folder })
      assert.deepEqual(identity, { kind: 'secret', name: `file ${path}`, pin })
      assert.equal(warnings.length, 2)
      assert.match(warnings[0]!, /is used, but everyone can read it/)
      await assert.rejects(read(), { code: 'PIN_SOURCE_UNSAFE' })
    })
    it('does not take the folder beside it for the same', async () => {
      await write('471108', 0o644)
      const credentialsDirectory = folder.slice(0, -1)
      await assert.rejects(readPinFile(path, { uid, credentialsDirectory }), { code: 'PIN_SOURCE_UNSAFE' })
    })
    it('still refuses what is not a file', async () => {
      execFileSync('mkfifo', [path])
      await assert.rejects(readPinFile(path, { uid, credentialsDirectory: folder }), {
        code: 'PIN_SOURCE_UNSAFE',
      })
    })
    it('knows the mounts of Kubernetes by their links on a memory file system', async () => {
      const volume = await mkdtemp('/dev/shm/holdfast-pin-')
      try {
        await mkdir(join(volume, '..2026_01_02_03_04_05.123'))
        await symlink('..2026_01_02_03_04_05.123', join(volume, '..data'))
        await symlink('..data/pin', join(volume, 'pin'))
        await write('471108', 0o644, join(volume, '..data/pin'))
        const { identity, warnings } = await read(join(volume, 'pin'))
        assert.equal(warnings.length, 1)
        await mkdir(join(volume, '..2026_01_02_03_04_06.456'))
        await write('471108', 0o644, join(volume, '..2026_01_02_03_04_06.456/pin'))
        await rm(join(volume, '..data'))
        await symlink('..2026_01_02_03_04_06.456', join(volume, '..data'))
        assert.deepEqual((await read(join(volume, 'pin'))).identity, identity)
        assert.equal(identity.kind, 'secret')
        await write('471108', 0o644, join(volume, 'other'))
        await assert.rejects(read(join(volume, 'other')), { code: 'PIN_SOURCE_UNSAFE' })
      } finally {
        await rm(volume, { recursive: true })
      }
    })
  })
})

describe('findSystemdCredential', () => {
  it('finds holdfast.pin in $CREDENTIALS_DIRECTORY, and nothing where there is none', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-credentials-'))
    try {
      const env = { CREDENTIALS_DIRECTORY: folder }
      assert.equal(await findSystemdCredential(env), undefined)
      assert.equal(await findSystemdCredential({}), undefined)
      assert.equal(await findSystemdCredential({ CREDENTIALS_DIRECTORY: '' }), undefined)
      await writeFile(join(folder, 'holdfast.pin'), '471108')
      assert.equal(await findSystemdCredential(env), join(folder, 'holdfast.pin'))
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
