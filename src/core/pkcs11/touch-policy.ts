/**
 * Whether a YubiKey waits for a touch before it signs with a key: Yubico's numbers for that, and where an attestation
 * certificate says it.
 * @see https://developers.yubico.com/PIV/Introduction/PIV_attestation.html for the extension
 */

/** When the key wants to be touched: never, for each signature, or once in 15 seconds. */
export type TouchPolicy = 'never' | 'always' | 'cached'

/** CKA_YUBICO_TOUCH_POLICY, a vendor's attribute. @see ykcs11/pkcs11y.h of Yubico/yubico-piv-tool */
export const CKA_YUBICO_TOUCH_POLICY = 0xd9554201

/** Beginning of the labels of the certificates by which a YubiKey attests where a key comes from. */
export const ATTESTATION_LABEL = 'X.509 Certificate for PIV Attestation'

const POLICIES: readonly (TouchPolicy | undefined)[] = [undefined, 'never', 'always', 'cached']

/** The policy that a number stands for; undefined for the default of the slot, and for others. */
export function findTouchPolicy(number: number | undefined): TouchPolicy | undefined {
  return number === undefined ? undefined : POLICIES[number]
}

/** Extension 1.3.6.1.4.1.41482.3.8: its OID, and the header of two bytes, which are the policies of PIN and touch. */
const POLICY_EXTENSION = Buffer.from('060a2b0601040182c40a03080402', 'hex')

/** What an attestation certificate (DER) says of its key; undefined where it says nothing. */
export function findAttestedTouchPolicy(certificate: Uint8Array): TouchPolicy | undefined {
  const bytes = Buffer.from(certificate.buffer, certificate.byteOffset, certificate.length)
  const start = bytes.indexOf(POLICY_EXTENSION)
  return start === -1 ? undefined : findTouchPolicy(bytes[start + POLICY_EXTENSION.length + 1])
}
