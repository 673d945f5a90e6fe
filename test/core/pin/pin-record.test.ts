import assert from 'node:assert/strict'
import fc from 'fast-check'
import { HoldfastError } from '../../../src/core/errors.js'
import type { PinFileIdentity, TokenIdentity } from '../../../src/core/pin/pin.js'
import {
  damagedRecord,
  explainRefusal,
  findPinRecord,
  formatPinRecord,
  isOutdated,
  isPinRefusal,
  isRecordName,
  isTriedName,
  judgePinRecord,
  type PinRecord,
  pinRecordNames,
  refusedBefore,
  type StoredPinIdentity,
  stateDirectories,
} from '../../../src/core/pin/pin-record.js'

const token: TokenIdentity = {
  manufacturer: 'SoftHSM project',
  model: 'SoftHSM v2',
  serial: '1f',
  label: 'edge',
}
const pinFile: PinFileIdentity = {
  realpath: '/etc/holdfast/pin',
  device: '1',
  inode: '2',
  size: '3',
  mtimeNs: '4',
  ctimeNs: '5',
}
const file = (change: Partial<PinFileIdentity> = {}): StoredPinIdentity => ({
  kind: 'file',
  name: 'file /etc/holdfast/pin',
  pin: Buffer.from('471108'),
  file: { ...pinFile, ...change },
})
const secret = (pin: string, name = 'HOLDFAST_PIN'): StoredPinIdentity => ({
  kind: 'secret',
  name,
  pin: Buffer.from(pin),
})
const record = (change: Partial<PinRecord> = {}): PinRecord => ({
  version: 1,
  state: 'refused',
  token,
  source: 'HOLDFAST_PIN',
  since: '2026-01-02T03:04:05.678Z',
  writer: { pid: 42, startTime: '4711', bootId: 'c7c906cb' },
  reason: 'PIN_INCORRECT',
  ...change,
})

describe('pinRecordNames', () => {
  const tried = (pin: StoredPinIdentity, of = token) => pinRecordNames(of, pin).tried()

  it('keeps what it knows of a user PIN from an SO PIN out of the same place', () => {
    for (const pin of [file(), secret('471108')]) {
      const [user, so] = [pinRecordNames(token, pin), pinRecordNames(token, { ...pin, owner: 'so' })]
      assert.notEqual(user.prefix, so.prefix)
      assert.notEqual(user.good, so.good)
      assert.equal(pinRecordNames(token, { ...pin, owner: 'user' }).good, user.good)
      assert.ok(isRecordName(so.good) && isRecordName(so.tried()))
    }
  })
  it('gives a good file of which anything has changed another name', () => {
    const good = (pin: StoredPinIdentity) => pinRecordNames(token, pin).good
    const names = Object.keys(pinFile).map((key) => good(file({ [key]: 'x' })))
    assert.equal(new Set([...names, good(file())]).size, 7)
    assert.equal(good(file()), good({ ...file(), pin: Buffer.from('471109') }))
  })
  it('tells a tried file from another one by its path and the PIN in it, not by when it was written', () => {
    const { realpath, ...rest } = pinFile
    const names = Object.keys(rest).map((key) => tried(file({ [key]: 'x' })))
    assert.deepEqual(new Set(names), new Set([tried(file())]))
    assert.notEqual(tried(file({ realpath: '/elsewhere' })), tried(file()))
    assert.notEqual(tried({ ...file(), pin: Buffer.from('471109') }), tried(file()))
  })
  it('gives another token, and another store of a token without a serial, another name', () => {
    const tokens = Object.keys(token).map((key): TokenIdentity => ({ ...token, [key]: 'x' }))
    const names = [token, ...tokens, { ...token, store: '/etc/tpm2_pkcs11' }].map((of) => tried(file(), of))
    assert.equal(new Set(names).size, 6)
  })
  it('does not take a field for a part of its neighbour', () => {
    assert.notEqual(
      tried(file(), { ...token, manufacturer: 'ab', model: 'c' }),
      tried(file(), { ...token, manufacturer: 'a', model: 'bc' }),
    )
  })
  it('tells secrets, sources and tokens apart, and gives the same secret the same name', () => {
    const names = [
      tried(secret('471108')),
      tried(secret('471109')),
      tried(secret('471108', 'askpass program /bin/ask')),
      tried(secret('471108'), { ...token, serial: '20' }),
    ]
    assert.equal(new Set(names).size, 4)
    assert.equal(tried(secret('471108')), names[0])
  })
  it('keeps twelve bits of a secret, salted by token and source, and none of a good one', () => {
    const { prefix, good } = pinRecordNames(token, secret('471108'))
    const fingerprint = tried(secret('471108')).slice(prefix.length)
    assert.match(fingerprint, /^[0-9a-f]{3}\.json$/)
    assert.equal(good, pinRecordNames(token, secret('471109')).good)
    const elsewhere = pinRecordNames({ ...token, serial: '20' }, secret('471108'))
    assert.notEqual(elsewhere.tried().slice(elsewhere.prefix.length), fingerprint)
  })
  it('begins all names of one source, and of no other, alike', () => {
    for (const pin of [file(), secret('471108')]) {
      const { prefix, good, tried } = pinRecordNames(token, pin)
      assert(good.startsWith(prefix) && tried().startsWith(prefix))
    }
    assert.notEqual(pinRecordNames(token, file()).prefix, pinRecordNames(token, secret('1')).prefix)
    assert.equal(pinRecordNames(token, file()).prefix, pinRecordNames(token, file({ inode: 'x' })).prefix)
  })
})

