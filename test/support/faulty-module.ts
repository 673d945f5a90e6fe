/**
 * A PKCS#11 module that has the faults of bad modules: it stands before a token's own one, is compiled for each
 * token, and does nothing wrong but what it is told to.
 */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { run } from './command.js'
import { until } from './outcome.js'
import type { ProgramResult } from './program.js'
import type { TestToken } from './token.js'

/** Takes the place of the token's own module, with faults. */
export interface FaultyModule {
  readonly modulePath: string
  /** The token's environment, and what tells the module its faults. */
  readonly env: Readonly<Record<string, string>>
  /** Waits until a call hangs, and gives the id of its process. Throws if the program ends and none has hung. */
  hungProcess(program: Promise<ProgramResult>): Promise<number>
  /** Lets a call that waits go on. */
  release(): Promise<void>
  /** Ends all faults, also for programs that run already; or lets them begin again. */
  mend(isMended?: boolean): Promise<void>
}

/**
 * Makes modules for the token. `faults` are words of the form FUNCTION=FAULT or FUNCTION=FAULT:NUMBER, such as
 * `C_Login=return:0xa4 C_Finalize=hang`. Of every function:
 *
 * - `return:CKR` does nothing and returns that; `once:CKR` does so the first time
 * - `hang`, `crash`, `exit:STATUS`; `wait` hangs until it is released
 * - `print:BYTES` on stdout and on stderr; `garble` writes to descriptor 3
 * - `leave` starts a process that keeps all descriptors open
 * - `alone`, which is no fault, waits while another process is in a call that is `alone` as well
 *
 * Of some: C_GetInfo `yubico` (the module says it is Yubico's); C_OpenSession `read-only-returns:CKR`, `attest:ID` (there is
 * a certificate with that one-byte id and an attestation's label that is not on the token; the one in the file that
 * FAULTY_ATTESTATION names); C_Login `context-returns:CKR` (to CKU_CONTEXT_SPECIFIC);
 * C_GetTokenInfo `set-flags:N`, `clear-flags:N`; C_FindObjectsInit `hide-class:N`, `hide-until-login:N`; C_GetAttributeValue `hide:TYPE`,
 * `touch:POLICY` (Yubico's attribute), `raw-point`, `bit-string-point`, `corrupt:ID` (the value of objects with that one-byte id); C_Sign `lose-login`,
 * `lose-login-once`, `corrupt`, `shorten:LENGTH`.
 */
export async function createFaultyModules(token: TestToken): Promise<(faults: string) => FaultyModule> {
  const modulePath = join(token.directory, 'faulty-module.so')
  const source = resolve(import.meta.dirname, 'faulty-module.c')
  await run('gcc', ['-Wall', '-Wextra', '-Werror', '-shared', '-fPIC', '-O1', '-o', modulePath, source])
  return (faults) => {
    const [hung, lifted] = ['hung', 'lifted'].map((name) =>
      join(token.directory, `${name}-${crypto.randomUUID()}`),
    ) as [string, string]
    return {
      modulePath,
      env: {
        ...token.env,
        FAULTY_MODULE: token.modulePath,
        FAULTY_HUNG: hung,
        FAULTY_LIFTED: lifted,
        FAULTS: faults,
      },
      release: () => rm(hung),
      mend: (isMended = true) => (isMended ? writeFile(lifted, '') : rm(lifted)),
      hungProcess: async (program) => {
        const early = program.then(({ stderr }) => assert.ok(existsSync(hung), `no call has hung: ${stderr}`))
        const isHung = async () => existsSync(hung) && (await readFile(hung, 'utf8')).endsWith('\n')
        await Promise.race([early, until(isHung)])
        await until(isHung)
        return Number(await readFile(hung, 'utf8'))
      },
    }
  }
}
