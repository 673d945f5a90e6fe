/** The certificate reader against OpenSSL and @peculiar/x509, and each rule for end-entity certificates. */

import 'reflect-metadata'
import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import fc from 'fast-check'
import {
  type Certificate,
  describe as describeCertificate,
  parseCertificate,
  parseCertificatesPem,
  publicKeyOf,
  signingAlgorithmOf,
  verifyEndEntity,
} from '../../../src/core/x509/certificate.js'
import {
  type Authority,
  BAD_CERTIFICATES,
  type CertificateOptions,
  certificatePem,
  createAuthority,
  createFileKey,
} from '../../support/certificates.js'
import { run } from '../../support/command.js'
import {
  commonName,
  DIGITAL_SIGNATURE,
  element,
  extension,
  generalizedTime,
  type HandmadeFields,
  handmadeCertificate,
  integer,
  keyUsage,
  oid,
  sequence,
  utcTime,
} from '../../support/handmade-certificate.js'

const UTF8_NAME = '/C=DE/O=Übung/CN=kant'
const EMPTY_NAME = sequence()

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-certificate-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const keyFiles = new Map<string, Promise<string>>()

/** A PEM key file of `kind`, in the words of openssl genpkey. */
function keyFile(...kind: string[]): Promise<string> {
  const name = kind.join(' ')
  const path = join(folder, `${keyFiles.size}.key`)
  const made = keyFiles.get(name) ?? run('openssl', ['genpkey', ...kind, '-out', path]).then(() => path)
  keyFiles.set(name, made)
  return made
}

