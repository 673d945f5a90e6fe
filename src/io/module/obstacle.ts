/**
 * What keeps a module from its tokens: a daemon that does not run, a device that the user may not open, a store that
 * cannot be used. Modules say of all of these CKR_GENERAL_ERROR, or that there are no tokens. It is looked for only
 * after a failure.
 */

import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { HoldfastError } from '../../core/errors.js'
import { findInstallCommand, type Machine } from '../../core/pkcs11/module-preset.js'
import type { ModuleInfo } from '../../core/pkcs11/pkcs11-match.js'
import { lacksResourceManager, parseTcti, RESOURCE_MANAGED_DEVICE } from '../../core/pkcs11/tpm-access.js'
import { type LocatedModule, readDistribution } from './locate.js'
import { findStoreFault, findTpmStore } from './tpm-store.js'

/** Where the module runs. */
export interface ObstacleSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly machine: Machine
}

/**
 * What is in the way of the module, with the command that mends it; undefined if nothing is known to be.
 * @param library what the module says of itself, if it could be initialized
 * @returns an error with the code DEVICE_UNREACHABLE, STORE_UNUSABLE or TOKEN_NOT_FOUND
 */
export function findObstacle(
  { path, preset }: LocatedModule,
  surroundings: ObstacleSurroundings,
  library?: ModuleInfo,
): HoldfastError | undefined {
  if (path.endsWith('p11-kit-client.so')) return findServerObstacle(surroundings, library)
  switch (preset) {
    case 'tpm2':
      return findTpmObstacle(surroundings, library)
    case 'softhsm':
      return findSoftHsmObstacle(surroundings)
    case 'ykcs11':
    case 'opensc':
      return findReaderObstacle(surroundings)
    case 'yubihsm':
      return findUnset(
        surroundings,
        'YUBIHSM_PKCS11_CONF',
        'its configuration file, such as /etc/yubihsm_pkcs11.conf',
      )
    case 'luna':
      return findUnset(surroundings, 'ChrystokiConfigurationPath', 'the folder of Chrystoki.conf')
    default:
      return undefined
  }
}

/** What may go wrong later with a module that works now; undefined if nothing is known to. */
export function findRisk({ preset }: LocatedModule, { env }: ObstacleSurroundings): string | undefined {
  const { TPM2_PKCS11_TCTI: tcti } = env
  if (preset !== 'tpm2' || tcti === undefined || !lacksResourceManager(parseTcti(tcti))) return undefined
  return `nothing manages the TPM's sessions at TPM2_PKCS11_TCTI=${tcti}: a process that is killed leaves its own there, and after a few no login works; use device:${RESOURCE_MANAGED_DEVICE}, or tabrmd: with tpm2-abrmd`
}

const unreachable = (message: string) => new HoldfastError('DEVICE_UNREACHABLE', message)
const unusable = (message: string) => new HoldfastError('STORE_UNUSABLE', message)

/** Who runs this, for commands to copy. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return 'USER' // a uid without an account
  }
}

function mayUse(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}

/** @param library what the module says of itself: it could be initialized, so the TPM answered */
function findTpmObstacle(
  { env, cwd }: ObstacleSurroundings,
  library: ModuleInfo | undefined,
): HoldfastError | undefined {
  const fault = findStoreFault(findTpmStore(env, cwd), library?.version)
  if (fault?.kind === 'unusable') return unusable(fault.message)
  if (library !== undefined) {
    return fault?.kind === 'empty' ? new HoldfastError('TOKEN_NOT_FOUND', fault.message) : undefined
  }
  const { TPM2_PKCS11_TCTI: text, TPM2_PKCS11_BACKEND: backend } = env
  if (backend !== undefined && backend !== 'esysdb' && backend !== 'fapi') {
    return unusable(
      `TPM2_PKCS11_BACKEND=${backend} is no backend of tpm2-pkcs11: leave it out, or say esysdb`,
    )
  }
  const { kind, target } = parseTcti(text ?? 'device')
  const obstacle =
    kind === 'device' ? findDeviceObstacle(text === undefined ? [target, '/dev/tpm0'] : [target]) : undefined
  if (obstacle !== undefined) return obstacle
  if (fault?.kind === 'perhaps too new') return unusable(fault.message)
  if (kind === 'device') return undefined
  const mend =
    kind === 'tabrmd'
      ? 'start tpm2-abrmd, and install the client’s part (Debian: libtss2-tcti-tabrmd0)'
      : 'start it, or correct the variable'
  return unreachable(
    `no TPM answers at TPM2_PKCS11_TCTI=${text}: ${mend}; --debug shows what the module printed`,
  )
}

/** @param devices those that the module tries, best first */
function findDeviceObstacle(devices: readonly string[]): HoldfastError | undefined {
  const found = devices.find((device) => existsSync(device))
  if (found === undefined) {
    return unreachable(
      `there is no TPM at ${devices[0]}: switch it on in the firmware's setup, give it to the container (--device ${devices[0]}), or say in TPM2_PKCS11_TCTI how it is reached`,
    )
  }
  if (mayUse(found, constants.R_OK | constants.W_OK)) return undefined
  return unreachable(
    `user ${userName()} may not open the TPM ${found}: run usermod -aG tss ${userName()} and log in again, or in a systemd unit say SupplementaryGroups=tss`,
  )
}

