/**
 * Which machine a shared library is for, from the first bytes of its file. Only ELF is read.
 * @see https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
 */

/** How many bytes of the file are needed. */
export const ELF_HEADER_LENGTH = 20

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
export function findElfMachine(header: Uint8Array): string | undefined {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.length)
  if (bytes.length < ELF_HEADER_LENGTH || bytes.toString('latin1', 0, 4) !== '\x7fELF') return undefined
  const isLittleEndian = bytes[5] === 1
  const machine = isLittleEndian ? bytes.readUInt16LE(18) : bytes.readUInt16BE(18)
  return MACHINES[machine] ?? `machine ${machine}`
}
