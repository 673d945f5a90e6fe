/** Commands that mend what an error is about, where its message does not name one. */

import type { ErrorCode, HoldfastError } from '../errors.js'
import { type Told, tell } from './told.js'

const REMEDIES: Readonly<Partial<Record<ErrorCode, Told>>> = {
  CONFIG_NOT_FOUND: tell`write [identity.NAME] into one of these files, or have holdfast enroll NAME make it`,
  MODULE_NOT_FOUND: tell`install the module, and name its file or one of the known words (softhsm, tpm2, …) in pkcs11-module`,
  MODULE_INVALID: tell`name the file of a PKCS#11 module for this machine in pkcs11-module`,
  TOKEN_NOT_FOUND: tell`holdfast token list shows the tokens there are, with their URIs`,
  TOKEN_AMBIGUOUS: tell`put one of these URIs into pkcs11-uri`,
  PIN_INCORRECT: tell`correct the PIN where it is stored`,
  PIN_EXPIRED: tell`holdfast token set-pin`,
  PIN_GUARD_UNAVAILABLE: tell`name a folder of your own in state-dir (--state-dir)`,
  CERTIFICATE_NOT_FOUND: tell`holdfast cert list shows the certificates there are; holdfast cert import brings one in`,
  CERTIFICATE_AMBIGUOUS: tell`put one of these URIs into certificate`,
  CERTIFICATE_EXPIRED: tell`holdfast enroll NAME --renew, or have the certificate issued anew`,
  KEY_NOT_FOUND: tell`holdfast key list shows the keys there are`,
  KEY_MISMATCH: tell`holdfast cert list shows which certificate belongs to which key`,
  KEY_AMBIGUOUS: tell`put one of these URIs into private-key`,
  CLOCK_WRONG: tell`timedatectl set-ntp true`,
  PROXY_FAILED: tell`correct HTTPS_PROXY, or name the host in NO_PROXY`,
}

/** What more than its message there is to do about an error. */
export function findRemedy({ code }: HoldfastError): Told | undefined {
  return REMEDIES[code]
}
