/**
 * All checks in their order, from the configuration to one session, and then the user's own AWS files. A check is made
 * when what it needs has passed; nothing is tried that a credential would not try.
 */

import { type Identity, isPkcs11Uri } from '../core/config/identity.js'
import type { Examination, Outcome } from '../core/doctor/diagnosis.js'
import { shown, tell } from '../core/doctor/told.js'
import { formatPinSource } from '../core/pin/pin.js'
import type { ClockFacts } from '../core/x509/certificate.js'
import type { Surroundings } from '../identity-provider.js'
import { findPinSource } from '../pin-answer.js'
import { createSource } from '../source.js'
import { checkAwsFiles } from './aws-files.js'
import { checkCertificate, type KeyOutcomes } from './certificate.js'
import { checkFiles } from './files.js'
import { checkKeyFile } from './key-file.js'
import { checkNetwork } from './network.js'
import { checkRequest } from './request.js'
import { checkSession } from './session.js'
import { checkTokenKey, parseObjectUris, type TokenKey } from './token.js'

/** What the checks need of the process and of the person. */
export interface DoctorSurroundings extends Omit<Surroundings, 'onCertificate'> {
  readonly programPath: string
  /** Of the identity, if it has one. */
  readonly name?: string | undefined
  /** False: nothing is tried with a PIN. */
  readonly login: boolean
  /** False: no session is asked for. */
  readonly session: boolean
}

const DEFAULT_TIMEOUT_SECONDS = 30

/** Makes all checks. Of an identity that is not there those are left out that need one. */
export async function examine(
  examination: Examination,
  identity: Outcome<Identity>,
  surroundings: DoctorSurroundings,
): Promise<void> {
  const { env, now, buildDate, uid } = surroundings
  const { warn } = surroundings
  // What the checks say themselves need not be said twice; that a key waits for a touch is for no report at the end.
  const around: DoctorSurroundings = {
    ...surroundings,
    warn: (text) => {
      if (!examination.findings.some(({ message }) => message === shown(text))) warn(text)
    },
  }
  const clock: ClockFacts = { now: now(), buildDate }
  const session = await checkRequest(examination, identity, env)
  const key = await checkKey(examination, identity, around)
  const certificate = await checkCertificate(examination, identity, key.found, clock)
  await checkFiles(examination, identity, { env, uid })
  const endpoint = session.passed ? { ...session, value: session.value.endpoint } : session
  const timeoutMs = (identity.passed ? (identity.value.timeout ?? DEFAULT_TIMEOUT_SECONDS) : 1) * 1000
  const network = await checkNetwork(examination, endpoint, { ...around, timeoutMs })
  if (surroundings.login && surroundings.session) {
    const others = { ...key.others, ...certificate, ...network }
    await checkSession(examination, { identity, session, chain: certificate.chain }, others, around)
  } else {
    await examination.skip(
      'session',
      tell`left out, by ${shown(surroundings.login ? '--no-session' : '--no-login')}`,
    )
  }
  await checkAwsFiles(examination, { ...surroundings, name: identity.passed ? surroundings.name : undefined })
}

function checkKey(
  examination: Examination,
  identity: Outcome<Identity>,
  around: DoctorSurroundings,
): Promise<KeyOutcomes> {
  const named = identity.passed ? identity.value : {}
  return isPkcs11Uri(named.privateKey ?? named.pkcs11Uri ?? named.certificate)
    ? checkTokenIdentity(examination, identity, around)
    : checkKeyFile(examination, identity, around)
}

async function checkTokenIdentity(
  examination: Examination,
  identity: Outcome<Identity>,
  around: DoctorSurroundings,
): Promise<KeyOutcomes> {
  const key = await examination.check('key-source', { identity }, async ({ identity }) => {
    createSource(identity, around)
    const pin = (await findPinSource(identity, around))!
    const value: TokenKey = { identity, pin, uris: parseObjectUris(identity) }
    const uri = (identity.privateKey ?? identity.pkcs11Uri ?? identity.certificate)!
    return { value, message: tell`${shown(uri)}, and its PIN from the ${shown(formatPinSource(pin))}` }
  })
  return checkTokenKey(examination, key, around)
}
