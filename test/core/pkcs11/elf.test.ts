/** Which processor a file is for, and how long it is, told by the start of real libraries and of made-up ones. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { arch } from 'node:process'
import { ELF_START_LENGTH, findElfLength, findElfMachine } from '../../../src/core/pkcs11/elf.js'
import { findLibrary } from '../../support/command.js'

describe('findElfMachine', () => {
  const library = readFileSync(findLibrary('libc.so.6')).subarray(0, ELF_START_LENGTH)
  const withMachine = (machine: number, bigEndian = false) => {
    const header = Buffer.from(library)
    header[5] = bigEndian ? 2 : 1
    if (bigEndian) header.writeUInt16BE(machine, 18)
    else header.writeUInt16LE(machine, 18)
    return header
  }

  it('names the processor of this machine as Node does', () => assert.equal(findElfMachine(library), arch))

  it('names others', () => {
    assert.equal(findElfMachine(withMachine(183)), 'arm64')
    assert.equal(findElfMachine(withMachine(62)), 'x64')
    assert.equal(findElfMachine(withMachine(3)), 'ia32')
    assert.equal(findElfMachine(withMachine(22, true)), 's390x')
    assert.equal(findElfMachine(withMachine(4711)), 'machine 4711')
  })

  it('says nothing of a file that is cut off, or is something else', () => {
    assert.equal(findElfMachine(library.subarray(0, 19)), undefined)
    assert.equal(findElfMachine(Buffer.alloc(0)), undefined)
    assert.equal(findElfMachine(Buffer.from('#!/bin/sh\nexec something\n')), undefined)
  })
})

describe('findElfLength', () => {
  const library = readFileSync(findLibrary('libc.so.6'))

  it('is most of a library, and never more than there is', () => {
    for (const name of ['libc.so.6', 'libz.so.1', 'softhsm/libsofthsm2.so']) {
      const file = readFileSync(findLibrary(name))
      const length = findElfLength(file.subarray(0, ELF_START_LENGTH))
      assert.ok(length > file.length / 2 && length <= file.length, `${name}: ${length} of ${file.length}`)
    }
  })

  it('reads 32 bits, and the other byte order', () => {
    const header = Buffer.alloc(0x54)
    header.write('\x7fELF\x01\x02', 'latin1')
    header.writeUInt32BE(0x34, 0x1c)
    header.writeUInt16BE(0x20, 0x2a)
    header.writeUInt16BE(1, 0x2c)
    header.writeUInt32BE(1, 0x34)
    header.writeUInt32BE(0x1000, 0x38)
    header.writeUInt32BE(0x234, 0x44)
    assert.equal(findElfLength(header), 0x1234)
  })

  it('says nothing of a file that is cut off within its headers, or is something else', () => {
    for (const start of [library.subarray(0, 100), library.subarray(0, 30), Buffer.from('#!/bin/sh\n')]) {
      assert.equal(findElfLength(start), 0)
    }
  })
})
