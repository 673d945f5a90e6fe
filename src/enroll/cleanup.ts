/**
 * Takes away what an enrolment has left: the pair that a renewal has replaced, or what an enrolment has made that was given
 * up. Nothing is removed that an identity of the configuration still uses.
 */

import { type Administer, type AdminSettings, withAdministration } from '../administration.js'
import { type Identity, isPkcs11Uri, mergeIdentity } from '../core/config/identity.js'
import {
  type EnrolledPair,
  type EnrolmentRecord,
  mayBeSameKey,
  type UnfinishedEnrolment,
} from '../core/enroll/enrolment.js'
import { HoldfastError } from '../core/errors.js'
import { formatPkcs11Uri, parsePkcs11Uri } from '../core/pkcs11/pkcs11-uri.js'
import { removeFile } from '../io/exchange-file.js'
import { type EnrolmentSurroundings, withType } from './enrolment.js'

/** What is needed to clean up. */
export interface Cleanup {
  /** Module and PIN of the token, as the identity has them. */
  readonly settings: AdminSettings
  /** All identities of the configuration by their names. */
  readonly identities: ReadonlyMap<string, Identity>
  readonly around: EnrolmentSurroundings
}

/**
 * Removes the pairs that renewals have replaced.
 * @returns what was removed: URIs and paths
 * @throws HoldfastError USAGE if one is still in use; those of the token
 */
export async function removeReplaced({ settings, identities, around }: Cleanup): Promise<string[]> {
  const removed: string[] = []
  for (let record = await around.load(); record.replaced.length > 0; record = await around.load()) {
    const [pair, ...replaced] = record.replaced as [EnrolledPair, ...EnrolledPair[]]
    const { uri, certificate, certificateFile, keyStays } = pair
    if (keyStays !== true) verifyUnused(uri, identities)
    if (certificateFile !== undefined) verifyUnused(certificateFile, identities)
    if (keyStays !== true) {
      await withAdministration({ ...settings, uris: [uri] }, around, around, (perform) =>
        deletePair(perform, uri, certificate),
      )
      removed.push(uri)
    }
    if (certificateFile !== undefined && (await removeFile(certificateFile))) removed.push(certificateFile)
    await around.save({ ...record, replaced })
  }
  return removed
}

/**
 * Gives up the enrolment that has begun: removes the key that was made for it, its certificate and its files.
 * @returns what was removed: URIs and paths
 * @throws HoldfastError USAGE if none has begun, or the configuration says already what it should; those of the token
 */
export async function abandon({ settings, identities, around }: Cleanup): Promise<string[]> {
  const { unfinished, ...record }: EnrolmentRecord = await around.load()
  if (unfinished === undefined)
    throw new HoldfastError('USAGE', 'no enrolment has begun: there is nothing to give up')
  const removed = await removeMade(unfinished, { settings, identities, around })
  const { requestFile, certificateFile, former } = unfinished
  const files = [around.candidateFile, requestFile]
  const isInUse =
    certificateFile === former?.certificateFile || findUser(certificateFile, identities) !== undefined
  if (!isInUse) files.push(certificateFile)
  for (const file of files) {
    if (file !== undefined && (await removeFile(file))) removed.push(file)
  }
  await around.save(record)
  return removed
}

async function removeMade(unfinished: UnfinishedEnrolment, cleanup: Cleanup): Promise<string[]> {
  const { token, access, keyLabel, keyUri, certificates } = unfinished
  const { around, identities } = cleanup
  const settings = mergeIdentity(cleanup.settings, access ?? {})
  if (keyLabel === undefined) return takeBackCertificate(unfinished, { ...cleanup, settings })
  if (keyUri !== undefined) verifyUnused(keyUri, identities)
  const uri = formatPkcs11Uri({ ...parsePkcs11Uri(token), type: 'private', object: keyLabel })
  return withAdministration({ ...settings, uris: [uri] }, around, around, async (perform) => {
    const { keys } = await perform('listObjects', { uri, login: true })
    for (const key of keys) await deletePair(perform, key.uri, certificates?.[0])
    return keys.map((key) => key.uri)
  })
}

/** Of a key that stays: its new certificate goes, unless the former one has gone already. */
async function takeBackCertificate(
  { accepted, keyUri, certificateFile, certificates, former }: UnfinishedEnrolment,
  { settings, around }: Cleanup,
): Promise<string[]> {
  // Nothing is stored before it is accepted.
  if (accepted === undefined || keyUri === undefined || certificateFile !== undefined) return []
  const uri = withType(keyUri, 'cert')
  return withAdministration({ ...settings, uris: [former?.uri ?? uri] }, around, around, async (perform) => {
    const stored = (await perform('readCertificates', { uri, login: true })).certificates
    const made = stored.find(({ der }) => der === certificates?.[0])
    if (made === undefined || !stored.some(({ der }) => der === former?.certificate)) return []
    return [...(await perform('deleteObjects', { uri: made.uri, der: made.der })).deleted]
  })
}

async function deletePair(perform: Administer, uri: string, certificate: string | undefined): Promise<void> {
  // A request that fails is the child's last one, so nothing is asked for that is not there.
  const { keys, certificates } = await perform('listObjects', { uri: withType(uri), login: true })
  for (const { uri: stored, der } of certificates) {
    if (der === certificate) await perform('deleteObjects', { uri: stored, der })
  }
  for (const key of keys) await perform('deleteObjects', { uri: key.uri })
}

/** @param what a key's URI, or the path of a certificate */
function verifyUnused(what: string, identities: ReadonlyMap<string, Identity>): void {
  const name = findUser(what, identities)
  if (name === undefined) return
  throw new HoldfastError(
    'USAGE',
    `${what} is not removed: the configuration of ${name} still names it; renew that, or finish what has begun`,
  )
}

/** Name of an identity that uses a key or a certificate. */
function findUser(what: string | undefined, identities: ReadonlyMap<string, Identity>): string | undefined {
  if (what === undefined) return undefined
  const isMeant = (used: string | undefined) =>
    isPkcs11Uri(used) ? isPkcs11Uri(what) && mayBeSameKey(used, what) : used === what
  for (const [name, { pkcs11Uri, privateKey, certificate }] of identities) {
    if ([pkcs11Uri, privateKey, certificate].some(isMeant)) return name
  }
  return undefined
}
