/**
 * Reads the rows of a small table out of an SQLite file: integers and short texts, which is what tells the state of a
 * token store. Nothing is written, and neither indexes, overflow pages nor a journal are looked at.
 * @see https://www.sqlite.org/fileformat2.html
 */

/** What a column holds; undefined for what is not read: NULL, fractions, blobs, texts that go on in another page. */
export type SqliteValue = number | string | undefined

const MAGIC = 'SQLite format 3\0'
const FILE_HEADER_LENGTH = 100
const PAGE = { interior: 0x05, leaf: 0x0d } as const
/** Sizes of integers, by serial type. */
const INTEGER_SIZES = [0, 1, 2, 3, 4, 6]

/**
 * All rows of a table, or undefined if there is no such table. A column that is the row's own number reads as undefined.
 * @throws RangeError if this is no SQLite file, or a damaged one
 */
export function readTable(file: Uint8Array, table: string): SqliteValue[][] | undefined {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) throw new RangeError('SQLite: no such file')
  // The first table tells of the others: type, name, name of the table, first page, SQL.
  const tables = readTree(bytes, 1, new Set())
  const page = tables.find(([type, name]) => type === 'table' && name === table)?.[3]
  if (page === undefined) return undefined
  if (typeof page !== 'number') throw new RangeError('SQLite: page without a number')
  return readTree(bytes, page, new Set())
}

/** @param seen pages that were read: in a damaged file they may point to each other */
function readTree(file: Buffer, number: number, seen: Set<number>): SqliteValue[][] {
  if (seen.has(number)) throw new RangeError('SQLite: page in two places')
  seen.add(number)
  const size = file.readUInt16BE(16) === 1 ? 65536 : file.readUInt16BE(16)
  const page = file.subarray((number - 1) * size, number * size)
  const header = number === 1 ? FILE_HEADER_LENGTH : 0
  const kind = page.readUInt8(header)
  const count = page.readUInt16BE(header + 3)
  const cellsAt = (start: number) =>
    Array.from({ length: count }, (_, index) => page.readUInt16BE(header + start + 2 * index))
  if (kind === PAGE.leaf) return cellsAt(8).map((offset) => readRow(page.subarray(offset)))
  if (kind !== PAGE.interior) throw new RangeError('SQLite: not a page of a table')
  const children = [...cellsAt(12).map((offset) => page.readUInt32BE(offset)), page.readUInt32BE(header + 8)]
  return children.flatMap((child) => readTree(file, child, seen))
}

function readRow(cell: Buffer): SqliteValue[] {
  const [, afterLength] = readVarint(cell, 0) // of the record
  const [, start] = readVarint(cell, afterLength) // number of the row
  const [headerLength, firstType] = readVarint(cell, start)
  const values: SqliteValue[] = []
  let at = start + headerLength
  for (let place = firstType; place < start + headerLength; ) {
    const [type, next] = readVarint(cell, place)
    const size = sizeOf(type)
    values.push(readValue(type, cell.subarray(at, at + size), size))
    at += size
    place = next
  }
  return values
}

function sizeOf(type: number): number {
  if (type >= 12) return (type - 12) >> 1
  return INTEGER_SIZES[type] ?? (type < 8 ? 8 : 0)
}

function readValue(type: number, bytes: Buffer, size: number): SqliteValue {
  if (bytes.length < size) return undefined
  if (type === 8 || type === 9) return type - 8
  if (type >= 1 && type <= 5) return bytes.readIntBE(0, size)
  if (type === 6) return Number(bytes.readBigInt64BE())
  return type >= 13 && type % 2 === 1 ? bytes.toString('utf8') : undefined
}

/** A number and the place behind it; of nine bytes that SQLite allows, numbers here need no more than seven. */
function readVarint(bytes: Buffer, start: number): [value: number, end: number] {
  let value = 0
  for (let at = start; at < start + 7; at++) {
    const byte = bytes.readUInt8(at)
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) return [value, at + 1]
  }
  throw new RangeError('SQLite: number too large')
}
