/**
 * Profiles, endpoints and the agent's socket, judged by the AWS SDKs for Go, Java and Rust.
 */

import { findSdkProgram } from '../support/sdks.js'
import { describeEndpoints } from './endpoints.js'
import { describeProfiles } from './profiles.js'
import { judgeOfEndpoints, judgeOfProfiles } from './sdk-judges.js'

const GO = findSdkProgram('go')
const JAVA = findSdkProgram('java')
const RUST = findSdkProgram('rust')

async function build(): Promise<void> {
  await Promise.all([GO, JAVA, RUST].map((program) => program.build()))
}

describe('a profile with holdfast credential-process', function () {
  this.timeout(900_000)
  before(build)
  describeProfiles([
    judgeOfProfiles('the AWS SDK for Go', GO, { continuation: 'cut' }),
    judgeOfProfiles('the AWS SDK for Java', JAVA, {
      continuation: 'joined',
      saysInstead: 'Failed to refresh process-based credentials.',
    }),
    judgeOfProfiles('the AWS SDK for Rust', RUST, { continuation: 'joined' }),
  ])
})

describe('holdfast serve', function () {
  this.timeout(900_000)
  before(build)
  const judges = [
    judgeOfEndpoints('the AWS SDK for Go', GO),
    judgeOfEndpoints('the AWS SDK for Java', JAVA),
    judgeOfEndpoints('the AWS SDK for Rust', RUST),
  ]
  describeEndpoints({ container: judges, imds: judges, socket: judges })
})
