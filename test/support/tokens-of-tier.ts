/** What tests of administration run on: SoftHSM, and in the full tier a TPM in software too, which takes its time to make keys. */

import { createSoftHsmToken } from './softhsm.js'
import { createTpmToken } from './swtpm.js'

export const TOKENS_OF_TIER = {
  SoftHSM: createSoftHsmToken,
  ...(process.env.HOLDFAST_TEST_TIER === 'all' ? { 'tpm2-pkcs11': createTpmToken } : {}),
}
