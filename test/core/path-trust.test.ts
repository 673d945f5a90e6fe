/** Paths in file systems that are only told of. */

import assert from 'node:assert/strict'
import { findPathRisks, formatPathRisk, type PathFacts } from '../../src/core/path-trust.js'

/** Owner, group and mode of an entry, or with `to` a link. */
interface Entry {
  uid?: number
  gid?: number
  mode?: number
  to?: string
}

/** A file system with these entries; all that is not named is root's folder of mode 755, but for what is below /none. */
function system(entries: Record<string, Entry>): PathFacts {
  return {
    lstatSync(path) {
      if (path.startsWith('/none/')) return undefined
      const { uid = 0, gid = 0, mode = 0o755, to } = entries[path] ?? {}
      return { uid, gid, mode, isSymbolicLink: () => to !== undefined }
    },
    readlinkSync: (path) => entries[path]!.to!,
  }
}

describe('findPathRisks', () => {
  const find = (path: string, entries: Record<string, Entry>, uid = 1000) =>
    findPathRisks(path, uid, system(entries)).map(({ path: entry, by }) => `${by} ${entry}`)

  const safe: [title: string, path: string, entries: Record<string, Entry>, uid?: number][] = [
    ['folders of root', '/etc/holdfast/pin', {}],
    ['the home', '/home/u/pin', { '/home/u': { uid: 1000, gid: 1000, mode: 0o750 } }],
    [
      'a group with one’s own number',
      '/home/u/d/pin',
      { '/home/u/d': { uid: 1000, gid: 1000, mode: 0o775 } },
    ],
    ['the group root', '/app/pin', { '/app': { mode: 0o775 } }],
    ['/tmp', '/tmp/a/pin', { '/tmp': { mode: 0o1777 }, '/tmp/a': { uid: 1000, mode: 0o700 } }],
    ['/nix/store', '/nix/store/x/m.so', { '/nix/store': { gid: 30_000, mode: 0o1775 } }],
    ['links of root', '/lib/m.so', { '/lib': { to: 'usr/lib' } }],
    ['a link upward', '/a/b/pin', { '/a/b': { to: '../c' }, '/a': { mode: 0o755 } }],
    ['a user namespace', '/home/u/pin', { '/': { uid: 65_534 }, '/home': { uid: 65_534 } }, 0],
    [
      'a sandbox with the system’s /usr',
      '/usr/lib/m.so',
      { '/usr': { uid: 65_534 }, '/usr/lib': { uid: 65_534 } },
    ],
    ['nothing', '/none/a/b', {}],
  ]
  for (const [title, path, entries, uid] of safe) {
    it(`finds none with ${title}`, () => assert.deepEqual(find(path, entries, uid), []))
  }

  const risky: [
    title: string,
    path: string,
    entries: Record<string, Entry>,
    risks: string[],
    uid?: number,
  ][] = [
    ['a folder far above', '/a/b/c', { '/a': { mode: 0o777 } }, ['everyone /a']],
    ['a folder of a group', '/a/b', { '/a': { gid: 50, mode: 0o2775 } }, ['group /a']],
    ['a folder of a stranger', '/a/b', { '/a': { uid: 7 } }, ['owner /a']],
    ['nobody, where the system is root’s', '/a/b', { '/a': { uid: 65_534 } }, ['owner /a']],
    ['a user’s home, for root', '/home/u/pin', { '/home/u': { uid: 1000 } }, ['owner /home/u'], 0],
    [
      'a stranger’s folder in /tmp',
      '/tmp/a/b',
      { '/tmp': { mode: 0o1777 }, '/tmp/a': { uid: 7 } },
      ['owner /tmp/a'],
    ],
    [
      'a stranger’s file in /tmp',
      '/tmp/a',
      { '/tmp': { mode: 0o1777 }, '/tmp/a': { uid: 7 } },
      ['owner /tmp/a'],
    ],
    ['the folder of a link', '/a/l', { '/a': { mode: 0o777 }, '/a/l': { to: '/b/c' } }, ['everyone /a']],
    [
      'the folder of a link’s target',
      '/a/l',
      { '/b': { mode: 0o777 }, '/a/l': { to: '/b/c' } },
      ['everyone /b'],
    ],
    ['a link of a stranger', '/a/l', { '/a/l': { uid: 7, to: '/b/c' } }, ['owner /a/l']],
    [
      'a folder between two links',
      '/l',
      { '/l': { to: 'm/x' }, '/m': { to: '/n' }, '/n': { uid: 7 } },
      ['owner /n'],
    ],
    ['a folder that a link leaves again', '/l', { '/l': { to: '/x/../b' }, '/x': { uid: 7 } }, ['owner /x']],
  ]
  for (const [title, path, entries, risks, uid] of risky) {
    it(`finds ${title}`, () => assert.deepEqual(find(path, entries, uid), risks))
  }

  it('tells a group that root chose from a group that its owner chose', () => {
    const isRootsChoice = (uid: number) =>
      findPathRisks('/a/b', 1000, system({ '/a': { uid, gid: 50, mode: 0o775 } })).map(
        (risk) => risk.isRootsChoice,
      )
    assert.deepEqual(isRootsChoice(0), [true])
    assert.deepEqual(isRootsChoice(1000), [false])
  })

  it('comes to an end with links in a circle', () => {
    assert.deepEqual(find('/a', { '/a': { to: 'a' } }), [])
  })
})

describe('formatPathRisk', () => {
  it('names the folder, and what mends it', () => {
    const risk = { path: '/a\u001b', id: 7, isRootsChoice: false }
    assert.match(formatPathRisk({ ...risk, by: 'owner' }), /^\/a\\u\{1b\} belongs to uid 7/)
    assert.match(formatPathRisk({ ...risk, by: 'group' }), /^group 7 .*: chmod g-w \/a\\u\{1b\}$/)
    assert.match(formatPathRisk({ ...risk, by: 'everyone' }), /: chmod o-w \/a\\u\{1b\}$/)
  })
})
