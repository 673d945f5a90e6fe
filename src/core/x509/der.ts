/**
 * Reads the few DER structures on the signing path, certificates and EC points, and writes smaller ones. Definite
 * lengths and single-byte tags only, as X.690 §10 (DER) and X.509 need; everything else is refused.
 * It exists because a full ASN.1 library costs more time to load than one credential takes.
 */

/** Universal tags used in certificates (X.680 §8.6). */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const

/** One element: its tag byte, its content, and itself whole (views of the input, not copies). */
export interface DerElement {
  readonly tag: number
  readonly content: Uint8Array
  readonly whole: Uint8Array
}

/**
 * The element at the start of `bytes`; bytes behind it are left alone.
 * @throws RangeError if there is none
 */
export function readFirst(bytes: Uint8Array): DerElement {
  const tag = bytes[0]
  const first = bytes[1]
  if (tag === undefined || first === undefined) throw new RangeError('DER: truncated header')
  if ((tag & 0x1f) === 0x1f) throw new RangeError('DER: multi-byte tag')
  let length = first
  let start = 2
  if (first >= 0x80) {
    const count = first & 0x7f
    if (count === 0 || count > 4) throw new RangeError('DER: indefinite or oversized length')
    length = 0
    for (const byte of bytes.subarray(2, 2 + count)) length = length * 256 + byte
    start += count
    if (length < 0x80 || bytes[2] === 0) throw new RangeError('DER: length not minimal')
  }
  if (start + length > bytes.length) throw new RangeError('DER: truncated content')
  return { tag, content: bytes.subarray(start, start + length), whole: bytes.subarray(0, start + length) }
}

/**
 * The one element that `bytes` consists of.
 * @throws RangeError if the bytes are not that; callers turn it into an error about their object
 */
export function readElement(bytes: Uint8Array): DerElement {
  const element = readFirst(bytes)
  if (element.whole.length < bytes.length) throw new RangeError('DER: bytes behind the element')
  return element
}

/**
 * All elements that `bytes` consists of.
 * @throws RangeError if they do not fill it exactly
 */
export function readElements(bytes: Uint8Array): DerElement[] {
  const elements: DerElement[] = []
  for (let rest = bytes; rest.length > 0; ) {
    const element = readFirst(rest)
    elements.push(element)
    rest = rest.subarray(element.whole.length)
  }
  return elements
}

/** Real ones have at most some twenty bytes, and the time to read one grows with the square of its length. */
const MAX_OID_LENGTH = 64

/**
 * Dotted text of an OBJECT IDENTIFIER's content (X.690 §8.19).
 * @throws RangeError if it is not one, or is longer than any in use
 */
export function parseOid(content: Uint8Array): string {
  if (content.length > MAX_OID_LENGTH) throw new RangeError('DER: oversized object identifier')
  const arcs: bigint[] = []
  let arc = 0n
  for (const byte of content) {
    if (arc === 0n && byte === 0x80) throw new RangeError('DER: object identifier not minimal')
    arc = arc * 128n + BigInt(byte & 0x7f)
    if (byte < 0x80) {
      arcs.push(arc)
      arc = 0n
    }
  }
  const first = arcs.shift()
  if (first === undefined || (content.at(-1) ?? 0) >= 0x80) throw new RangeError('DER: bad object identifier')
  const root = first < 80n ? first / 40n : 2n
  return [root, first - root * 40n, ...arcs].join('.')
}

/**
 * The value of an INTEGER's content, two's complement.
 * @throws RangeError if it is empty or not in its shortest form (X.690 §8.3.2)
 */
export function parseInteger(content: Uint8Array): bigint {
  const [first, second] = content
  if (first === undefined) throw new RangeError('DER: empty integer')
  if (second !== undefined && first === (second < 0x80 ? 0x00 : 0xff)) {
    throw new RangeError('DER: integer not minimal')
  }
  return BigInt.asIntN(content.length * 8, BigInt(`0x${Buffer.from(content).toString('hex')}`))
}

/** One element with the contents one behind the other. */
export function formatElement(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents)
  const size = content.length.toString(16)
  const sizeBytes = Buffer.from(size.length % 2 === 0 ? size : `0${size}`, 'hex')
  const length = content.length < 0x80 ? sizeBytes : [0x80 | sizeBytes.length, ...sizeBytes]
  return Buffer.concat([Uint8Array.from([tag, ...length]), content])
}

/** DER INTEGER of an unsigned big-endian number. */
export function formatUnsignedInteger(bytes: Uint8Array): Uint8Array {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start++
  const digits = bytes.subarray(start)
  const sign = (digits[0] ?? 0) >= 0x80 ? [0] : []
  return formatElement(TAG.integer, Uint8Array.from(sign), digits)
}

/**
 * Turns the fixed-size r‖s of PKCS#11 (§2.3.1 of the mechanisms document) into DER
 * `SEQUENCE { INTEGER r, INTEGER s }` (RFC 3279 §2.2.3).
 * @throws RangeError if the length is odd, zero or longer than two P-521 numbers
 */
export function formatEcdsaSignature(rs: Uint8Array): Uint8Array {
  const half = rs.length / 2
  if (half < 1 || !Number.isInteger(half) || half > 66) throw new RangeError('ECDSA signature of odd size')
  return formatElement(
    TAG.sequence,
    formatUnsignedInteger(rs.subarray(0, half)),
    formatUnsignedInteger(rs.subarray(half)),
  )
}

/**
 * The other way round: the numbers of a DER ECDSA signature side by side, each in `size` bytes.
 * @throws RangeError if it is not one, or a number is larger
 */
export function parseEcdsaSignature(der: Uint8Array, size: number): Uint8Array {
  const { tag, content } = readElement(der)
  const numbers = readElements(content)
  if (tag !== TAG.sequence || numbers.length !== 2) throw new RangeError('DER: not an ECDSA signature')
  const digits = numbers.map((number) => {
    const value = parseInteger(number.content)
    const hex = value.toString(16).padStart(size * 2, '0')
    if (number.tag !== TAG.integer || value <= 0n || hex.length > size * 2) {
      throw new RangeError('DER: not an ECDSA signature of this size')
    }
    return Buffer.from(hex, 'hex')
  })
  return Buffer.concat(digits)
}
