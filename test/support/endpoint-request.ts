/** Requests and credentials for the tests of the endpoints. */

import type { Credentials } from '../../src/core/credentials.js'
import type { HttpRequest } from '../../src/core/endpoints/http-message.js'

/** A request as io would hand it on. */
export function requestOf(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
): HttpRequest {
  return { method, target, headers, body: new Uint8Array() }
}

/** Credentials whose secrets can be told from all other text. */
export const CREDENTIALS: Credentials = {
  accessKeyId: 'ASIAEXAMPLE',
  secretAccessKey: 'canary-secret-key',
  sessionToken: 'canary-session-token',
  expiration: new Date('2030-01-02T03:04:05.678Z'),
  accountId: '111122223333',
}