const RSA = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']
const RSA_PSS = ['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048']
const ED25519 = ['-algorithm', 'ED25519']
const EC = (curve: string) => ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`]

/** A self-signed certificate from `openssl req`, DER. */
async function selfSigned(key: string[], ...options: string[]): Promise<Buffer> {
  const certificate = join(folder, 'self-signed.der')
  const args = ['-x509', '-new', '-key', await keyFile(...key), '-outform', 'DER', '-out', certificate]
  const [config, text] = [join(folder, 'empty.cnf'), '[req]\ndistinguished_name=name\n[name]\n']
  await writeFile(config, text)
  await run('openssl', ['req', '-config', config, '-utf8', ...args, ...options])
  return readFile(certificate)
}

/** What OpenSSL prints about a DER certificate. */
async function show(der: Uint8Array): Promise<string> {
  const file = join(folder, 'shown.der')
  await writeFile(file, der)
  const what = ['-text', '-serial', '-startdate', '-enddate', '-dateopt', 'iso_8601', '-pubkey']
  const text = await run('openssl', ['x509', '-in', file, '-inform', 'DER', '-noout', ...what])
  return text.replaceAll('\\\n', '') // a long serial number is broken into lines
}

const KEY_USAGES = [
  'Digital Signature',
  'Non Repudiation',
  'Key Encipherment',
  'Data Encipherment',
  'Key Agreement',
  'Certificate Sign',
  'CRL Sign',
  'Encipher Only',
  'Decipher Only',
]
/** OpenSSL's name of the signature algorithm, or of the hash where it is RSASSA-PSS. */
const SIGNATURE_NAMES: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'md5WithRSAEncryption',
  '1.2.840.113549.1.1.5': 'sha1WithRSAEncryption',
  '1.2.840.113549.1.1.11': 'sha256WithRSAEncryption',
  '1.2.840.113549.1.1.12': 'sha384WithRSAEncryption',
  '1.2.840.113549.1.1.13': 'sha512WithRSAEncryption',
  '1.2.840.113549.1.1.14': 'sha224WithRSAEncryption',
  '1.2.840.10045.4.1': 'ecdsa-with-SHA1',
  '1.2.840.10045.4.3.1': 'ecdsa-with-SHA224',
  '1.2.840.10045.4.3.2': 'ecdsa-with-SHA256',
  '1.2.840.10045.4.3.3': 'ecdsa-with-SHA384',
  '1.2.840.10045.4.3.4': 'ecdsa-with-SHA512',
  '1.3.101.112': 'ED25519',
  '1.3.14.3.2.26': 'PSS sha1',
  '2.16.840.1.101.3.4.2.4': 'PSS sha224',
  '2.16.840.1.101.3.4.2.1': 'PSS sha256',
  '2.16.840.1.101.3.4.2.2': 'PSS sha384',
  '2.16.840.1.101.3.4.2.3': 'PSS sha512',
}

/** What OpenSSL reads, in the words of our parser. */
async function readWithOpenssl(der: Uint8Array) {
  const text = await show(der)
  const find = (pattern: RegExp) => pattern.exec(text)?.[1] ?? assert.fail(`no ${pattern} in ${text}`)
  const [sign, serial] = /^serial=(-?)(\w*)$/m.exec(text)?.slice(1) ?? []
  const usages = /X509v3 Key Usage:.*\n\s+(.*)/.exec(text)?.[1]?.split(', ')
  const algorithm = find(/Signature Algorithm: (\S*)/)
  const pssHash = /Hash Algorithm: (?:sha1 \(default\)|(.*))/i.exec(text)
  return {
    version: Number(find(/Version: (\d+)/)),
    serialNumber: BigInt(`0x${serial}`) * (sign === '-' ? -1n : 1n),
    signature: algorithm === 'rsassaPss' ? `PSS ${(pssHash?.[1] ?? 'sha1').toLowerCase()}` : algorithm,
    notBefore: find(/^notBefore=(.*)$/m).replace(' ', 'T'),
    notAfter: find(/^notAfter=(.*)$/m).replace(' ', 'T'),
    keyUsage: usages,
    isCa: text.includes('CA:TRUE'),
    publicKey: createPublicKey(find(/(-----BEGIN PUBLIC KEY-----[\s\S]*-----END PUBLIC KEY-----)/))
      .export({ format: 'der', type: 'spki' })
      .toString('hex'),
  }
}

async function assertAsOpenssl(certificate: Certificate): Promise<void> {
  const seconds = (date: Date) => date.toISOString().replace('.000', '')
  assert.deepEqual(
    {
      version: certificate.version,
      serialNumber: certificate.serialNumber,
      signature: SIGNATURE_NAMES[certificate.signatureHashOid],
      notBefore: seconds(certificate.notBefore),
      notAfter: seconds(certificate.notAfter),
      keyUsage: certificate.keyUsageBits && KEY_USAGES.filter((_, bit) => certificate.keyUsageBits?.has(bit)),
      isCa: certificate.isCa,
      publicKey: Buffer.from(certificate.publicKeyInfo).toString('hex'),
    },
    await readWithOpenssl(certificate.der),
  )
}

/** Names and numbers as @peculiar/x509 reads them. */
function assertAsPeculiar(certificate: Certificate): void {
  const other = new x509.X509Certificate(certificate.der)
  const bytes = (data: ArrayBuffer) => Buffer.from(data).toString('hex')
  assert.equal(Buffer.from(certificate.subject).toString('hex'), bytes(other.subjectName.toArrayBuffer()))
  assert.equal(Buffer.from(certificate.issuer).toString('hex'), bytes(other.issuerName.toArrayBuffer()))
  assert.equal(Buffer.from(certificate.publicKeyInfo).toString('hex'), bytes(other.publicKey.rawData))
  assert.equal(certificate.notBefore.getTime(), other.notBefore.getTime())
  assert.equal(certificate.notAfter.getTime(), other.notAfter.getTime())
  assert.equal(certificate.isCa, other.getExtension(x509.BasicConstraintsExtension)?.ca ?? false)
  const usages = other.getExtension(x509.KeyUsagesExtension)?.usages
  const bits = certificate.keyUsageBits
  assert.equal(bits && [...bits].reduce((sum, bit) => sum | (1 << bit), 0), usages)
  // biome-ignore lint/complexity/useLiteralKeys: a protected field, and the only place of the version
  const { version, serialNumber } = other['asn'].tbsCertificate
  assert.equal(certificate.version, version + 1)
  const serial = Buffer.from(serialNumber)
  assert.equal(
    certificate.serialNumber,
    BigInt.asIntN(serial.length * 8, BigInt(`0x${serial.toString('hex')}`)),
  )
}

describe('parseCertificate', () => {
  describe('reads as OpenSSL and @peculiar/x509 do', () => {
    const issuers = [
      [RSA, '-md5'],
      [RSA, '-sha1'],
      [RSA, '-sha224'],
      [RSA, '-sha256'],
      [RSA, '-sha384'],
      [RSA, '-sha512'],
      ...['-sha1', '-sha224', '-sha256', '-sha384', '-sha512'].map(
        (hash) => [RSA, hash, '-sigopt', 'rsa_padding_mode:pss'] as const,
      ),
      [RSA_PSS, '-sha256'],
      [EC('P-256'), '-sha1'],
      [EC('P-256'), '-sha224'],
      [EC('P-256'), '-sha256'],
      [EC('P-384'), '-sha384'],
      [EC('P-521'), '-sha512'],
      [EC('secp256k1'), '-sha256'],
      [ED25519],
    ] as const
    // The lists have lengths without a common divisor, so that all their pairs come about.
    const usages = [
      [],
      ['digitalSignature'],
      ['keyEncipherment'],
      ['nonRepudiation', 'digitalSignature'],
      ['keyCertSign', 'cRLSign'],
      ['keyAgreement', 'decipherOnly'],
      ['digitalSignature', 'keyAgreement', 'encipherOnly', 'decipherOnly'],
    ]
    const constraints = [[], ['CA:TRUE'], ['critical', 'CA:FALSE'], ['CA:TRUE', 'pathlen:0']]
    const serials = [
      '0',
      '1',
      '127',
      '128',
      '255',
      '256',
      '-1',
      `0x7f${'ff'.repeat(19)}`,
      `0x${'ff'.repeat(20)}`,
      `0x${'80'.repeat(30)}`,
      `0x80${'00'.repeat(18)}01`,
    ]
    const subjects = ['/CN=edge', '/CN=a+UID=b/O=c+OU=d', UTF8_NAME]
    const days = ['1', '3650', '30000']
    const others = [
      [],
      ['1.2.3.4=critical,DER:0500'],
      ['extendedKeyUsage=clientAuth', 'subjectAltName=DNS:a'],
    ]

    for (let index = 0; index < 40; index++) {
      const pick = <T>(list: readonly T[]) => list[index % list.length]!
      const [key, ...signature] = pick(issuers)
      const named: [string, string[]][] = [
        ['keyUsage', pick(usages)],
        ['basicConstraints', pick(constraints)],
      ]
      const extensions = [
        ...named
          .filter(([, values]) => values.length > 0)
          .map(([name, values]) => `${name}=${values.join(',')}`),
        ...pick(others),
      ]
      const title = [key[1], ...signature, pick(serials), pick(subjects), pick(days), ...extensions].join(' ')
      it(`${index}: ${title}`, async () => {
        const der = await selfSigned(
          [...key],
          ...signature,
          ...['-set_serial', pick(serials), '-subj', pick(subjects), '-days', pick(days)],
          ...extensions.flatMap((text) => ['-addext', text]),
        )
        const certificate = parseCertificate(der)
        await assertAsOpenssl(certificate)
        assertAsPeculiar(certificate)
      })
    }
  })

  const read: Record<string, HandmadeFields> = {
    'version 1': { version: undefined, extensions: undefined },
    'version 1 that is written out': { version: 0n, extensions: undefined },
    'version 2': { version: 1n, extensions: undefined },
    'version 3': { version: 2n },
    'an empty subject': { subject: EMPTY_NAME },
    'UTCTime on both sides of 2000': {
      notBefore: utcTime('991231235959Z'),
      notAfter: utcTime('000101000000Z'),
    },
    'UTCTime from 1950 to 2049': { notBefore: utcTime('500101000000Z'), notAfter: utcTime('491231235959Z') },
    'GeneralizedTime to the year 9999': { notAfter: generalizedTime('99991231235959Z') },
    '29 February': { notBefore: utcTime('240229000000Z'), notAfter: generalizedTime('20960229000000Z') },
    'a serial number of 40 bytes': { serialNumber: integer(2n ** 319n - 1n) },
    'a key usage with bits that do not count': { extensions: [keyUsage(7, 0xff)] },
    'a key usage of nine bits': { extensions: [keyUsage(7, 0x80, 0x80)] },
    'basicConstraints without the flag': { extensions: [extension('551d13', sequence())] },
    'basicConstraints that write out CA:FALSE': {
      extensions: [extension('551d13', sequence(element(1, Buffer.of(0))))],
    },
    'no extensions in version 3': { extensions: undefined },
  }
  for (const [what, fields] of Object.entries(read)) {
    it(`reads ${what} as OpenSSL does`, async () => {
      await assertAsOpenssl(parseCertificate(handmadeCertificate(fields)))
    })
  }

  it('reads any serial number and any time as OpenSSL and @peculiar/x509 do', () => {
    const time = fc
      .date({
        min: new Date('1950-01-01T00:00:00Z'),
        max: new Date('9999-12-31T23:59:59Z'),
        noInvalidDate: true,
      })
      .map((date) => new Date(Math.floor(date.getTime() / 1000) * 1000))
    const format = (date: Date) => {
      const digits = `${date.toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
      return date.getUTCFullYear() < 2050 ? utcTime(digits.slice(2)) : generalizedTime(digits)
    }
    fc.assert(
      fc.property(
        fc.bigInt(0n, 2n ** 200n),
        time,
        time,
        fc.string({ unit: 'binary' }),
        (number, from, to, name) => {
          const der = handmadeCertificate({
            serialNumber: integer(number),
            notBefore: format(from),
            notAfter: format(to),
            subject: commonName(name),
          })
          const certificate = parseCertificate(der)
          const openssl = new X509Certificate(der)
          assert.equal(certificate.serialNumber, BigInt(`0x${openssl.serialNumber}`))
          assert.equal(certificate.notBefore.getTime(), Date.parse(openssl.validFrom))
          assert.equal(certificate.notAfter.getTime(), Date.parse(openssl.validTo))
          assertAsPeculiar(certificate)
        },
      ),
      { numRuns: 100 },
    )
  })

  it('reads the year 50 of GeneralizedTime as just that', () => {
    const certificate = parseCertificate(
      handmadeCertificate({ notBefore: generalizedTime('00500101000000Z') }),
    )
    assert.equal(certificate.notBefore.toISOString(), '0050-01-01T00:00:00.000Z')
  })

  const refused: Record<string, Uint8Array> = {
    nothing: Buffer.alloc(0),
    text: Buffer.from('-----BEGIN CERTIFICATE-----'),
    'bytes behind the certificate': Buffer.concat([handmadeCertificate(), Buffer.of(5, 0)]),
    'one byte behind the certificate': Buffer.concat([handmadeCertificate(), Buffer.of(0)]),
    'a certificate that is cut off': handmadeCertificate().subarray(0, -1),
    'a body without a signature': sequence(sequence(integer(1n))),
    'version 4': handmadeCertificate({ version: 3n }),
    'a negative version': handmadeCertificate({ version: -1n }),
    'an empty serial number': handmadeCertificate({ serialNumber: element(0x02) }),
    'a serial number that is not minimal': handmadeCertificate({ serialNumber: element(2, Buffer.of(0, 1)) }),
    'a serial number that is not a number': handmadeCertificate({ serialNumber: oid('551d0f') }),
    'two different signature algorithms': handmadeCertificate({
      outerAlgorithm: sequence(oid('2a8648ce3d0401')),
    }),
    'a month 13': handmadeCertificate({ notAfter: utcTime('301301000000Z') }),
    'a 30 February': handmadeCertificate({ notAfter: generalizedTime('20500230000000Z') }),
    'an hour 24': handmadeCertificate({ notAfter: utcTime('300101240000Z') }),
    'a minute 60': handmadeCertificate({ notAfter: utcTime('300101006000Z') }),
    'a time without seconds': handmadeCertificate({ notAfter: utcTime('3001010000Z') }),
    'a time with an offset': handmadeCertificate({ notAfter: utcTime('300101000000+0100') }),
    'a time with fractions': handmadeCertificate({ notAfter: generalizedTime('20500101000000.5Z') }),
    'a time in ISO 8601': handmadeCertificate({ notAfter: generalizedTime('2050-01-01T00:00:00.000Z') }),
    'a UTCTime of four-digit years': handmadeCertificate({ notAfter: utcTime('20300101000000Z') }),
    'a time with a line end': handmadeCertificate({ notAfter: utcTime('300101000000Z\n') }),
    'a time that is no time': handmadeCertificate({ notAfter: element(0x04, Buffer.from('300101000000Z')) }),
    'an extension that appears twice': handmadeCertificate({
      extensions: [DIGITAL_SIGNATURE, keyUsage(5, 0x20)],
    }),
    'a key usage that is no bit string': handmadeCertificate({
      extensions: [extension('551d0f', integer(1n))],
    }),
    'a key usage without content': handmadeCertificate({ extensions: [keyUsage()] }),
    'a key usage that ignores eight bits': handmadeCertificate({ extensions: [keyUsage(8, 0x80)] }),
    'a key usage with something behind it': handmadeCertificate({
      extensions: [extension('551d0f', Buffer.from('0302078000', 'hex'))],
    }),
    'an RSASSA-PSS signature without parameters': handmadeCertificate({
      algorithm: sequence(oid('2a864886f70d01010a')),
    }),
  }
  for (const [problem, der] of Object.entries(refused)) {
    it(`refuses ${problem}`, () => {
      assert.throws(() => parseCertificate(der), {
        code: 'CERTIFICATE_INVALID',
        message: /^the certificate is not valid X.509 DER: .+$/,
      })
    })
  }

  it('refuses a certificate of a mebibyte that is one object identifier, at once', function () {
    this.timeout(2000)
    const algorithm = sequence(element(0x06, Buffer.alloc(1 << 20, 0xff), Buffer.of(1)))
    assert.throws(() => parseCertificate(handmadeCertificate({ algorithm })), { code: 'CERTIFICATE_INVALID' })
  })
})

