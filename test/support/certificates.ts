/**
 * A throw-away certification authority: good certificates, and each kind of bad one, for public keys whose
 * private half may be in a token; TLS server certificates; revocation lists.
 */

import 'reflect-metadata'
import { webcrypto, X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'

type CryptoKeyPair = webcrypto.CryptoKeyPair

const DAY = 86_400_000
const ALGORITHMS = {
  'RSA-2048': {
    name: 'RSASSA-PKCS1-v1_5',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: 'SHA-256',
  },
  'P-256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'P-384': { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  'P-521': { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
} as const

/** Kinds of keys that the fixtures can make. */
export type KeyAlgorithm = keyof typeof ALGORITHMS

/** Differences from a good end-entity certificate that was valid since yesterday and is for a year. */
export interface CertificateOptions {
  /** An RFC 4514 name, or empty. */
  subject?: string
  notBefore?: Date
  notAfter?: Date
  /** Hexadecimal, two digits a byte, at most 20 bytes. */
  serialNumber?: string
  /** `undefined` leaves basicConstraints out. */
  ca?: boolean | undefined
  /** `undefined` leaves keyUsage out. */
  keyUsage?: x509.KeyUsageFlags | undefined
  hash?: 'SHA-1' | 'SHA-256' | 'SHA-384' | 'SHA-512'
  subjectAltNames?: x509.JsonGeneralNames
  extensions?: x509.Extension[]
}

/** What makes a certificate one that IAM Roles Anywhere must refuse; the options to issue each. */
export const BAD_CERTIFICATES = {
  expired: { notBefore: new Date(Date.now() - 3 * DAY), notAfter: new Date(Date.now() - DAY) },
  'not yet valid': { notBefore: new Date(Date.now() + DAY), notAfter: new Date(Date.now() + 3 * DAY) },
  'of a CA': { ca: true },
  'without digitalSignature': { keyUsage: x509.KeyUsageFlags.keyEncipherment },
  'without key usage': { keyUsage: undefined },
  'signed with SHA-1': { hash: 'SHA-1' },
  'with an empty subject': { subject: '' },
} as const satisfies Record<string, CertificateOptions>

/** A key outside any token, with both halves in the forms that the tests need. */
export interface FileKey {
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
  readonly privateKeyPem: string
  readonly keys: CryptoKeyPair
}

/** An authority that can sign certificates. */
export interface Authority {
  readonly certificate: Uint8Array
  readonly certificatePem: string
  readonly privateKeyPem: string
  /** DER certificate for a DER SubjectPublicKeyInfo. */
  issue(publicKey: Uint8Array, options?: CertificateOptions): Promise<Uint8Array>
  /** An authority below this one. */
  intermediate(commonName: string, algorithm?: KeyAlgorithm): Promise<Authority>
  /** PEM certificate and key of a TLS server on the loopback interface. */
  issueServer(): Promise<{ cert: string; key: string }>
  /** PEM revocation list with these serial numbers (hexadecimal). */
  revoke(...serialNumbers: string[]): Promise<string>
}

/** A new self-signed authority. */
export async function createAuthority(
  commonName = 'Throw-away Root',
  algorithm: KeyAlgorithm = 'P-256',
  options: CertificateOptions = {},
): Promise<Authority> {
  const key = await createFileKey(algorithm)
  const subject = `CN=${commonName}`
  const certificate = await sign(key.publicKey, { ...AUTHORITY, subject, ...options }, subject, key.keys)
  return authority(certificate, key)
}

/** Another certificate for the key and the name of an authority. */
export function certify(
  issuer: Authority,
  subject: Authority,
  options: CertificateOptions = {},
): Promise<Uint8Array> {
  const { subject: name, publicKey } = new X509Certificate(subject.certificate)
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  return issuer.issue(spki, { ...AUTHORITY, subject: name, ...options })
}

/** A new key pair of the kind. */
export async function createFileKey(algorithm: KeyAlgorithm): Promise<FileKey> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHMS[algorithm], true, ['sign', 'verify'])
  return {
    keys,
    publicKey: new Uint8Array(await webcrypto.subtle.exportKey('spki', keys.publicKey)),
    privateKeyPem: x509.PemConverter.encode(
      await webcrypto.subtle.exportKey('pkcs8', keys.privateKey),
      'PRIVATE KEY',
    ),
  }
}

