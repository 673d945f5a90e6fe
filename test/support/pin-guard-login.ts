/**
 * One run of a program that logs in inside the PIN guard, for tests that kill it or run several at once. Its one
 * argument is JSON. Each login adds a line to `log`, says `login` on stdout, then blocks for as long as the token is
 * said to think (for ever if that is null), as C_Login does. What came of it stands on stdout in JSON.
 */
import { appendFileSync, writeSync } from 'node:fs'
import { HoldfastError, isErrorCode } from '../../src/core/errors.js'
import { readPinFile } from '../../src/io/pin-file.js'
import { withPinGuard } from '../../src/io/pin-guard/pin-guard.js'

/** What the run shall do. */
export interface GuardedLogin {
  readonly directory: string
  readonly pinFile: string
  readonly log: string
  /** `good`, or the code of the error that the login ends with. */
  readonly outcome: string
  readonly thinksMs: number | null
  readonly waitsMs?: number
}

const run: GuardedLogin = JSON.parse(process.argv[2]!)
const uid = process.geteuid!()

function login(): void {
  appendFileSync(run.log, 'login\n')
  writeSync(1, 'login\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, run.thinksMs ?? Number.POSITIVE_INFINITY)
  if (isErrorCode(run.outcome)) throw new HoldfastError(run.outcome, 'said the token')
}

try {
  const { identity } = await readPinFile(run.pinFile, { uid })
  await withPinGuard(
    {
      token: { manufacturer: 'm', model: 'm', serial: '1', label: 'edge' },
      pin: identity,
      directories: [run.directory],
      uid,
      now: () => new Date(),
      signal: AbortSignal.timeout(run.waitsMs ?? 15_000),
    },
    login,
  )
  writeSync(1, '{"code":"good"}\n')
} catch (error) {
  const { code, message } = error as HoldfastError
  writeSync(1, `${JSON.stringify({ code, message })}\n`)
}