describe('parseCertificatesPem', () => {
  const one = handmadeCertificate({ serialNumber: integer(1n) })
  const two = handmadeCertificate({ serialNumber: integer(2n) })
  const serials = (text: string) => parseCertificatesPem(text).map(({ serialNumber }) => serialNumber)

  it('gives the certificates in their order and passes over everything else', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
    const text = `subject=CN = edge\n${certificatePem(two)}Bag Attributes\n${key}${certificatePem(one)}-- end --\n`
    assert.deepEqual(serials(text), [2n, 1n])
  })

  it('gives nothing where there is no certificate', () => {
    assert.deepEqual(serials(''), [])
    assert.deepEqual(serials('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'), [])
  })

  it('reads CR LF, and base64 on one line', () => {
    assert.deepEqual(serials(certificatePem(one, two).replaceAll('\n', '\r\n')), [1n, 2n])
    assert.deepEqual(
      serials(`-----BEGIN CERTIFICATE-----${one.toString('base64')}-----END CERTIFICATE-----`),
      [1n],
    )
  })

  for (const label of ['X509 CERTIFICATE', 'X.509 CERTIFICATE']) {
    it(`reads the older label ${label}`, () => {
      assert.deepEqual(serials(certificatePem(one).replaceAll('CERTIFICATE', label)), [1n])
    })
  }

  for (const label of [
    'CERTIFICATE REQUEST',
    'ATTRIBUTE CERTIFICATE',
    'TRUSTED CERTIFICATE',
    'CERTIFICATE CHAIN',
  ]) {
    it(`passes over ${label}`, () => {
      assert.deepEqual(serials(certificatePem(one).replaceAll('CERTIFICATE', label) + certificatePem(two)), [
        2n,
      ])
    })
  }

  for (const [problem, text] of [
    ['a block that is cut off', `${certificatePem(one)}${certificatePem(two).slice(0, -30)}`],
    [
      'a block that another one follows before its end',
      certificatePem(one).slice(0, 200) + certificatePem(two),
    ],
    ['a block that ends as another', certificatePem(one).replace('END CERTIFICATE', 'END X509 CERTIFICATE')],
    ['a block with nothing in it', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n'],
    ['a block that holds something else', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
    ['a block that holds no base64', '-----BEGIN CERTIFICATE-----\n*****\n-----END CERTIFICATE-----\n'],
  ] as const) {
    it(`refuses ${problem}`, () => {
      assert.throws(() => parseCertificatesPem(text), { code: 'CERTIFICATE_INVALID' })
    })
  }

  it('refuses a mebibyte of beginnings at once', function () {
    this.timeout(2000)
    assert.throws(() => parseCertificatesPem('-----BEGIN CERTIFICATE-----\n'.repeat(40_000)), {
      code: 'CERTIFICATE_INVALID',
    })
  })
})

describe('describe', () => {
  for (const [serialNumber, hex] of [
    [0n, '00'],
    [0xan, '0a'],
    [0xff00n, 'ff00'],
    [-5n, '-05'],
  ] as const) {
    it(`names serial number ${serialNumber} as ${hex}`, () => {
      const certificate = parseCertificate(handmadeCertificate({ serialNumber: integer(serialNumber) }))
      assert.equal(describeCertificate(certificate), `the certificate with serial ${hex}`)
    })
  }
})

describe('signingAlgorithmOf', () => {
  const certificateFor = (publicKeyInfo: Uint8Array) =>
    parseCertificate(handmadeCertificate({ publicKeyInfo }))
  const spki = { format: 'der', type: 'spki' } as const

  it('is RSA for RSA keys', () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    assert.equal(signingAlgorithmOf(certificateFor(publicKey.export(spki))), 'AWS4-X509-RSA-SHA256')
  })

  for (const namedCurve of ['P-256', 'P-384', 'P-521']) {
    it(`is ECDSA for ${namedCurve}`, () => {
      const { publicKey } = generateKeyPairSync('ec', { namedCurve })
      const certificate = certificateFor(publicKey.export(spki))
      assert.equal(signingAlgorithmOf(certificate), 'AWS4-X509-ECDSA-SHA256')
      assert.ok(publicKeyOf(certificate).equals(publicKey))
    })
  }

  for (const [kind, { publicKey }] of Object.entries({
    secp256k1: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
    'P-224': generateKeyPairSync('ec', { namedCurve: 'P-224' }),
    'RSASSA-PSS': generateKeyPairSync('rsa-pss', { modulusLength: 2048 }),
    Ed25519: generateKeyPairSync('ed25519'),
    Ed448: generateKeyPairSync('ed448'),
    X25519: generateKeyPairSync('x25519'),
    DSA: generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 }),
  })) {
    it(`refuses ${kind}`, () => {
      assert.throws(() => signingAlgorithmOf(certificateFor(publicKey.export(spki))), {
        code: 'KEY_UNSUPPORTED',
        message: /^the certificate with serial 01 has a key of type \w.*issue a certificate for such a key$/,
      })
    })
  }

  for (const [problem, publicKeyInfo] of Object.entries({
    'an unknown algorithm': sequence(sequence(oid('2a0304')), element(3, Buffer.of(0, 1))),
    'a point that is not on the curve': sequence(
      sequence(oid('2a8648ce3d0201'), oid('2a8648ce3d030107')),
      element(3, Buffer.of(0, 4), Buffer.alloc(64, 1)),
    ),
    'nothing in it': sequence(),
    'junk in it': sequence(Buffer.from('ffff', 'hex')),
  })) {
    it(`refuses a key with ${problem}`, () => {
      assert.throws(() => signingAlgorithmOf(certificateFor(publicKeyInfo)), {
        code: 'KEY_UNSUPPORTED',
        message: /^the public key of the certificate with serial 01 cannot be read: /,
      })
    })
  }
})

