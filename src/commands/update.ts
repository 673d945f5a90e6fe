/**
 * `holdfast update [NAME]`: keeps credentials in a profile of the shared credentials file, for programs that read nothing
 * else.
 */

import type { Argv } from 'yargs'
import { keepProfile, type ProfileFile } from '../agent/profile-keeper.js'
import { listFiles } from '../agent/served.js'
import { createSingleTry } from '../agent/single-try.js'
import {
  dropExpired,
  hasLongLivedKey,
  setCredentials,
  verifyCredentialsProfile,
} from '../core/aws-files/credentials-file.js'
import { type CredentialProvider, formatExpiration } from '../core/credentials.js'
import { HoldfastError } from '../core/errors.js'
import { awsCredentialsPath, isOpenToOthers } from '../io/aws-files.js'
import { listConfigFiles } from '../io/config-file.js'
import { editFile } from '../io/edited-file.js'
import { fingerprintFiles } from '../io/file-fingerprint.js'
import { systemClock } from '../io/steady-clock.js'
import type { Context } from './context.js'
import { addIdentityOptions, createCommandProvider, type IdentityArguments, readIdentity } from './options.js'

/** Parsed flags. */
export interface UpdateArguments extends IdentityArguments {
  readonly profile: string
  readonly once: boolean
  readonly force: boolean
}

export function builder(argv: Argv): Argv {
  return addIdentityOptions(
    argv.positional('name', { type: 'string', describe: 'an identity of the configuration file' }),
  )
    .option('profile', {
      type: 'string',
      default: 'default',
      requiresArg: true,
      describe: 'profile of the credentials file',
    })
    .option('once', { type: 'boolean', default: false, describe: 'write one set, and end' })
    .option('force', {
      type: 'boolean',
      default: false,
      describe: 'replace a long-lived access key, too, which nobody can get back',
    })
    .example(
      'holdfast update edge --profile edge',
      'keep the profile edge up to date until it is told to end',
    )
    .example('holdfast update edge --once', 'write the profile default, for example from a timer')
}

/**
 * Runs until SIGTERM or SIGINT ends it; what is in the file then stays there. SIGHUP has it get a new set.
 * @throws HoldfastError of every kind until there is a first set, and with `--once`
 */
export async function run(argv: UpdateArguments, context: Context): Promise<void> {
  verifyCredentialsProfile(argv.profile)
  let files: string[] = []
  const singleTry = createSingleTry(() => fingerprintFiles(files))
  // Read for each set: a renewal puts another key into the configuration.
  const provider: CredentialProvider = async () => {
    const identity = await readIdentity(argv, context)
    files = [...listConfigFiles({ ...context, configFile: argv.config }), ...listFiles(identity)]
    const session = createCommandProvider({ ...identity, cache: false }, argv, context)
    return (identity.pinGuard === 'off' ? singleTry.guard(session) : session)()
  }
  const path = awsCredentialsPath(context.env)
  const profile = createProfileFile(path, argv, context)
  await profile.drop(context.now())
  if (await isOpenToOthers(path)) {
    context.stderr(`warning: every user can read the credentials in ${path}: chmod 600 ${path}`)
  }
  // Whoever closes the other end of stdout wants to read no more, which is no reason to end.
  const say = (text: string) => context.stdout(`profile ${argv.profile}: ${text}\n`).catch(() => undefined)
  if (argv.once) {
    const credentials = await provider()
    await profile.set(credentials)
    await say(`wrote credentials that expire at ${formatExpiration(credentials.expiration)}`)
    return
  }
  await keepProfile({
    provider,
    profile,
    clock: { ...systemClock, now: context.now },
    random: Math.random,
    say,
    warn: (text) => context.stderr(`warning: profile ${argv.profile}: ${text}`),
    onHangup: (renew) =>
      context.onHangup(() => {
        singleTry.forget()
        renew()
      }),
    signal: context.signal,
  })
}

function createProfileFile(
  path: string,
  { profile, force }: UpdateArguments,
  { uid, signal }: Context,
): ProfileFile {
  const edit = (change: (text: string) => string) =>
    editFile(
      path,
      (text) => {
        if (!force) verifyReplaceable(path, text, profile)
        return change(text)
      },
      { uid, signal },
    )
  return {
    set: (credentials) => edit((text) => setCredentials(text, profile, credentials)),
    drop: (at) => edit((text) => dropExpired(text, profile, at)),
  }
}

/** Temporary credentials would soon be gone anyway; nobody can get a long-lived key back. */
function verifyReplaceable(path: string, text: string, profile: string): void {
  if (!hasLongLivedKey(text, profile)) return
  throw new HoldfastError(
    'CONFIG_INVALID',
    `profile ${profile} in ${path} has an access key without a session token, which lives long and would be lost: choose another name with --profile, remove it there, or give --force; nothing was written`,
  )
}
