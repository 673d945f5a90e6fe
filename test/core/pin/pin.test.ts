import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  choosePinSource,
  formatPinPrompt,
  formatPinSource,
  formatTriesLeft,
  type NamedPinSource,
  type PinRole,
  type PinSource,
  type PinSourceKind,
  parsePin,
  verifyNewPinLength,
  verifyPinLength,
  verifyPinMayBeTried,
} from '../../../src/core/pin/pin.js'

const file = (path: string): PinSource => ({ kind: 'file', path })
const flag: NamedPinSource = { from: '--pin-file', source: file('/flag') }
const uri: NamedPinSource = { from: 'pin-source of the token URI', source: file('/uri') }

describe('choosePinSource', () => {
  const everything = { systemdCredential: '/run/c/holdfast.pin', environment: '1234', askpass: '/bin/ask' }

  it('takes the named source before all that lies around', () => {
    assert.deepEqual(choosePinSource([flag], everything), file('/flag'))
  })
  it('refuses two named sources and names both', () => {
    assert.throws(() => choosePinSource([flag, uri], {}), {
      code: 'USAGE',
      message: /--pin-file and pin-source of the token URI/,
    })
  })
  it('refuses two pin-values that differ, without showing them', () => {
    const value = (pin: string): NamedPinSource => ({
      from: 'pin-value',
      source: { kind: 'pin-value', pin: Buffer.from(pin) },
    })
    assert.throws(
      () => choosePinSource([value('471108'), value('471109')], {}),
      (error: Error) => !error.message.includes('4711'),
    )
    assert.equal(choosePinSource([value('471108'), value('471108')], {}).kind, 'pin-value')
  })
  it('takes the same source named twice as one', () => {
    assert.deepEqual(choosePinSource([flag, { ...flag, from: 'pin-source' }], {}), file('/flag'))
  })
  it('takes systemd credential, HOLDFAST_PIN, askpass and terminal in this order', () => {
    assert.deepEqual(choosePinSource([], everything), {
      kind: 'systemd-credential',
      path: '/run/c/holdfast.pin',
    })
    assert.deepEqual(choosePinSource([], { ...everything, systemdCredential: undefined }), {
      kind: 'environment',
      pin: Buffer.from('1234'),
    })
    assert.deepEqual(choosePinSource([], { askpass: '/bin/ask' }), { kind: 'askpass', program: '/bin/ask' })
    assert.deepEqual(choosePinSource([], {}), { kind: 'terminal' })
  })
  it('takes an empty HOLDFAST_PIN and an empty askpass as not set', () => {
    assert.deepEqual(choosePinSource([], { environment: '', askpass: '' }), { kind: 'terminal' })
  })
})

describe('formatPinSource', () => {
  it('never shows a PIN', () => {
    for (const kind of ['environment', 'pin-value'] as const) {
      assert.doesNotMatch(formatPinSource({ kind, pin: Buffer.from('471108') }), /4711/)
    }
  })
  it('shows a path without its control characters', () => {
    assert.equal(formatPinSource(file('/etc/\u001b[2Jpin\n')), 'file /etc/\\u{1b}[2Jpin\\u{a}')
  })
})