describe('isRecordName', () => {
  it('knows all names of records and no other', () => {
    for (const pin of [file(), secret('471108')]) {
      const { prefix, good, tried } = pinRecordNames(token, pin)
      assert(isRecordName(good) && isRecordName(tried()))
      assert(isTriedName(tried()) && !isTriedName(good))
      for (const name of [`${good}.new`, `x${good}`, `${prefix}.json`, `${prefix}xyz.json`, 'a.json']) {
        assert.equal(isRecordName(name), false, name)
      }
    }
  })
})

describe('judgePinRecord', () => {
  it('allows a login where nothing speaks against it', () => {
    assert.equal(judgePinRecord(undefined, false), 'unproven')
    assert.equal(judgePinRecord(record({ state: 'good' }), false), 'proven')
  })
  it('takes a try without an end for a refusal, unless it is going on', () => {
    assert.equal(judgePinRecord(record({ state: 'refused' }), true), 'refused')
    assert.equal(judgePinRecord(record({ state: 'trying' }), false), 'refused')
    assert.equal(judgePinRecord(record({ state: 'trying' }), true), 'busy')
  })
})

describe('isPinRefusal', () => {
  const refuses = (code: ConstructorParameters<typeof HoldfastError>[0], provenBefore = false) =>
    isPinRefusal(new HoldfastError(code, ''), provenBefore)

  it('takes the token’s word for it', () => {
    assert(refuses('PIN_INCORRECT') && refuses('PIN_INCORRECT', true) && refuses('PIN_INVALID', true))
  })
  it('does not hold a lock against a PIN that was good', () => {
    assert.equal(refuses('PIN_LOCKED', true), false)
    assert.equal(refuses('PIN_LOCKED', false), true)
  })
  it('does not hold the lock of a TPM against any PIN', () => {
    assert.equal(isPinRefusal(new HoldfastError('PIN_LOCKED', ''), false, true), false)
    assert.equal(isPinRefusal(new HoldfastError('PIN_INCORRECT', ''), false, true), true)
  })
  it('holds a login that failed without a reason against a PIN that is not known to be good', () => {
    assert.equal(refuses('LOGIN_FAILED', true), false)
    assert.equal(refuses('LOGIN_FAILED', false), true)
  })
  it('blames no other error on the PIN', () => {
    for (const code of ['PIN_EXPIRED', 'TOKEN_REMOVED', 'TOKEN_FAILED', 'INTERRUPTED'] as const) {
      assert.equal(refuses(code), false)
    }
    assert.equal(isPinRefusal(new Error('PIN_INCORRECT'), false), false)
  })
})

describe('isOutdated', () => {
  it('is so after a day', () => {
    assert.equal(isOutdated(record(), new Date('2026-01-03T03:04:05Z')), false)
    assert.equal(isOutdated(record(), new Date('2026-01-03T03:04:06Z')), true)
  })
})

describe('findPinRecord', () => {
  it('reads what formatPinRecord wrote', () => {
    const { reason, ...good } = record({ state: 'good' })
    for (const one of [record(), good, record({ token: { ...token, store: '/s' } })]) {
      assert.deepEqual(findPinRecord(formatPinRecord(one)), one)
    }
  })
  it('reads no part of one', () => {
    const text = formatPinRecord(record()).trimEnd()
    for (let length = 0; length < text.length; length++) {
      assert.equal(findPinRecord(text.slice(0, length)), undefined)
    }
  })
  it('refuses another version, and fields that are missing or of another kind', () => {
    const bad = [
      { version: 2 },
      { state: 'unknown' },
      { token: { ...token, label: 1 } },
      { token: { ...token, store: null } },
      { token: undefined },
      { source: 7 },
      { since: 'yesterday' },
      { since: undefined },
      { writer: null },
      { writer: { pid: '1', startTime: '1', bootId: '' } },
      { reason: 'a secret text' },
    ]
    for (const change of bad) {
      assert.equal(
        findPinRecord(JSON.stringify({ ...record(), ...change })),
        undefined,
        JSON.stringify(change),
      )
    }
  })
  it('never throws', () => {
    fc.assert(fc.property(fc.json(), (text) => assert.equal(findPinRecord(text), undefined)))
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => assert.equal(findPinRecord(text), undefined)),
    )
  })
})