/** PEM of DER certificates, in their order, each with a line end. */
export function certificatePem(...certificates: Uint8Array[]): string {
  return certificates.map((der) => `${x509.PemConverter.encode(der, 'CERTIFICATE')}\n`).join('')
}

const AUTHORITY = {
  ca: true,
  keyUsage: x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
} satisfies CertificateOptions

function authority(certificate: x509.X509Certificate, key: FileKey): Authority {
  const issue = (publicKey: Uint8Array, options: CertificateOptions = {}) =>
    sign(publicKey, options, certificate.subject, key.keys)
  return {
    certificate: new Uint8Array(certificate.rawData),
    certificatePem: `${certificate.toString('pem')}\n`,
    privateKeyPem: key.privateKeyPem,
    issue: async (publicKey, options) => new Uint8Array((await issue(publicKey, options)).rawData),
    intermediate: async (commonName, algorithm = 'P-256') => {
      const below = await createFileKey(algorithm)
      return authority(await issue(below.publicKey, { ...AUTHORITY, subject: `CN=${commonName}` }), below)
    },
    issueServer: async () => {
      const server = await createFileKey('P-256')
      const issued = await issue(server.publicKey, {
        subject: 'CN=localhost',
        subjectAltNames: [
          { type: 'dns', value: 'localhost' },
          { type: 'ip', value: '127.0.0.1' },
        ],
      })
      return { cert: `${issued.toString('pem')}\n`, key: server.privateKeyPem }
    },
    revoke: async (...serialNumbers) => {
      const list = await x509.X509CrlGenerator.create({
        issuer: certificate.subject,
        thisUpdate: new Date(Date.now() - DAY),
        nextUpdate: new Date(Date.now() + DAY),
        entries: serialNumbers.map((serialNumber) => ({ serialNumber })),
        signingKey: key.keys.privateKey,
        signingAlgorithm: signingAlgorithm(key.keys),
      })
      return `${x509.PemConverter.encode(list.rawData, 'X509 CRL')}\n`
    },
  }
}

async function sign(
  publicKey: Uint8Array,
  options: CertificateOptions,
  issuer: string,
  { privateKey }: CryptoKeyPair,
): Promise<x509.X509Certificate> {
  const {
    subject = 'CN=edge-1,OU=Devices,O=Example',
    notBefore = new Date(Date.now() - DAY),
    notAfter = new Date(Date.now() + 365 * DAY),
    serialNumber,
    hash,
    subjectAltNames,
    extensions = [],
  } = options
  const ca = 'ca' in options ? options.ca : false
  const keyUsage = 'keyUsage' in options ? options.keyUsage : x509.KeyUsageFlags.digitalSignature
  const all = [...extensions]
  if (ca !== undefined) all.push(new x509.BasicConstraintsExtension(ca, undefined, true))
  if (keyUsage !== undefined) all.push(new x509.KeyUsagesExtension(keyUsage, true))
  if (subjectAltNames !== undefined) all.push(new x509.SubjectAlternativeNameExtension(subjectAltNames))
  return x509.X509CertificateGenerator.create({
    ...(serialNumber === undefined ? {} : { serialNumber }),
    subject,
    issuer,
    notBefore,
    notAfter,
    publicKey: new x509.PublicKey(publicKey),
    signingKey: privateKey,
    signingAlgorithm: signingAlgorithm({ privateKey }, hash),
    extensions: all,
  })
}

/** How the key signs: with `hash` if it is given, else with the hash that its kind usually goes with. */
function signingAlgorithm({ privateKey }: Pick<CryptoKeyPair, 'privateKey'>, hash?: string) {
  const { name, namedCurve } = privateKey.algorithm as webcrypto.EcKeyAlgorithm
  const usual = new Map([
    ['P-384', 'SHA-384'],
    ['P-521', 'SHA-512'],
  ])
  return { name, hash: hash ?? usual.get(namedCurve) ?? 'SHA-256' }
}
