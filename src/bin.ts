#!/usr/bin/env node
/**
 * The executable. It and the token child are the only files that name the global `process`: everything else
 * gets environment, clock and output handed in.
 */

import { BUILD_DATE, VERSION } from './build.js'
import { runCli } from './cli.js'
import { HoldfastError } from './core/errors.js'

const args = process.argv.slice(2)
// A PIN inside a URI must not stay readable in /proc; setting the title overwrites the arguments.
if (args.some((argument) => argument.includes('pin-value'))) process.title = 'holdfast'

const interrupt = new AbortController()
let interruptedBy: NodeJS.Signals | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    interruptedBy = signal
    interrupt.abort(new HoldfastError('INTERRUPTED', `interrupted by ${signal}`))
  })
}

function writeStdout(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(new HoldfastError('OUTPUT_FAILED', `stdout cannot be written: ${cause.message}`, { cause }))
    process.stdout.once('error', fail)
    process.stdout.write(text, (cause) => (cause ? fail(cause) : resolve()))
  })
}

/** Texts from tokens, servers and files may hold terminal escapes or line ends: both are shown, not obeyed. */
function writeStderr(line: string): void {
  const visible = line.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  )
  process.stderr.write(`holdfast: ${visible}\n`)
}
// A closed stderr must not turn into an exception on the way out.
process.stderr.on('error', () => undefined)

const status = await runCli(args, {
  env: process.env,
  uid: process.geteuid?.() ?? 0,
  execPath: process.execPath,
  programPath: process.argv[1]!,
  version: VERSION,
  buildDate: BUILD_DATE,
  now: () => new Date(),
  stdout: writeStdout,
  stderr: writeStderr,
  signal: interrupt.signal,
})
// A shell tells an interrupted program by the signal that ended it.
if (status !== 0 && interruptedBy !== undefined) process.kill(process.pid, interruptedBy)
process.exit(status)
