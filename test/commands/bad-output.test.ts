/**
 * Places that take no output, and a machine that gives no resources: what has been obtained and cannot be handed over
 * is an error, and what cannot be said does not change the exit status. The built program and the emulator.
 */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createEdge, credentialProcess, type Edge } from '../support/edge.js'
import { assertCredentials, assertFailure } from '../support/outcome.js'
import { type ProgramResult, runHoldfast } from '../support/program.js'
import { createSoftHsmToken } from '../support/softhsm.js'

describe('holdfast credential-process', () => {
  let edge: Edge
  before(async () => {
    edge = await createEdge({ token: await createSoftHsmToken(), tls: false })
  })
  after(() => edge.dispose())

  /** Runs with the program's Node started by a line of shell, in which `"$@"` is the whole command. */
  async function runThrough(line: string, changes: Record<string, string> = {}): Promise<ProgramResult> {
    const node = join(edge.token.directory, `node-${crypto.randomUUID()}`)
    await writeFile(node, `#!/bin/bash\nset -- ${process.execPath} "$@"\n${line}\n`, { mode: 0o700 })
    return runHoldfast(credentialProcess(edge, changes), { env: edge.env, node, timeoutMs: 30_000 })
  }

  for (const [title, line] of [
    ['nobody reads', '"$@" | true; exit $PIPESTATUS'],
    ['is full', '"$@" >/dev/full'],
  ] as const) {
    it(`fails if stdout ${title}`, async () => {
      assertFailure(await runThrough(line), 'OUTPUT_FAILED', 7, /stdout cannot be written: .*(EPIPE|ENOSPC)/)
    })
  }

  for (const [title, line] of [
    ['is closed', '"$@" 2>&-'],
    ['is full', '"$@" 2>/dev/full'],
    ['nobody reads', '{ "$@" 2>&1 >&3 3>&- | true; } 3>&1; exit $PIPESTATUS'],
  ] as const) {
    it(`prints credentials if stderr ${title}`, async () => {
      assertCredentials(await runThrough(line, { '--debug': 'true' }))
    })

    it(`ends with the status of the cause if stderr ${title}`, async () => {
      const { stdout, stderr, status } = await runThrough(line, { '--pkcs11-uri': 'pkcs11:token=none' })
      assert.deepEqual({ stdout, stderr, status }, { stdout: '', stderr: '', status: 3 })
    })
  }

  it('prints credentials in a folder that has been deleted', async () => {
    const deleted = 'folder=$(mktemp -d); cd "$folder"; rmdir "$folder"; exec "$@"'
    assertCredentials(await runThrough(deleted))
  })

  it('says that the token process cannot be started', async () => {
    const few =
      'for files in {18..40}; do (ulimit -n $files; "$@") 2>&1 | grep -m 1 MODULE_FAILED && exit 3; done'
    const { stdout, status } = await runThrough(few)
    assert.match(
      stdout,
      /^holdfast: the token process cannot be started \(spawn .* EMFILE\): .* \(MODULE_FAILED\)\n$/,
    )
    assert.equal(status, 3)
  })
})
