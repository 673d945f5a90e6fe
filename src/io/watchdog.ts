/**
 * A limit on how long this process may be held up by a call that blocks its thread. Nothing but another thread can
 * then do anything, and all that it does is to kill the process.
 */

import { Worker } from 'node:worker_threads'

/** Runs out once; kills the process then. */
export interface Watchdog {
  /** From now on the module has this long, pauses not counted. */
  start(timeoutMs: number): void
  /** How much of that is left, in milliseconds. */
  leftMs(): number
  pause(): void
  resume(): void
  /** The answer is out: what is left is to finalize the module, for which the parent need not live. */
  finish(): void
}

const FINALIZE_LIMIT_MS = 5000
/** The parent waits so much shorter, because it has the better message. */
const GRACE_MS = 1000

/**
 * Ends this process when the module holds it for too long, or when the parent has died. A call into the module
 * blocks this thread, so only another thread can do it. While the program is waited for (a person types
 * the PIN) the time does not count, and the closed channel tells of the parent's death.
 * @param parent process id of the parent
 */
export function createWatchdog(parent: number): Watchdog {
  const [WAKE, MODE, LEFT_MS] = [0, 1, 2]
  const [PAUSED, RUNNING, FINISHING] = [0, 1, 2]
  const state = new Int32Array(new SharedArrayBuffer(12))
  const code = `
    const { workerData: { state, parent } } = require('node:worker_threads')
    const step = 250
    for (;;) {
      Atomics.wait(state, ${WAKE}, 0, step)
      const mode = Atomics.load(state, ${MODE})
      if (mode === ${PAUSED}) continue
      const left = Atomics.sub(state, ${LEFT_MS}, step) - step
      if (mode === ${RUNNING} && process.ppid !== parent && left > 1000) Atomics.store(state, ${LEFT_MS}, 1000)
      if (left <= 0) process.kill(process.pid, 'SIGKILL')
    }`
  // Without streams of its own it would take up those of this process.
  new Worker(code, { eval: true, workerData: { state, parent }, stdout: true, stderr: true }).unref()
  const setMode = (mode: number, leftMs?: number) => {
    if (leftMs !== undefined) Atomics.store(state, LEFT_MS, leftMs)
    Atomics.store(state, MODE, mode)
  }
  return {
    start: (timeoutMs) => setMode(RUNNING, timeoutMs + GRACE_MS),
    leftMs: () => Atomics.load(state, LEFT_MS) - GRACE_MS,
    pause: () => setMode(PAUSED),
    resume: () => setMode(RUNNING),
    finish: () => setMode(FINISHING, FINALIZE_LIMIT_MS),
  }
}
