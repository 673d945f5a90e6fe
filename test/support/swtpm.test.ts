import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, describe, it } from 'mocha'
import { createAuthority } from './certificates.js'
import { run } from './command.js'
import { createTpmToken, type TpmToken } from './swtpm.js'

const TPM2_SIGN = 0x15d

describe('createTpmToken', () => {
  let token: TpmToken
  before(async () => {
    token = await createTpmToken()
  })
  after(() => token.dispose())

  for (const [id, algorithm] of [
    ['01', 'P-256'],
    ['02', 'RSA-2048'],
  ] as const) {
    it(`makes a ${algorithm} key that cannot leave the TPM, and keeps its certificate`, async () => {
      const key = await token.generateKey(algorithm, { id })
      await token.importCertificate(await (await createAuthority()).issue(key), { id })
      assert.match(await token.showObject('privkey', id), /never extractable/)
      await token.showObject('cert', id)
    })
  }

  it('sees the commands that reach the TPM', async () => {
    const before = await token.commands()
    await run('tpm2_getrandom', ['-T', token.tcti, '4'])
    const after = await token.commands()
    assert.ok(after.length > before.length)
    assert.equal(after.at(-1), 0x17b) // TPM2_GetRandom
    assert.equal(after.includes(TPM2_SIGN), false)
  })

  it('takes away the TPM and its folder', async () => {
    const other = await createTpmToken({ label: 'other' })
    await other.dispose()
    assert.equal(existsSync(other.directory), false)
    await assert.rejects(run('tpm2_getrandom', ['-T', other.tcti, '4']))
  })
})
