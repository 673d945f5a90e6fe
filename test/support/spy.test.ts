import assert from 'node:assert/strict'
import { after, before, describe, it } from 'mocha'
import { run } from './command.js'
import { createSoftHsmToken } from './softhsm.js'
import { createSpy } from './spy.js'
import type { TestToken } from './token.js'

describe('createSpy', () => {
  let token: TestToken
  before(async () => {
    token = await createSoftHsmToken()
  })
  after(() => token.dispose())

  it('counts the calls of several processes, and tells what they returned', async () => {
    const spy = createSpy(token)
    assert.deepEqual(await spy.counts(), {})
    const list = (pin: string) =>
      run('pkcs11-tool', ['--module', spy.modulePath, '--login', '--pin', pin, '--list-objects'], spy.env)
    await list(token.pin)
    await assert.rejects(list('wrong'))
    const { C_Initialize, C_Login, C_Sign } = await spy.counts()
    assert.deepEqual({ C_Initialize, C_Login, C_Sign }, { C_Initialize: 2, C_Login: 2, C_Sign: undefined })
    const logins = (await spy.calls()).filter(({ name }) => name === 'C_Login')
    assert.deepEqual(logins, [
      { name: 'C_Login', returned: 'CKR_OK', userType: 'CKU_USER' },
      { name: 'C_Login', returned: 'CKR_PIN_INCORRECT', userType: 'CKU_USER' },
    ])
  })
})
