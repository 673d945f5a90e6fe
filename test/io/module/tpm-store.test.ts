import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findTpmStore } from '../../../src/io/module/tpm-store.js'

/** A developer's machine may have one, which then stands before those of the tests. */
const SYSTEM = existsSync('/etc/tpm2_pkcs11/tpm2_pkcs11.sqlite3') ? '/etc/tpm2_pkcs11' : undefined

describe('findTpmStore', () => {
  let home: string
  let cwd: string
  beforeEach(async () => {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'holdfast-store-')))
    home = join(folder, 'home')
    cwd = join(folder, 'work')
    await mkdir(join(home, '.tpm2_pkcs11'), { recursive: true })
    await mkdir(cwd)
  })
  afterEach(() => rm(join(home, '..'), { recursive: true }))

  it('is the named folder, whether it holds a store or not', () => {
    const env = { TPM2_PKCS11_STORE: '/nowhere/store', HOME: home }
    assert.equal(findTpmStore(env, cwd), '/nowhere/store')
    assert.equal(findTpmStore({ TPM2_PKCS11_STORE: 'store' }, cwd), join(cwd, 'store'))
  })
  it('is the user’s folder only if it holds a store, else the current one', async () => {
    assert.equal(findTpmStore({ HOME: home }, cwd), SYSTEM ?? cwd)
    await writeFile(join(home, '.tpm2_pkcs11/tpm2_pkcs11.sqlite3'), '')
    assert.equal(findTpmStore({ HOME: home }, cwd), SYSTEM ?? join(home, '.tpm2_pkcs11'))
    assert.equal(findTpmStore({}, cwd), SYSTEM ?? cwd)
  })
})
