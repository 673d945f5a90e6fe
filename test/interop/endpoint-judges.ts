/**
 * Programs that we did not write and that get credentials from where their environment points. Each prints
 * an access key, and once that has expired another one.
 */

import { execFile } from 'node:child_process'
import { resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../..')

/** How long the sessions last that they are judged with, not counting that their end is rounded up to a whole second. */
export const SESSION_SECONDS = 4

/** One such program. */
export interface EndpointJudge {
  readonly name: string
  /** Whether it knows AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE; if not, it takes the token from the environment. */
  readonly readsTokenFile: boolean
  /** Prints the access keys of a session, and of one after its expiry, as a JSON array. */
  readonly command: readonly string[]
}

/** The AWS CLI 2 that Debian has. */
export const AWS_CLI: EndpointJudge = {
  name: 'the AWS CLI 2',
  readsTokenFile: false,
  command: [
    'sh',
    '-c',
    `take() { /usr/bin/aws configure export-credentials --format process; }
     one=$(take) || exit
     expiry=$(printf %s "$one" | sed -n 's/.*"Expiration": "\\(.*\\)".*/\\1/p')
     while [ "$(date +%s)" -le "$(date +%s -d "$expiry")" ]; do sleep 0.2; done
     two=$(take) || exit
     printf '[%s,%s]' "$one" "$two" | python3 -c 'import json, sys
print(json.dumps([c["AccessKeyId"] for c in json.load(sys.stdin)]))'`,
  ],
}

/** The AWS SDK for JavaScript, through one of its providers, as its clients use it. */
export function awsSdkForJavaScript(
  provider: 'fromHttp' | 'fromContainerMetadata' | 'fromInstanceMetadata' | 'fromNodeProviderChain',
): EndpointJudge {
  const code = `
import { S3Client } from '@aws-sdk/client-s3'
import { ${provider} } from '@aws-sdk/credential-providers'
import { setTimeout as delay } from 'node:timers/promises'
const client = new S3Client({ region: 'us-east-1', credentials: ${provider}({}) })
const one = await client.config.credentials()
await delay(one.expiration.getTime() - Date.now() + 300)
const two = await client.config.credentials()
console.log(JSON.stringify([one.accessKeyId, two.accessKeyId]))`
  return {
    name: `the AWS SDK for JavaScript, ${provider}`,
    // This one is told by the relative URI of ECS, and by the token in the environment.
    readsTokenFile: provider !== 'fromContainerMetadata',
    command: [process.execPath, '--input-type=module', '--eval', code],
  }
}

/**
 * boto3 in the given Python. It takes what IMDS gives for good for 17 to 25 minutes, however soon it ends, and asks again
 * only when less than 15 minutes of that are left; here it asks at every use.
 */
export function boto3(python: string): EndpointJudge {
  const code = `
import datetime, json, time
import boto3
credentials = boto3.Session().get_credentials()
credentials._advisory_refresh_timeout = 30 * 60
def take():
    return credentials.get_frozen_credentials().access_key
one = take()
left = credentials._expiry_time - datetime.datetime.now(datetime.timezone.utc)
time.sleep(min(max(0, left.total_seconds()), 6) + 0.3)
print(json.dumps([one, take()]))`
  return { name: 'boto3', readsTokenFile: true, command: [python, '-c', code] }
}

/** Runs a judge in an environment that has only \`env\` to say about credentials. */
export function runJudge(
  { command: [program, ...args] }: EndpointJudge,
  env: Readonly<Record<string, string>>,
): Promise<{ stdout: string; stderr: string }> {
  const nowhere = {
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_REGION: 'us-east-1',
    HOME: '/nonexistent',
  }
  return new Promise((done) =>
    execFile(
      program!,
      args,
      { env: { PATH: process.env.PATH, ...nowhere, ...env }, cwd: ROOT, timeout: 60_000 },
      (_, stdout, stderr) => done({ stdout, stderr }),
    ).stdin!.end(),
  )
}
