/**
 * Whether a request to a loopback endpoint comes from a program of this machine that means this endpoint. A page in a
 * browser that has its own name rebound to 127.0.0.1 sends that name as Host; one that asks across origins sends Origin
 * or Sec-Fetch-Site; what somebody else passes on says so. No SDK sends any of these.
 * @see https://www.w3.org/TR/fetch-metadata/
 * @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
 */

import { isIPv6 } from 'node:net'
import { findHeader } from './endpoint-answer.js'
import type { HttpRequest } from './http-message.js'

/** Node's own fetch, which SDKs may use, sends Sec-Fetch-Mode; only browsers send Sec-Fetch-Site. */
const FOREIGN_HEADERS = ['origin', 'sec-fetch-site', 'x-forwarded-for', 'forwarded', 'via'] as const

/** The Host headers of an endpoint that is reached under these names: with the port, and without where it is HTTP's own. */
export function listHosts(names: readonly string[], port: number): string[] {
  return names.flatMap((name) => {
    const host = isIPv6(name) ? `[${name}]` : name
    return port === 80 ? [host, `${host}:80`] : [`${host}:${port}`]
  })
}

/** What is wrong with a request, if something is. @param hosts all that `Host` may be, as from {@link listHosts} */
export function findForeignSign(request: HttpRequest, hosts: readonly string[]): string | undefined {
  const host = findHeader(request, 'host')
  if (host === undefined) return 'no Host header'
  if (!hosts.includes(host.toLowerCase())) return `Host is ${JSON.stringify(host.slice(0, 100))}`
  const sign = FOREIGN_HEADERS.find((name) => findHeader(request, name) !== undefined)
  return sign === undefined ? undefined : `a header ${sign}`
}
