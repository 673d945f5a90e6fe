/**
 * Certificates written field by field, for what no library and no tool issues: odd versions, serial numbers,
 * times and encodings. The signature is real.
 * @see RFC 5280 §4.1
 */

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

/** DER of one element. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  if (content.length < 0x80) return Buffer.concat([Buffer.of(tag, content.length), content])
  const hex = content.length.toString(16)
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length), length, content])
}

/** Content of an INTEGER: two's complement in the fewest bytes. */
export function integerContent(value: bigint): Buffer {
  let length = 1
  while (BigInt.asIntN(length * 8, value) !== value) length++
  const digits = BigInt.asUintN(length * 8, value).toString(16)
  return Buffer.from(digits.padStart(length * 2, '0'), 'hex')
}

export const integer = (value: bigint) => element(0x02, integerContent(value))
export const sequence = (...contents: readonly Uint8Array[]) => element(0x30, ...contents)
/** DER of an OBJECT IDENTIFIER given as the hexadecimal digits of its content. */
export const oid = (hex: string) => element(0x06, Buffer.from(hex, 'hex'))
export const utcTime = (text: string) => element(0x17, Buffer.from(text))
export const generalizedTime = (text: string) => element(0x18, Buffer.from(text))

/** A Name of one commonName. */
export function commonName(text: string): Buffer {
  return sequence(element(0x31, sequence(oid('550403'), element(0x0c, Buffer.from(text)))))
}

/** An Extension; `oidHex` as in {@link oid}. */
export function extension(oidHex: string, value: Uint8Array, { critical = false } = {}): Buffer {
  const flag = critical ? [element(0x01, Buffer.of(0xff))] : []
  return sequence(oid(oidHex), ...flag, element(0x04, value))
}

/** keyUsage with the bits of `bits`, given as the content of a BIT STRING. */
export const keyUsage = (...bits: number[]) => extension('551d0f', element(0x03, Buffer.from(bits)))

export const DIGITAL_SIGNATURE = keyUsage(7, 0x80)
export const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'))

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })

/** Fields in DER. `version` is the number inside, 2 for version 3; undefined leaves it out. */
export interface HandmadeFields {
  readonly version?: bigint | undefined
  readonly serialNumber?: Uint8Array
  readonly algorithm?: Uint8Array
  readonly issuer?: Uint8Array
  readonly notBefore?: Uint8Array
  readonly notAfter?: Uint8Array
  readonly subject?: Uint8Array
  readonly publicKeyInfo?: Uint8Array
  /** Undefined leaves the field out. */
  readonly extensions?: readonly Uint8Array[] | undefined
  /** The algorithm beside the signature, if it is not the same as `algorithm`. */
  readonly outerAlgorithm?: Uint8Array
  /** Signs, with ECDSA and SHA-256. */
  readonly issuerKey?: KeyObject
}

/** A certificate that is good but for the given fields. */
export function handmadeCertificate(fields: HandmadeFields = {}): Buffer {
  const { algorithm = ECDSA_SHA256, issuerKey = keys.privateKey } = fields
  const version = 'version' in fields ? fields.version : 2n
  const extensions = 'extensions' in fields ? fields.extensions : [DIGITAL_SIGNATURE]
  const tbs = sequence(
    ...(version === undefined ? [] : [element(0xa0, integer(version))]),
    fields.serialNumber ?? integer(1n),
    algorithm,
    fields.issuer ?? commonName('Handmade CA'),
    sequence(
      fields.notBefore ?? utcTime('200101000000Z'),
      fields.notAfter ?? generalizedTime('20991231235959Z'),
    ),
    fields.subject ?? commonName('edge'),
    fields.publicKeyInfo ?? keys.publicKey.export({ format: 'der', type: 'spki' }),
    ...(extensions === undefined ? [] : [element(0xa3, sequence(...extensions))]),
  )
  const signature = element(0x03, Buffer.of(0), sign('sha256', tbs, issuerKey))
  return sequence(tbs, fields.outerAlgorithm ?? algorithm, signature)
}
