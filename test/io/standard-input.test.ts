/** Stdin where it is a terminal, and a person wonders what is waited for. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'

const FILE = resolve(import.meta.dirname, '../../src/io/standard-input.ts')
const READ = `
  import { readStandardInput } from ${JSON.stringify(FILE)}
  const say = (line) => console.log('said', line)
  const bytes = await readStandardInput('request', { maxBytes: 100, signal: new AbortController().signal, say })
  console.log('read', String(bytes.length))
`

describe('readStandardInput', function () {
  this.timeout(60_000)

  const command = [process.execPath, '--import', 'tsx', '--input-type', 'module', '--eval']

  it('says at a terminal that it reads, and how that ends', async () => {
    const line = [...command, READ].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
    const child = spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'])
    let screen = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (!screen.includes('Ctrl-D') && (screen + text).includes('Ctrl-D')) child.stdin.write('abc\n\x04')
      screen += text
    })
    await once(child, 'close')
    assert.match(screen, /^said reading the request from the terminal, up to Ctrl-D\r\n[\s\S]*read 4\r\n$/)
  })

  it('says nothing where a program writes', async () => {
    const child = spawn(command[0]!, [...command.slice(1), READ])
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    child.stdin.end('abc\n')
    await once(child, 'close')
    assert.equal(said, 'read 4\n')
  })
})
