/**
 * Checks that build on each other: each is made once what it needs has passed, else it is left out, and it is said why.
 * What a check found is all text that may be shown (core/doctor/told), so no report of one can hold a secret.
 */

import { type ErrorCode, HoldfastError } from '../errors.js'
import { saidBy, type Told, tell } from './told.js'

/** What is told of one check. */
export interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warn' | 'fail' | 'skip'
  /** Of a failure: the code of the error that another command would end with. */
  readonly code?: ErrorCode
  readonly message: Told
  /** What to do, where the message does not say it all. */
  readonly fix?: Told
}

/** One thing that is wrong. A failure has a code. */
export type Trouble = { readonly message: Told; readonly fix?: Told } & (
  | { readonly status: 'warn' }
  | { readonly status: 'fail'; readonly code: ErrorCode }
)

/** What a check that came to its end found, and what later checks are given. */
export interface Examined<T> {
  readonly value: T
  /** Said if there are no troubles. */
  readonly message: Told
  readonly troubles?: readonly Trouble[]
}

/** How a check ended, as later checks need to know it. */
export type Outcome<T> =
  | { readonly passed: true; readonly value: T }
  /** `because`: the check that failed, or the one that this one had to be left out for. */
  | { readonly passed: false; readonly because: string }

/** The values of outcomes, by the same names. */
export type Values<Needs> = {
  readonly [Name in keyof Needs]: Needs[Name] extends Outcome<infer T> ? T : never
}

/** The checks that were made so far. */
export interface Examination {
  readonly findings: readonly Finding[]
  /**
   * Makes a check if all that it needs has passed. A HoldfastError that `examine` throws is a failure, or a warning if
   * `examine` says so by its troubles; any other error, and INTERRUPTED, ends the examination.
   */
  check<T, Needs extends Readonly<Record<string, Outcome<unknown>>>>(
    name: string,
    needs: Needs,
    examine: (given: Values<Needs>) => Examined<T> | Promise<Examined<T>>,
  ): Promise<Outcome<T>>
  /** Leaves a check out. Those that need it are left out as well. */
  skip(name: string, why: Told): Promise<Outcome<never>>
}

/**
 * An examination in which nothing was checked yet.
 * @param report is told each finding as it comes
 * @param findFix what more than its message there is to do about an error
 */
export function createExamination(
  report: (finding: Finding) => Promise<void>,
  findFix: (error: HoldfastError) => Told | undefined,
): Examination {
  const findings: Finding[] = []
  const add = async (finding: Finding) => {
    findings.push(finding)
    await report(finding)
  }
  const skip = async (check: string, message: Told, because: string) => {
    await add({ check, status: 'skip', message })
    return { passed: false, because } as const
  }
  return {
    findings,
    skip: (check, why) => skip(check, why, check),
    async check(name, needs, examine) {
      const missing = Object.values(needs).find(({ passed }) => !passed)
      if (missing?.passed === false) {
        return skip(name, tell`left out, because of ${missing.because as Told}`, missing.because)
      }
      const values = Object.fromEntries(
        Object.entries(needs).map(([key, outcome]) => [key, outcome.passed && outcome.value]),
      )
      let examined: Awaited<ReturnType<typeof examine>>
      try {
        examined = await examine(values as Values<typeof needs>)
      } catch (error) {
        if (!(error instanceof HoldfastError) || error.code === 'INTERRUPTED') throw error
        await add({ check: name, ...describeFailure(error, findFix) })
        return { passed: false, because: name }
      }
      const { value, message, troubles = [] } = examined
      if (troubles.length === 0) await add({ check: name, status: 'ok', message })
      for (const trouble of troubles) await add({ check: name, ...trouble })
      const failed = troubles.some(({ status }) => status === 'fail')
      return failed ? { passed: false, because: name } : { passed: true, value }
    },
  }
}

function describeFailure(
  error: HoldfastError,
  findFix: (error: HoldfastError) => Told | undefined,
): Omit<Finding, 'check'> {
  const fix = findFix(error)
  const finding = { status: 'fail', code: error.code, message: saidBy(error) } as const
  return fix === undefined ? finding : { ...finding, fix }
}

/** One line of a report. */
export function formatFinding({ check, status, code, message, fix }: Finding): string {
  const more = `${code === undefined ? '' : ` (${code})`}${fix === undefined ? '' : `; fix: ${fix}`}`
  return `${status.padEnd(4)}  ${check.padEnd(CHECK_WIDTH)}  ${message}${more}`
}

/** Of the longest name of a check. */
const CHECK_WIDTH = 17

/** The error that stands for all failures, or undefined if there are none: its code is the first one's. */
export function findVerdict(findings: readonly Finding[]): HoldfastError | undefined {
  const failures = findings.filter(({ status }) => status === 'fail')
  const [first] = failures
  if (first?.code === undefined) return undefined
  const others = failures.length === 1 ? '' : `, and ${failures.length - 1} more`
  return new HoldfastError(first.code, `the check "${first.check}" failed${others}: see the report`)
}
