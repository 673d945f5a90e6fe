/** Which of the certificates and keys that were found is meant, and what is said where nobody can know. */

import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { TokenInfo } from '../../../src/core/pkcs11/pkcs11-match.js'
import { matchesObject, matchesToken } from '../../../src/core/pkcs11/pkcs11-match.js'
import { parsePkcs11Uri } from '../../../src/core/pkcs11/pkcs11-uri.js'
import {
  chooseKey,
  describeToken,
  type FoundCertificate,
  type FoundKey,
  findEndEntity,
  formatList,
  hintAtHexId,
} from '../../../src/core/pkcs11/token-search.js'
import { parseCertificate } from '../../../src/core/x509/certificate.js'
import {
  DIGITAL_SIGNATURE,
  element,
  extension,
  handmadeCertificate,
  integer,
  sequence,
} from '../../support/handmade-certificate.js'

const token: TokenInfo = {
  label: 'edge'.padEnd(32),
  manufacturer: 'SoftHSM project'.padEnd(32),
  model: 'SoftHSM v2'.padEnd(16, '\0'),
  serial: '1234',
  flags: 0x404,
  minPinLength: 4,
  maxPinLength: 255,
}
const ESCAPE = '\u{1b}[2J\u{9b}31m\u{7f}\n\u{202e}"'

/** The URIs in a message; each must find what it stands for again. */
const urisIn = (message: string) => message.match(/pkcs11:[^\s,]+/g)?.map((uri) => parsePkcs11Uri(uri)) ?? []

/** The error that `action` throws. */
function errorOf(action: () => unknown): { code: string; message: string } {
  try {
    action()
  } catch (error) {
    return error as { code: string; message: string }
  }
  return assert.fail('nothing was thrown')
}

describe('describeToken', () => {
  it('gives the label without its padding', () => {
    assert.equal(describeToken(token), 'token "edge"')
    assert.equal(describeToken({ ...token, label: 'SW TPM\0\0' }), 'token "SW TPM"')
  })

  it('makes control characters, marks that turn text around, and quotes visible', () => {
    const text = describeToken({ ...token, label: ESCAPE })
    assert.match(text, /^token "[ -~]+"$/)
    assert.equal(text, 'token "\\u001b[2J\\u{9b}31m\\u{7f}\\n\\u{202e}\\""')
  })
})

