/** The check of the files that nothing refuses, though others could read or change them. */

import { resolve } from 'node:path'
import { type Identity, isPkcs11Uri } from '../core/config/identity.js'
import type { Examination, Outcome, Trouble } from '../core/doctor/diagnosis.js'
import { findFileTroubles } from '../core/doctor/file-diagnosis.js'
import { listed, shown, type Told, tell } from '../core/doctor/told.js'
import { awsConfigPath, awsCredentialsPath } from '../io/aws-files.js'
import { findFileFacts } from '../io/file-facts.js'
import { listSoftHsmFiles } from '../io/module/obstacle.js'
import { findTpmStore } from '../io/module/tpm-store.js'

interface WatchedFile {
  readonly what: Told
  readonly path: string | undefined
  readonly isSecret?: boolean
}

/** Makes the check. Files that are not there are somebody else's business. */
export function checkFiles(
  examination: Examination,
  identity: Outcome<Identity>,
  { env, uid }: { readonly env: Readonly<Record<string, string | undefined>>; readonly uid: number },
): Promise<Outcome<unknown>> {
  return examination.check('files', { identity }, ({ identity }) => {
    const { certificate, privateKey, intermediates } = identity
    const asFile = (text: string | undefined) => (isPkcs11Uri(text) ? undefined : text)
    const askpass = identity.askpass ?? env.HOLDFAST_ASKPASS
    const files: WatchedFile[] = [
      { what: tell`the private key`, path: asFile(privateKey), isSecret: true },
      { what: tell`the certificate`, path: asFile(certificate) },
      { what: tell`the intermediates`, path: intermediates },
      ...listTokenFiles(identity, env),
      { what: tell`the bundle of CAs`, path: env.AWS_CA_BUNDLE || undefined },
      { what: tell`the askpass program`, path: askpass?.includes('/') ? askpass : undefined },
      { what: tell`the AWS config file`, path: awsConfigPath(env) },
      { what: tell`the AWS credentials file`, path: awsCredentialsPath(env), isSecret: true },
    ]
    const seen: Told[] = []
    const troubles = files.flatMap(({ what, path, isSecret = false }): Trouble[] => {
      const facts = path === undefined ? undefined : findFileFacts(path, uid)
      if (facts === undefined) return []
      seen.push(shown(facts.path))
      return findFileTroubles(what, facts, { uid, isSecret })
    })
    const message = seen.length === 0 ? tell`none` : tell`nobody else can change ${listed(seen)}`
    return { value: undefined, message, troubles }
  })
}

/** What modules that keep tokens in files do not look at themselves. */
function listTokenFiles(
  { pkcs11Module = '' }: Identity,
  env: Readonly<Record<string, string | undefined>>,
): WatchedFile[] {
  if (/softhsm/.test(pkcs11Module)) {
    const [config, folder] = listSoftHsmFiles(env)
    return [
      { what: tell`SoftHSM's configuration`, path: config },
      { what: tell`the folder of SoftHSM's tokens`, path: folder },
    ]
  }
  if (!/tpm2/.test(pkcs11Module)) return []
  return [{ what: tell`the store of tpm2-pkcs11`, path: findTpmStore(env, resolve('.')) }]
}
