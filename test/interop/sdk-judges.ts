/** The AWS SDKs for other languages as judges: of profiles, and of what their environment points to. */

import type { SdkProgram } from '../support/sdks.js'
import { type EndpointJudge, SESSION_SECONDS } from './endpoint-judges.js'
import type { Judge } from './judges.js'

/** An SDK that is told of a profile by the environment. */
export function judgeOfProfiles(
  name: string,
  { command }: SdkProgram,
  facts: Pick<Judge, 'continuation' | 'saysInstead'>,
): Judge {
  const of = (profile: string, ...env: string[]) => {
    return ['env', `AWS_PROFILE=${profile}`, 'AWS_REGION=us-east-1', ...env, ...command]
  }
  return {
    name,
    ...facts,
    takesKeys: true,
    callService: (profile, url) => [...of(profile, `AWS_ENDPOINT_URL_STS=${url}`), 'caller'],
    printCredentials: (profile) => [...of(profile), 'credentials'],
  }
}

/** An SDK that signs a call, and after the expiry of what it then had another one. */
export function judgeOfEndpoints(name: string, { command }: SdkProgram): EndpointJudge {
  // Some tell an expiry that is minutes before the real one.
  const untilExpiryMs = (SESSION_SECONDS + 1) * 1000 + 300
  return { name, readsTokenFile: true, command: [...command, 'refresh', String(untilExpiryMs)] }
}
