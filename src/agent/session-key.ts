/**
 * Whether two identities mean the same session: the same key and certificate, the same ARNs, region, duration and
 * session name, at the same endpoint. How the PIN is given and how long is waited does not matter.
 */

import { resolve } from 'node:path'
import { type Identity, isPkcs11Uri } from '../core/config/identity.js'
import { formatPkcs11Uri, parsePkcs11Uri } from '../core/pkcs11/pkcs11-uri.js'
import { parseSession } from '../provider.js'

/**
 * A text that is equal for two identities exactly if they mean the same session. It holds no PIN.
 * @param env for the variables that choose an endpoint
 * @throws HoldfastError USAGE, ARN_INVALID, URI_INVALID
 */
export function formatSessionKey(
  identity: Identity,
  env: Readonly<Record<string, string | undefined>>,
): string {
  const { endpoint, region, request } = parseSession(identity, env)
  const key = identity.privateKey ?? identity.pkcs11Uri ?? identity.certificate
  const certificate = identity.certificate ?? key
  const { trustAnchorArn, profileArn, roleArn, durationSeconds, roleSessionName } = request
  return JSON.stringify({
    key: key && formatPlace(key),
    certificate: certificate && formatPlace(certificate),
    ...{ trustAnchorArn, profileArn, roleArn, region, durationSeconds, roleSessionName },
    endpoint: endpoint.href,
  })
}

/** The same; undefined for an identity that is not complete. */
export function findSessionKey(
  identity: Identity,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  try {
    return formatSessionKey(identity, env)
  } catch {
    return undefined
  }
}

/** Only what finds the object: not where the PIN is, and not which module is to be loaded. */
function formatPlace(place: string): string {
  if (!isPkcs11Uri(place)) return resolve(place)
  const { pinSource: _, pinValue: __, modulePath: ___, moduleName: ____, ...uri } = parsePkcs11Uri(place)
  return formatPkcs11Uri(uri)
}
