/**
 * Where tpm2-pkcs11 keeps its tokens. All of them have the same serial number, so the store tells them apart.
 * @see https://github.com/tpm2-software/tpm2-pkcs11/blob/1.9.0/src/lib/db.c (db_get_existing)
 */

import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { TokenIdentity } from '../../core/pin/pin.js'
import { readTable } from '../../core/pkcs11/sqlite.js'
import { isTpm } from '../../core/pkcs11/tpm-access.js'

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

/** What tells a token from all others: what it says of itself, without padding, and where that is not enough its store. */
export function identifyToken(
  token: TokenIdentity,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): TokenIdentity {
  const { manufacturer, model, serial, label } = token
  const identity = { manufacturer, model, serial, label }
  return isTpm(serial) ? { ...identity, store: findTpmStore(env, cwd) } : identity
}

/**
 * The store for a service without HOME, for which the module would make an empty one in whatever folder it is in: that
 * of the user's home folder, else the system's.
 * @param home of the account that the process runs as
 * @returns undefined where the module finds its store itself
 */
export function chooseStoreWithoutHome(
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
  home: () => string | undefined,
): string | undefined {
  if (env.TPM2_PKCS11_STORE !== undefined || env.HOME !== undefined) return undefined
  if (existsSync(join(cwd, DATABASE))) return undefined
  const store = findTpmStore({ HOME: home() }, cwd)
  return store === cwd ? SYSTEM_STORE : store
}

/** What is wrong with a store. */
export interface StoreFault {
  /** It cannot be used; it may be too new for the module, whose version is not known; there is nothing in it. */
  readonly kind: 'unusable' | 'perhaps too new' | 'empty'
  readonly message: string
}

/** Newest schema of the database that each 1.x version of the module reads. Later ones may read more. */
const NEWEST_SCHEMA: Readonly<Record<number, number>> = { 8: 7, 9: 8, 10: 9 }

/** What all versions that are in use read. */
const OLDER_SCHEMA = 8

/**
 * What keeps the module from using the store; undefined if nothing does.
 * @param version of the module, where it is known
 * @see https://github.com/tpm2-software/tpm2-pkcs11/blob/1.9.0/docs/DB_UPGRADE.md
 */
export function findStoreFault(
  folder: string,
  version: { readonly major: number; readonly minor: number } | undefined,
): StoreFault | undefined {
  const fault = (message: string, kind: StoreFault['kind'] = 'unusable') => ({
    kind,
    message: `the store of tpm2-pkcs11, ${folder}, ${message}`,
  })
  if (!existsSync(folder)) {
    return fault(
      `does not exist: name the right one in TPM2_PKCS11_STORE, or make it with mkdir -m 700 ${folder}`,
    )
  }
  // A lock file is made in it, also for a signature.
  const obstacle = findAccessError(folder)
  if (obstacle === 'EROFS') {
    return fault(
      `is on a read-only disk, and is written to even for a signature: mount it writable, or in a systemd unit say ReadWritePaths=${folder}`,
    )
  }
  if (obstacle !== undefined) {
    return fault(
      `may not be written by this user, and is written to even for a signature: chown it (${obstacle})`,
    )
  }
  const database = join(folder, DATABASE)
  if (!existsSync(database)) return fault(NO_TOKEN, 'empty')
  const unreadable = findAccessError(database)
  if (unreadable !== undefined) return fault(`has a database that this user may not use: chown ${database}`)
  try {
    const file = readFileSync(database)
    const schema = Number(readTable(file, 'schema')?.[0]?.[1] ?? 0)
    const newest = version?.major === 1 ? NEWEST_SCHEMA[version.minor] : undefined
    if (newest !== undefined && schema > newest) {
      return fault(
        `has a database of schema ${schema}, and version 1.${version!.minor} of the module reads up to ${newest}: install the version that made it, or name another store in TPM2_PKCS11_STORE`,
      )
    }
    if (version === undefined && schema > OLDER_SCHEMA) {
      return fault(
        `has a database of schema ${schema}, which versions of the module before 1.10 do not read: if this one is older, install the version that made the store; --debug shows what it printed`,
        'perhaps too new',
      )
    }
    return readTable(file, 'tokens')?.length === 0 ? fault(NO_TOKEN, 'empty') : undefined
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return fault(`has a damaged database: restore ${database} from a backup`)
  }
}

const NO_TOKEN =
  'has no token: name the store that has it in TPM2_PKCS11_STORE (a service may have no HOME, or another), or make a token'

/** The system's word for why a file or folder cannot be written, or undefined. */
function findAccessError(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}
