/**
 * Where tpm2-pkcs11 keeps its tokens. All of them have the same serial number, so the store tells them apart.
 * @see https://github.com/tpm2-software/tpm2-pkcs11/blob/1.9.0/src/lib/db.c (db_get_existing)
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

const DATABASE = 'tpm2_pkcs11.sqlite3'

/** What tpm2-pkcs11 is built with unless its packager says otherwise. */
const SYSTEM_STORE = '/etc/tpm2_pkcs11'

/**
 * The folder that tpm2-pkcs11 reads its tokens from: that of `TPM2_PKCS11_STORE`, else the first of the system's, the
 * user's and the current one that holds a database. Nothing says that the module in use is tpm2-pkcs11.
 * @param cwd the current folder
 */
export function findTpmStore(env: Readonly<Record<string, string | undefined>>, cwd: string): string {
  const { TPM2_PKCS11_STORE: named, HOME: home } = env
  if (named !== undefined) return resolve(cwd, named)
  const folders = [SYSTEM_STORE, ...(home === undefined ? [] : [join(home, '.tpm2_pkcs11')])]
  return folders.find((folder) => existsSync(join(folder, DATABASE))) ?? cwd
}
