/**
 * Starts, talks to and ends the token child: the one process that loads a PKCS#11 module, for one use.
 * The child's stdout and stderr belong to the module: captured with --debug, else thrown away. A child that does not answer in time
 * is killed; how it ends after a complete answer does not matter. Time in which a person is asked for a PIN
 * is not counted, and a child that waits for one is never killed: it finalizes the module, which frees what a TPM keeps for it.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { hrtime } from 'node:process'
import type { Duplex, Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { HoldfastError } from '../core/errors.js'
import {
  type Frame,
  type FromChild,
  formatFrame,
  type OpenRequest,
  type PinNeed,
  PRELOAD,
  parseFailure,
  parseFrame,
  parseFromChild,
  strayBytes,
  type ToChild,
} from '../core/pkcs11/token-protocol.js'
import type { SignerSource } from '../core/signer.js'
import { parseCertificate, signingAlgorithmOf } from '../core/x509/certificate.js'

/** How to start the child. */
export interface TokenChildOptions {
  /** True where a token will be used for sure. */
  readonly preload?: boolean
  /** True if somebody wants to know what the module prints. Otherwise it goes nowhere. */
  readonly capture?: boolean
  /** The program that runs the child: a Node executable. */
  readonly execPath: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** How to start the child, and who answers it. */
export interface ConversationOptions extends TokenChildOptions {
  /** Time for all that the module does, in milliseconds. */
  readonly timeoutMs: number
  /** How many PINs the child may ask for. */
  readonly maxPins: number
  /** A child that was started early, if there is one left. */
  readonly takeChild?: (() => TokenChild | undefined) | undefined
  /** Gets the PIN from a person, a program or the environment; it is then wiped. Only called if the token wants one. */
  readonly givePin: (need: PinNeed, options: { signal: AbortSignal }) => Promise<Uint8Array>
  readonly warn: (text: string) => void
  /** Receives times, and what the module printed. */
  readonly debug?: ((text: string) => void) | undefined
}

/** How to start the child, who answers it, and what it is asked to open. */
export interface TokenProcessOptions extends Omit<ConversationOptions, 'timeoutMs' | 'maxPins'> {
  readonly request: OpenRequest
}

/** Secrets that a module has no business with. */
const WITHHELD =
  /^(HOLDFAST_|AWS_ACCESS_KEY_ID$|AWS_SECRET_ACCESS_KEY$|AWS_SESSION_TOKEN$|AWS_CONTAINER_AUTH)/

/** What a module may print before the rest is thrown away, in characters. */
const OUTPUT_LIMIT = 64 * 1024

/** How long a child may take to finalize the module, in milliseconds, and how long `--debug` waits for it. */
const FINALIZE_LIMIT_MS = 5000
const FINALIZE_WAIT_MS = 1500

/** How many warnings of one child are passed on. */
const MAX_WARNINGS = 10

/** A token is logged in to once, and there are two at most: that of the certificate and that of the key. */
const MAX_TOKENS = 2

/** How long the pipes of a child that has ended may stay open, in milliseconds. */
const PIPES_LIMIT_MS = 500

/** A child that has been started and waits for its first message. */
export interface TokenChild {
  readonly process: ChildProcess
  /** Why it could not be started: then `process` has no pid. */
  readonly failure: Promise<Error>
  /** Ends it; only for a child that no source has used. */
  discard(): void
}

/**
 * Starts a child. It may be started before it is known what for, because its start takes as long as all that
 * the program does meanwhile; only with `preload` does it load the PKCS#11 binding before a source uses it.
 */
export function startTokenChild({
  execPath,
  env,
  preload = false,
  capture = false,
}: TokenChildOptions): TokenChild {
  const script = findChildScript()
  const output = capture ? 'pipe' : 'ignore'
  const child = spawn(execPath, preload ? [script, PRELOAD] : [script], {
    stdio: ['ignore', output, output, 'pipe'],
    env: Object.fromEntries(Object.entries(env).filter(([name]) => !WITHHELD.test(name))),
  })
  const failure = new Promise<Error>((resolve) => child.on('error', resolve))
  return { process: child, failure, discard: () => void child.kill('SIGKILL') }
}

/**
 * The child's file: that of the same build, at its fixed place beside this code. It is not looked up by the name of the
 * package, since that may find a stranger's in a folder above.
 */
function findChildScript(): string {
  let folder: string
  try {
    folder = dirname(fileURLToPath(import.meta.url))
  } catch (cause) {
    // A bundler has made something else than an ES module in a file of it.
    throw describeMissing('beside the code that is running', cause)
  }
  if (basename(folder) === 'chunks') folder = dirname(folder)
  if (folder.endsWith('/src/io')) folder = join(folder, '../../dist')
  return join(folder, 'token-child.cjs')
}

/** Without its file, Node would end with a status that says nothing. */
function verifyChildScript(): void {
  const script = findChildScript()
  if (!existsSync(script)) throw describeMissing(`at ${script}`)
}

function describeMissing(where: string, cause?: unknown): HoldfastError {
  return new HoldfastError(
    'ADDON_MISSING',
    `the part of holdfast that loads PKCS#11 modules is not ${where}: where holdfast is bundled into another file, leave it out of the bundle (as an external package), or copy token-child.cjs and the pkcs11-*.node files of its dist folder beside that file`,
    { cause },
  )
}

/**
 * Starts a child, or takes the one that there is, and lends the conversation with it.
 * @throws HoldfastError ADDON_MISSING, MODULE_FAILED, MODULE_CRASHED, TOKEN_TIMEOUT, INTERRUPTED, and what the child tells
 */
export async function withTokenChild<T>(
  options: ConversationOptions,
  { signal }: { signal: AbortSignal },
  use: (child: Conversation) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  verifyChildScript()
  const { process: started, failure } =
    options.takeChild?.() ?? startTokenChild({ ...options, capture: options.debug !== undefined })
  if (started.pid === undefined) throw describeStart(await failure)
  const child = talkTo(started, options)
  const abort = () => child.giveUp(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await use(child)
  } finally {
    signal.removeEventListener('abort', abort)
    await child.end()
  }
}

/** A source whose signer is a key in a token; each use is one child. */
export function createTokenSource(options: TokenProcessOptions): SignerSource {
  const { request } = options
  const conversation = { ...options, timeoutMs: request.timeoutMs, maxPins: MAX_TOKENS }
  return {
    withSigner(use, { signal }) {
      const startedAt = now()
      const trace = (what: string) => options.debug?.(`${what} after ${Math.round(now() - startedAt)} ms`)
      return withTokenChild(conversation, { signal }, async (child) => {
        child.send({ open: request })
        const { opened } = await child.answer('opened', { signal })
        trace('the token child found the certificate')
        // The child repeats a certificate that it was given; no module is to put another in its place.
        const { certificate = opened.certificate } = request
        if (certificate !== opened.certificate) throw strayBytes()
        const der = Buffer.from(certificate, 'base64')
        return use({
          certificate: der,
          chain: opened.chain.map((der) => Buffer.from(der, 'base64')),
          get algorithm() {
            return signingAlgorithmOf(parseCertificate(der))
          },
          sign: async (message) => {
            child.send({ sign: true }, message)
            await child.answer('signed', { signal })
            trace('the token signed')
            return child.answerBytes()
          },
        })
      })
    },
  }
}

type Answer<Key extends string> = Extract<FromChild, Record<Key, unknown>>

/** What the program and its child have to say to each other. */
export interface Conversation {
  send(message: ToChild, bytes?: Uint8Array): void
  /** Waits for the answer of this name, gives PINs meanwhile, and throws what the child tells of a failure. */
  answer<Key extends 'opened' | 'signed' | 'performed'>(
    key: Key,
    options: { signal: AbortSignal },
  ): Promise<Answer<Key>>
  answerBytes(): Promise<Uint8Array>
  /** Fails what is waited for, and kills the child while its module is at work. */
  giveUp(reason: unknown): void
  /** Lets the child end by itself, or be killed at the deadline; waits for that only to report what it printed. */
  end(): Promise<void>
}

function talkTo(child: ChildProcess, options: ConversationOptions): Conversation {
  const channel = child.stdio[3] as Duplex
  const output = captureOutput(child)
  const closed = new Promise((resolve) => child.once('close', resolve))
  const frames = createFrameQueue(child, channel)
  const { timeoutMs } = options
  const deadline = createDeadline(timeoutMs, () => {
    frames.fail(
      new HoldfastError(
        'TOKEN_TIMEOUT',
        `the token or its PKCS#11 module did not answer within ${timeoutMs / 1000} s (--token-timeout): is it waiting for a touch, or is its daemon stopped?`,
      ),
    )
    child.kill('SIGKILL')
  })
  deadline.start()

  const send: Conversation['send'] = (message, bytes) => {
    deadline.start()
    channel.write(formatFrame({ json: message }))
    if (bytes === undefined) return
    const frame = formatFrame({ bytes })
    // It may hold a PIN.
    channel.write(frame, () => frame.fill(0))
  }
  const askedFor = new Set<string>()
  const givePin = async (need: PinNeed, signal: AbortSignal) => {
    const pinOfToken = JSON.stringify([need.token, need.role])
    if (askedFor.has(pinOfToken) || askedFor.size === options.maxPins) throw strayBytes()
    askedFor.add(pinOfToken)
    deadline.stop()
    const pin = await options.givePin(need, { signal })
    send({ pin: true }, pin)
    pin.fill(0)
  }
  let warnings = 0
  return {
    send,
    async answer(key, { signal }) {
      for (;;) {
        const message = parseFromChild(await frames.next())
        if ('failed' in message) throw parseFailure(message.failed)
        if ('warning' in message) {
          if (++warnings <= MAX_WARNINGS) options.warn(message.warning)
        } else if ('needPin' in message) {
          await givePin(message.needPin, signal)
        } else {
          if (!(key in message)) throw strayBytes()
          deadline.stop()
          return message as Answer<typeof key>
        }
      }
    },
    async answerBytes() {
      const frame = await frames.next()
      if (!('bytes' in frame)) throw strayBytes()
      return frame.bytes
    },
    giveUp(reason) {
      frames.fail(reason)
      if (deadline.isRunning()) child.kill('SIGKILL')
    },
    async end() {
      deadline.stop()
      channel.end()
      const kill = setTimeout(() => child.kill('SIGKILL'), FINALIZE_LIMIT_MS).unref()
      void closed.then(() => clearTimeout(kill))
      if (options.debug === undefined) return unref(child, channel)
      // What the module printed is known only when it has ended.
      await Promise.race([closed, delay(FINALIZE_WAIT_MS)])
      unref(child, channel)
      if (output() !== '') options.debug(`the PKCS#11 module printed: ${output()}`)
    },
  }
}

/** Neither a child that is still finishing nor its pipes keep the program alive. */
function unref(child: ChildProcess, channel: Duplex): void {
  child.unref()
  for (const stream of [child.stdout, child.stderr, channel]) {
    ;(stream as (Readable & { unref?: () => void }) | null)?.unref?.()
  }
}

function captureOutput(child: ChildProcess): () => string {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8')
    stream?.on('data', (text: string) => {
      output = (output + text).slice(0, OUTPUT_LIMIT)
    })
  }
  return () => output
}

