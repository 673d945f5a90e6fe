/**
 * Asks a YubiKey whether it will wait for a touch, so that its user can be told. Other modules have no such question,
 * and are not asked.
 */

import pkcs11js from 'pkcs11js'
import { type ModuleInfo, unpad } from '../../core/pkcs11/pkcs11-match.js'
import { describeToken, type FoundKey } from '../../core/pkcs11/token-search.js'
import {
  ATTESTATION_LABEL,
  CKA_YUBICO_TOUCH_POLICY,
  findAttestedTouchPolicy,
  findTouchPolicy,
  type TouchPolicy,
} from '../../core/pkcs11/touch-policy.js'
import type { PresentToken, Sessions } from './session.js'

/** What a person must do for a signature with the key; undefined where the token does not say that it wants anything. */
export function findTouchNotice(
  library: ModuleInfo,
  sessions: Sessions,
  token: PresentToken,
  key: FoundKey<Buffer>,
): string | undefined {
  if (!unpad(library.manufacturer).startsWith('Yubico')) return undefined
  const policy = readPolicy(sessions, token, key)
  if (policy === 'always') return `touch your key: ${describeToken(token.info)} waits for it`
  if (policy === 'cached') return `touch your key if it blinks: ${describeToken(token.info)} may wait for it`
  return undefined
}

/** ykcs11 up to 2.7 takes the attribute for new keys but does not show it; its attestation of the key says the same. */
function readPolicy(sessions: Sessions, token: PresentToken, key: FoundKey<Buffer>): TouchPolicy | undefined {
  try {
    const shown = sessions.attribute(token, key.handle, CKA_YUBICO_TOUCH_POLICY)?.[0]
    if (shown !== undefined) return findTouchPolicy(shown)
    const attestation = sessions
      .objects(token, [
        { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_CERTIFICATE },
        { type: pkcs11js.CKA_ID, value: Buffer.from(key.id) },
      ])
      .find((object) =>
        sessions.attribute(token, object, pkcs11js.CKA_LABEL)?.toString('utf8').startsWith(ATTESTATION_LABEL),
      )
    const value = attestation && sessions.attribute(token, attestation, pkcs11js.CKA_VALUE)
    return value && findAttestedTouchPolicy(value)
  } catch {
    return undefined // nothing that a signature may fail for
  }
}
