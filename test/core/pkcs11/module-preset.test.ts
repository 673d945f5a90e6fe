/** Words for PKCS#11 modules: where their files are looked for, what installs them, what their environment lacks. */

import assert from 'node:assert/strict'
import {
  describePlaces,
  findDistribution,
  findInstallCommand,
  findPreset,
  formatInstallAdvice,
  isPresetName,
  libraryFolders,
  missingSettings,
  modulePlaces,
  PRESET_NAMES,
} from '../../../src/core/pkcs11/module-preset.js'

const DEBIAN = { platform: 'linux', arch: 'x64' }
const ARM = { platform: 'linux', arch: 'arm64' }
const MAC = { platform: 'darwin', arch: 'arm64' }

describe('isPresetName', () => {
  it('knows the eight words, and no path, file name or property of objects', () => {
    for (const name of PRESET_NAMES) assert.ok(isPresetName(name), name)
    assert.equal(PRESET_NAMES.length, 8)
    for (const text of ['', 'SoftHSM', './tpm2', 'libsofthsm2.so', 'constructor']) {
      assert.ok(!isPresetName(text), text)
    }
  })
})

describe('modulePlaces', () => {
  const places: [name: (typeof PRESET_NAMES)[number], machine: typeof DEBIAN, path: string][] = [
    ['softhsm', DEBIAN, '/usr/lib/softhsm/libsofthsm2.so'],
    ['softhsm', DEBIAN, '/usr/lib64/pkcs11/libsofthsm2.so'],
    ['softhsm', MAC, '/opt/homebrew/lib/softhsm/libsofthsm2.so'],
    ['softhsm', MAC, '/usr/local/lib/softhsm/libsofthsm2.so'],
    ['tpm2', DEBIAN, '/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so'],
    ['tpm2', DEBIAN, '/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1'],
    ['tpm2', ARM, '/usr/lib/aarch64-linux-gnu/pkcs11/libtpm2_pkcs11.so'],
    ['tpm2', DEBIAN, '/usr/lib64/pkcs11/libtpm2_pkcs11.so'],
    ['tpm2', DEBIAN, '/usr/lib/pkcs11/libtpm2_pkcs11.so'],
    ['ykcs11', DEBIAN, '/usr/lib/x86_64-linux-gnu/libykcs11.so.2'],
    ['ykcs11', MAC, '/opt/homebrew/lib/libykcs11.dylib'],
    ['opensc', DEBIAN, '/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so'],
    ['opensc', MAC, '/Library/OpenSC/lib/opensc-pkcs11.so'],
    ['p11-kit', DEBIAN, '/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so'],
    ['p11-kit', DEBIAN, '/usr/lib64/p11-kit-proxy.so'],
    ['cloudhsm', DEBIAN, '/opt/cloudhsm/lib/libcloudhsm_pkcs11.so'],
    ['yubihsm', DEBIAN, '/usr/lib/x86_64-linux-gnu/pkcs11/yubihsm_pkcs11.so'],
    ['yubihsm', MAC, '/usr/local/lib/pkcs11/yubihsm_pkcs11.dylib'],
    ['luna', DEBIAN, '/usr/safenet/lunaclient/lib/libCryptoki2_64.so'],
  ]
  for (const [name, machine, path] of places) {
    it(`has ${path} for ${name}`, () => assert.ok(modulePlaces(name, machine).includes(path)))
  }

  it('looks into no folder of another processor or system', () => {
    for (const name of PRESET_NAMES) {
      assert.doesNotMatch(modulePlaces(name, ARM).join(), /x86_64|dylib|homebrew/i, name)
      assert.doesNotMatch(modulePlaces(name, MAC).join(), /linux-gnu|lib64/, name)
    }
    assert.ok(!libraryFolders({ platform: 'linux', arch: 'unheard-of' }).join().includes('undefined'))
  })

  it('has the file of Debian before one of a user’s own', () => {
    const all = modulePlaces('tpm2', DEBIAN)
    const [system, own] = ['/usr/lib/x86_64-linux-gnu/', '/usr/local/lib/'].map((folder) =>
      all.findIndex((place) => place.startsWith(folder)),
    )
    assert.ok(system! < own! && system !== -1)
  })

  it('is told in short by describePlaces', () => {
    assert.match(describePlaces('luna', DEBIAN), /^libCryptoki2_64\.so in \/usr\/safenet\/lunaclient\/lib, /)
  })
})

