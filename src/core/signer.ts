/**
 * The three small interfaces that hold the program together: something that can sign, something that
 * opens a signer and closes it again, and something that gives credentials (see core/credentials).
 */

/**
 * Algorithm names of SigV4-X509 as they stand in the Authorization header. Both hash with SHA-256,
 * whatever the key's size or curve.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-sign-process.html
 */
export type SigningAlgorithm = 'AWS4-X509-RSA-SHA256' | 'AWS4-X509-ECDSA-SHA256'

/** Something that can prove, now, that it holds the private key of `certificate`. */
export interface Signer {
  /** The end-entity certificate, DER. */
  readonly certificate: Uint8Array
  /** Certificates that may lead from it to the trust anchor, DER, in any order; may hold unrelated ones. */
  readonly chain: readonly Uint8Array[]
  readonly algorithm: SigningAlgorithm
  /**
   * Signs `message` (not its hash). RSA: RSASSA-PKCS1-v1_5 with SHA-256. ECDSA: SHA-256, DER
   * `SEQUENCE { r, s }`. The returned bytes belong to the caller.
   */
  sign(message: Uint8Array, options: { signal: AbortSignal }): Promise<Uint8Array>
}

/** Opens a signer, lends it, and closes it on every way out. */
export interface SignerSource {
  withSigner<T>(use: (signer: Signer) => Promise<T>, options: { signal: AbortSignal }): Promise<T>
}

/** Lifts a signer that needs no opening (a KMS, a remote signer) to a source. */
export function toSignerSource(signer: Signer): SignerSource {
  return { withSigner: (use) => use(signer) }
}
