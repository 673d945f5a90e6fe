/**
 * `holdfast doctor [NAME]`: looks at all that a credential depends on, and says of each thing whether it is well and what
 * to do about it.
 */

import type { Argv } from 'yargs'
import type { Identity } from '../core/config/identity.js'
import {
  createExamination,
  type Examined,
  type Finding,
  findVerdict,
  formatFinding,
} from '../core/doctor/diagnosis.js'
import { findRemedy } from '../core/doctor/remedy.js'
import { quoted, shown, tell } from '../core/doctor/told.js'
import { HoldfastError } from '../core/errors.js'
import { examine } from '../doctor/doctor.js'
import type { Context } from './context.js'
import { addIdentityOptions, type IdentityArguments, readIdentity } from './options.js'

/** Parsed flags. */
export interface DoctorArguments extends IdentityArguments {
  readonly login: boolean
  readonly session: boolean
  readonly json: boolean
}

export function builder(argv: Argv): Argv {
  return addIdentityOptions(
    argv.positional('name', { type: 'string', describe: 'an identity of the configuration file' }),
  )
    .option('login', {
      type: 'boolean',
      default: true,
      describe:
        'log in to the token, and once more for the session unless a person is asked for the PIN; --no-login tries nothing with a PIN, and asks for no session',
    })
    .option('session', {
      type: 'boolean',
      default: true,
      describe: 'ask for one session if all else is well; --no-session leaves that out',
    })
    .option('json', {
      type: 'boolean',
      default: false,
      describe: 'print one JSON array of what was found',
    })
    .example('holdfast doctor edge', 'look at all that the identity edge depends on')
    .example('holdfast doctor edge --no-login', 'the same, without trying a PIN')
    .example(
      'holdfast doctor --json --certificate edge.pem --private-key edge.key --trust-anchor-arn ARN --profile-arn ARN --role-arn ARN',
      'for a script, with a key in a file',
    )
}

/**
 * Prints what was found.
 * @throws HoldfastError the code of the first check that failed; OUTPUT_FAILED, INTERRUPTED
 */
export async function run(argv: DoctorArguments, context: Context): Promise<void> {
  const report = async (finding: Finding) => {
    if (!argv.json) await context.stdout(`${formatFinding(finding)}\n`)
  }
  const examination = createExamination(report, findRemedy)
  const identity = await examination.check('config', {}, () => examineConfig(argv, context))
  await examine(examination, identity, {
    ...context,
    warn: (text) => context.stderr(`warning: ${text}`),
    debug: argv.debug ? (text) => context.stderr(`debug: ${text}`) : undefined,
    verifyTls: argv.verifySsl,
    name: argv.name,
    login: argv.login,
    session: argv.session,
  })
  if (argv.json) await context.stdout(`${JSON.stringify(examination.findings, undefined, 2)}\n`)
  const verdict = findVerdict(examination.findings)
  if (verdict !== undefined) throw verdict
}

async function examineConfig(argv: DoctorArguments, context: Context): Promise<Examined<Identity>> {
  const { name, config } = argv
  const identity = await readIdentity(argv, context)
  if (name === undefined) {
    if (Object.values(identity).some((value) => value !== undefined)) {
      return { value: identity, message: tell`everything is in the flags` }
    }
    throw new HoldfastError('USAGE', 'name an identity of the configuration file, or give its flags')
  }
  const { findIdentity } = await import('../io/config-file.js')
  const found = await findIdentity(name, { env: context.env, uid: context.uid, configFile: config })
  return { value: identity, message: tell`identity ${quoted(name)} of ${shown(found?.file ?? '')}` }
}
