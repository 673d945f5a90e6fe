/** What kind of key a public key is, in one word. */

import { createPublicKey } from 'node:crypto'

/**
 * `p-256`, `p-384`, `p-521`, `rsa-2048` and so on; `unknown` for what is no such key.
 * @param publicKey DER SubjectPublicKeyInfo
 */
export function describeKeyType(publicKey: Uint8Array): string {
  const { asymmetricKeyType, asymmetricKeyDetails: details } = createPublicKey({
    key: Buffer.from(publicKey),
    format: 'der',
    type: 'spki',
  })
  if (asymmetricKeyType === 'rsa') return `rsa-${details?.modulusLength}`
  const names: Record<string, string> = { prime256v1: 'p-256', secp384r1: 'p-384', secp521r1: 'p-521' }
  return names[details?.namedCurve ?? ''] ?? 'unknown'
}
