/**
 * Watches a PKCS#11 module from outside, through OpenSC's pkcs11-spy: a module that hands each call on to
 * another and writes it down, by whatever process it is loaded.
 */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findLibrary } from './command.js'
import type { TestToken } from './token.js'

/** One call to the module. */
export interface SpyCall {
  readonly name: string
  /** `CKR_OK` or the name of another return value. */
  readonly returned: string
  /** Of C_Login: `CKU_USER`, `CKU_CONTEXT_SPECIFIC`, … */
  readonly userType?: string
}

/** A module that takes the place of the token's own. */
export interface Spy {
  readonly modulePath: string
  /** The token's environment, and what the spy needs. */
  readonly env: Readonly<Record<string, string>>
  /** All calls until now, in order. */
  calls(): Promise<SpyCall[]>
  /** How often each function was called until now. */
  counts(): Promise<Record<string, number>>
}

/** A spy on the token's module; what it writes, a PIN too, goes away with the token. */
export function createSpy(token: TestToken): Spy {
  const output = join(token.directory, `spy-${crypto.randomUUID()}`)
  const calls = async () => (existsSync(output) ? parseCalls(await readFile(output, 'latin1')) : [])
  return {
    modulePath: findLibrary('pkcs11/pkcs11-spy.so', 'pkcs11-spy.so'),
    env: { ...token.env, PKCS11SPY: token.modulePath, PKCS11SPY_OUTPUT: output },
    calls,
    counts: async () => {
      const counts: Record<string, number> = {}
      for (const { name } of await calls()) counts[name] = (counts[name] ?? 0) + 1
      return counts
    },
  }
}

function parseCalls(output: string): SpyCall[] {
  return output.split(/^(?=\d+: C_)/m).flatMap((call) => {
    const name = call.match(/^\d+: (C_\w+)/)?.[1]
    if (name === undefined) return []
    const userType = call.match(/^\[in\] userType = (\w+)/m)?.[1]
    const returned = call.match(/^Returned:\s+\d+ (\w+)/m)?.[1] ?? 'no return'
    return [{ name, returned, ...(userType === undefined ? {} : { userType }) }]
  })
}
