/**
 * PKCS#11 modules that can be named by a word: where Debian, Fedora, Alpine and macOS keep their files, which package
 * they come in, and what they must find in their environment. What is on this machine is looked up in io/module.
 */

/** The words that may stand for a module's path. */
export const PRESET_NAMES = [
  'softhsm',
  'tpm2',
  'ykcs11',
  'opensc',
  'p11-kit',
  'cloudhsm',
  'yubihsm',
  'luna',
] as const

/** One of {@link PRESET_NAMES}. */
export type PresetName = (typeof PRESET_NAMES)[number]

/** True if `text` names a module by one of these words. */
export function isPresetName(text: string): text is PresetName {
  return (PRESET_NAMES as readonly string[]).includes(text)
}

/** Families of systems that install packages in one way. */
export type Distribution = 'debian' | 'fedora' | 'alpine' | 'macos'

/** A variable that the module reads, and what it is set to where nobody has set it. */
interface Setting {
  readonly variable: string
  readonly value: string
  /** Only where this file is there; of several settings of one variable the first that fits counts. */
  readonly ifExists?: string
}

interface ModulePreset {
  /** What people call the module or its device. */
  readonly title: string
  /** Names of its file, best first. */
  readonly files: readonly string[]
  /** Folders of the vendor's own, which are looked into before those of the system. */
  readonly folders?: readonly string[]
  /** Its package, where a distribution has one. */
  readonly packages: Readonly<Partial<Record<Distribution, string>>>
  readonly settings?: readonly Setting[]
}

/** @see https://docs.aws.amazon.com/cloudhsm/latest/userguide/pkcs11-library-install.html for the place of CloudHSM's */
const PRESETS: Readonly<Record<PresetName, ModulePreset>> = {
  softhsm: {
    title: 'SoftHSM',
    files: ['libsofthsm2.so'],
    packages: { debian: 'softhsm2', fedora: 'softhsm', alpine: 'softhsm', macos: 'softhsm' },
  },
  tpm2: {
    title: 'tpm2-pkcs11',
    files: ['libtpm2_pkcs11.so', 'libtpm2_pkcs11.so.1', 'libtpm2_pkcs11.so.0'],
    packages: { debian: 'libtpm2-pkcs11-1', fedora: 'tpm2-pkcs11', alpine: 'tpm2-pkcs11' },
    // Its second back end, FAPI, complains at each start of not being set up.
    settings: [{ variable: 'TSS2_LOG', value: 'fapi+NONE' }],
  },
  ykcs11: {
    title: 'ykcs11 of Yubico',
    files: ['libykcs11.so', 'libykcs11.so.2', 'libykcs11.dylib'],
    packages: {
      debian: 'ykcs11',
      fedora: 'yubico-piv-tool',
      alpine: 'yubico-piv-tool-libs',
      macos: 'yubico-piv-tool',
    },
  },
  opensc: {
    title: 'OpenSC',
    files: ['opensc-pkcs11.so'],
    folders: ['/Library/OpenSC/lib'],
    packages: { debian: 'opensc-pkcs11', fedora: 'opensc', alpine: 'opensc', macos: 'opensc' },
  },
  'p11-kit': {
    title: 'p11-kit',
    files: ['p11-kit-proxy.so', 'p11-kit-proxy.dylib'],
    packages: { debian: 'p11-kit-modules', fedora: 'p11-kit', alpine: 'p11-kit', macos: 'p11-kit' },
  },
  cloudhsm: {
    title: 'AWS CloudHSM’s PKCS #11 library (package cloudhsm-pkcs11)',
    files: ['libcloudhsm_pkcs11.so'],
    folders: ['/opt/cloudhsm/lib'],
    packages: {},
  },
  yubihsm: {
    title: 'YubiHSM 2’s module (yubihsm-shell, or Yubico’s SDK)',
    files: ['yubihsm_pkcs11.so', 'yubihsm_pkcs11.dylib'],
    packages: { debian: 'yubihsm-pkcs11', fedora: 'yubihsm-shell' },
    settings: [
      {
        variable: 'YUBIHSM_PKCS11_CONF',
        value: '/etc/yubihsm_pkcs11.conf',
        ifExists: '/etc/yubihsm_pkcs11.conf',
      },
    ],
  },
  luna: {
    title: 'the Luna HSM Client of Thales',
    files: ['libCryptoki2_64.so', 'libCryptoki2.so', 'libCryptoki2.dylib'],
    folders: [
      '/usr/safenet/lunaclient/lib',
      '/usr/safenet/lunaclient/libs/64',
      '/opt/safenet/lunaclient/lib',
      '/opt/safenet/lunaclient/libs/64',
      '/usr/local/luna/libs/64',
    ],
    packages: {},
    settings: ['/etc', '/usr/safenet/lunaclient', '/opt/safenet/lunaclient', '/usr/local/luna'].flatMap(
      (folder) =>
        [folder, `${folder}/config`].map((value) => ({
          variable: 'ChrystokiConfigurationPath',
          value,
          ifExists: `${value}/Chrystoki.conf`,
        })),
    ),
  },
}

