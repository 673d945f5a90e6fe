/** The checks of a key in a file and its certificate. */

import type { Identity } from '../core/config/identity.js'
import type { Examination, Outcome } from '../core/doctor/diagnosis.js'
import { shown, tell } from '../core/doctor/told.js'
import { parseCertificate } from '../core/x509/certificate.js'
import { readCertificates } from '../io/pem-file.js'
import { createSource, type SourceSurroundings } from '../source.js'
import { type KeyOutcomes, tellCertificate } from './certificate.js'

/** Makes the checks. The key is read, and signs nothing. */
export async function checkKeyFile(
  examination: Examination,
  identity: Outcome<Identity>,
  surroundings: SourceSurroundings & { readonly signal: AbortSignal },
): Promise<KeyOutcomes> {
  const file = await examination.check('certificate', { identity }, async ({ identity }) => {
    // What is missing is told by whoever makes a source of it.
    const source = createSource(identity, surroundings)
    const path = identity.certificate!
    const certificates = await readCertificates(path)
    return { value: source, message: tell`${certificates.length} in ${shown(path)}` }
  })
  const found = await examination.check('key', { identity, file }, ({ identity, file }) =>
    file.withSigner(
      async (signer) => {
        const certificate = parseCertificate(signer.certificate)
        return {
          value: { certificate, others: signer.chain },
          message: tell`${shown(identity.privateKey!)} belongs to ${tellCertificate(certificate)}`,
        }
      },
      { signal: surroundings.signal },
    ),
  )
  return { found, others: {} }
}