describe('findPreset', () => {
  it('knows a file by its name, with a version behind it or not', () => {
    assert.equal(findPreset('libtpm2_pkcs11.so'), 'tpm2')
    assert.equal(findPreset('libtpm2_pkcs11.so.1.9.0'), 'tpm2')
    assert.equal(findPreset('libykcs11.so.2'), 'ykcs11')
  })
  it('knows nothing of other files', () => {
    for (const name of ['', 'libtpm2_pkcs11.sold', 'my-libsofthsm2.so', 'onepin-opensc-pkcs11.so']) {
      assert.equal(findPreset(name), undefined, name)
    }
  })
})

describe('missingSettings', () => {
  it('keeps FAPI quiet, unless the user has said what to log', () => {
    assert.deepEqual(
      missingSettings('tpm2', {}, () => false),
      { TSS2_LOG: 'fapi+NONE' },
    )
    assert.deepEqual(
      missingSettings('tpm2', { TSS2_LOG: '' }, () => true),
      {},
    )
  })

  it('names the first configuration that is there', () => {
    const exists = (path: string) => /^\/usr\/(safenet\/lunaclient\/config|local\/luna)\//.test(path)
    assert.deepEqual(missingSettings('luna', {}, exists), {
      ChrystokiConfigurationPath: '/usr/safenet/lunaclient/config',
    })
    assert.deepEqual(
      missingSettings('luna', {}, () => true),
      { ChrystokiConfigurationPath: '/etc' },
    )
    assert.deepEqual(missingSettings('luna', { ChrystokiConfigurationPath: '/own' }, exists), {})
  })

  it('names no configuration where there is none', () => {
    assert.deepEqual(
      missingSettings('yubihsm', {}, () => false),
      {},
    )
    assert.deepEqual(
      missingSettings('yubihsm', {}, () => true),
      {
        YUBIHSM_PKCS11_CONF: '/etc/yubihsm_pkcs11.conf',
      },
    )
  })

  it('has nothing to add for the others', () => {
    for (const name of ['softhsm', 'ykcs11', 'opensc', 'p11-kit', 'cloudhsm'] as const) {
      assert.deepEqual(
        missingSettings(name, {}, () => true),
        {},
        name,
      )
    }
  })
})

describe('findDistribution', () => {
  const systems: [osRelease: string | undefined, distribution: string | undefined][] = [
    ['PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', 'debian'],
    ['ID=linuxmint\nID_LIKE="ubuntu debian"\n', 'debian'],
    ['ID=raspbian\nID_LIKE=debian', 'debian'],
    ['NAME="Fedora Linux"\nID=fedora\nVARIANT_ID=server', 'fedora'],
    ['ID="rocky"\nID_LIKE="rhel centos fedora"', 'fedora'],
    ['ID="amzn"\nID_LIKE="fedora"', 'fedora'],
    ['NAME="Alpine Linux"\nID=alpine', 'alpine'],
    ['ID=arch', undefined],
    ['VARIANT_ID=debian', undefined],
    ['', undefined],
    [undefined, undefined],
  ]
  for (const [osRelease, distribution] of systems) {
    it(`makes ${distribution} of ${JSON.stringify(osRelease)}`, () => {
      assert.equal(findDistribution('linux', osRelease), distribution)
    })
  }
  it('needs no file on macOS', () => assert.equal(findDistribution('darwin', undefined), 'macos'))
})

describe('formatInstallAdvice', () => {
  it('is the command of the distribution', () => {
    assert.equal(formatInstallAdvice('tpm2', 'debian'), 'apt-get install libtpm2-pkcs11-1')
    assert.equal(formatInstallAdvice('tpm2', 'fedora'), 'dnf install tpm2-pkcs11')
    assert.equal(formatInstallAdvice('softhsm', 'alpine'), 'apk add softhsm')
    assert.equal(formatInstallAdvice('ykcs11', 'macos'), 'brew install yubico-piv-tool')
  })
  it('is the name of the thing where no package is known', () => {
    assert.equal(formatInstallAdvice('tpm2', 'macos'), 'install tpm2-pkcs11')
    assert.match(formatInstallAdvice('luna', 'debian'), /^install the Luna HSM Client/)
    assert.equal(formatInstallAdvice('opensc', undefined), 'install OpenSC')
    assert.equal(findInstallCommand({ debian: 'x' }, undefined), undefined)
  })
})