/** Debian's names of machines, for `process.arch`. */
const TRIPLETS: Readonly<Record<string, string>> = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
  arm: 'arm-linux-gnueabihf',
  ppc64: 'powerpc64le-linux-gnu',
  riscv64: 'riscv64-linux-gnu',
  s390x: 's390x-linux-gnu',
}

/** What of a machine says where its libraries are: Node's names of system and processor. */
export interface Machine {
  readonly platform: string
  readonly arch: string
}

/** Folders of libraries: Debian's and its kin's, Fedora's, Alpine's, what a user builds; or both of Homebrew's. */
export function libraryFolders({ platform, arch }: Machine): string[] {
  if (platform === 'darwin') return ['/opt/homebrew/lib', '/usr/local/lib']
  const triplet = TRIPLETS[arch]
  return [
    ...(triplet === undefined ? [] : [`/usr/lib/${triplet}`]),
    '/usr/lib64',
    '/usr/lib',
    '/usr/local/lib64',
    '/usr/local/lib',
  ]
}

/** Folders in which PKCS#11 modules are: those of libraries, and what p11-kit and SoftHSM have below them. */
export function moduleFolders(machine: Machine): string[] {
  return libraryFolders(machine).flatMap((folder) => [`${folder}/pkcs11`, `${folder}/softhsm`, folder])
}

/** Every path that the file of a preset may have on such a machine, best first. */
export function modulePlaces(name: PresetName, machine: Machine): string[] {
  const { files, folders = [] } = PRESETS[name]
  const names = files.filter((file) => machine.platform === 'darwin' || !file.endsWith('.dylib'))
  return [...folders, ...moduleFolders(machine)].flatMap((folder) => names.map((file) => `${folder}/${file}`))
}

/** What to look for and where, for the message that it is not there. */
export function describePlaces(name: PresetName, machine: Machine): string {
  const { files, folders = [] } = PRESETS[name]
  return `${files[0]} in ${[...folders, ...libraryFolders(machine)].join(', ')}`
}

/** The preset whose file has this name, with or without a version behind it. */
export function findPreset(fileName: string): PresetName | undefined {
  return PRESET_NAMES.find((name) =>
    PRESETS[name].files.some((file) => fileName === file || fileName.startsWith(`${file}.`)),
  )
}

/**
 * What the environment of a preset's module lacks. What is set, even to nothing, stays.
 * @param exists tells whether a file is there
 */
export function missingSettings(
  name: PresetName,
  env: Readonly<Record<string, string | undefined>>,
  exists: (path: string) => boolean,
): Record<string, string> {
  const missing: Record<string, string> = {}
  for (const { variable, value, ifExists } of PRESETS[name].settings ?? []) {
    if (env[variable] !== undefined || variable in missing) continue
    if (ifExists === undefined || exists(ifExists)) missing[variable] = value
  }
  return missing
}

/**
 * The family of a system; undefined where it is none of those that are known.
 * @param osRelease the text of /etc/os-release, if there is one
 * @see os-release(5) for ID and ID_LIKE
 */
export function findDistribution(platform: string, osRelease: string | undefined): Distribution | undefined {
  if (platform === 'darwin') return 'macos'
  const ids = [...(osRelease ?? '').matchAll(/^ID(?:_LIKE)?=["']?([^"'\n]*)/gm)].flatMap(([, id]) =>
    id!.split(' '),
  )
  if (ids.includes('debian') || ids.includes('ubuntu')) return 'debian'
  if (ids.includes('fedora') || ids.includes('rhel')) return 'fedora'
  return ids.includes('alpine') ? 'alpine' : undefined
}

const INSTALL: Readonly<Record<Distribution, string>> = {
  debian: 'apt-get install',
  fedora: 'dnf install',
  alpine: 'apk add',
  macos: 'brew install',
}

/** The command that installs a package, or undefined where none is known. */
export function findInstallCommand(
  packages: Readonly<Partial<Record<Distribution, string>>>,
  distribution: Distribution | undefined,
): string | undefined {
  const name = distribution && packages[distribution]
  return name === undefined ? undefined : `${INSTALL[distribution!]} ${name}`
}

/** How a preset's module comes to this machine. */
export function formatInstallAdvice(name: PresetName, distribution: Distribution | undefined): string {
  const { packages, title } = PRESETS[name]
  return findInstallCommand(packages, distribution) ?? `install ${title}`
}
