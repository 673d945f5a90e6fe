/**
 * Runs the built program as a user's machine would: a process of its own, with an environment that holds
 * only what a test gives it and a home folder that starts empty and goes away.
 */

import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'

const PROGRAM = resolve(import.meta.dirname, '../../dist/bin.cjs')

/** How to run the program. */
export interface ProgramOptions {
  /** Added to PATH, HOME and XDG_STATE_HOME, or instead of them. `undefined` takes one away. */
  env?: Readonly<Record<string, string | undefined>>
  /** A home folder that outlives the run; otherwise a new, empty one. */
  home?: string
  /** What stands on stdin, which then ends. */
  input?: string | Uint8Array
  /** Is told the program's process as soon as it has one. */
  started?: (program: ChildProcess) => void
  /** After it the program is killed; the result then has `signal: 'SIGKILL'`. */
  timeoutMs?: number
  /** Path of another build of the program. */
  program?: string
  /** Path of another Node. */
  node?: string
}

/** What came out of a run. */
export interface ProgramResult {
  readonly stdout: string
  readonly stderr: string
  /** Exit status, or null where a signal ended it. */
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly milliseconds: number
}

/** What came out of a run on a terminal. */
export interface TerminalResult extends ProgramResult {
  /** All that stood on the screen, which is also the echo of what was typed. */
  readonly screen: string
}

/** A program that goes on running. */
export interface RunningProgram {
  readonly child: ChildProcess
  /** The match of `ready` in what it printed. */
  readonly match: RegExpMatchArray
  /** All it has printed on stdout and stderr until now. */
  output(): string
  /** Ends it with `signal` (SIGTERM) and gives what came out. */
  stop(signal?: NodeJS.Signals): Promise<ProgramResult>
}

/** Runs the program until it ends. */
export async function runHoldfast(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  return withHome(options, async (home) => {
    const [node, ...rest] = commandLine(args, options)
    const child = spawn(node, rest, { env: environment(home, options), stdio: 'pipe' })
    child.stdin.on('error', () => {}) // it may end without reading
    child.stdin.end(options.input ?? '')
    options.started?.(child)
    return collect(child, options.timeoutMs)
  })
}

/**
 * Runs the program with a terminal of its own, as its foreground process group. Whenever `prompt` appears
 * on the screen, the next of `typed` is typed. Its stdout and stderr stay apart from the terminal.
 */
export async function runHoldfastOnTerminal(
  args: readonly string[],
  { prompt, typed, ...options }: ProgramOptions & { prompt: RegExp; typed: readonly string[] },
): Promise<TerminalResult> {
  return withHome(options, async (home) => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-terminal-'))
    try {
      const [stdout, stderr] = [join(folder, 'stdout'), join(folder, 'stderr')]
      const words = commandLine(args, options).map((word) => `'${word.replaceAll("'", `'\\''`)}'`)
      const line = `exec ${words.join(' ')} >${stdout} 2>${stderr}`
      // script(1) makes the terminal, and ends with the exit status of the command.
      const child = spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
        env: environment(home, options),
        stdio: 'pipe',
      })
      const left = [...typed]
      let unanswered = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        unanswered += text
        if (left.length === 0 || !prompt.test(unanswered)) return
        unanswered = ''
        child.stdin.write(left.shift())
      })
      const { stdout: screen, ...result } = await collect(child, options.timeoutMs)
      return {
        ...result,
        screen,
        stdout: await readFile(stdout, 'utf8'),
        stderr: await readFile(stderr, 'utf8'),
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
}

/**
 * Starts a program that goes on running, and waits until what it prints matches `ready`. Throws, with
 * what it printed, if it ends or `timeoutMs` (10 s) passes before that.
 */
export async function startHoldfast(
  args: readonly string[],
  { ready, timeoutMs = 10_000, ...options }: Omit<ProgramOptions, 'input'> & { ready: RegExp },
): Promise<RunningProgram> {
  const home = options.home ?? (await mkdtemp(join(tmpdir(), 'holdfast-home-')))
  const [node, ...rest] = commandLine(args, options)
  const child = spawn(node, rest, { env: environment(home, options), stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = collect(child)
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    const result = await ended
    if (options.home === undefined) await rm(home, { recursive: true, force: true })
    return result
  }
  let output = ''
  const match = await new Promise<RegExpMatchArray | undefined>((resolveMatch) => {
    const timer = setTimeout(() => resolveMatch(undefined), timeoutMs)
    let isSettled = false
    const settle = (found: RegExpMatchArray | null) => {
      isSettled = true
      clearTimeout(timer)
      resolveMatch(found ?? undefined)
    }
    const look = (text: string) => {
      output += text
      // A busy agent writes megabytes, and a search through them would take the time of what is measured.
      const found = isSettled ? null : output.match(ready)
      if (found !== null) settle(found)
    }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    void ended.then(() => settle(null))
  })
  if (match === undefined) {
    const { status, signal } = await stop()
    throw new Error(`holdfast ${args.join(' ')}: not ready (${status ?? signal}): ${output}`)
  }
  return { child, match, output: () => output, stop }
}

async function withHome<T>(options: ProgramOptions, use: (home: string) => Promise<T>): Promise<T> {
  if (options.home !== undefined) return use(options.home)
  const home = await mkdtemp(join(tmpdir(), 'holdfast-home-'))
  try {
    return await use(home)
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

function commandLine(args: readonly string[], options: ProgramOptions): [string, ...string[]] {
  const { program = PROGRAM, node = process.execPath } = options
  if (!existsSync(program)) throw new Error(`${program} is not built: npm run build`)
  return [node, program, ...args]
}

function environment(home: string, { node = process.execPath, env }: ProgramOptions) {
  // Root's state would otherwise be kept in /var/lib.
  const state = join(home, '.local/state')
  return { PATH: `${dirname(node)}:/usr/bin:/bin`, HOME: home, XDG_STATE_HOME: state, ...env }
}

/** Waits for the end of a program and gives what came out; kills it after `timeoutMs`. */
async function collect(
  child: ChildProcessByStdio<Writable | null, Readable, Readable>,
  timeoutMs?: number,
): Promise<ProgramResult> {
  const started = performance.now()
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [status, signal]: [number | null, NodeJS.Signals | null] = await new Promise((ends, fails) => {
    child.on('error', fails).on('close', (...end) => ends(end))
  })
  clearTimeout(timer)
  return { stdout, stderr, status, signal, milliseconds: performance.now() - started }
}
