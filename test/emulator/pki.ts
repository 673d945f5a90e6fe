/**
 * Certificates, keys and revocation lists for the emulator's tests, each of them as right or as wrong as the
 * test wants it.
 */
import 'reflect-metadata'
import { KeyObject, randomBytes, type webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

const { digitalSignature, keyCertSign, cRLSign } = x509.KeyUsageFlags

const ALGORITHMS = {
  rsa: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 2048,
  },
  p256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  p384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  p521: { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
} as const

export type KeyKind = keyof typeof ALGORITHMS

/** A certificate with its private key. */
export interface Identity {
  readonly certificate: x509.X509Certificate
  readonly der: Buffer
  readonly pem: string
  readonly key: KeyObject
  readonly keys: webcrypto.CryptoKeyPair
  readonly kind: KeyKind
}

export interface IdentityOptions {
  readonly name?: string
  readonly kind?: KeyKind
  /** Of another certificate, to be certified again. */
  readonly keys?: webcrypto.CryptoKeyPair
  /** Without one, the certificate signs itself. */
  readonly issuer?: Identity
  readonly serialNumber?: string
  readonly notBefore?: Date
  readonly notAfter?: Date
  /** Undefined leaves basicConstraints out. */
  readonly ca?: boolean | undefined
  readonly pathLength?: number
  /** Undefined leaves keyUsage out. */
  readonly keyUsage?: number | undefined
  readonly hash?: string
  readonly extensions?: readonly x509.Extension[]
}

export const DAY_MS = 86_400_000

/** Makes a key pair and its certificate, valid from yesterday until tomorrow. */
export async function makeIdentity(options: IdentityOptions): Promise<Identity> {
  const { kind = 'p256', issuer, name = 'CN=edge' } = options
  const keys =
    options.keys ??
    ((await crypto.subtle.generateKey(ALGORITHMS[kind], true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair)
  const signer = issuer?.kind ?? kind
  const signingAlgorithm = {
    ...ALGORITHMS[signer],
    ...(options.hash === undefined ? {} : { hash: options.hash }),
  }
  const extensions = [...(options.extensions ?? [])]
  if (options.ca !== undefined)
    extensions.push(new x509.BasicConstraintsExtension(options.ca, options.pathLength, true))
  if (options.keyUsage !== undefined) extensions.push(new x509.KeyUsagesExtension(options.keyUsage, true))
  const certificate = await x509.X509CertificateGenerator.create({
    subject: name,
    issuer: issuer === undefined ? name : issuer.certificate.subjectName.toString(),
    serialNumber: options.serialNumber ?? `01${randomBytes(15).toString('hex')}`,
    notBefore: options.notBefore ?? new Date(Date.now() - DAY_MS),
    notAfter: options.notAfter ?? new Date(Date.now() + DAY_MS),
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
    signingAlgorithm,
    extensions,
  })
  return {
    certificate,
    der: Buffer.from(certificate.rawData),
    pem: `${certificate.toString('pem')}\n`,
    key: KeyObject.from(keys.privateKey),
    keys,
    kind,
  }
}

/** A CA certificate that may be a trust anchor. */
export function makeCa(options: IdentityOptions = {}): Promise<Identity> {
  return makeIdentity({ name: 'CN=Test CA', ca: true, keyUsage: keyCertSign | cRLSign, ...options })
}

/** An end-entity certificate that Roles Anywhere takes. */
export function makeLeaf(issuer: Identity, options: IdentityOptions = {}): Promise<Identity> {
  return makeIdentity({ issuer, ca: false, keyUsage: digitalSignature, ...options })
}

/** A PEM revocation list of `issuer` that revokes `revoked`. */
export async function makeCrl(
  issuer: Identity,
  revoked: readonly Identity[],
  { hash }: { hash?: string } = {},
): Promise<string> {
  const crl = await x509.X509CrlGenerator.create({
    issuer: issuer.certificate.subject,
    thisUpdate: new Date(),
    nextUpdate: new Date(Date.now() + DAY_MS),
    entries: revoked.map(({ certificate }) => ({
      serialNumber: certificate.serialNumber,
      revocationDate: new Date(),
    })),
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: { ...ALGORITHMS[issuer.kind], ...(hash === undefined ? {} : { hash }) },
  })
  return `${x509.PemConverter.encode(crl.rawData, 'X509 CRL')}\n`
}
