/**
 * Which machine a shared library is for, and how long its file must be, from the first bytes of it. Only ELF is read.
 * @see https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
 * @see https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html
 */

/** How many bytes of the file are wanted: the header, and the program headers, which linkers put behind it. */
export const ELF_START_LENGTH = 4096

const PT_LOAD = 1
/** Up to e_machine. */
const MIN_LENGTH = 20

/** e_machine, by the names that Node has for processors where it has one. */
const MACHINES: Readonly<Record<number, string>> = {
  3: 'ia32',
  8: 'mips',
  20: 'ppc',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
  258: 'loong64',
}

/** The processor that an ELF file is for, such as `x64`; a number where it has no name here; undefined for other files. */
export function findElfMachine(start: Uint8Array): string | undefined {
  const machine = readElf(start)?.(18, 2)
  return machine === undefined ? undefined : (MACHINES[machine] ?? `machine ${machine}`)
}

/**
 * The length that an ELF file must have, lest a process that touches what is missing of it end with SIGBUS: where the last
 * of the segments ends that are loaded. 0 for other files, and where the program headers lie elsewhere.
 */
export function findElfLength(start: Uint8Array): number {
  const read = readElf(start)
  if (read === undefined || start.length < 64) return 0
  const isLong = start[4] === 2
  const [table, size, count] = isLong
    ? [read(0x20, 8), read(0x36, 2), read(0x38, 2)]
    : [read(0x1c, 4), read(0x2a, 2), read(0x2c, 2)]
  if (table + size * count > start.length) return 0
  const ends = Array.from({ length: count }, (_, index) => {
    const segment = table + index * size
    if (read(segment, 4) !== PT_LOAD) return 0
    return isLong
      ? read(segment + 8, 8) + read(segment + 32, 8)
      : read(segment + 4, 4) + read(segment + 16, 4)
  })
  return Math.max(0, ...ends)
}

/** Reads a number of so many bytes at an offset, in the file's own byte order; undefined for other files. */
function readElf(start: Uint8Array): ((offset: number, length: 2 | 4 | 8) => number) | undefined {
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.length)
  if (bytes.length < MIN_LENGTH || bytes.toString('latin1', 0, 4) !== '\x7fELF') return undefined
  return (offset, length) => {
    const field = Buffer.from(bytes.subarray(offset, offset + length))
    if (bytes[5] === 1) field.reverse()
    return Number(`0x${field.toString('hex')}`)
  }
}