describe('verifyEndEntity', () => {
  const buildDate = new Date('2026-01-01T00:00:00Z')
  const notBefore = new Date('2026-06-01T00:00:00Z')
  const notAfter = new Date('2027-06-01T00:00:00Z')
  const now = new Date('2026-12-01T00:00:00Z')
  const seconds = (date: Date, count: number) => new Date(date.getTime() + count * 1000)

  let authority: Authority
  let publicKey: Uint8Array
  before(async () => {
    authority = await createAuthority()
    publicKey = (await createFileKey('P-256')).publicKey
  })
  const issue = async (options: CertificateOptions = {}, key = publicKey) =>
    parseCertificate(await authority.issue(key, { notBefore, notAfter, ...options }))

  for (const kind of ['RSA-2048', 'P-256', 'P-384', 'P-521'] as const) {
    it(`accepts a certificate for an ${kind} key`, async () => {
      verifyEndEntity(await issue({}, (await createFileKey(kind)).publicKey), { now, buildDate })
    })
  }

  const { digitalSignature, keyEncipherment, nonRepudiation } = x509.KeyUsageFlags
  const accepted: Record<string, CertificateOptions> = {
    'without basicConstraints': { ca: undefined },
    'with more key usages': { keyUsage: digitalSignature | keyEncipherment | nonRepudiation },
    'signed with SHA-384': { hash: 'SHA-384' },
    'signed with SHA-512': { hash: 'SHA-512' },
    'with a subject without CN': { subject: 'O=Example' },
    'with extended key usages': {
      extensions: [new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])],
    },
    'with a critical extension that nobody knows': {
      extensions: [new x509.Extension('1.2.3.4', true, Buffer.of(5, 0))],
    },
  }
  for (const [what, options] of Object.entries(accepted)) {
    it(`accepts a certificate ${what}`, async () => {
      verifyEndEntity(await issue(options), { now, buildDate })
    })
  }

  for (const [what, words] of [
    ['of a CA', /is a CA certificate: name the end-entity certificate/],
    ['without digitalSignature', /lacks the key usage digitalSignature: have it issued again/],
    ['without key usage', /lacks the key usage digitalSignature: have it issued again/],
    ['signed with SHA-1', /is signed with SHA-1: have it issued again with SHA-256/],
    ['with an empty subject', /has an empty subject: have it issued again/],
  ] as const) {
    it(`refuses a certificate ${what}`, async () => {
      const certificate = await issue({ ...BAD_CERTIFICATES[what], serialNumber: '0c' })
      assert.throws(() => verifyEndEntity(certificate, { now, buildDate }), {
        code: 'CERTIFICATE_UNSUITABLE',
        message: new RegExp(`^the certificate with serial 0c ${words.source}`),
      })
    })
  }

  for (const [what, fields] of Object.entries({
    'of version 1': { version: undefined, extensions: undefined },
    'of version 1 with extensions': { version: undefined },
    'of version 2': { version: 1n },
  })) {
    it(`refuses a certificate ${what}, and accepts the same in version 3`, () => {
      assert.throws(
        () => verifyEndEntity(parseCertificate(handmadeCertificate(fields)), { now, buildDate }),
        {
          code: 'CERTIFICATE_UNSUITABLE',
          message: /is not X.509 version 3: have it issued again as version 3$/,
        },
      )
      verifyEndEntity(parseCertificate(handmadeCertificate({ version: 2n })), { now, buildDate })
    })
  }

  const pss = ['-sigopt', 'rsa_padding_mode:pss']
  for (const [key, signature, name] of [
    [RSA, ['-md5'], 'MD5'],
    [RSA, ['-sha1'], 'SHA-1'],
    [RSA, ['-sha224'], 'SHA-224'],
    [RSA, ['-sha1', ...pss], 'SHA-1'],
    [RSA, ['-sha224', ...pss], 'SHA-224'],
    [EC('P-256'), ['-sha1'], 'SHA-1'],
    [EC('P-256'), ['-sha224'], 'SHA-224'],
    [RSA, ['-sha256'], undefined],
    [RSA, ['-sha256', ...pss], undefined],
    [RSA, ['-sha384', ...pss], undefined],
    [EC('P-256'), ['-sha256'], undefined],
  ] as const) {
    it(`${name === undefined ? 'accepts' : 'refuses'} a signature made with ${key[1]} ${signature.join(' ')}`, async () => {
      const options = ['-subj', '/CN=edge', '-addext', 'keyUsage=digitalSignature', '-days', '2']
      const certificate = parseCertificate(await selfSigned([...key], ...signature, ...options))
      const check = () => verifyEndEntity(certificate, { now: certificate.notBefore, buildDate: new Date(0) })
      if (name === undefined) check()
      else
        assert.throws(check, {
          code: 'CERTIFICATE_UNSUITABLE',
          message: new RegExp(`is signed with ${name}:`),
        })
    })
  }

  it('refuses an RSASSA-PSS signature over MD5', () => {
    const parameters = sequence(element(0xa0, sequence(oid('2a864886f70d0205'))))
    const algorithm = sequence(oid('2a864886f70d01010a'), parameters)
    assert.throws(
      () => verifyEndEntity(parseCertificate(handmadeCertificate({ algorithm })), { now, buildDate }),
      {
        code: 'CERTIFICATE_UNSUITABLE',
        message: /is signed with MD5:/,
      },
    )
  })

  it('refuses a certificate for an Ed25519 key', () => {
    const key = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' })
    const certificate = parseCertificate(handmadeCertificate({ publicKeyInfo: key }))
    assert.throws(() => verifyEndEntity(certificate, { now, buildDate }), { code: 'KEY_UNSUPPORTED' })
  })

  it('accepts the first and the last second of validity and refuses the ones beside them', async () => {
    const certificate = await issue()
    verifyEndEntity(certificate, { now: notBefore, buildDate })
    verifyEndEntity(certificate, { now: notAfter, buildDate })
    assert.throws(() => verifyEndEntity(certificate, { now: seconds(notBefore, -1), buildDate }), {
      code: 'CLOCK_WRONG',
      message:
        /clock says 2026-05-31T23:59:59Z, but the certificate with serial \w+ is valid only from 2026-06-01T00:00:00Z/,
    })
    assert.throws(() => verifyEndEntity(certificate, { now: seconds(notAfter, 1), buildDate }), {
      code: 'CERTIFICATE_EXPIRED',
      message:
        /expired at 2027-06-01T00:00:00Z \(this machine's clock says 2027-06-01T00:00:01Z\): renew it$/,
    })
  })

  it('blames the clock where it is before the build date, whatever the certificate says', async () => {
    const before = seconds(buildDate, -1)
    const valid = await issue({ notBefore: new Date('2020-01-01T00:00:00Z') })
    verifyEndEntity(valid, { now: buildDate, buildDate })
    for (const certificate of [valid, await issue()]) {
      assert.throws(() => verifyEndEntity(certificate, { now: before, buildDate }), {
        code: 'CLOCK_WRONG',
        message:
          /clock says 2025-12-31T23:59:59Z, before this program was built \(2026-01-01T00:00:00Z\): set the clock/,
      })
    }
  })

  it('says what the certificate breaks before it says that it has expired', async () => {
    const certificate = await issue({ keyUsage: undefined })
    assert.throws(() => verifyEndEntity(certificate, { now: seconds(notAfter, 1), buildDate }), {
      code: 'CERTIFICATE_UNSUITABLE',
    })
  })
})
