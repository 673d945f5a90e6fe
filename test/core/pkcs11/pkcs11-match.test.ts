/** Matching on unpadded fields (RFC 7512 section 2.5), and the URI of an object that was found. */

import assert from 'node:assert/strict'
import {
  formatObjectUri,
  matchesModule,
  matchesObject,
  matchesSlot,
  matchesToken,
  type ObjectInfo,
  type TokenInfo,
  unpad,
} from '../../../src/core/pkcs11/pkcs11-match.js'
import { parsePkcs11Uri } from '../../../src/core/pkcs11/pkcs11-uri.js'

const module = {
  manufacturer: 'SoftHSM'.padEnd(32),
  description: 'Implementation of PKCS11'.padEnd(32),
  version: { major: 2, minor: 6 },
}
const slot = {
  id: 0,
  manufacturer: 'SoftHSM project'.padEnd(32),
  description: 'SoftHSM slot ID 0x0'.padEnd(64),
}
const token: TokenInfo = {
  label: 'edge token'.padEnd(32),
  manufacturer: 'IBM'.padEnd(32, '\0'),
  model: 'SW   TPM'.padEnd(16, '\0'),
  serial: '0000000000000000',
  flags: 0x404,
  minPinLength: 4,
  maxPinLength: 255,
}
const key: ObjectInfo = { type: 'private', label: 'key', id: Uint8Array.of(1, 0) }

function checks<T>(matches: (uri: ReturnType<typeof parsePkcs11Uri>, info: T) => boolean, info: T) {
  return {
    accepts: (...texts: string[]) => {
      for (const text of texts) it(`accepts ${text}`, () => assert.ok(matches(parsePkcs11Uri(text), info)))
    },
    refuses: (...texts: string[]) => {
      for (const text of texts) it(`refuses ${text}`, () => assert.ok(!matches(parsePkcs11Uri(text), info)))
    },
  }
}

describe('unpad', () => {
  it('removes spaces and NUL at the end only', () => {
    assert.equal(unpad('SW   TPM\0\0\0'), 'SW   TPM')
    assert.equal(unpad(' a b \0 \0'), ' a b')
    assert.equal(unpad('     '), '')
    assert.equal(unpad('a\0b'), 'a\0b')
  })
})

describe('matchesModule', () => {
  const { accepts, refuses } = checks(matchesModule, module)
  accepts(
    'pkcs11:',
    'pkcs11:token=any',
    'pkcs11:library-manufacturer=SoftHSM',
    'pkcs11:library-description=Implementation%20of%20PKCS11;library-version=2.6',
  )
  refuses(
    'pkcs11:library-manufacturer=Soft',
    'pkcs11:library-manufacturer=',
    'pkcs11:library-description=other',
    'pkcs11:library-version=2',
    'pkcs11:library-version=3.6',
    'pkcs11:x-blah=some-value',
  )
})

describe('matchesSlot', () => {
  const { accepts, refuses } = checks(matchesSlot, slot)
  accepts('pkcs11:', 'pkcs11:slot-id=0', 'pkcs11:slot-manufacturer=SoftHSM%20project')
  accepts('pkcs11:slot-description=SoftHSM%20slot%20ID%200x0')
  refuses('pkcs11:slot-id=1', 'pkcs11:slot-manufacturer=x', 'pkcs11:slot-description=', 'pkcs11:type=unknown')

  it('tells slot 0 from the others', () => {
    assert.ok(!matchesSlot(parsePkcs11Uri('pkcs11:slot-id=0'), { ...slot, id: 1 }))
  })
})

describe('matchesToken', () => {
  const { accepts, refuses } = checks(matchesToken, token)
  accepts(
    'pkcs11:',
    'pkcs11:token=edge%20token',
    'pkcs11:model=SW%20%20%20TPM;manufacturer=IBM;serial=0000000000000000;token=edge%20token',
    'pkcs11:?unknown=ignored',
  )
  refuses(
    'pkcs11:token=edge',
    'pkcs11:token=Edge%20token',
    'pkcs11:token=',
    'pkcs11:model=SW',
    'pkcs11:manufacturer=IBM2',
    'pkcs11:serial=',
    'pkcs11:type=unknown',
    'pkcs11:model=SW%20%20%20TPM%20%20%20%20%20%20%20%20%20',
    'pkcs11:token=edge%20token;x-blah=some-value',
  )

  it('takes an empty attribute for an empty field only', () => {
    const blank = { ...token, serial: ' '.repeat(16) }
    assert.ok(matchesToken(parsePkcs11Uri('pkcs11:serial='), blank))
    assert.ok(!matchesToken(parsePkcs11Uri('pkcs11:serial=0'), blank))
  })
})

describe('matchesObject', () => {
  const { accepts, refuses } = checks(matchesObject, key)
  accepts(
    'pkcs11:',
    'pkcs11:object=key',
    'pkcs11:id=%01%00',
    'pkcs11:type=private',
    'pkcs11:token=any;id=%01%00',
  )
  refuses(
    'pkcs11:object=ke',
    'pkcs11:object=key%20',
    'pkcs11:id=%01',
    'pkcs11:id=%01%00%00',
    'pkcs11:id=',
    'pkcs11:type=cert',
    'pkcs11:type=unknown',
    'pkcs11:object=key;x-blah=some-value',
  )
})

describe('formatObjectUri', () => {
  it('writes a URI that matches this token and object', () => {
    const text = formatObjectUri(token, key)
    assert.equal(
      text,
      'pkcs11:model=SW%20%20%20TPM;manufacturer=IBM;serial=0000000000000000;token=edge%20token' +
        ';id=%01%00;object=key;type=private',
    )
    assert.ok(matchesToken(parsePkcs11Uri(text), token))
    assert.ok(matchesObject(parsePkcs11Uri(text), key))
  })

  it('tells objects apart that lack a label or an id', () => {
    const bare: ObjectInfo = { type: 'cert', label: '', id: new Uint8Array() }
    const uri = parsePkcs11Uri(formatObjectUri(token, bare))
    assert.ok(matchesObject(uri, bare))
    assert.ok(!matchesObject(uri, { ...bare, label: 'other' }))
    assert.ok(!matchesObject(uri, { ...bare, id: Uint8Array.of(1) }))
  })
})