/** Milliseconds of a clock that nobody sets. performance.now() would do as well, but takes Node milliseconds to load. */
function now(): number {
  return Number(hrtime.bigint() / 1000n) / 1000
}

/** Counts the time between each start and stop together. */
function createDeadline(
  timeoutMs: number,
  expire: () => void,
): { start(): void; stop(): void; isRunning(): boolean } {
  let leftMs = timeoutMs
  let startedAt = 0
  let timer: NodeJS.Timeout | undefined
  return {
    start() {
      if (timer !== undefined) return
      startedAt = now()
      timer = setTimeout(expire, leftMs).unref()
    },
    stop() {
      if (timer === undefined) return
      clearTimeout(timer)
      timer = undefined
      leftMs -= now() - startedAt
    },
    isRunning: () => timer !== undefined,
  }
}

interface FrameQueue {
  next(): Promise<Frame>
  fail(error: unknown): void
}

function createFrameQueue(child: ChildProcess, channel: Duplex): FrameQueue {
  const frames: Frame[] = []
  let failure: unknown
  let wake: (() => void) | undefined
  let received: Buffer = Buffer.alloc(0)
  const fail = (error: unknown) => {
    failure ??= error
    wake?.()
  }
  channel.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    try {
      for (let parsed = parseFrame(received); parsed !== undefined; parsed = parseFrame(received)) {
        frames.push(parsed.frame)
        received = parsed.rest
      }
    } catch (error) {
      fail(error)
    }
    wake?.()
  })
  channel.on('error', () => {
    // A broken channel shows as the child's end, which says more.
  })
  // It was started some time ago.
  if (child.exitCode !== null || child.signalCode !== null)
    fail(describeEnd(child.exitCode, child.signalCode))
  child.once('close', (status, signal) => fail(describeEnd(status, signal)))
  // A process that the module has left behind may hold the pipes open, and then there is no `close`.
  child.once('exit', (status, signal) => {
    setTimeout(() => fail(describeEnd(status, signal)), PIPES_LIMIT_MS).unref()
  })
  return {
    fail,
    async next() {
      while (frames.length === 0) {
        if (failure !== undefined) throw failure
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return frames.shift()!
    },
  }
}

function describeStart(cause: Error): HoldfastError {
  return new HoldfastError(
    'MODULE_FAILED',
    `the token process cannot be started (${cause.message}): is this machine out of memory, processes or open files?`,
    { cause },
  )
}

function describeEnd(status: number | null, signal: NodeJS.Signals | null): HoldfastError {
  // What a terminal or a service manager sends to all processes of the program at once.
  if (signal !== null && ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'].includes(signal)) {
    return new HoldfastError('INTERRUPTED', `the token process was interrupted by ${signal}`)
  }
  const how = signal === null ? `ended with status ${status}` : `crashed (${signal})`
  return new HoldfastError(
    'MODULE_CRASHED',
    `the PKCS#11 module ${how} before it answered; --debug shows what it printed. Try the vendor's newest module, or name another with --pkcs11-module`,
  )
}