/** pcscd's socket, where nobody has moved it. */
const PCSCD_SOCKET = '/run/pcscd/pcscd.comm'

function findReaderObstacle({ env, machine }: ObstacleSurroundings): HoldfastError | undefined {
  // macOS has its own service for readers.
  if (machine.platform !== 'linux') return undefined
  const socket = env.PCSCLITE_CSOCK_NAME ?? PCSCD_SOCKET
  if (!existsSync(socket)) {
    const packages = { debian: 'pcscd', fedora: 'pcsc-lite', alpine: 'pcsc-lite' }
    const install = findInstallCommand(packages, readDistribution(machine)) ?? 'install pcsc-lite'
    return unreachable(
      `pcscd, the daemon of smart card readers and YubiKeys, does not run (there is no ${socket}): ${install}, then systemctl enable --now pcscd.socket`,
    )
  }
  if (mayUse(socket, constants.W_OK)) return undefined
  return unreachable(
    `user ${userName()} may not use the smart card daemon’s socket ${socket}: let it in there`,
  )
}

/** SoftHSM's configuration, which need not be there if it is named, and the places where it may be if it is not. */
function findSoftHsmConfig(env: ObstacleSurroundings['env']) {
  const { SOFTHSM2_CONF: named, HOME: home } = env
  const places = [
    ...(home === undefined ? [] : [join(home, '.config/softhsm2/softhsm2.conf')]),
    '/etc/softhsm/softhsm2.conf',
    '/etc/softhsm2.conf',
  ]
  return { file: named ?? places.find((place) => existsSync(place)), places }
}

/** @throws Error of the file system */
function readTokenFolder(file: string): string | undefined {
  return /^\s*directories\.tokendir\s*=\s*(.*?)\s*$/m.exec(readFileSync(file, 'utf8'))?.[1]
}

/** SoftHSM's configuration and the folder of its tokens, as far as they can be found. */
export function listSoftHsmFiles(env: ObstacleSurroundings['env']): string[] {
  const { file } = findSoftHsmConfig(env)
  if (file === undefined || !mayUse(file, constants.R_OK)) return []
  const folder = readTokenFolder(file)
  return folder === undefined ? [file] : [file, folder]
}

function findSoftHsmObstacle({ env }: ObstacleSurroundings): HoldfastError | undefined {
  const { file, places } = findSoftHsmConfig(env)
  if (file === undefined || !existsSync(file)) {
    return unusable(
      `SoftHSM has no configuration (${file === undefined ? places.join(', ') : `SOFTHSM2_CONF=${file}`}): name one in SOFTHSM2_CONF, with the line "directories.tokendir = FOLDER"`,
    )
  }
  if (!mayUse(file, constants.R_OK)) {
    return unusable(
      `user ${userName()} may not read SoftHSM's configuration ${file}: run usermod -aG softhsm ${userName()} and log in again, or name another in SOFTHSM2_CONF`,
    )
  }
  const folder = readTokenFolder(file)
  if (folder === undefined || mayUse(folder, constants.R_OK | constants.X_OK)) return undefined
  const what = existsSync(folder) ? `may not be read by user ${userName()}` : 'does not exist'
  return unusable(`the folder of SoftHSM's tokens, ${folder} (directories.tokendir in ${file}), ${what}`)
}

function findUnset(
  { env, cwd }: ObstacleSurroundings,
  variable: string,
  meaning: string,
): HoldfastError | undefined {
  const value = env[variable]
  if (value !== undefined) {
    if (existsSync(resolve(cwd, value))) return undefined
    return unreachable(`${variable}=${value} does not exist: set it to ${meaning}`)
  }
  // Where YubiHSM's module looks by itself.
  if (existsSync(join(cwd, 'yubihsm_pkcs11.conf'))) return undefined
  return unreachable(`the environment lacks ${variable}: set it to ${meaning}`)
}

/** @see https://p11-glue.github.io/p11-glue/p11-kit/manual/remoting.html */
function findServerObstacle(
  { env }: ObstacleSurroundings,
  library: ModuleInfo | undefined,
): HoldfastError | undefined {
  const { P11_KIT_SERVER_ADDRESS: address, XDG_RUNTIME_DIR: runtime } = env
  if (address !== undefined && !/^(unix:path=|vsock:)/.test(address)) {
    return unreachable(
      `P11_KIT_SERVER_ADDRESS=${address} is not an address: write unix:path=/… as p11-kit server prints it`,
    )
  }
  // What the client calls itself then.
  if (library === undefined || !library.description.startsWith('p11-kit (no connection)')) return undefined
  const path = address?.replace(/^unix:path=/, '') ?? `${runtime ?? '/run/user/UID'}/p11-kit/pkcs11`
  const socket = statSync(decodePath(path), { throwIfNoEntry: false })
  const why =
    socket === undefined ? 'there is no such socket' : 'nobody listens there, or you may not connect'
  return unreachable(
    `no p11-kit server answers at ${path} (${why}): start it with p11-kit server --provider MODULE "pkcs11:token=…", and set P11_KIT_SERVER_ADDRESS to the address that it prints`,
  )
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
