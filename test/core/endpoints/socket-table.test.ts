/** The kernel's tables of sockets, as Linux prints them. */

import assert from 'node:assert/strict'
import { findClientUid } from '../../../src/core/endpoints/socket-table.js'

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const connection = {
  client: { address: '127.0.0.1', port: 0xb2c4 },
  server: { address: '127.0.0.1', port: 9911 },
}
const LOCAL = '0100007F:B2C4'
const REMOTE = '0100007F:26B7'
const MAPPED = '0000000000000000FFFF0000'

function row({ local = LOCAL, remote = REMOTE, state = '01', uid = '1000', inode = '52036' } = {}): string {
  return `   3: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000  ${uid.padStart(4)}        0 ${inode} 1 0000000000000000 20 4 30 10 -1\n`
}
const find = (tcp: string, tcp6 = '', endianness: 'LE' | 'BE' = 'LE') =>
  findClientUid([HEAD + tcp, HEAD + tcp6], connection, endianness)

describe('findClientUid', () => {
  const servers = row({ local: REMOTE, remote: LOCAL, uid: '0', inode: '1' })

  it('finds the user of the client, not of the server', () => {
    assert.equal(find(servers + row()), 1000)
    assert.equal(find(servers + row({ uid: '0' })), 0)
    assert.equal(find(row({ uid: '4294967294' })), 4294967294)
  })

  it('finds an IPv6 socket that is connected to the IPv4 address', () => {
    assert.equal(find(servers, row({ local: MAPPED + LOCAL, remote: MAPPED + REMOTE })), 1000)
  })

  it('reads the words as a big-endian machine prints them', () => {
    const swap = (text: string) => text.replace('0100007F', '7F000001')
    assert.equal(find(row({ local: swap(LOCAL), remote: swap(REMOTE) }), '', 'BE'), 1000)
    assert.equal(find(row(), '', 'BE'), undefined)
  })

  it('takes the same row twice for one', () => {
    assert.equal(find(row() + row()), 1000)
  })

  for (const [title, tcp, tcp6] of [
    ['no row at all', '', ''],
    ['the row of the server alone', servers, ''],
    ['TIME_WAIT, which says uid 0', row({ state: '06', uid: '0', inode: '0' }), ''],
    ['a client that has closed', row({ state: '05' }), ''],
    ['a socket that no process has open', row({ inode: '0' }), ''],
    ['another port of the client', row({ local: '0100007F:B2C5' }), ''],
    ['another address of the client', row({ local: '0200007F:B2C4' }), ''],
    ['another port of the server', row({ remote: '0100007F:26B8' }), ''],
    ['another address of the server', row({ remote: '0200007F:26B7' }), ''],
    [
      'an IPv6 address that only ends in the same way',
      '',
      row({ local: `${'1'.repeat(24)}${LOCAL}`, remote: `${'1'.repeat(24)}${REMOTE}` }),
    ],
    ['two users for one connection', row() + row({ uid: '1001' }), ''],
    [
      'one row that tells and one that does not',
      row(),
      row({ local: MAPPED + LOCAL, remote: MAPPED + REMOTE, inode: '0' }),
    ],
    ['a line that is cut off', row().slice(0, 60), ''],
    ['a user that is no number', row({ uid: 'root' }), ''],
  ] as const) {
    it(`finds nobody for ${title}`, () => {
      assert.equal(find(tcp, tcp6), undefined)
    })
  }

  for (const [address, little, big] of [
    ['::1', '00000000000000000000000001000000', '00000000000000000000000000000001'],
    ['2001:db8::12:0:a', 'B80D012000000000120000000A000000', '20010DB800000000000000120000000A'],
    ['1:2:3:4:5:6:7:8', '02000100040003000600050008000700', '00010002000300040005000600070008'],
    ['fd00::', '000000FD000000000000000000000000', 'FD000000000000000000000000000000'],
    ['::ffff:127.0.0.1', `${MAPPED}0100007F`, `${'0'.repeat(20)}FFFF7F000001`],
  ] as const) {
    it(`finds the user of a client at ${address}`, () => {
      const both = { client: { address, port: 0xb2c4 }, server: { address, port: 9911 } }
      for (const [text, endianness] of [
        [little, 'LE'],
        [big, 'BE'],
      ] as const) {
        const table = HEAD + row({ local: `${text}:B2C4`, remote: `${text}:26B7` })
        assert.equal(findClientUid([HEAD, table], both, endianness), 1000)
        assert.equal(
          findClientUid([HEAD, table.replace(` ${text}`, ` 9${text.slice(1)}`)], both, endianness),
          undefined,
        )
      }
    })
  }

  for (const address of ['::1', 'fe80::1%lo', 'localhost', '']) {
    it(`finds nobody where one end is IPv4 and the other is ${JSON.stringify(address)}`, () => {
      const other = { ...connection, client: { address, port: 1 } }
      assert.equal(findClientUid([HEAD + row()], other, 'LE'), undefined)
    })
  }
})
