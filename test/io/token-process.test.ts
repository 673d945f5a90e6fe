/** The parent's side of the pipe, with programs in place of the child that say what no child should. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FromChild, PinNeed } from '../../src/core/pkcs11/token-protocol.js'
import { createTokenSource } from '../../src/io/token-process.js'

describe('createTokenSource', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-child-'))
  })
  after(() => rm(folder, { recursive: true }))

  const need = (label: string): PinNeed => ({
    token: { manufacturer: 'm', model: 'm', serial: '1', label },
    flags: 5,
    role: 'user',
  })
  const opened = (certificate = 'AQ=='): FromChild => ({
    opened: { certificate, chain: [] },
  })

  /** Uses a child that says all of `messages` at once; a Buffer is a frame of bytes. */
  async function use(
    messages: readonly unknown[],
    request: { certificate?: string } = {},
    signal = new AbortController().signal,
  ) {
    const program = join(folder, crypto.randomUUID())
    const code = `
      const { readSync, writeSync } = require('node:fs')
      for (const { json, bytes } of ${JSON.stringify(
        messages.map((message) =>
          Buffer.isBuffer(message)
            ? { bytes: message.toString('base64') }
            : { json: JSON.stringify(message) },
        ),
      )}) {
        const payload = bytes === undefined ? Buffer.from(json) : Buffer.from(bytes, 'base64')
        const header = Buffer.alloc(5)
        header.writeUInt32BE(payload.length)
        header.write(bytes === undefined ? 'J' : 'B', 4)
        writeSync(3, Buffer.concat([header, payload]))
      }
      while (readSync(3, Buffer.alloc(999)) > 0);`
    await writeFile(program, `#!${process.execPath}\n${code}`, { mode: 0o700 })
    const said = { asked: 0, warnings: [] as string[] }
    const source = createTokenSource({
      execPath: program,
      env: {},
      request: {
        module: { path: 'none' },
        keyUri: 'pkcs11:',
        pin: { kind: 'environment', name: 'HOLDFAST_PIN' },
        guard: { enabled: false, directories: [] },
        timeoutMs: 10_000,
        ...request,
      },
      givePin: async () => {
        said.asked++
        return Buffer.from('4711')
      },
      warn: (text) => said.warnings.push(text),
    })
    const result = source.withSigner(
      async (signer) => ({
        certificate: Buffer.from(signer.certificate).toString('base64'),
        signature: Buffer.from(await signer.sign(Buffer.from('text'), { signal })).toString(),
      }),
      { signal },
    )
    const failed = await result.then(
      () => undefined,
      (error) => error.code as unknown,
    )
    return { ...said, failed, result }
  }

  it('gives the signature', async () => {
    const { result, asked } = await use([
      opened(),
      { needPin: need('a') },
      { signed: true },
      Buffer.from('s'),
    ])
    assert.deepEqual(await result, { certificate: 'AQ==', signature: 's' })
    assert.equal(asked, 1)
  })

  for (const messages of [
    [null],
    [5],
    [{ failed: null }],
    [{ opened: null }],
    [{ needPin: 5 }],
    [{ signed: true }],
    [Buffer.from('x')],
    [opened(), opened()],
    [opened(), { signed: true }, { signed: true }],
  ]) {
    it(`makes MODULE_FAILED of ${JSON.stringify(messages)}`, async () => {
      assert.equal((await use(messages)).failed, 'MODULE_FAILED')
    })
  }

  it('asks for one PIN for each token, and for two at most', async () => {
    const again = await use([{ needPin: need('a') }, { needPin: need('a') }, opened()])
    assert.deepEqual([again.failed, again.asked], ['MODULE_FAILED', 1])
    const three = await use(['a', 'b', 'c'].map((label) => ({ needPin: need(label) })))
    assert.deepEqual([three.failed, three.asked], ['MODULE_FAILED', 2])
  })

  it('passes on ten warnings, of 500 characters each', async () => {
    const { warnings } = await use([...Array(50).fill({ warning: 'w'.repeat(9999) }), 5])
    assert.deepEqual(warnings, Array(10).fill('w'.repeat(500)))
  })

  it('starts nothing for somebody who has given up already', async () => {
    const result = await use(
      [opened(), { signed: true }, Buffer.from('s')],
      {},
      AbortSignal.abort('given up'),
    )
    assert.equal(result.asked, 0)
    await assert.rejects(result.result, (reason) => reason === 'given up')
  })

  it('uses no other certificate than the one that was given', async () => {
    const messages = [opened(), { signed: true }, Buffer.from('s')]
    assert.equal((await use(messages, { certificate: 'AQ==' })).failed, undefined)
    assert.equal((await use(messages, { certificate: 'Ag==' })).failed, 'MODULE_FAILED')
  })
})
