/**
 * The checks of the certificate that will be shown to Roles Anywhere, and of the intermediates that go with it.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html "Signature validation"
 */

import type { Identity } from '../core/config/identity.js'
import type { Examination, Examined, Outcome, Trouble } from '../core/doctor/diagnosis.js'
import { listed, quoted, saidBy, shown, type Told, tell } from '../core/doctor/told.js'
import { HoldfastError } from '../core/errors.js'
import {
  type Certificate,
  type ClockFacts,
  describe,
  signingAlgorithmOf,
  verifySuitable,
  verifyValidity,
} from '../core/x509/certificate.js'
import { findChain, isIssuer, readCandidates, verifyAuthority } from '../core/x509/chain.js'
import { findExpiryWarning, findIntermediateWarnings } from '../core/x509/expiry.js'
import { formatName } from '../core/x509/subject-name.js'
import { readCertificates } from '../io/pem-file.js'

/** A certificate, and what lies beside it: in its token, or in its file. */
export interface FoundCertificate {
  readonly certificate: Certificate
  /** DER. */
  readonly others: readonly Uint8Array[]
}

/** What came of the checks of a key, wherever that is. */
export interface KeyOutcomes {
  readonly found: Outcome<FoundCertificate>
  /** What else has to pass before a session. */
  readonly others: Readonly<Record<string, Outcome<unknown>>>
}

/** What is sent along with the certificate. */
export interface Chain {
  readonly certificate: Certificate
  /** Nearest first. */
  readonly intermediates: readonly Certificate[]
}

/** All outcomes, for the check that needs them. */
export interface CertificateOutcomes {
  readonly rules: Outcome<unknown>
  readonly expiry: Outcome<unknown>
  readonly chain: Outcome<Chain>
}

/** Makes the checks. */
export async function checkCertificate(
  examination: Examination,
  identity: Outcome<Identity>,
  found: Outcome<FoundCertificate>,
  clock: ClockFacts,
): Promise<CertificateOutcomes> {
  const rules = await examination.check('certificate-rules', { found }, ({ found }) =>
    examineRules(found.certificate),
  )
  const expiry = await examination.check('expiry', { found }, ({ found }) =>
    examineExpiry(found.certificate, clock),
  )
  const chain = await examination.check('chain', { identity, found }, ({ identity, found }) =>
    examineChain(identity, found, clock),
  )
  return { rules, expiry, chain }
}

/** `serial 0a of "CN=edge-1"` */
export function tellCertificate(certificate: Certificate): Told {
  return tell`${shown(describe(certificate))}, of ${quoted(formatName(certificate.subject))}`
}

function examineRules(certificate: Certificate): Examined<undefined> {
  verifySuitable(certificate)
  return {
    value: undefined,
    message: tell`X.509 version 3, no CA, digitalSignature, a subject, SHA-256 or better, ${shown(signingAlgorithmOf(certificate))}`,
  }
}

function examineExpiry(certificate: Certificate, clock: ClockFacts): Examined<undefined> {
  verifyValidity(certificate, clock)
  const warning = findExpiryWarning(certificate, clock.now)
  const message = tell`valid from ${certificate.notBefore} until ${certificate.notAfter}`
  if (warning === undefined) return { value: undefined, message }
  const fix = tell`holdfast enroll NAME --renew, or have it issued anew`
  return { value: undefined, message, troubles: [{ status: 'warn', message: shown(warning), fix }] }
}

async function examineChain(
  identity: Identity,
  found: FoundCertificate,
  clock: ClockFacts,
): Promise<Examined<Chain>> {
  const { certificate, others } = found
  const named = identity.intermediates === undefined ? [] : await readCertificates(identity.intermediates)
  const intermediates = findChain(certificate, [...readCandidates(others), ...named])
  const top = formatName((intermediates.at(-1) ?? certificate).issuer)
  return {
    value: { certificate, intermediates },
    message: tell`${intermediates.length} intermediate certificate${shown(intermediates.length === 1 ? '' : 's')}; the trust anchor must have the certificate of ${quoted(top)}`,
    troubles: [
      ...intermediates.flatMap((intermediate) => findAuthorityTroubles(intermediate, clock)),
      ...findStrayTroubles(identity.intermediates, named, [certificate, ...intermediates]),
    ],
  }
}

function findAuthorityTroubles(intermediate: Certificate, clock: ClockFacts): Trouble[] {
  const name = quoted(formatName(intermediate.subject))
  try {
    verifyAuthority(intermediate, clock)
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    const message = tell`the intermediate ${name} cannot lead to a trust anchor: ${saidBy(error)}`
    const fix = tell`put the certificate that this CA has now in its place (--intermediates)`
    return [{ status: 'fail', code: error.code, message, fix }]
  }
  return findIntermediateWarnings([intermediate], clock.now).map((warning) => ({
    status: 'warn',
    message: shown(warning),
  }))
}

/** A file of many CAs may well have some that are of no use here; but one must be, or there was no reason to name it. */
function findStrayTroubles(
  file: string | undefined,
  named: readonly Certificate[],
  chain: readonly Certificate[],
): Trouble[] {
  const isOfUse = (one: Certificate) =>
    chain.some((other) => Buffer.compare(one.der, other.der) === 0) || isIssuer(one, chain.at(-1)!)
  if (file === undefined || named.some(isOfUse)) return []
  const issuer = quoted(formatName(chain.at(-1)!.issuer))
  const names = listed(named.map(({ subject }) => quoted(formatName(subject))))
  return [
    {
      status: 'warn',
      message: tell`no certificate in ${shown(file)} is of use, since none is that of ${issuer}, the next CA; they are of ${names}`,
      fix: tell`name the certificate of ${issuer} and those from there up to the trust anchor's, or leave out intermediates (--intermediates)`,
    },
  ]
}
