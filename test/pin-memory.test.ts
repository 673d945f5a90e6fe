/** What is kept of a PIN for one run. */

import assert from 'node:assert/strict'
import type { PinRole, TokenIdentity } from '../src/core/pin/pin.js'
import { createPinMemory } from '../src/pin-memory.js'

const FINAL_TRY = 0x20000
const EDGE: TokenIdentity = { manufacturer: 'm', model: 'm', serial: '1', label: 'edge' }

describe('createPinMemory', () => {
  const memory = createPinMemory()
  let asked = 0
  const recall = async ({ token = EDGE, flags = 0, role = 'user' as PinRole } = {}) => {
    const before = asked
    const pin = await memory.recall({ token, flags, role }, async () => {
      asked += 1
      return Buffer.from('1234')
    })
    assert.equal(Buffer.from(pin).toString(), '1234')
    pin.fill(0)
    return asked > before ? 'asked' : 'kept'
  }
  beforeEach(() => memory.wipe())

  it('gives a PIN again for the same token, also after it was wiped by who had it', async () => {
    assert.deepEqual([await recall(), await recall(), await recall()], ['asked', 'kept', 'kept'])
  })
  it('gives it to no other token', async () => {
    await recall()
    assert.equal(await recall({ token: { ...EDGE, serial: '2' } }), 'asked')
  })
  it('has the last try typed', async () => {
    await recall()
    assert.equal(await recall({ flags: FINAL_TRY }), 'asked')
  })
  it('keeps no PIN that is to be set, nor that of the security officer', async () => {
    for (const role of ['so', 'new-user', 'new-so'] as const) {
      await recall({ role })
      assert.equal(await recall({ role }), 'asked')
    }
  })
  it('forgets', async () => {
    await recall()
    memory.wipe()
    assert.equal(await recall(), 'asked')
  })
})
