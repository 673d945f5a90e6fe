/**
 * Programs that we did not write and that get credentials from a profile: how each is asked for them, and how
 * it is made to use them.
 */

/** One such program. Each command line is for a profile of the AWS config file. */
export interface Judge {
  readonly name: string
  /** Whether it runs a command of several lines, as its shell joins them; hands it over with its backslashes; or loses some. */
  readonly continuation: 'joined' | 'whole' | 'cut'
  /** Whether it takes keys that stand in a profile, too. */
  readonly takesKeys: boolean
  /** What it says where it keeps our error to itself. */
  readonly saysInstead?: string
  /** Calls S3 or STS at the URL, and prints the access key that the answer names. */
  callService(profile: string, url: string): readonly string[]
  /** Prints the credentials as a `credential_process` would. Not every one can. */
  printCredentials?(profile: string): readonly string[]
}

/** An AWS CLI: the words that start it, and whether it can print credentials, as version 2 can. */
export function awsCli(name: string, command: readonly string[], { exports }: { exports: boolean }): Judge {
  const printCredentials = (profile: string) => {
    return [...command, 'configure', 'export-credentials', '--profile', profile, '--format', 'process']
  }
  return {
    name,
    continuation: 'whole',
    takesKeys: true,
    callService: (profile, url) => {
      const flags = ['--profile', profile, '--region', 'us-east-1', '--endpoint-url', url, '--output', 'text']
      return [...command, 's3api', 'list-buckets', '--query', 'Owner.ID', ...flags]
    },
    ...(exports ? { printCredentials } : {}),
  }
}

/** The AWS SDK for JavaScript, through one of its providers for profiles. */
export function awsSdkForJavaScript(provider: 'fromProcess' | 'fromIni'): Judge {
  const script = (body: string, ...args: string[]) => {
    const imports = `import { ${provider} } from '@aws-sdk/credential-providers'`
    const argument = 'const [profile, endpoint] = process.argv.slice(1)'
    const code = `${imports}\n${argument}\nconst credentials = ${provider}({ profile })\n${body}`
    return [process.execPath, '--input-type=module', '--eval', code, '--', ...args]
  }
  return {
    name: `the AWS SDK for JavaScript, ${provider}`,
    continuation: 'cut',
    takesKeys: provider === 'fromIni',
    callService: (profile, url) => script(LIST_BUCKETS_IN_JAVASCRIPT, profile, url),
    printCredentials: (profile) => script(PRINT_CREDENTIALS_IN_JAVASCRIPT, profile),
  }
}

/** boto3 in the given Python, used as the usual how-to does: a session of the profile, and clients of it. */
export function boto3(python: string): Judge {
  return {
    name: 'boto3',
    continuation: 'whole',
    takesKeys: true,
    callService: (profile, url) => [python, '-c', LIST_BUCKETS_IN_PYTHON, profile, url],
    printCredentials: (profile) => [python, '-c', PRINT_CREDENTIALS_IN_PYTHON, profile],
  }
}

const LIST_BUCKETS_IN_JAVASCRIPT = `
import { ListBucketsCommand, S3Client } from '@aws-sdk/client-s3'
const client = new S3Client({ region: 'us-east-1', endpoint, credentials })
const { Owner } = await client.send(new ListBucketsCommand({}))
console.log(Owner.ID)
`

const PRINT_CREDENTIALS_IN_JAVASCRIPT = `
const { accessKeyId, secretAccessKey, sessionToken, expiration } = await credentials()
console.log(JSON.stringify({
  AccessKeyId: accessKeyId,
  SecretAccessKey: secretAccessKey,
  SessionToken: sessionToken,
  Expiration: expiration.toISOString(),
}))
`

const LIST_BUCKETS_IN_PYTHON = `
import sys
import boto3

profile, endpoint = sys.argv[1:]
session = boto3.Session(profile_name=profile, region_name="us-east-1")
identity = session.client("sts", endpoint_url=endpoint).get_caller_identity()
owner = session.client("s3", endpoint_url=endpoint).list_buckets()["Owner"]["ID"]
assert identity["Arn"].endswith(owner)
print(owner)
`

const PRINT_CREDENTIALS_IN_PYTHON = `
import json
import sys
import boto3

credentials = boto3.Session(profile_name=sys.argv[1]).get_credentials()
frozen = credentials.get_frozen_credentials()
print(json.dumps({
    "AccessKeyId": frozen.access_key,
    "SecretAccessKey": frozen.secret_key,
    "SessionToken": frozen.token,
    "Expiration": credentials._expiry_time.isoformat(),
}))
`
