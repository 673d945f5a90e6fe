/**
 * Runs `holdfast doctor --json`, and says what must stand in its report.
 */

import assert from 'node:assert/strict'
import type { Finding } from '../../src/core/doctor/diagnosis.js'
import type { ErrorCode } from '../../src/core/errors.js'
import { HoldfastError } from '../../src/core/errors.js'
import { credentialProcess, type Edge } from './edge.js'
import { type ProgramOptions, type ProgramResult, runHoldfast } from './program.js'

/** What came of a run. */
export interface Diagnosis extends ProgramResult {
  readonly findings: readonly Finding[]
}

/** Runs it on the edge's identity, of whose flags some are changed, added, or (undefined) left out. */
export async function diagnose(
  edge: Edge,
  changes: Readonly<Record<string, string | undefined>> = {},
  { more = [], ...options }: ProgramOptions & { more?: readonly string[] } = {},
): Promise<Diagnosis> {
  const [, ...flags] = credentialProcess(edge, changes)
  return run(['doctor', '--json', ...more, ...flags], { ...options, env: { ...edge.env, ...options.env } })
}

/** Runs it with these arguments. */
export async function run(args: readonly string[], options: ProgramOptions): Promise<Diagnosis> {
  const result = await runHoldfast(args, { timeoutMs: 60_000, ...options })
  try {
    return { ...result, findings: JSON.parse(result.stdout) }
  } catch {
    assert.fail(`no report: ${result.stdout}${result.stderr}`)
  }
}

/**
 * The check failed first of all, with this code, whose exit status is the program's; its message and fix say this. No check
 * before it failed.
 */
export function assertFails(diagnosis: Diagnosis, check: string, code: ErrorCode, says: RegExp): Finding {
  const first = diagnosis.findings.find(({ status }) => status === 'fail')
  assert.deepEqual([first?.check, first?.code], [check, code], describe(diagnosis))
  assert.match(`${first!.message}; fix: ${first!.fix ?? ''}`, says)
  assert.equal(diagnosis.status, new HoldfastError(code, '').exitStatus)
  assert.match(diagnosis.stderr, new RegExp(`holdfast: the check "${check}" failed.* \\(${code}\\)\n$`))
  return first!
}

/** The check warns and says this. Nothing fails. */
export function assertWarns(diagnosis: Diagnosis, check: string, says: RegExp): void {
  const warnings = diagnosis.findings.filter(
    (finding) => finding.check === check && finding.status === 'warn',
  )
  assert.ok(
    warnings.some(({ message, fix }) => says.test(`${message}; fix: ${fix ?? ''}`)),
    describe(diagnosis),
  )
  assert.equal(diagnosis.status, 0, describe(diagnosis))
}

/** Nothing fails, nothing is left out, and nobody warns. */
export function assertWell(diagnosis: Diagnosis): void {
  assert.deepEqual(
    diagnosis.findings.filter(({ status }) => status !== 'ok'),
    [],
  )
  assert.equal(diagnosis.status, 0, diagnosis.stderr)
}

/** The status that a check came to. */
export function statusOf({ findings }: Diagnosis, check: string): string | undefined {
  return findings.find((finding) => finding.check === check)?.status
}

function describe({ findings, stderr }: Diagnosis): string {
  const bad = findings.filter(({ status }) => status === 'fail' || status === 'warn')
  return `${bad.map((finding) => JSON.stringify(finding)).join('\n')}\n${stderr}`
}
