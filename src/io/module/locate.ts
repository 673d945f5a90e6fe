/**
 * Finds the file of a PKCS#11 module, looks whether it may be loaded, and gives the module the environment that it
 * lacks. Loading it is io/token.
 */

import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
} from 'node:fs'
import { userInfo } from 'node:os'
import { basename } from 'node:path'
import { HoldfastError } from '../../core/errors.js'
import { findPathRisks, findTrustedOwners, formatPathRisk, isGroupOfOthers } from '../../core/path-trust.js'
import { ELF_START_LENGTH, findElfLength, findElfMachine } from '../../core/pkcs11/elf.js'
import {
  describePlaces,
  findDistribution,
  findPreset,
  formatInstallAdvice,
  type Machine,
  missingSettings,
  moduleFolders,
  modulePlaces,
  type PresetName,
} from '../../core/pkcs11/module-preset.js'
import { DEFAULT_MODULE, type ModuleReference } from '../../core/pkcs11/token-protocol.js'
import { formatList } from '../../core/pkcs11/token-search.js'
import { chooseStoreWithoutHome } from './tpm-store.js'

/** What the search needs of the process. */
export interface ModuleSurroundings {
  /** Effective user: beside root, the one in whose hands the module's file may be. */
  readonly uid: number
  readonly cwd: string
  readonly machine: Machine
  /** The environment that the module will see. What a preset needs is added to it. */
  readonly env: Record<string, string | undefined>
  /** Receives what is unsafe, but was root's choice. */
  readonly warn: (text: string) => void
}

/** A file that may be loaded. */
export interface LocatedModule {
  /** A path, or a bare name for the dynamic linker. */
  readonly path: string
  /** Which module it is, if it is one of the known. */
  readonly preset: PresetName | undefined
}

/**
 * The file that `reference` means.
 * @throws HoldfastError MODULE_NOT_FOUND, MODULE_INVALID, URI_INVALID
 */
export function locateModule(reference: ModuleReference, surroundings: ModuleSurroundings): LocatedModule {
  const { machine, env } = surroundings
  const path = findFile(reference, machine)
  verifyModuleFile(path, surroundings)
  const preset = 'preset' in reference ? reference.preset : findPreset(basename(path))
  if ('preset' in reference) Object.assign(env, missingSettings(reference.preset, env, existsSync))
  if ('preset' in reference && reference.preset === 'tpm2') {
    const store = chooseStoreWithoutHome(env, surroundings.cwd, findHome)
    if (store !== undefined) env.TPM2_PKCS11_STORE = store
  }
  return { path, preset }
}

/** Home folder of the account, for a process that was not told. */
function findHome(): string | undefined {
  try {
    return userInfo().homedir
  } catch {
    return undefined // a uid without an account
  }
}

function findFile(reference: ModuleReference, machine: Machine): string {
  if ('preset' in reference) return findPresetFile(reference.preset, machine)
  if ('name' in reference) return findNamedFile(reference, machine)
  if (reference.path !== DEFAULT_MODULE) return reference.path
  // The dynamic linker looks for a bare name in every folder of LD_LIBRARY_PATH: also in the current one, if there is
  // a stray colon. So where the distribution has the file, its path is taken.
  return modulePlaces('p11-kit', machine).find((place) => existsSync(place)) ?? reference.path
}

function findPresetFile(name: PresetName, machine: Machine): string {
  const path = modulePlaces(name, machine).find((place) => existsSync(place))
  if (path !== undefined) return path
  throw new HoldfastError(
    'MODULE_NOT_FOUND',
    `the PKCS#11 module ${name} is not installed: there is no ${describePlaces(name, machine)}, nor in pkcs11 or softhsm there. ${capitalize(formatInstallAdvice(name, readDistribution(machine)))}, or name the module's file with --pkcs11-module`,
  )
}

function capitalize(text: string): string {
  // A command stays as it is typed.
  return text.startsWith('install ') ? `I${text.slice(1)}` : `Run ${text}`
}

