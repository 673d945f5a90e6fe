/**
 * Requests to the token child that change tokens, on SoftHSM and on a TPM in software, and what they refuse. OpenSC's
 * pkcs11-tool says what came of them.
 */

import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type AdminSettings, administer, withAdministration } from '../src/administration.js'
import type { AdminOperation, ReplyOf, RequestOf } from '../src/core/pkcs11/admin-protocol.js'
import { createAuthority } from './support/certificates.js'
import { run } from './support/command.js'
import { createFaultyModules } from './support/faulty-module.js'
import { createSoftHsmToken } from './support/softhsm.js'
import type { TestToken } from './support/token.js'
import { TOKENS_OF_TIER } from './support/tokens-of-tier.js'

const { signal } = new AbortController()

/** What administers `token`, with its PINs in files. */
async function createAdmin(token: TestToken) {
  const files = { so: join(token.directory, 'so-pin'), new: join(token.directory, 'new-pin') }
  writeFileSync(files.so, token.soPin, { mode: 0o600 })
  writeFileSync(files.new, '24681357', { mode: 0o600 })
  const home = join(token.directory, `home-${crypto.randomUUID()}`)
  await mkdir(home)
  const around = {
    env: { ...token.env, PATH: process.env.PATH, HOME: home, XDG_STATE_HOME: home },
    uid: process.geteuid?.() ?? 0,
    execPath: process.execPath,
    warn: (text: string) => assert.match(text, /^nothing manages the TPM/),
  }
  const settings: AdminSettings = {
    pkcs11Module: token.modulePath,
    pinFile: token.pinFile,
    soPinFile: files.so,
    newPinFile: files.new,
  }
  const perform = <Name extends AdminOperation>(
    operation: Name,
    request: RequestOf<Name>,
    changes: AdminSettings = {},
  ): Promise<ReplyOf<Name>> => administer(operation, request, { ...settings, ...changes }, around, { signal })
  return { files, around, settings, perform }
}

const bytes = (base64: string) => Buffer.from(base64, 'base64')
const readKey = (spki: string) => createPublicKey({ key: bytes(spki), format: 'der', type: 'spki' })
const URI = 'pkcs11:token=edge'

