/**
 * A certificate authority and a server certificate that live as long as the emulator: clients are given the
 * CA, so nothing has to be installed and no check has to be switched off.
 */
import 'reflect-metadata'
import { KeyObject, randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'

export interface TlsIdentity {
  /** What clients have to trust. */
  readonly caPem: string
  readonly certificatePem: string
  readonly keyPem: string
}

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS

/**
 * Makes both certificates, valid from an hour ago for a year.
 * @param names host names and addresses that the server certificate is for
 */
export async function createTlsIdentity(names: readonly string[]): Promise<TlsIdentity> {
  const caKeys = await crypto.subtle.generateKey(EC, false, ['sign', 'verify'])
  const serverKeys = await crypto.subtle.generateKey(EC, true, ['sign', 'verify'])
  const validity = { notBefore: new Date(Date.now() - HOUR_MS), notAfter: new Date(Date.now() + YEAR_MS) }
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity,
    // A serial of its own for each start: some clients cache certificates by issuer and serial number.
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    name: `CN=holdfast emulator TLS CA ${randomBytes(4).toString('hex')}`,
    keys: caKeys,
    signingAlgorithm: EC,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  })
  const server = await x509.X509CertificateGenerator.create({
    ...validity,
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    subject: 'CN=holdfast emulator',
    issuer: ca.subject,
    publicKey: serverKeys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: EC,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((name) => ({ type: isIP(name) === 0 ? 'dns' : 'ip', value: name })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(ca),
    ],
  })
  return {
    caPem: `${ca.toString('pem')}\n`,
    certificatePem: `${server.toString('pem')}\n`,
    keyPem: KeyObject.from(serverKeys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}
