import assert from 'node:assert/strict'
import {
  findCommandTroubles,
  findHoldfastProfiles,
  findKeyTroubles,
  findVariableTroubles,
} from '../../../src/core/doctor/aws-diagnosis.js'

const files = (config: string, credentials = '') => ({
  configPath: '/home/u/.aws/config',
  config,
  credentialsPath: '/home/u/.aws/credentials',
  credentials,
})
const PROCESS = 'credential_process = holdfast credential-process edge\n'

describe('findHoldfastProfiles', () => {
  it('finds every profile that runs holdfast, by name or by path, in both files', () => {
    const config = `[default]\n${PROCESS}[profile "a b"]\ncredential_process = /opt/hf/bin.cjs credential-process x\n[profile other]\ncredential_process = other-tool\n[sso-session s]\n${PROCESS}`
    const found = findHoldfastProfiles(files(config, `[old]\n${PROCESS}`), '/opt/hf/bin.cjs')
    assert.deepEqual(
      found.map(({ name, file }) => [name, file]),
      [
        ['default', 'config'],
        ['a b', 'config'],
        ['old', 'credentials'],
      ],
    )
  })
})

describe('findKeyTroubles', () => {
  const profile = { name: 'edge', file: 'config', command: 'holdfast' } as const

  it('names static keys that win, and none of their values', () => {
    const credentials = '[edge]\naws_access_key_id = AKIACANARY\naws_secret_access_key = canary\n'
    const [trouble, ...others] = findKeyTroubles(profile, files(`[profile edge]\n${PROCESS}`, credentials))
    assert.equal(trouble?.status, 'fail')
    assert.match(trouble?.message ?? '', /aws_access_key_id in \/home\/u\/\.aws\/credentials/)
    assert.doesNotMatch(JSON.stringify(trouble), /canary/i)
    assert.deepEqual(others, [])
  })

  it('finds nothing where only others have keys', () => {
    const credentials = '[other]\naws_access_key_id = AKIA\n'
    assert.deepEqual(findKeyTroubles(profile, files(`[profile edge]\n${PROCESS}`, credentials)), [])
  })
})

describe('findCommandTroubles', () => {
  const troublesOf = (command: string) => findCommandTroubles({ name: 'edge', file: 'config', command })

  it('finds nothing in a line that all SDKs read alike', () => {
    assert.deepEqual(troublesOf('holdfast credential-process --pkcs11-uri "pkcs11:token=e;id=%01"'), [])
  })

  it('suggests the line as it should be', () => {
    const [trouble] = troublesOf('holdfast credential-process --pkcs11-uri pkcs11:token=e;id=%01')
    assert.equal(
      trouble?.fix,
      'credential_process = holdfast credential-process --pkcs11-uri "pkcs11:token=e;id=%01"',
    )
  })

  it('leaves a comment out of it', () => {
    for (const comment of ['# my key', '; my key']) {
      const fixes = troublesOf(`holdfast credential-process edge ${comment}`).map(({ fix }) => fix)
      assert.equal(fixes[0], 'credential_process = holdfast credential-process edge')
    }
  })

  it('suggests the configuration file for what cannot stand in such a line', () => {
    for (const line of [
      'holdfast --config $HOME/x',
      '~/bin/holdfast credential-process edge',
      'holdfast credential-process edge 2>/dev/null',
      'holdfast credential-process edge | cat',
      'true && holdfast credential-process edge',
    ]) {
      const fixes = troublesOf(line).map(({ fix }) => fix ?? '')
      assert.match(fixes[0] ?? '', /\[identity\.NAME\].*holdfast configure/, line)
    }
  })

  it('says what a shell makes of a redirection', () => {
    assert.match(
      troublesOf('holdfast credential-process edge 2>x')[0]!.message,
      /has ">" .* redirects what is read or written;/,
    )
  })

  it('never repeats a PIN', () => {
    for (const line of [
      'holdfast "pkcs11:?pin-value=canary"',
      'holdfast pkcs11:?pin-value=can\\ary;x',
      'holdfast "pkcs11:?pin-value=canary',
    ]) {
      const troubles = troublesOf(line)
      assert.ok(troubles.some(({ message }) => /pin-value/.test(message)))
      assert.doesNotMatch(JSON.stringify(troubles), /canary/)
    }
  })
})

describe('findVariableTroubles', () => {
  it('names variables that are set, and not their values', () => {
    const troubles = findVariableTroubles({
      AWS_ACCESS_KEY_ID: 'AKIACANARY',
      AWS_WEB_IDENTITY_TOKEN_FILE: '',
    })
    assert.equal(troubles.length, 1)
    assert.match(troubles[0]!.message, /^AWS_ACCESS_KEY_ID is set/)
    assert.doesNotMatch(JSON.stringify(troubles), /canary/i)
  })
})