/** The family of this system, by /etc/os-release. */
export function readDistribution({ platform }: Machine): ReturnType<typeof findDistribution> {
  let osRelease: string | undefined
  try {
    osRelease = readFileSync('/etc/os-release', 'utf8')
  } catch {
    // Without it the advice is less exact.
  }
  return findDistribution(platform, osRelease)
}

/** The name comes without `lib` and `.so` (RFC 7512 §2.3). */
function findNamedFile(
  { name, directory }: { readonly name: string; readonly directory?: string | undefined },
  machine: Machine,
): string {
  if (name.includes('/')) {
    throw new HoldfastError('URI_INVALID', 'module-name is a name, not a path: use module-path for a path')
  }
  const directories = directory === undefined ? moduleFolders(machine) : [directory]
  const candidates = directories.flatMap((folder) => [`${folder}/${name}.so`, `${folder}/lib${name}.so`])
  const path = candidates.find((candidate) => existsSync(candidate))
  if (path !== undefined) return path
  throw new HoldfastError(
    'MODULE_NOT_FOUND',
    `no PKCS#11 module named ${JSON.stringify(name)} in ${formatList(directories)}: name the module's file with --pkcs11-module`,
  )
}

/** A module runs with the rights of its caller, so a file that others may change or replace is not loaded. */
function verifyModuleFile(path: string, { uid, machine, warn }: ModuleSurroundings): void {
  if (!path.includes('/')) return
  const file = statSync(path, { throwIfNoEntry: false })
  if (file === undefined) {
    const known = findPreset(basename(path))
    const advice =
      known === undefined
        ? ''
        : `; ${formatInstallAdvice(known, readDistribution(machine))} brings one, which --pkcs11-module ${known} finds`
    throw new HoldfastError(
      'MODULE_NOT_FOUND',
      `there is no PKCS#11 module at ${path}: name the module's file with --pkcs11-module${advice}`,
    )
  }
  if (!file.isFile()) {
    throw new HoldfastError(
      'MODULE_INVALID',
      `${path} is not a file: name the file of a PKCS#11 module with --pkcs11-module`,
    )
  }
  const refuse = (why: string) =>
    new HoldfastError('MODULE_INVALID', `the PKCS#11 module ${path} is not loaded: ${why}`)
  if ((file.mode & 0o002) !== 0) throw refuse(`everyone can write it: chmod o-w ${path}`)
  if ((file.mode & 0o020) !== 0 && isGroupOfOthers(file.gid, uid)) {
    throw refuse(`group ${file.gid} can write it: chmod g-w ${path}`)
  }
  const facts = { lstatSync, readlinkSync }
  if (!findTrustedOwners(uid, facts).has(file.uid)) {
    throw refuse(`it belongs to uid ${file.uid}, neither root nor uid ${uid}: chown root ${path}`)
  }
  for (const risk of findPathRisks(path, uid, facts)) {
    if (!risk.isRootsChoice) throw refuse(formatPathRisk(risk))
    warn(`the PKCS#11 module ${path} is loaded, but ${formatPathRisk(risk)}`)
  }
  verifyElf(path, file.size, machine)
}

/**
 * The dynamic linker passes over a file for another processor, and then says that there is none; and one that is cut off
 * ends the process.
 */
function verifyElf(path: string, size: number, { arch }: Machine): void {
  const start = readStart(path)
  const length = findElfLength(start)
  if (size < length) {
    throw new HoldfastError(
      'MODULE_INVALID',
      `the PKCS#11 module ${path} is cut off: it has ${size} bytes, and what is to be loaded of it ends at ${length}: install it again`,
    )
  }
  const built = findElfMachine(start)
  if (built === undefined || built === arch) return
  throw new HoldfastError(
    'MODULE_INVALID',
    `the PKCS#11 module ${path} is for another kind of machine (${built}; this Node is for ${arch}): install the vendor's module for ${arch}, or name it with --pkcs11-module`,
  )
}

/** Empty where the file cannot be read: then the dynamic linker says why. */
function readStart(path: string): Uint8Array {
  const start = Buffer.alloc(ELF_START_LENGTH)
  try {
    const file = openSync(path, 'r')
    try {
      return start.subarray(0, readSync(file, start))
    } finally {
      closeSync(file)
    }
  } catch {
    return start.subarray(0, 0)
  }
}