describe('formatList', () => {
  it('joins with commas, and calls nothing "none"', () => {
    assert.equal(formatList(['a', 'b']), 'a, b')
    assert.equal(formatList([]), 'none')
    assert.equal(formatList(['a', 'b', 'a']), 'a, b')
    const many = Array.from({ length: 12 }, (_, index) => String(index))
    assert.equal(formatList([...many, ...many]), '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
  })
})

describe('hintAtHexId', () => {
  it('is given only where the bytes of an id are the digits of one that is there', () => {
    const hint = (id: string) => hintAtHexId({ id: Buffer.from(id) }, [Buffer.of(10, 241), Buffer.of()])
    assert.equal(hint('0aF1'), '; an id in hexadecimal is written as id=%0a%F1')
    for (const id of ['', '0', '0a', '0aF10', 'edge']) assert.equal(hint(id), '')
    assert.equal(hintAtHexId({}, [Buffer.of(1)]), '')
  })
})

describe('findEndEntity', () => {
  let count = 0n
  const found = (
    fields: { ca?: boolean; label?: string; id?: number; token?: TokenInfo } = {},
  ): FoundCertificate => {
    const constraints = extension('551d13', sequence(element(1, Buffer.of(0xff))))
    count += 1n
    return {
      token: fields.token ?? token,
      label: fields.label ?? 'key',
      id: Buffer.of(fields.id ?? 1),
      certificate: parseCertificate(
        handmadeCertificate({
          serialNumber: integer(count),
          extensions: fields.ca ? [constraints] : [DIGITAL_SIGNATURE],
        }),
      ),
    }
  }

  it('gives nothing where nothing was found', () => {
    assert.equal(findEndEntity([]), undefined)
  })

  it('gives the only one', () => {
    const only = found()
    assert.equal(findEndEntity([only]), only)
  })

  it('passes over CA certificates beside it', () => {
    const leaf = found()
    assert.equal(findEndEntity([found({ ca: true }), leaf, found({ ca: true })]), leaf)
  })

  it('gives a CA certificate where nothing else is there', () => {
    const ca = found({ ca: true })
    assert.equal(findEndEntity([ca]), ca)
  })

  it('counts the same certificate once', () => {
    const one = found()
    const again = { ...one, label: 'copy', certificate: parseCertificate(Buffer.from(one.certificate.der)) }
    assert.equal(findEndEntity([one, again]), one)
  })

  it('refuses to choose between two, and lists them with full URIs that find each again', () => {
    const other = { ...token, label: 'other'.padEnd(32), serial: '99' }
    const both = [found({ label: 'first', id: 1 }), found({ label: 'second;,', id: 0xfe, token: other })]
    const { code, message } = errorOf(() => findEndEntity([...both, found({ ca: true })]))
    assert.equal(code, 'CERTIFICATE_AMBIGUOUS')
    assert.match(message, /^2 certificates match; name one by its id or object/)
    const uris = urisIn(message)
    assert.equal(uris.length, 2)
    for (const [index, { token, label, id }] of both.entries()) {
      const hits = uris.map(
        (uri) => matchesToken(uri, token) && matchesObject(uri, { type: 'cert', label, id }),
      )
      assert.deepEqual(hits, [index === 0, index === 1])
    }
  })

  it('lists no more than ten', () => {
    const many = Array.from({ length: 25 }, (_, id) => found({ id: id + 1 }))
    const { message } = errorOf(() => findEndEntity(many))
    assert.match(message, /^25 certificates match.* and 15 more$/)
    assert.equal(urisIn(message).length, 10)
  })

  it('tells two of one label and id by their serial numbers', () => {
    const { message } = errorOf(() => findEndEntity([found(), found()]))
    assert.match(message, /^2 certificates match; remove those that are not meant with .* --serial/)
    assert.equal(message.match(/ \(serial [\da-f]+\)/g)?.length, 2)
  })

  it('refuses to choose between two CA certificates', () => {
    assert.throws(() => findEndEntity([found({ ca: true }), found({ ca: true })]), {
      code: 'CERTIFICATE_AMBIGUOUS',
    })
  })

  it('escapes labels in its list', () => {
    const strange = { ...token, label: ESCAPE }
    const { message } = errorOf(() =>
      findEndEntity([found({ label: ESCAPE, token: strange }), found({ token: strange })]),
    )
    assert.match(message, /^[ -~]+$/)
    assert.match(message, /token=%1B%5B2J%C2%9B31m%7F%0A%E2%80%AE%22;id=%01;object=%1B/)
  })
})

describe('chooseKey', () => {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
  const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
  const spki = (key: KeyObject) => key.export({ format: 'der', type: 'spki' })
  const certificate = parseCertificate(handmadeCertificate({ publicKeyInfo: spki(own) }))
  const key = (handle: string, publicKey?: KeyObject, id = '01', label = handle): FoundKey<string> => ({
    handle,
    label,
    id: Buffer.from(id, 'hex'),
    publicAttributes: publicKey === undefined ? {} : { publicKeyInfo: spki(publicKey) },
  })
  const choose = (keys: readonly FoundKey<string>[], certificateId?: string, inToken = token) => {
    const id = certificateId === undefined ? undefined : Buffer.from(certificateId, 'hex')
    return chooseKey(inToken, certificate, id, keys).handle
  }

  it('takes the key whose public key is the certificate’s, among any others', () => {
    assert.equal(choose([key('foreign', foreign), key('silent'), key('own', own, '02')], '01'), 'own')
  })

  it('takes the first where the same key is there twice', () => {
    assert.equal(choose([key('one', own), key('two', own)]), 'one')
  })

  it('takes the only key though the token shows nothing of it', () => {
    assert.equal(choose([key('silent')]), 'silent')
    assert.equal(choose([key('silent', undefined, '02')], '01'), 'silent')
  })

  it('takes the only key of which nothing is shown, beside others that are known to be different', () => {
    assert.equal(choose([key('foreign', foreign), key('silent')]), 'silent')
  })

  it('takes, of those of which nothing is shown, the one with the certificate’s id', () => {
    assert.equal(choose([key('one', undefined, '01'), key('two', undefined, '02')], '02'), 'two')
  })

  for (const [problem, keys, id, listed] of [
    ['the certificate has no id', [key('one'), key('two', undefined, '02')], undefined, ['one', 'two']],
    ['none has the certificate’s id', [key('one'), key('two', undefined, '02')], '03', ['one', 'two']],
    ['two have it', [key('one'), key('two'), key('three', undefined, '03')], '01', ['one', 'two']],
    ['its id is empty, as is that of a key', [key('one', undefined, ''), key('two')], '', ['one', 'two']],
    ['one more is different', [key('one'), key('two'), key('foreign', foreign)], '05', ['one', 'two']],
  ] as const) {
    it(`refuses to choose between keys of which nothing is shown where ${problem}`, () => {
      const { code, message } = errorOf(() => choose(keys, id))
      assert.equal(code, 'KEY_AMBIGUOUS')
      assert.match(message, new RegExp(`^${listed.length} private keys in token "edge" match`))
      const uris = urisIn(message)
      assert.deepEqual(
        uris.map(({ object }) => object),
        listed,
      )
      for (const uri of uris) {
        assert.ok(matchesToken(uri, token))
        const found = keys.filter(({ label, id }) => matchesObject(uri, { type: 'private', label, id }))
        assert.deepEqual(
          found.map(({ label }) => label),
          [uri.object],
        )
      }
    })
  }

  it('says that there is no key', () => {
    assert.throws(() => choose([]), {
      code: 'KEY_NOT_FOUND',
      message: /^no private key in token "edge" matches; check id and object of the key's URI$/,
    })
  })

  it('says that the certificate belongs to none of the keys, and lists them', () => {
    const { code, message } = errorOf(() => choose([key('one', foreign), key('two', foreign, '02')], '01'))
    assert.equal(code, 'KEY_MISMATCH')
    assert.match(message, /^the certificate does not belong to any matching private key in token "edge"/)
    assert.deepEqual(
      urisIn(message).map(({ object }) => object),
      ['one', 'two'],
    )
  })

  it('escapes labels in each of its messages', () => {
    const strange = { ...token, label: ESCAPE }
    const [silent, other] = [key('a', undefined, '01', ESCAPE), key('b', foreign, '02', ESCAPE)]
    for (const keys of [[], [silent, silent], [other]]) {
      const { message } = errorOf(() => choose(keys, undefined, strange))
      assert.match(message, /^[ -~]+$/)
      assert.match(message, /token "\\u001b/)
    }
  })
})
