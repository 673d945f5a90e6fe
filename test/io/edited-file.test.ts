/** Text files that others edit too, in a temporary home. */

import assert from 'node:assert/strict'
import { appendFileSync, writeFileSync } from 'node:fs'
import {
  chmod,
  chown,
  lchown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HoldfastError } from '../../src/core/errors.js'
import { editFile, readTextFile } from '../../src/io/edited-file.js'
import { tryLock } from '../../src/io/lock.js'
import { run } from '../support/command.js'

const uid = process.geteuid!()
const { signal } = new AbortController()

/** Edits whatever is there to `text`. */
const replaceFile = (path: string, text: string, user: number) =>
  editFile(path, () => text, { uid: user, signal })

describe('text files on disk', () => {
  let home: string
  let path: string
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'holdfast-aws-'))
    path = join(home, '.aws/config')
  })
  afterEach(() => rm(home, { recursive: true }))
  const modeOf = async (file: string) => (await stat(file)).mode & 0o777

  describe('readTextFile', () => {
    it('gives the text with its byte order mark, and nothing for no file', async () => {
      await writeFile(join(home, 'f'), '\u{feff}é\r\n')
      assert.equal(await readTextFile(join(home, 'f')), '\u{feff}é\r\n')
      assert.equal(await readTextFile(join(home, 'g')), '')
    })

    it('refuses what it could not write back unchanged, and what is no file', async () => {
      await writeFile(join(home, 'f'), Buffer.from('caf\xe9', 'latin1'))
      await assert.rejects(readTextFile(join(home, 'f')), { code: 'CONFIG_INVALID' })
      await assert.rejects(readTextFile(home), { code: 'CONFIG_UNREADABLE' })
      await run('mkfifo', [join(home, 'fifo')])
      await assert.rejects(readTextFile(join(home, 'fifo')), {
        code: 'CONFIG_UNREADABLE',
        message: /not a regular file/,
      })
    })
  })

  describe('editFile', () => {
    it('makes a folder and a file for this user only', async () => {
      await replaceFile(path, 'text', uid)
      assert.equal(await readFile(path, 'utf8'), 'text')
      assert.equal(await modeOf(path), 0o600)
      assert.equal(await modeOf(join(home, '.aws')), 0o700)
    })

    it('makes them for all users where it is told to, whatever the umask', async () => {
      const umask = process.umask(0o027)
      try {
        await editFile(path, () => 'text', { uid, mode: 0o644, signal })
      } finally {
        process.umask(umask)
      }
      assert.equal(await modeOf(path), 0o644)
      assert.equal(await modeOf(join(home, '.aws')), 0o750)
    })

    it('keeps the mode, and leaves nothing else in the folder', async () => {
      await replaceFile(path, 'old', uid)
      await chmod(path, 0o640)
      await replaceFile(path, 'new', uid)
      assert.equal(await readFile(path, 'utf8'), 'new')
      assert.equal(await modeOf(path), 0o640)
      assert.deepEqual(await readdir(join(home, '.aws')), ['config'])
    })

    it('makes a new file instead of writing into the one that others have open', async () => {
      await replaceFile(path, 'old', uid)
      const { ino } = await stat(path)
      await replaceFile(path, 'new', uid)
      assert.notEqual((await stat(path)).ino, ino)
    })

    it('keeps links and replaces their target, also one that is not there yet', async () => {
      await mkdir(join(home, 'dotfiles'))
      await mkdir(join(home, '.aws'))
      await symlink('../dotfiles/aws', join(home, '.aws/link'))
      await symlink('link', path)
      for (const text of ['first', 'second']) {
        await replaceFile(path, text, uid)
        for (const link of [path, join(home, '.aws/link')]) assert.ok((await lstat(link)).isSymbolicLink())
        assert.equal(await readFile(join(home, 'dotfiles/aws'), 'utf8'), text)
      }
    })

    it('keeps the group if it may, and otherwise changes nothing', async () => {
      await replaceFile(path, 'old', uid)
      if (process.geteuid!() !== 0) {
        await chmod(join(home, '.aws'), 0o500)
        await assert.rejects(replaceFile(path, 'new', uid), { code: 'OUTPUT_FAILED' })
        await chmod(join(home, '.aws'), 0o700)
        assert.equal(await readFile(path, 'utf8'), 'old')
        return
      }
      await chown(path, 0, 5678)
      await replaceFile(path, 'new', uid)
      assert.equal((await stat(path)).gid, 5678)
    })

    it('writes nothing where everyone can put another file in its place', async () => {
      await mkdir(join(home, '.aws'))
      await chmod(join(home, '.aws'), 0o777)
      await assert.rejects(replaceFile(path, 'x', uid), { code: 'OUTPUT_FAILED', message: /everyone can/ })
      await chmod(join(home, '.aws'), 0o1777)
      await replaceFile(path, 'x', uid)
    })

    it('writes nothing where a folder, link or file belongs to another user', async () => {
      await replaceFile(path, 'old', uid)
      const stranger = uid === 0 ? 0 : uid + 1
      if (uid !== 0) {
        await assert.rejects(replaceFile(path, 'new', stranger), {
          code: 'OUTPUT_FAILED',
          message: /belongs to uid/,
        })
        return
      }
      const link = join(home, 'link')
      await symlink(path, link)
      for (const [whose, named] of [
        [home, path],
        [join(home, '.aws'), path],
        [join(home, '.aws'), link],
        [path, path],
        [link, link],
      ] as const) {
        await lchown(whose, 1234, 1234)
        await assert.rejects(replaceFile(named, 'new', 0), {
          code: 'OUTPUT_FAILED',
          message: `${named} is not written: ${whose} belongs to uid 1234; run this as that user, or with HOME set to your own`,
        })
        await lchown(whose, 0, 0)
      }
      assert.equal(await readFile(path, 'utf8'), 'old')
      await replaceFile(link, 'new', 1234)
      assert.equal(await readFile(path, 'utf8'), 'new')
    })

    it('begins again where another program has written the file meanwhile, and loses nothing', async () => {
      await replaceFile(path, 'a', uid)
      let turns = 0
      const edit = (text: string) => {
        if (turns++ < 2) writeFileSync(path, `${text}+${turns}`)
        return `${text}!`
      }
      await editFile(path, edit, { uid, signal })
      assert.equal(await readFile(path, 'utf8'), 'a+1+2!')
      assert.equal(turns, 3)
    })

    it('gives up where that never ends', async () => {
      await replaceFile(path, 'a', uid)
      const edit = (text: string) => {
        appendFileSync(path, 'b')
        return `${text}!`
      }
      await assert.rejects(editFile(path, edit, { uid, signal }), {
        code: 'OUTPUT_FAILED',
        message: /another program writes it all the time/,
      })
      assert.match(await readFile(path, 'utf8'), /^ab+$/)
      assert.deepEqual(await readdir(join(home, '.aws')), ['config'])
    })

    it('writes nothing where nothing changes, or the edit is refused', async () => {
      await replaceFile(path, 'same', uid)
      const { ino } = await stat(path)
      await replaceFile(path, 'same', uid)
      const refusal = new HoldfastError('CONFIG_INVALID', 'no')
      const refuse = () => {
        throw refusal
      }
      await assert.rejects(editFile(path, refuse, { uid, signal }), refusal)
      assert.equal((await stat(path)).ino, ino)
    })

    it('reads and writes under the lock of the file itself, by whichever name it is called', async () => {
      await replaceFile(path, 'old', uid)
      const link = join(home, 'link')
      await symlink(path, link)
      const release = tryLock(`${await realpath(path)}.lock`)!
      const editing = editFile(link, (text) => `${text}!`, { uid, signal })
      await writeFile(path, 'newer')
      release()
      await editing
      assert.equal(await readFile(path, 'utf8'), 'newer!')
    })

    it('clears away what a killed program has left', async () => {
      await replaceFile(path, 'old', uid)
      await writeFile(`${path}.holdfast`, 'half')
      await replaceFile(path, 'new', uid)
      assert.deepEqual(await readdir(join(home, '.aws')), ['config'])
    })

    it('replaces regular files only', async () => {
      await mkdir(join(home, '.aws'))
      await symlink('/dev/null', path)
      await assert.rejects(replaceFile(path, 'new', uid), {
        code: 'OUTPUT_FAILED',
        message: /it is not a regular file/,
      })
    })

    it('leaves no half file behind when it fails', async () => {
      await mkdir(path, { recursive: true })
      await assert.rejects(replaceFile(path, 'new', uid), { code: 'OUTPUT_FAILED' })
      assert.deepEqual(await readdir(join(home, '.aws')), ['config'])
    })

    it('fails where the folder is a file', async () => {
      await writeFile(join(home, '.aws'), '')
      await assert.rejects(replaceFile(path, 'new', uid), { code: 'OUTPUT_FAILED' })
    })
  })
})
