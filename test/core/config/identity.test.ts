/** Flags over configuration. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Identity, isPkcs11Uri, mergeIdentity } from '../../../src/core/config/identity.js'

describe('mergeIdentity', () => {
  it('takes each field from the flags if it is there, else from the configuration', () => {
    const config = { region: 'eu-central-1', roleArn: 'config', useFipsEndpoint: true, sessionDuration: 900 }
    const flags = { roleArn: 'flag', profileArn: 'flag', useFipsEndpoint: false }
    assert.deepEqual(mergeIdentity(flags, config), {
      region: 'eu-central-1',
      roleArn: 'flag',
      profileArn: 'flag',
      useFipsEndpoint: false,
      sessionDuration: 900,
    })
  })

  it('does not count a flag that is undefined', () => {
    const config = {
      roleArn: 'config',
      privateKey: '/key',
      pinFile: '/pin',
      pkcs11Uri: 'pkcs11:?pin-source=/p',
    }
    const flags = {
      roleArn: undefined,
      pkcs11Uri: undefined,
      privateKey: undefined,
      pinFile: undefined,
      askpass: undefined,
    }
    assert.deepEqual(mergeIdentity(flags, config), config)
  })

  it('changes neither of the two', () => {
    const config = Object.freeze({
      privateKey: '/key',
      pinFile: '/pin',
      certificate: 'pkcs11:?pin-source=/p',
    })
    const flags = Object.freeze({ pkcs11Uri: 'pkcs11:token=a', pinFile: '/other' })
    mergeIdentity(flags, config)
    assert.equal(config.pinFile, '/pin')
  })

  it('has every flag in its result, whatever the two say', () => {
    const text = (...texts: string[]) => fc.option(fc.constantFrom(...texts), { nil: undefined })
    const identity: fc.Arbitrary<Identity> = fc.record({
      pkcs11Uri: text('pkcs11:token=a', 'pkcs11:token=b?pin-source=/u'),
      certificate: text('/certificate', 'pkcs11:token=c?pin-source=/c'),
      privateKey: text('/key', 'pkcs11:token=d?pin-value=1'),
      pinFile: text('/pin'),
      askpass: text('/askpass'),
      pinGuard: fc.option(fc.constantFrom('on' as const, 'off' as const), { nil: undefined }),
    })
    fc.assert(
      fc.property(identity, identity, (flags, config) => {
        const merged = mergeIdentity(flags, config)
        for (const [field, value] of Object.entries(flags)) {
          if (value !== undefined) assert.equal(merged[field as keyof Identity], value)
        }
        assert.deepEqual(mergeIdentity(flags, {}), mergeIdentity({}, mergeIdentity(flags, {})))
      }),
    )
  })

  describe('pushes aside a key of the configuration', () => {
    it('that is a file, for a key in a token', () => {
      const config = { privateKey: '/key', certificate: '/certificate' }
      assert.deepEqual(mergeIdentity({ pkcs11Uri: 'pkcs11:token=a' }, config), {
        pkcs11Uri: 'pkcs11:token=a',
        certificate: '/certificate',
      })
    })

    it('that is in a token, for a key that is a file', () => {
      const config = { pkcs11Uri: 'pkcs11:token=a', pkcs11Module: 'm.so' }
      assert.deepEqual(mergeIdentity({ privateKey: '/key', certificate: '/certificate' }, config), {
        privateKey: '/key',
        certificate: '/certificate',
        pkcs11Module: 'm.so',
      })
    })

    it('but not for another flag', () => {
      const config = { pkcs11Uri: 'pkcs11:token=a', privateKey: '/key' }
      assert.deepEqual(mergeIdentity({ certificate: '/certificate' }, config), {
        ...config,
        certificate: '/certificate',
      })
    })

    it('but keeps two flags that exclude each other, for whoever reads them to refuse', () => {
      const flags = { pkcs11Uri: 'pkcs11:token=a', privateKey: '/key' }
      assert.deepEqual(mergeIdentity(flags, { privateKey: '/other' }), flags)
    })
  })

  describe('pushes aside the PIN of the configuration', () => {
    const config = {
      pkcs11Uri: 'pkcs11:token=a;id=%01?pin-source=/u&module-name=m',
      certificate: 'pkcs11:token=a;type=cert?pin-value=1234',
      pinFile: '/config-pin',
      askpass: '/config-askpass',
    }
    const bare = {
      pkcs11Uri: 'pkcs11:token=a;id=%01?module-name=m',
      certificate: 'pkcs11:token=a;type=cert',
      askpass: '/config-askpass',
    }

    it('for --pin-file', () => {
      assert.deepEqual(mergeIdentity({ pinFile: '/flag-pin' }, config), { ...bare, pinFile: '/flag-pin' })
    })

    it('for --askpass', () => {
      assert.deepEqual(mergeIdentity({ askpass: '/flag' }, config), { ...bare, askpass: '/flag' })
    })

    for (const query of ['pin-source=/f', 'pin-source=file:/f', 'pin-value=5678']) {
      it(`for ${query} in the URI of a flag`, () => {
        const pkcs11Uri = `pkcs11:token=b?${query}`
        assert.deepEqual(mergeIdentity({ pkcs11Uri }, config), { ...bare, pkcs11Uri })
        const certificate = `PKCS11:token=b?${query}`
        assert.deepEqual(mergeIdentity({ certificate }, config), { ...bare, certificate })
      })
    }

    it('in the URI of a private key', () => {
      const privateKey = 'pkcs11:token=a?pin-source=/u'
      assert.equal(mergeIdentity({ pinFile: '/flag-pin' }, { privateKey }).privateKey, 'pkcs11:token=a')
    })

    it('but not for a URI without a PIN', () => {
      const flags = { pkcs11Uri: 'pkcs11:token=b' }
      assert.deepEqual(mergeIdentity(flags, config), { ...config, ...flags })
    })

    it('and leaves files alone', () => {
      const files = { privateKey: '/pkcs11:key?pin-source=/u', certificate: './pkcs11:c' }
      assert.deepEqual(mergeIdentity({ pinFile: '/flag-pin' }, files), { ...files, pinFile: '/flag-pin' })
    })
  })

  it('refuses a URI that cannot be read', () => {
    assert.throws(() => mergeIdentity({ pkcs11Uri: 'pkcs11:token' }, {}), { code: 'URI_INVALID' })
    assert.throws(() => mergeIdentity({ pinFile: '/p' }, { certificate: 'pkcs11:token' }), {
      code: 'URI_INVALID',
    })
  })
})

describe('isPkcs11Uri', () => {
  for (const text of ['pkcs11:', 'pkcs11:token=a', 'PKCS11:token=a', ' \tpkcs11:token=a']) {
    it(`accepts "${text}"`, () => assert.ok(isPkcs11Uri(text)))
  }
  for (const text of ['', '/pkcs11:', './pkcs11:a', 'pkcs11', 'file:/pkcs11:', 'xpkcs11:', undefined]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.ok(!isPkcs11Uri(text)))
  }
})
