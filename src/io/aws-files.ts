/**
 * Where the AWS config and credentials files of this user are. What is in them is core/aws-files; how they are changed is
 * io/edited-file.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html
 */

import { stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { isMissing } from './disk.js'

type Environment = Readonly<Record<string, string | undefined>>

/** Absolute path of the config file: `AWS_CONFIG_FILE`, or `~/.aws/config`. */
export function awsConfigPath(env: Environment): string {
  return locate(env, env.AWS_CONFIG_FILE, 'config')
}

/** Absolute path of the credentials file: `AWS_SHARED_CREDENTIALS_FILE`, or `~/.aws/credentials`. */
export function awsCredentialsPath(env: Environment): string {
  return locate(env, env.AWS_SHARED_CREDENTIALS_FILE, 'credentials')
}

function locate(env: Environment, named: string | undefined, name: string): string {
  const home = env.HOME || homedir()
  if (!named) return join(home, '.aws', name)
  return resolve(named.replace(/^~(?=\/)/, home))
}

/** True if every user may read the file. */
export async function isOpenToOthers(path: string): Promise<boolean> {
  try {
    return ((await stat(path)).mode & 0o004) !== 0
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}
