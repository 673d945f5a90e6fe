/**
 * Certificates and private keys in files. A private key in a file is for trying things out and for users
 * without hardware: PEM in PKCS#8, PKCS#1 or SEC1, not encrypted. No PKCS#11 code is loaded for it.
 * @see RFC 7468 (PEM), RFC 5958 (PKCS#8), RFC 8017 (PKCS#1), RFC 5915 (SEC1)
 */

import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { HoldfastError } from '../core/errors.js'
import type { SignerSource } from '../core/signer.js'
import {
  type Certificate,
  parseCertificate,
  parseCertificatesPem,
  signingAlgorithmOf,
} from '../core/x509/certificate.js'

/** Far more than any chain needs; a wrong path to something huge must not fill the memory. */
const MAX_FILE_BYTES = 1024 * 1024

/**
 * The certificates of a PEM file in their order, or the one of a DER file.
 * @throws HoldfastError FILE_UNREADABLE, CERTIFICATE_INVALID, CERTIFICATE_NOT_FOUND
 */
export async function readCertificates(path: string): Promise<Certificate[]> {
  const { bytes } = await readSmallFile(path, 'certificate file')
  return parseCertificates(bytes, path)
}

/**
 * The certificates in the content of such a file.
 * @param origin what to call it
 * @throws HoldfastError CERTIFICATE_INVALID, CERTIFICATE_NOT_FOUND
 */
export function parseCertificates(bytes: Uint8Array, origin: string): Certificate[] {
  if (bytes.length === 0) throw new HoldfastError('CERTIFICATE_INVALID', `${origin} is empty`)
  let certificates: Certificate[]
  try {
    const text = Buffer.from(bytes).toString('latin1')
    certificates = text.includes('-----BEGIN') ? parseCertificatesPem(text) : [parseCertificate(bytes)]
  } catch (cause) {
    if (isPkcs12(bytes)) {
      throw new HoldfastError(
        'CERTIFICATE_INVALID',
        `${origin} is a PKCS#12 file: take the certificates out of it with openssl pkcs12 -nokeys -in FILE -out NEW`,
      )
    }
    throw new HoldfastError(
      'CERTIFICATE_INVALID',
      `${origin} holds something that is not an X.509 certificate in PEM or DER: ${(cause as Error).message}`,
      { cause },
    )
  }
  if (certificates.length > 0) return certificates
  throw new HoldfastError(
    'CERTIFICATE_NOT_FOUND',
    `${origin} holds no certificate: name a PEM file with a BEGIN CERTIFICATE block, or a DER file`,
  )
}

/**
 * A source that reads the key anew for each use, so that a renewed pair of files is taken up. Of
 * `readCertificates`, the one that belongs to the key is the signer's certificate and the others its chain.
 */
export function createKeyFileSource(
  path: string,
  readCertificates: () => Promise<readonly Certificate[]>,
  warn: (text: string) => void,
): SignerSource {
  return {
    async withSigner(use) {
      const certificates = await readCertificates()
      const key = await readPrivateKey(path, warn)
      const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' })
      const certificate = certificates.find(
        ({ publicKeyInfo }) => Buffer.compare(publicKeyInfo, publicKey) === 0,
      )
      if (certificate === undefined) {
        throw new HoldfastError(
          'KEY_MISMATCH',
          `the private key ${path} does not belong to the certificate given with --certificate: name the pair that was issued together`,
        )
      }
      return use({
        certificate: certificate.der,
        chain: certificates.filter((other) => other !== certificate).map(({ der }) => der),
        algorithm: signingAlgorithmOf(certificate),
        sign: async (message) => sign('sha256', message, key),
      })
    },
  }
}

/**
 * The private key in a PEM file.
 * @throws HoldfastError FILE_UNREADABLE, KEY_UNSUPPORTED, KEY_INVALID
 */
