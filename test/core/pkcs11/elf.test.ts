/** Which processor a file is for, told by the header of real libraries and of made-up ones. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { arch } from 'node:process'
import { ELF_HEADER_LENGTH, findElfMachine } from '../../../src/core/pkcs11/elf.js'
import { findLibrary } from '../../support/command.js'

describe('findElfMachine', () => {
  const library = readFileSync(findLibrary('libc.so.6')).subarray(0, ELF_HEADER_LENGTH)
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
