/** The texts that say how a TPM is reached. */

import assert from 'node:assert/strict'
import { lacksResourceManager, parseTcti } from '../../../src/core/pkcs11/tpm-access.js'

describe('parseTcti', () => {
  const texts: [text: string, kind: string, target: string][] = [
    ['device:/dev/tpmrm0', 'device', '/dev/tpmrm0'],
    ['device', 'device', '/dev/tpmrm0'],
    ['device:', 'device', '/dev/tpmrm0'],
    ['libtss2-tcti-device.so.0:/dev/tpm0', 'device', '/dev/tpm0'],
    ['/usr/lib/libtss2-tcti-device.so:/dev/tpm0', 'device', '/dev/tpm0'],
    ['tabrmd:bus_type=session', 'tabrmd', 'bus_type=session'],
    ['tabrmd', 'tabrmd', ''],
    ['swtpm:host=127.0.0.1,port=2321', 'swtpm', 'host=127.0.0.1,port=2321'],
    ['', '', ''],
  ]
  for (const [text, kind, target] of texts) {
    it(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(parseTcti(text), { kind, target }))
  }
})

describe('lacksResourceManager', () => {
  for (const text of ['device:/dev/tpm0', 'device:/dev/tpm1', 'swtpm:path=/run/tpm', 'mssim:port=2321']) {
    it(`is true for ${text}`, () => assert.ok(lacksResourceManager(parseTcti(text))))
  }
  for (const text of ['device', 'device:/dev/tpmrm0', 'device:/dev/tpmrm1', 'tabrmd:', 'cmd:ssh tpm']) {
    it(`is false for ${text}`, () => assert.ok(!lacksResourceManager(parseTcti(text))))
  }
})