for (const [what, createToken] of Object.entries(TOKENS_OF_TIER)) {
  describe(`administer on ${what}`, () => {
    const isTpm = what === 'tpm2-pkcs11'
    let token: TestToken
    let admin: Awaited<ReturnType<typeof createAdmin>>
    beforeEach(async () => {
      token = await createToken()
      admin = await createAdmin(token)
    })
    afterEach(() => token.dispose())

    it('lists the tokens, also the slot of one to come, without a PIN', async () => {
      const { tokens } = await admin.perform('listTokens', {}, { pinFile: '/nonexistent' })
      const [edge, empty] = tokens
      assert.equal(tokens.length, 2)
      assert.ok(edge?.initialized && empty?.initialized === false)
      assert.equal(edge.label, 'edge')
      assert.match(edge.uri, /^pkcs11:model=.*;token=edge$/)
      assert.deepEqual(edge.signs, ['rsa', 'ec'])
      for (const type of ['p-256', 'p-384', 'rsa-2048'] as const)
        assert.ok(edge.generates.includes(type), type)
    })

    for (const type of ['p-256', 'p-384', 'rsa-2048'] as const) {
      it(`makes a key of type ${type} that signs and cannot leave`, async () => {
        const { key } = await admin.perform('generateKey', { uri: URI, type, label: 'line 4' })
        assert.deepEqual([key.id, key.label, key.type], ['01', 'line 4', type])
        const shown = await token.showObject('privkey', '01')
        assert.match(shown, /label:\s+line 4\n/)
        // tpm2-pkcs11 cannot sign with RSA keys that may not decrypt.
        assert.match(shown, isTpm && type === 'rsa-2048' ? /Usage:\s+decrypt, sign\n/ : /Usage:\s+sign\n/)
        assert.match(shown, /Access:\s+sensitive, always sensitive, never extract/)

        const { publicKey } = await admin.perform('publicKey', { uri: `${URI};id=%01` })
        const message = Buffer.from('text')
        const { signature } = await admin.perform('sign', {
          uri: `${URI};object=line%204`,
          message: message.toString('base64'),
        })
        assert.ok(verify('sha256', message, readKey(publicKey), bytes(signature)))
        assert.ok(!verify('sha256', Buffer.from('test'), readKey(publicKey), bytes(signature)))
      })
    }

    it('refuses an id that is there, and finds one that is not', async () => {
      const make = (id?: string) =>
        admin.perform('generateKey', { uri: URI, type: 'p-256', label: 'a', ...(id && { id }) })
      assert.equal((await make('01')).key.id, '01')
      await assert.rejects(make('01'), { code: 'OBJECT_EXISTS', message: /id 01/ })
      assert.equal((await make()).key.id, '02')
    })

    it('puts a certificate beside its key, once, and its chain with it', async () => {
      await admin.perform('generateKey', { uri: URI, type: 'p-256', label: 'other' })
      const { key } = await admin.perform('generateKey', { uri: URI, type: 'p-256', label: 'line 4' })
      const root = await createAuthority()
      const authority = await root.intermediate('Edge CA')
      const issue = async () => Buffer.from(await authority.issue(bytes(key.publicKey!))).toString('base64')
      const chain = [Buffer.from(authority.certificate).toString('base64')]
      const first = await issue()
      const put = (certificate: string, replace = false) =>
        admin.perform('importCertificate', { uri: URI, certificate, chain, replace })
      const imported = await put(first)
      assert.deepEqual([imported.key.id, imported.certificate.label], [key.id, 'line 4'])
      assert.equal(imported.chain[0]?.label, 'Edge CA')
      assert.match(await token.showObject('cert', key.id), /label:\s+line 4\n.*CN=edge-1/s)

      await assert.rejects(put(first), { code: 'OBJECT_EXISTS', message: /nothing to do/ })
      const second = await issue()
      await assert.rejects(put(second), { code: 'OBJECT_EXISTS', message: /--replace/ })
      const renewed = await put(second, true)
      assert.deepEqual([renewed.replaced[0]?.der, renewed.chain.length], [first, 0])
      const { certificates } = await admin.perform('readCertificates', { uri: `${URI};id=%02`, login: false })
      assert.deepEqual(
        certificates.map(({ der }) => der),
        [second],
      )
    })

    it('finishes what a run that was cut off has begun', async () => {
      const { key } = await admin.perform('generateKey', { uri: URI, type: 'p-256', label: 'line 4' })
      const authority = await createAuthority()
      const issue = () => authority.issue(bytes(key.publicKey!))
      const [first, second] = [await issue(), await issue()]
      for (const der of [first, second]) await token.importCertificate(der, { id: '01', label: 'line 4' })
      const request = { uri: URI, certificate: Buffer.from(second).toString('base64'), chain: [] }
      const { replaced } = await admin.perform('importCertificate', { ...request, replace: true })
      assert.equal(replaced[0]?.der, Buffer.from(first).toString('base64'))
      await assert.rejects(admin.perform('importCertificate', { ...request, replace: true }), {
        code: 'OBJECT_EXISTS',
      })
    })

    it('puts no certificate beside another key', async () => {
      await admin.perform('generateKey', { uri: URI, type: 'p-256', label: 'line 4' })
      const certificate = Buffer.from((await createAuthority()).certificate).toString('base64')
      await assert.rejects(
        admin.perform('importCertificate', { uri: URI, certificate, chain: [], replace: false }),
        { code: 'KEY_MISMATCH' },
      )
    })

    it('removes both halves of a key, and nothing else', async () => {
      for (const label of ['a', 'b']) await admin.perform('generateKey', { uri: URI, type: 'p-256', label })
      await assert.rejects(admin.perform('deleteObjects', { uri: `${URI};type=private` }), {
        code: 'KEY_AMBIGUOUS',
      })
      const { deleted } = await admin.perform('deleteObjects', { uri: `${URI};object=a;type=private` })
      assert.equal(deleted.length, 2)
      const { keys } = await admin.perform('listObjects', { uri: URI, login: true })
      assert.deepEqual(
        keys.map(({ label, isPrivate }) => [label, isPrivate]),
        [['b', true]],
      )
      await assert.rejects(admin.perform('deleteObjects', { uri: `${URI};object=a;type=private` }), {
        code: 'KEY_NOT_FOUND',
      })
    })

    it('changes the PIN, and sets it as security officer', async () => {
      const login = (pinFile: string) => admin.perform('listObjects', { uri: URI, login: true }, { pinFile })
      await admin.perform('setPin', { uri: URI })
      await login(admin.files.new)
      await assert.rejects(login(token.pinFile), { code: 'PIN_INCORRECT' })
      await admin.perform('unblockPin', { uri: URI }, { newPinFile: token.pinFile })
      await run(
        'pkcs11-tool',
        ['--module', token.modulePath, '--token-label', 'edge', '--login', '--pin', token.pin, '-O'],
        token.env,
      )
      await assert.rejects(login(admin.files.new), { code: 'PIN_INCORRECT' })
    })

    it('tries a wrong SO PIN once, and does not take it for the user’s', async () => {
      const unblock = () => admin.perform('unblockPin', { uri: URI })
      writeFileSync(admin.files.so, '99999999')
      await assert.rejects(unblock(), { code: 'PIN_INCORRECT' })
      await assert.rejects(unblock(), { code: 'PIN_REFUSED_BEFORE', message: /so-pin/ })
      writeFileSync(admin.files.so, token.soPin)
      await unblock()
    })

    it('initialises the empty slot, and no other without leave', async () => {
      const { tokens } = await admin.perform('listTokens', {})
      const [edge, empty] = tokens
      const made = await admin.perform('initToken', { slot: empty!.slot, label: 'Zweites Token für ä' })
      assert.deepEqual([made.token.label, made.token.initialized], ['Zweites Token für ä', true])
      await admin.perform(
        'generateKey',
        { uri: made.token.uri, type: 'p-256', label: 'a' },
        { pinFile: admin.files.new },
      )
      const again = { slot: edge!.slot, label: 'new' }
      await assert.rejects(admin.perform('initToken', again), { code: 'TOKEN_INITIALIZED' })
      const wrong = { ...again, replaces: { label: 'edge', serial: 'another' } }
      await assert.rejects(admin.perform('initToken', wrong), { code: 'TOKEN_NOT_FOUND' })
      for (const label of ['', 'x'.repeat(33), 'ä'.repeat(17), 'a ']) {
        await assert.rejects(admin.perform('initToken', { slot: empty!.slot, label }), { code: 'USAGE' })
      }
    })

    it('initialises a token again where that is agreed to', async () => {
      await admin.perform('generateKey', { uri: URI, type: 'p-256', label: 'a' })
      const { tokens } = await admin.perform('listTokens', {})
      const { label, serial, slot } = tokens.find((other) => other.label === 'edge')!
      const replace = admin.perform('initToken', { slot, label: 'fresh', replaces: { label, serial } })
      if (isTpm) return assert.rejects(replace, { code: 'TOKEN_FAILED', message: /tpm2_ptool rmtoken/ })
      const { token: fresh } = await replace
      assert.equal(fresh.label, 'fresh')
      const { keys } = await admin.perform(
        'listObjects',
        { uri: fresh.uri, login: true },
        { pinFile: admin.files.new },
      )
      assert.deepEqual(keys, [])
    })

    it('performs one thing after the other with one login', async () => {
      const label = await withAdministration(admin.settings, admin.around, { signal }, async (perform) => {
        const { key } = await perform('generateKey', { uri: URI, type: 'p-256', label: 'a' })
        // What it would read now is no PIN of the token any more.
        writeFileSync(token.pinFile, 'wrong')
        await perform('sign', { uri: key.uri, message: 'AAAA' })
        const { keys } = await perform('listObjects', { uri: URI, login: true })
        return keys[0]?.label
      })
      assert.equal(label, 'a')
    })
  })
}

