#!/usr/bin/env node
/**
 * The executable. It, the token child, the library's index and io/terminal are the only files that name the global `process`: everything
 * else gets environment, clock and output handed in.
 */

import { closeSync, existsSync, fstatSync } from 'node:fs'
import { BUILD_DATE, VERSION } from './build.js'
import { findCacheFolder } from './core/agent/agent-place.js'
import { HoldfastError } from './core/errors.js'
import { formatPrintable, PIN_VALUE } from './core/printable.js'
import { mayHaveAgent } from './io/agent-socket/presence.js'
import { startTokenChild, type TokenChild } from './io/token-process.js'

const args = process.argv.slice(2)
// A PIN inside a URI must not stay readable in /proc; setting the title overwrites the arguments.
if (new RegExp(PIN_VALUE, 'i').test(args.join('\n'))) process.title = 'holdfast'

// Whoever runs us may do so in a folder that has been deleted since. Nothing in there can be meant.
try {
  process.cwd()
} catch {
  process.chdir('/')
}

// The child's start is the longest part of a credential, so it comes before even the command line is parsed; except where
// an agent or a cache may make it needless.
let tokenChild: TokenChild | undefined
if (args[0] === 'credential-process' && !mayDoWithoutToken()) {
  const preload = args.some((argument) => argument.startsWith('pkcs11:'))
  const capture = args.some((argument) => argument.startsWith('--debug'))
  tokenChild = startTokenChild({ execPath: process.execPath, env: process.env, preload, capture })
}
/** True where the key is in a file, or an agent or a cache may have what is wanted. */
function mayDoWithoutToken(): boolean {
  if (args.some((argument) => /^--(private-key|agent-dir)/.test(argument))) return true
  const cache = findCacheFolder(process.env)
  if (args.includes('--cache') || (cache !== undefined && existsSync(cache))) return true
  return !args.includes('--no-agent') && mayHaveAgent(process.env)
}
function takeChild(): TokenChild | undefined {
  const child = tokenChild
  tokenChild = undefined
  return child
}

const interrupt = new AbortController()
let interruptedBy: NodeJS.Signals | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
  process.once(signal, () => {
    interruptedBy = signal
    interrupt.abort(new HoldfastError('INTERRUPTED', `interrupted by ${signal}`))
  })
}

// Node would open its debugger, to every user of this machine.
process.on('SIGUSR1', () => undefined)

function writeStdout(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(new HoldfastError('OUTPUT_FAILED', `stdout cannot be written: ${cause.message}`, { cause }))
    process.stdout.once('error', fail)
    process.stdout.write(text, (cause) => {
      if (cause) return fail(cause)
      process.stdout.off('error', fail)
      resolve()
    })
  })
}

const MAX_UNREAD_BYTES = 1024 * 1024

function writeLog(line: string): void {
  // A closed stderr must not turn into an exception on the way out.
  if (process.stderr.listenerCount('error') === 0) process.stderr.on('error', () => undefined)
  // Whoever has stopped reading must not have all memory.
  if (process.stderr.writableLength < MAX_UNREAD_BYTES) process.stderr.write(`${line}\n`)
}

/** Texts from tokens, servers and files may hold terminal escapes or line ends: both are shown, not obeyed. */
function writeStderr(line: string): void {
  writeLog(`holdfast: ${formatPrintable(line)}`)
}

/** What a service does when its terminal or its manager says SIGHUP, in place of ending. */
function onHangup(listener: () => void): void {
  process.removeAllListeners('SIGHUP').on('SIGHUP', listener)
}

async function main(): Promise<void> {
  const { runCli } = await import('./cli.js')
  const status = await runCli(args, {
    env: process.env,
    uid: process.geteuid?.() ?? 0,
    execPath: process.execPath,
    programPath: process.argv[1]!,
    takeChild,
    version: VERSION,
    buildDate: BUILD_DATE,
    now: () => new Date(),
    stdout: writeStdout,
    stderr: writeStderr,
    log: writeLog,
    onHangup,
    pid: process.pid,
    signal: interrupt.signal,
  })
  takeChild()?.discard()
  // A shell tells an interrupted program by the signal that ended it.
  if (status !== 0 && interruptedBy !== undefined) process.kill(process.pid, interruptedBy)
  leaveTerminal()
  process.exit(status)
}

/** Node puts each terminal that it began with back as it was, and aborts at one that has gone away. What we changed is put back. */
function leaveTerminal(): void {
  for (const fd of [0, 1, 2]) if (fstatSync(fd).isCharacterDevice()) closeSync(fd)
}
void main()
