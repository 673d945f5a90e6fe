/**
 * Makes what a CA signs: its own certificate, end-entity certificates, revocation lists (RFC 5280), all as IAM Roles
 * Anywhere wants them. Computes and has the signer sign; serial numbers, dates and records are others'.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
 */

import 'reflect-metadata'
import { createHash, createPublicKey, type webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { HoldfastError } from '../core/errors.js'
import { formatUnsignedInteger, parseEcdsaSignature, readElement, readElements } from '../core/x509/der.js'
import type { NameAttribute } from '../core/x509/distinguished-name.js'
import { type CertificateRequest, createName } from './request.js'
import type { Revocation } from './revocation.js'
import type { CaSigner } from './signer.js'

/** From when to when, and under which number (hexadecimal). */
interface Issue {
  readonly serialNumber: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** DER of a self-signed CA certificate that can issue end-entity certificates and revocation lists, and nothing else. */
export async function issueAuthority(
  subject: readonly NameAttribute[],
  issue: Issue,
  signer: CaSigner,
): Promise<Uint8Array> {
  const { keyCertSign, cRLSign } = x509.KeyUsageFlags
  const name = createName(subject)
  return issueCertificate(name, name, issue, signer.publicKeyInfo, signer, [
    new x509.BasicConstraintsExtension(true, 0, true),
    new x509.KeyUsagesExtension(keyCertSign | cRLSign, true),
    new x509.SubjectKeyIdentifierExtension(keyIdOf(signer.publicKeyInfo)),
  ])
}

/** DER of an end-entity certificate for what was requested. */
export async function issueEndEntity(
  request: CertificateRequest,
  issue: Issue,
  authority: Uint8Array,
  signer: CaSigner,
): Promise<Uint8Array> {
  const { subject, publicKeyInfo, alternativeNames } = request
  const ca = new x509.X509Certificate(authority)
  return issueCertificate(subject, ca.subjectName, issue, publicKeyInfo, signer, [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
    new x509.SubjectKeyIdentifierExtension(keyIdOf(publicKeyInfo)),
    new x509.AuthorityKeyIdentifierExtension(keyIdOf(signer.publicKeyInfo)),
    ...(alternativeNames === undefined ? [] : [alternativeNames]),
  ])
}

async function issueCertificate(
  subject: x509.Name,
  issuer: x509.Name,
  issue: Issue,
  publicKeyInfo: Uint8Array,
  signer: CaSigner,
  extensions: x509.Extension[],
): Promise<Uint8Array> {
  const certificate = await x509.X509CertificateGenerator.create(
    {
      ...issue,
      subject,
      issuer,
      publicKey: new x509.PublicKey(publicKeyInfo),
      extensions,
      ...signingKeyOf(signer),
    },
    createSigningCrypto(signer),
  )
  return new Uint8Array(certificate.rawData)
}

/**
 * DER of a revocation list of version 2 with a number, which counts upward.
 * @throws HoldfastError SIGNATURE_INVALID if the signer signed with another key than it says
 */
export async function issueRevocationList(
  revocations: readonly Revocation[],
  list: { readonly number: number; readonly thisUpdate: Date; readonly nextUpdate: Date },
  authority: Uint8Array,
  signer: CaSigner,
): Promise<Uint8Array> {
  const { number, thisUpdate, nextUpdate } = list
  const digits = Buffer.alloc(6)
  digits.writeUIntBE(number, 0, digits.length)
  const crl = await x509.X509CrlGenerator.create(
    {
      issuer: new x509.X509Certificate(authority).subjectName,
      thisUpdate,
      nextUpdate,
      entries: revocations.map(({ serialNumber, revokedAt, reason }) => ({
        serialNumber,
        revocationDate: revokedAt,
        reason: x509.X509CrlReason[reason],
      })),
      extensions: [
        new x509.AuthorityKeyIdentifierExtension(keyIdOf(signer.publicKeyInfo)),
        new x509.Extension(CRL_NUMBER, false, formatUnsignedInteger(digits)),
      ],
      ...signingKeyOf(signer),
    },
    createSigningCrypto(signer),
  )
  const publicKey = new x509.PublicKey(signer.publicKeyInfo)
  if (await crl.verify({ publicKey })) return new Uint8Array(crl.rawData)
  throw new HoldfastError('SIGNATURE_INVALID', "the signature is not by the CA's key: no list was made")
}

const CRL_NUMBER = '2.5.29.20'

/**
 * When a list in PEM was signed.
 * @throws Error if it is not one
 */
export function parseThisUpdate(pem: string): Date {
  return new x509.X509Crl(pem).thisUpdate
}

/** Hexadecimal: the leftmost 160 bits of the SHA-256 hash of the public key (RFC 7093 §2, method 1). */
export function keyIdOf(publicKeyInfo: Uint8Array): string {
  const [, bits] = readElements(readElement(publicKeyInfo).content)
  return createHash('sha256').update(bits!.content.subarray(1)).digest('hex').slice(0, 40)
}

const CURVES: Readonly<Record<string, { readonly namedCurve: string; readonly bytes: number }>> = {
  prime256v1: { namedCurve: 'P-256', bytes: 32 },
  secp384r1: { namedCurve: 'P-384', bytes: 48 },
  secp521r1: { namedCurve: 'P-521', bytes: 66 },
}

function curveOf({ publicKeyInfo }: CaSigner) {
  const key = createPublicKey({ key: Buffer.from(publicKeyInfo), format: 'der', type: 'spki' })
  return CURVES[key.asymmetricKeyDetails?.namedCurve ?? '']
}

/** What the generators want to know of a key: how its signatures are called. */
function signingKeyOf(signer: CaSigner) {
  const curve = curveOf(signer)
  const algorithm =
    curve === undefined ? { name: 'RSASSA-PKCS1-v1_5' } : { name: 'ECDSA', namedCurve: curve.namedCurve }
  return {
    signingKey: { algorithm } as webcrypto.CryptoKey,
    signingAlgorithm: { ...algorithm, hash: 'SHA-256' },
  }
}

/** The one operation of WebCrypto that the generators use, done by the signer. WebCrypto's ECDSA signatures are r‖s. */
function createSigningCrypto(signer: CaSigner): webcrypto.Crypto {
  const curve = curveOf(signer)
  const sign = async (_algorithm: unknown, _key: unknown, message: ArrayBuffer) => {
    const signature = await signer.sign(new Uint8Array(message))
    return curve === undefined ? signature : parseEcdsaSignature(signature, curve.bytes)
  }
  return { subtle: { sign } } as unknown as webcrypto.Crypto
}
