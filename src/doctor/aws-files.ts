/**
 * The checks of the user's own AWS files: whether SDKs ask Holdfast at all, and whether all of them read its command alike.
 */

import { isAbsolute } from 'node:path'
import type { ProcessProfile } from '../core/aws-files/aws-config.js'
import { splitCommand } from '../core/aws-files/command-line.js'
import {
  type AwsFiles,
  findCommandTroubles,
  findHoldfastProfiles,
  findKeyTroubles,
  findVariableTroubles,
} from '../core/doctor/aws-diagnosis.js'
import type { Examination, Examined, Trouble } from '../core/doctor/diagnosis.js'
import { listed, quoted, shown, tell } from '../core/doctor/told.js'
import { awsConfigPath, awsCredentialsPath } from '../io/aws-files.js'
import { readTextFile } from '../io/edited-file.js'
import { isExecutable, isOnPath } from '../io/executable.js'

/** Whose files they are, and how this program was started. */
export interface AwsFileOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly programPath: string
}

/** Makes the checks. */
export async function checkAwsFiles(examination: Examination, options: AwsFileOptions): Promise<void> {
  const { env, programPath } = options
  const found = await examination.check('aws-files', {}, () => readFiles(env, programPath))
  await examination.check('aws-keys', { found }, ({ found: { files, profiles } }) => ({
    value: undefined,
    message: tell`no other keys win over credential_process`,
    troubles: profiles.flatMap((profile) => findKeyTroubles(profile, files)),
  }))
  await examination.check('aws-command', { found }, async ({ found: { profiles } }) => {
    const troubles = profiles.flatMap(findCommandTroubles)
    for (const { name, command } of profiles)
      troubles.push(...(await findProgramTroubles(name, command, env)))
    return { value: undefined, message: tell`all SDKs read each command alike`, troubles }
  })
  await examination.check('aws-environment', {}, () => ({
    value: undefined,
    message: tell`no variable is set that AWS SDKs prefer to a profile`,
    troubles: findVariableTroubles(env),
  }))
}

interface FoundProfiles {
  readonly files: AwsFiles
  /** Those that run this program. */
  readonly profiles: readonly ProcessProfile[]
}

async function readFiles(env: AwsFileOptions['env'], programPath: string): Promise<Examined<FoundProfiles>> {
  const [configPath, credentialsPath] = [awsConfigPath(env), awsCredentialsPath(env)]
  const [config, credentials] = [await readTextFile(configPath), await readTextFile(credentialsPath)]
  const files = { configPath, config, credentialsPath, credentials }
  const profiles = findHoldfastProfiles(files, programPath)
  const names = listed(profiles.map(({ name }) => quoted(name)))
  const message =
    profiles.length === 0
      ? tell`no profile in ${shown(configPath)} and ${shown(credentialsPath)} runs holdfast`
      : tell`in ${shown(configPath)} and ${shown(credentialsPath)} holdfast is run by ${names}`
  return { value: { files, profiles }, message }
}

async function findProgramTroubles(
  profile: string,
  command: string,
  env: AwsFileOptions['env'],
): Promise<Trouble[]> {
  const [program = ''] = splitCommand(command).words
  const isFound = program.includes('/')
    ? isAbsolute(program) && (await isExecutable(program))
    : await isOnPath(program, env.PATH)
  if (isFound) return []
  return [
    {
      status: 'warn',
      message: tell`the program ${quoted(program)} of profile ${quoted(profile)} is not found in PATH, or is no absolute path of a program`,
      fix: tell`holdfast configure writes a line with its whole path`,
    },
  ]
}
