/** The last check: one session, asked for and signed as every other. What comes of it is thrown away. */

import type { Identity } from '../core/config/identity.js'
import type { Examination, Outcome } from '../core/doctor/diagnosis.js'
import { asJson, quoted, saidBy, shown, type Told, tell } from '../core/doctor/told.js'
import { HoldfastError } from '../core/errors.js'
import { blamesTrustPolicy } from '../core/roles-anywhere/refusal.js'
import { createTrustStatement, findOwnTags, formatName } from '../core/x509/subject-name.js'
import { createIdentityProvider, type Surroundings } from '../identity-provider.js'
import type { Session } from '../provider.js'
import type { Chain } from './certificate.js'

/** What the session is asked with. */
export interface SessionNeeds {
  readonly identity: Outcome<Identity>
  readonly session: Outcome<Session>
  readonly chain: Outcome<Chain>
}

/** Makes the check if `others` have passed as well. */
export function checkSession(
  examination: Examination,
  needs: SessionNeeds,
  others: Readonly<Record<string, Outcome<unknown>>>,
  surroundings: Surroundings,
): Promise<Outcome<unknown>> {
  return examination.check('session', { ...others, ...needs }, async ({ identity, session, chain }) => {
    const whose = shown(session.request.roleArn)
    try {
      const credentials = await createIdentityProvider(identity, surroundings)()
      const message = tell`Roles Anywhere gave credentials for ${whose}, good until ${credentials.expiration}`
      return { value: undefined, message }
    } catch (error) {
      const fix = error instanceof HoldfastError ? findRefusalFix(error, session, chain) : undefined
      if (!(error instanceof HoldfastError) || fix === undefined) throw error
      const refusal = { status: 'fail', code: error.code, message: saidBy(error), fix } as const
      return { value: undefined, message: tell``, troubles: [refusal] }
    }
  })
}

/** What to do about a refusal, where that can be said only with the certificate at hand. */
function findRefusalFix(
  error: HoldfastError,
  session: Session,
  { certificate, intermediates }: Chain,
): Told | undefined {
  const { trustAnchorArn } = session.request
  if (error.code === 'REFUSED_UNTRUSTED_CERTIFICATE') {
    const top = formatName((intermediates.at(-1) ?? certificate).issuer)
    return tell`let the trust anchor have the certificate of ${quoted(top)}, or name the intermediate certificates from there up to its CA with intermediates (--intermediates)`
  }
  if (!blamesTrustPolicy(error)) return undefined
  const others =
    findOwnTags(certificate).length > 0
      ? tell``
      : tell`, and others of its CA as well, since no common name, DNS name or URI tells it from them`
  return tell`a statement of the role's trust policy that lets this certificate in${others}: ${asJson(createTrustStatement(certificate, trustAnchorArn))}`
}
