/** Sockets that systemd passes. */

import assert from 'node:assert/strict'
import { parseListenFds } from '../../../src/core/endpoints/listen-fds.js'

const env = { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'imds:holdfast.socket' }

describe('parseListenFds', () => {
  it('gives each socket by its name', () => {
    assert.deepEqual(
      [...parseListenFds(env, 7)],
      [
        ['imds', 3],
        ['holdfast.socket', 4],
      ],
    )
  })

  for (const [title, changes] of [
    ['of another process', { LISTEN_PID: '8' }],
    ['of nobody', { LISTEN_PID: undefined }],
    ['that are not counted', { LISTEN_FDS: undefined }],
    ['whose count is no number', { LISTEN_FDS: 'x' }],
    ['that are none', { LISTEN_FDS: '0' }],
  ] as const) {
    it(`finds none in variables ${title}`, () => {
      assert.equal(parseListenFds({ ...env, ...changes }, 7).size, 0)
    })
  }

  it('believes no more names than there are sockets', () => {
    assert.deepEqual([...parseListenFds({ ...env, LISTEN_FDS: '1' }, 7)], [['imds', 3]])
  })
})