describe('parsePin', () => {
  const parse = (bytes: string | Uint8Array) => {
    const pin = parsePin(Buffer.from(bytes), 'file /pin')
    assert.equal(pin.constructor, Uint8Array)
    return Buffer.from(pin).toString()
  }

  it('gives the first line without its line end', () => {
    for (const text of ['1234', '1234\n', '1234\r\n', '1234\r', '1234\nsecond\n', '1234\n\u0000\xff']) {
      assert.equal(parse(text), '1234')
    }
  })
  it('keeps blanks, colons and letters beyond ASCII', () => {
    assert.equal(parse(' user:pä ss \n'), ' user:pä ss ')
  })
  it('drops a byte order mark', () => {
    assert.equal(parse('\u{feff}1234\n'), '1234')
    assert.throws(() => parse('\u{feff}\n'), { code: 'PIN_INVALID', message: /empty/ })
  })
  it('refuses an empty first line', () => {
    for (const text of ['', '\n', '\r\n1234']) assert.throws(() => parse(text), { code: 'PIN_INVALID' })
  })
  it('refuses what is not UTF-8, what was decoded wrongly, and NUL', () => {
    for (const bytes of [[0x31, 0xff], [0xe4], [0xff, 0xfe, 0x31, 0], [0x31, 0, 0x32, 0]]) {
      assert.throws(() => parse(Uint8Array.from(bytes)), { code: 'PIN_INVALID' })
    }
    assert.throws(() => parse('p\u{fffd}ss'), { code: 'PIN_INVALID' })
  })
  it('gives a copy', () => {
    const bytes = Buffer.from('1234')
    const pin = parsePin(bytes, 'x')
    bytes.fill(0)
    assert.equal(Buffer.from(pin).toString(), '1234')
  })
  it('gives any line back, and never shows one in an error', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 4 }),
        fc.constantFrom('', '\n', '\r\n'),
        (text, end) => {
          const bytes = Buffer.from(text + end)
          try {
            assert.equal(
              parse(bytes),
              Buffer.from(text)
                .toString()
                .replace(/^\u{feff}/u, '')
                .split(/[\r\n]/)[0],
            )
          } catch (error) {
            assert.equal((error as { code: string }).code, 'PIN_INVALID')
            assert(!(error as Error).message.includes(text) || 'the PIN from file /pin'.includes(text))
          }
        },
      ),
    )
  })
})

describe('verifyPinLength', () => {
  const verify = (length: number, min: number, max: number) =>
    verifyPinLength(new Uint8Array(length), { min, max }, 'edge')

  it('refuses a PIN that is longer than the token takes', () => {
    assert.throws(() => verify(9, 4, 8), { code: 'PIN_INVALID', message: /8 bytes that token "edge"/ })
    verify(8, 4, 8)
  })
  it('leaves a short PIN to the token', () => verify(1, 4, 8))
  it('takes no notice of limits that mean nothing', () => {
    verify(99, 0, 0)
    verify(99, 0, 0xffffffff)
    verify(99, 8, 4)
  })
})

describe('verifyPinMayBeTried', () => {
  const kinds: PinSourceKind[] = [
    'file',
    'systemd-credential',
    'environment',
    'pin-value',
    'askpass',
    'terminal',
  ]
  const ordinary = 0x40d

  it('lets any PIN be tried on an ordinary token, also when tries are few', () => {
    for (const kind of kinds) {
      verifyPinMayBeTried(ordinary, kind, 'edge')
      verifyPinMayBeTried(ordinary | 0x10000, kind, 'edge')
    }
  })
  it('stakes the final try only on a PIN that was typed', () => {
    verifyPinMayBeTried(ordinary | 0x30000, 'terminal', 'edge')
    for (const kind of kinds.filter((kind) => kind !== 'terminal')) {
      assert.throws(() => verifyPinMayBeTried(ordinary | 0x30000, kind, 'edge'), {
        code: 'PIN_FINAL_TRY',
        message: /by hand, with no other PIN source: holdfast key list$/,
      })
    }
  })
  it('refuses a token that is locked, wants a new PIN, or has a PIN pad', () => {
    for (const kind of kinds) {
      assert.throws(() => verifyPinMayBeTried(ordinary | 0x70000, kind, 'edge'), { code: 'PIN_LOCKED' })
      assert.throws(() => verifyPinMayBeTried(ordinary | 0x80000, kind, 'edge'), { code: 'PIN_EXPIRED' })
      assert.throws(() => verifyPinMayBeTried(ordinary | 0x100, kind, 'edge'), {
        code: 'PIN_PAD_UNSUPPORTED',
      })
    }
  })
  it('goes by the other flags where the SO PIN is tried', () => {
    for (const kind of kinds) {
      verifyPinMayBeTried(ordinary | 0xf0000, kind, 'edge', 'so')
      assert.throws(() => verifyPinMayBeTried(ordinary | 0x400000, kind, 'edge', 'so'), {
        code: 'PIN_LOCKED',
        message: /^the SO PIN /,
      })
      assert.throws(() => verifyPinMayBeTried(ordinary | 0x800000, kind, 'edge', 'so'), {
        code: 'PIN_EXPIRED',
      })
      assert.throws(() => verifyPinMayBeTried(ordinary | 0x100, kind, 'edge', 'so'), {
        code: 'PIN_PAD_UNSUPPORTED',
      })
      verifyPinMayBeTried(ordinary | 0xf00000, kind, 'edge')
    }
    assert.throws(() => verifyPinMayBeTried(ordinary | 0x200000, 'file', 'edge', 'so'), {
      code: 'PIN_FINAL_TRY',
    })
    verifyPinMayBeTried(ordinary | 0x200000, 'terminal', 'edge', 'so')
  })
  it('names the token on one line, whatever its label holds', () => {
    assert.throws(() => verifyPinMayBeTried(0x40000, 'file', 'a\n\u001b]0;b\u0007'), {
      message: /token "a\\u\{a\}\\u\{1b\}\]0;b\\u\{7\}"/,
    })
  })
})