describe('refusedBefore', () => {
  it('says what was refused, when, why, and what to do, on one line', () => {
    const { code, message } = refusedBefore(record({ token: { ...token, label: 'a\nb' } }), '/state/pin')
    assert.equal(code, 'PIN_REFUSED_BEFORE')
    assert.match(
      message,
      /^token "a\\u\{a\}b" refused the PIN from HOLDFAST_PIN at 2026-01-02T03:04:05.678Z \(PIN_INCORRECT\); .* holdfast token retry-pin --state-dir \/state$/,
    )
  })
  it('says of a try without an end that its end is not known', () => {
    const { message } = refusedBefore(record({ state: 'trying' }), "/it's/pin")
    assert.match(message, /its end is not known.*retry-pin edge --state-dir '\/it'\\''s'$/)
  })
  it('says of a login that failed without a reason that the token did not blame the PIN', () => {
    const { message } = refusedBefore(record({ reason: 'LOGIN_FAILED' }), '/state/pin')
    assert.match(
      message,
      /^a login to token "edge" .* without a reason, .*retry-pin edge --state-dir \/state$/,
    )
  })
  it('says of a token that was locked that it did not judge the PIN', () => {
    const { message } = refusedBefore(record({ reason: 'PIN_LOCKED' }), '/state/pin')
    assert.match(
      message,
      /^token "edge" was locked at .* did not say .*: once it is unlocked, .*retry-pin edge /,
    )
  })
})

describe('explainRefusal', () => {
  it('says what to do after a login that failed without a reason, and leaves other errors alone', () => {
    const failed = explainRefusal(
      new HoldfastError('LOGIN_FAILED', 'login failed (0x5)'),
      record(),
      '/state/pin',
    )
    assert(failed instanceof HoldfastError && failed.code === 'LOGIN_FAILED')
    assert.match(
      failed.message,
      /^login failed \(0x5\); .*PIN from HOLDFAST_PIN counts as refused: .*retry-pin edge --state-dir \/state$/,
    )
    const incorrect = new HoldfastError('PIN_INCORRECT', 'wrong')
    assert.equal(explainRefusal(incorrect, record(), '/state/pin'), incorrect)
  })
})

describe('damagedRecord', () => {
  it('names the file to remove', () => {
    const { code, message } = damagedRecord('/state/pin/x.json', secret('471108'))
    assert.equal(code, 'PIN_REFUSED_BEFORE')
    assert.match(message, /\/state\/pin\/x\.json .* remove that file$/)
    assert.doesNotMatch(message, /4711/)
  })
})

describe('stateDirectories', () => {
  const env = {
    STATE_DIRECTORY: '/var/lib/a:/var/lib/b',
    XDG_STATE_HOME: '/x',
    HOME: '/home/u',
    XDG_RUNTIME_DIR: '/run/user/1',
  }

  it('takes only the named one, if there is one', () => {
    assert.deepEqual(stateDirectories(env, 0, 'here'), ['here'])
  })
  it('takes the unit’s, the user’s, the system’s for root, and the one that a reboot empties, in this order', () => {
    assert.deepEqual(stateDirectories(env, 1), ['/var/lib/a', '/x/holdfast', '/run/user/1/holdfast'])
    assert.deepEqual(stateDirectories(env, 0), [
      '/var/lib/a',
      '/x/holdfast',
      '/var/lib/holdfast',
      '/run/user/1/holdfast',
    ])
  })
  it('takes the home folder’s where XDG_STATE_HOME is not set, but not as root', () => {
    assert.deepEqual(stateDirectories({ HOME: '/home/u', XDG_STATE_HOME: '' }, 1), [
      '/home/u/.local/state/holdfast',
    ])
    assert.deepEqual(stateDirectories({ HOME: '/root' }, 0), ['/var/lib/holdfast'])
  })
  it('takes nothing that is not absolute, and nothing from nothing', () => {
    assert.deepEqual(
      stateDirectories({ STATE_DIRECTORY: 'a', XDG_STATE_HOME: 'x', HOME: 'h', XDG_RUNTIME_DIR: '' }, 1),
      [],
    )
    assert.deepEqual(stateDirectories({}, 1), [])
  })
})
