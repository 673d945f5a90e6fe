/**
 * What a run of `credential-process` may come out as: credentials, or one clear line and a status.
 */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { ErrorCode } from '../../src/core/errors.js'
import type { ProgramResult } from './program.js'

/** Credentials on stdout, and not a word on stderr but warnings where `warnings` says so. */
export function assertCredentials(result: ProgramResult, warnings = /^$/): void {
  assert.match(result.stderr, warnings)
  assert.equal(result.status, 0)
  assert.match(result.stdout, /^\{.*\}\n$/)
  const credentials = JSON.parse(result.stdout)
  assert.equal(credentials.Version, 1)
  assert.match(credentials.AccessKeyId, /^ASIA/)
  assert.ok(credentials.SecretAccessKey.length > 20)
  assert.ok(credentials.SessionToken.length > 20)
  assert.match(credentials.Expiration, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  assert.equal(credentials.AccountId, '111122223333')
}

/** Nothing on stdout, the exit status, and one line about the error on stderr, after warnings and debug lines at most. */
export function assertFailure(result: ProgramResult, code: ErrorCode, status: number, says = /./): void {
  assert.match(result.stderr, new RegExp(`^(holdfast: (warning|debug): .*\n)*holdfast: .* \\(${code}\\)\n$`))
  const last = result.stderr.trimEnd().split('\n').at(-1)!
  assert.match(last, says)
  // A stack trace, a line end that was only hidden, a value that was not there, a class name of Node's.
  assert.doesNotMatch(last, /\n? {4}at |\\u\{a\}|undefined(?! symbol)|\[object|NaN|\b[A-Z]\w*Error\b/)
  assert.ok(last.length < 1000, `${last.length} characters`)
  assert.equal(result.stdout, '')
  assert.equal(result.status, status)
}

/** Waits for what no event tells of, but not for ever: a test that fails must end. */
export async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const startedAt = performance.now()
  while (!(await isTrue())) {
    assert.ok(performance.now() - startedAt < 30_000, `still not true: ${isTrue}`)
    await delay(20)
  }
}

/** Waits until a process, not one of this process's own children, has ended. */
export async function ended(pid: number): Promise<void> {
  const isAlive = async () =>
    /^State:\s+[^ZX]/m.test(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))
  await until(async () => !(await isAlive()))
}