describe('verifyNewPinLength', () => {
  const verify = (length: number, min: number, max: number) =>
    verifyNewPinLength(Buffer.alloc(length, 0x31), { min, max }, 'edge')
  it('keeps to the limits of the token, where it tells them', () => {
    verify(4, 4, 8)
    verify(8, 4, 8)
    verify(1, 0xffffffff, 0xffffffff)
    assert.throws(() => verify(3, 4, 8), { code: 'PIN_INVALID', message: /shorter than the 4 bytes/ })
    assert.throws(() => verify(9, 4, 8), { code: 'PIN_INVALID' })
  })
})

describe('formatTriesLeft', () => {
  it('says what the flags say, the worst first', () => {
    assert.match(formatTriesLeft(0x70000)!, /locked/)
    assert.match(formatTriesLeft(0x30000)!, /one try is left/)
    assert.match(formatTriesLeft(0x10000)!, /few tries/)
    assert.equal(formatTriesLeft(0x40d), undefined)
    assert.match(formatTriesLeft(0x30040d, 'so')!, /one try is left/)
    assert.equal(formatTriesLeft(0x30040d), undefined)
  })
})

describe('formatPinPrompt', () => {
  it('says which PIN is wanted', () => {
    const about = { manufacturer: '', serial: '', label: 'edge' }
    const ask = (role: PinRole) => formatPinPrompt(about, 0x10000, role)
    assert.equal(ask('so'), 'SO PIN of token "edge": ')
    assert.equal(ask('new-user'), 'New PIN for token "edge": ')
    assert.equal(ask('new-so'), 'New SO PIN for token "edge": ')
    assert.match(ask('user'), /^PIN of token "edge", .*few tries/)
  })
  it('names the token and the tries left', () => {
    const token = { manufacturer: 'Yubico', serial: '123', label: 'YubiKey PIV #123' }
    assert.equal(formatPinPrompt(token, 0x40d), 'PIN of token "YubiKey PIV #123" (Yubico, serial 123): ')
    assert.equal(
      formatPinPrompt({ manufacturer: '', serial: '', label: 'edge' }, 0x20000),
      'PIN of token "edge", one try is left before the token locks: ',
    )
  })
  it('shows escape sequences in a label instead of obeying them', () => {
    const prompt = formatPinPrompt({ manufacturer: '', serial: '', label: '\u001b[2J\u202e\r\nx' }, 0)
    assert.equal(prompt, 'PIN of token "\\u{1b}[2J\\u{202e}\\u{d}\\u{a}x": ')
  })
})