describe('administer on a module with faults', () => {
  let token: TestToken
  let admin: Awaited<ReturnType<typeof createAdmin>>
  let createFaulty: Awaited<ReturnType<typeof createFaultyModules>>
  before(async () => {
    token = await createSoftHsmToken()
    createFaulty = await createFaultyModules(token)
  })
  after(() => token.dispose())
  beforeEach(async () => {
    admin = await createAdmin(token)
  })

  /** A request through a module with faults. */
  const perform = <Name extends AdminOperation>(
    faults: string,
    operation: Name,
    request: RequestOf<Name>,
    changes: AdminSettings = {},
  ) => {
    const { modulePath, env } = createFaulty(faults)
    const around = { ...admin.around, env: { ...admin.around.env, ...env } }
    const settings = { ...admin.settings, pkcs11Module: modulePath, ...changes }
    return administer(operation, request, settings, around, { signal })
  }
  const generate = (faults: string, changes: AdminSettings = {}) =>
    perform(faults, 'generateKey', { uri: URI, type: 'p-256', label: 'a' }, changes)
  const list = () => admin.perform('listObjects', { uri: URI, login: true })

  for (const [faults, code] of [
    ['C_FindObjects=hang', 'TOKEN_TIMEOUT'],
    ['C_FindObjects=crash', 'MODULE_CRASHED'],
    ['C_FindObjects=exit:0', 'MODULE_CRASHED'],
    ['C_FindObjects=return:0x31', 'TOKEN_FAILED'],
    ['C_FindObjects=return:0xe0', 'TOKEN_REMOVED'],
    ['C_Login=return:0x102', 'TOKEN_FAILED'],
  ] as const) {
    it(`ends with ${code} after ${faults}, and makes no key`, async () => {
      await assert.rejects(generate(faults, { tokenTimeout: 2 }), { code })
      assert.deepEqual((await list()).keys, [])
    })
  }

  it('says what a token wants that lets only its security officer store certificates', async () => {
    const { key } = await generate('')
    const certificate = await (await createAuthority()).issue(bytes(key.publicKey!))
    const request = {
      uri: URI,
      certificate: Buffer.from(certificate).toString('base64'),
      chain: [],
      replace: false,
    }
    await assert.rejects(perform('C_CreateObject=return:0x103', 'importCertificate', request), {
      code: 'TOKEN_FAILED',
      message: /CKR_USER_TYPE_INVALID.*ykman piv/,
    })
    await admin.perform('deleteObjects', { uri: key.uri })
  })

  it('takes nothing that the module says for a reply', async () => {
    await assert.rejects(perform('C_GetSlotList=garble', 'listTokens', {}), { code: 'MODULE_FAILED' })
  })

  it('keeps its answer if the module cannot end', async () => {
    const { key } = await generate('C_Finalize=hang')
    assert.equal(key.label, 'a')
    await admin.perform('deleteObjects', { uri: key.uri })
  })

  it('removes a key that is not what was asked for', async () => {
    await assert.rejects(generate('C_FindObjectsInit=hide-class:3'), {
      code: 'KEY_INVALID',
      message: /only its public half is seen/,
    })
    const { keys } = await list()
    assert.deepEqual(keys, [])
  })

  it('leaves no part of a chain behind', async () => {
    const { key } = await generate('')
    const root = await createAuthority()
    const leaf = await root.issue(bytes(key.publicKey!))
    const encode = (der: Uint8Array) => Buffer.from(der).toString('base64')
    const request = { uri: URI, certificate: encode(leaf), chain: [encode(root.certificate)], replace: false }
    // What is stored under the id of the key comes back changed.
    await assert.rejects(perform('C_GetAttributeValue=corrupt:1', 'importCertificate', request), {
      code: 'TOKEN_FAILED',
      message: /gives it back changed/,
    })
    assert.deepEqual((await list()).certificates, [])
    await admin.perform('deleteObjects', { uri: key.uri })
  })

  it('does not hold against the SO PIN that the token does not take the new one', async () => {
    const other = await createSoftHsmToken({ label: 'other', beside: token })
    for (const _ of [1, 2]) {
      const { tokens } = await admin.perform('listTokens', {})
      const { slot, label, serial } = tokens.find((some) => some.label === other.label)!
      const request = { slot, label, replaces: { label, serial } }
      await assert.rejects(perform('C_InitPIN=return:0xa1', 'initToken', request), {
        code: 'PIN_INVALID',
        message: /^(?!.*SO PIN came from).*does not take the new PIN.*holdfast token unblock/,
      })
    }
    await admin.perform('unblockPin', { uri: 'pkcs11:token=other' })
  })

  it('locks out no SO PIN, and says that one is locked', async () => {
    await assert.rejects(perform('C_Login=return:0xa4', 'unblockPin', { uri: URI }), {
      code: 'PIN_LOCKED',
      message: /^the SO PIN of token "edge" is locked/,
    })
    const flags = 'C_GetTokenInfo=set-flags:0x400000'
    await assert.rejects(perform(flags, 'unblockPin', { uri: URI }), { code: 'PIN_LOCKED' })
    // The user's PIN is another matter.
    await perform(flags, 'listObjects', { uri: URI, login: true })
  })
})
