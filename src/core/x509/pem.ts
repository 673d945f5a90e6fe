/** PEM around DER, in lines of 64 characters (RFC 7468 §2). */

/** One block with a line end. @param label what stands in its first line, such as `CERTIFICATE REQUEST` */
export function formatPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}
