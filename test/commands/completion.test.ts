/** The completion scripts, read by the shells that they are for. */

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { run } from '../support/command.js'
import { assertFailure } from '../support/outcome.js'
import { runHoldfast } from '../support/program.js'

const PROGRAM = resolve(import.meta.dirname, '../../dist/bin.cjs')

describe('holdfast completion', () => {
  it('goes by SHELL where no shell is named', async () => {
    const script = async (args: string[], SHELL?: string) =>
      (await runHoldfast(['completion', ...args], { env: { SHELL } })).stdout
    const [bash, zsh] = [await script(['bash']), await script(['zsh'])]
    assert.match(bash, /^complete .*holdfast$/m)
    assert.match(zsh, /^#compdef holdfast\n/)
    assert.equal(await script([]), bash)
    assert.equal(await script([], '/usr/bin/zsh'), zsh)
  })

  it('refuses a shell that it has no script for', async () => {
    assertFailure(await runHoldfast(['completion', 'fish']), 'USAGE', 2, /"bash", "zsh"/)
  })

  it('completes commands, their commands and flags in bash, whatever SHELL is', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-completion-'))
    try {
      await mkdir(join(folder, 'bin'))
      await symlink(PROGRAM, join(folder, 'bin/holdfast'))
      const PATH = `${join(folder, 'bin')}:${dirname(process.execPath)}:/usr/bin:/bin`
      const complete = (...words: string[]) => {
        const script = `eval "$(holdfast completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast_completions; echo "\${COMPREPLY[@]}"`
        return run('bash', ['-c', script, 'bash', 'holdfast', ...words], { PATH, SHELL: '/bin/zsh' })
      }
      assert.equal(await complete('credential-'), 'credential-process\n')
      assert.equal(await complete('token', 'retry'), 'retry-pin\n')
      assert.equal(await complete('token', 'init', '--so'), '--so-pin-file\n')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
