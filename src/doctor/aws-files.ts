/**
 * The checks of the user's own AWS files: whether SDKs ask Holdfast at all, and whether all of them read its command alike.
 */

import { isAbsolute } from 'node:path'
import type { ProcessProfile } from '../core/aws-files/aws-config.js'
import { splitCommand } from '../core/aws-files/command-line.js'
import { mergeIdentity } from '../core/config/identity.js'
import {
  type AwsFiles,
  findCommandTroubles,
  findFileTroubles,
  findHoldfastProfiles,
  findKeyTroubles,
  findVariableTroubles,
} from '../core/doctor/aws-diagnosis.js'
import type { Examination, Examined, Trouble } from '../core/doctor/diagnosis.js'
import { findArguments, parseProcessArguments } from '../core/doctor/process-arguments.js'
import { listed, quoted, saidBy, shown, tell } from '../core/doctor/told.js'
import { HoldfastError } from '../core/errors.js'
import { mayHaveAgent } from '../io/agent-socket/presence.js'
import { awsConfigPath, awsCredentialsPath } from '../io/aws-files.js'
import { loadIdentity } from '../io/config-file.js'
import { readTextFile } from '../io/edited-file.js'
import { isExecutable, isOnPath } from '../io/executable.js'
import { parseSession } from '../provider.js'

/** Whose files they are, and how this program was started. */
export interface AwsFileOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly programPath: string
  readonly uid: number
  /** The identity that all is about, if it has a name. */
  readonly name?: string | undefined
}

/** Makes the checks. */
export async function checkAwsFiles(examination: Examination, options: AwsFileOptions): Promise<void> {
  const { env } = options
  const found = await examination.check('aws-files', {}, () => readFiles(options))
  await examination.check('aws-keys', { found }, ({ found: { files, profiles } }) => ({
    value: undefined,
    message: tell`no other keys win over credential_process`,
    troubles: profiles.flatMap((profile) => findKeyTroubles(profile, files)),
  }))
  await examination.check('aws-command', { found }, async ({ found: { profiles } }) => {
    const troubles: Trouble[] = []
    for (const profile of profiles) {
      const found = findCommandTroubles(profile)
      // Of a line that not all read alike nobody knows the words.
      if (found.length === 0) found.push(...(await findArgumentTroubles(profile, options)))
      troubles.push(...found, ...(await findProgramTroubles(profile.name, profile.command, env)))
    }
    return {
      value: undefined,
      message: tell`all SDKs read each command alike, and each names what it needs`,
      troubles,
    }
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

async function readFiles({ env, programPath, name }: AwsFileOptions): Promise<Examined<FoundProfiles>> {
  const [configPath, credentialsPath] = [awsConfigPath(env), awsCredentialsPath(env)]
  const [config, credentials] = [await readTextFile(configPath), await readTextFile(credentialsPath)]
  const files = { configPath, config, credentialsPath, credentials }
  const profiles = findHoldfastProfiles(files, programPath)
  const names = listed(profiles.map(({ name }) => quoted(name)))
  const places = tell`${shown(configPath)} and ${shown(credentialsPath)}`
  const message =
    profiles.length === 0
      ? tell`no profile in ${places} runs holdfast`
      : tell`in ${places} holdfast is run by ${names}`
  const troubles = findFileTroubles(files)
  if (name !== undefined && !profiles.some(({ command }) => splitCommand(command).words.includes(name))) {
    troubles.push({
      status: 'warn',
      message: tell`no profile in ${places} runs holdfast for the identity ${quoted(name)}`,
      fix: tell`holdfast configure ${shown(name)}, unless programs get its credentials from holdfast serve or holdfast update`,
    })
  }
  return { value: { files, profiles }, message, troubles }
}

/** Whether the command would come as far as to the token. */
async function findArgumentTroubles(
  { name: profile, command }: ProcessProfile,
  { env, uid, programPath }: AwsFileOptions,
): Promise<Trouble[]> {
  const words = findArguments(splitCommand(command).words, programPath)
  if (words === undefined) return []
  try {
    const { name, flags, config: configFile, agent, agentDir } = parseProcessArguments(words)
    const isAgents = agent && mayHaveAgent(env, { folder: agentDir, name })
    const identity =
      name === undefined
        ? flags
        : await loadIdentity(name, { env, uid, configFile }).catch((error: HoldfastError) => {
            // The configuration of a system agent need not be everybody's to read.
            if (!isAgents || !/^CONFIG_(UNREADABLE|NOT_FOUND)$/.test(error.code)) throw error
          })
    if (identity !== undefined) parseSession(mergeIdentity(flags, identity), env)
    return []
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    return [
      {
        status: 'fail',
        code: error.code,
        message: tell`the credential_process of profile ${quoted(profile)} gives no credentials: ${saidBy(error)}`,
        fix: tell`correct the line, or have holdfast configure NAME write it`,
      },
    ]
  }
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