export async function readPrivateKey(path: string, warn: (text: string) => void): Promise<KeyObject> {
  // As AWS's own helper takes it. In a config file it has become a path.
  const [handle] = /(?<=^|\/)handle:0x[\da-f]+$/i.exec(path) ?? []
  if (handle !== undefined) {
    throw new HoldfastError('KEY_UNSUPPORTED', `${handle} is a key of a TPM by its handle: ${TPM_WAY}`)
  }
  const { bytes, mode } = await readSmallFile(path, 'private key file')
  if ((mode & 0o077) !== 0) warn(`others than its owner can read the private key ${path}: chmod 600 ${path}`)
  return parsePrivateKey(path, bytes)
}

// No `cause` in here: OpenSSL's errors are about the content of the key.
function parsePrivateKey(path: string, pem: Buffer): KeyObject {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem.toString('latin1'))) {
    throw new HoldfastError(
      'KEY_UNSUPPORTED',
      `the private key ${path} is encrypted, which is not supported: put the key into a token, or decrypt it with openssl pkey`,
    )
  }
  try {
    return createPrivateKey(pem)
  } catch {
    throw explainKey(path, pem)
  } finally {
    pem.fill(0)
  }
}

const TPM_WAY =
  'a TPM is used through PKCS#11, with --module tpm2 and the --pkcs11-uri of a key that holdfast enroll or holdfast key generate makes'

/** What a file is that holds no private key that can be used, and the way out. */
function explainKey(path: string, bytes: Buffer): HoldfastError {
  const text = bytes.toString('latin1')
  if (text === '') return new HoldfastError('KEY_INVALID', `${path} is empty`)
  if (text.includes('-----BEGIN TSS2 PRIVATE KEY-----')) {
    return new HoldfastError('KEY_UNSUPPORTED', `${path} holds a key that only its TPM can use: ${TPM_WAY}`)
  }
  const what = isPkcs12(bytes)
    ? 'is a PKCS#12 file: take the key out of it with openssl pkcs12 -nocerts -noenc -in FILE -out NEW'
    : /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)
      ? 'holds a private key that cannot be read: it is damaged, or neither PKCS#8 nor PKCS#1 nor SEC1'
      : bytes[0] === DER_SEQUENCE && !isCertificate(bytes)
        ? 'is in DER: convert it with openssl pkey -inform DER -in FILE -out NEW'
        : 'holds no private key in PEM (PKCS#8, PKCS#1 or SEC1): name the key file, not the certificate'
  return new HoldfastError('KEY_INVALID', `${path} ${what}`)
}

const DER_SEQUENCE = 0x30

/** Begins with a sequence whose first element is version 3 and the second a sequence: RFC 7292 section 4. */
function isPkcs12(bytes: Uint8Array): boolean {
  const [tag, length = 0] = bytes
  const start = 2 + (length > 0x80 ? length & 0x7f : 0)
  return tag === DER_SEQUENCE && Buffer.from(bytes).toString('hex', start, start + 4) === '02010330'
}

function isCertificate(bytes: Uint8Array): boolean {
  try {
    parseCertificate(bytes)
    return true
  } catch {
    return false
  }
}

/**
 * The bytes and the mode of a regular file of at most 1 MiB. Opening a FIFO would wait for a writer for ever.
 * @param what it is, for messages
 * @throws HoldfastError FILE_UNREADABLE
 */
export async function readSmallFile(path: string, what: string): Promise<{ bytes: Buffer; mode: number }> {
  let file: FileHandle | undefined
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const status = await file.stat()
    if (!status.isFile()) {
      throw new HoldfastError('FILE_UNREADABLE', `the ${what} ${path} is not a regular file`)
    }
    if (status.size > MAX_FILE_BYTES) {
      throw new HoldfastError('FILE_UNREADABLE', `the ${what} ${path} is larger than 1 MiB`)
    }
    return { bytes: await file.readFile(), mode: status.mode }
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
    throw new HoldfastError('FILE_UNREADABLE', `the ${what} ${path} cannot be read (${code})`, { cause })
  } finally {
    await file?.close()
  }
}
