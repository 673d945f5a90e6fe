/**
 * What an error of Node's sockets, TLS or HTTP parser means for a person, as one HoldfastError. An error is
 * told by its code; texts of Node and OpenSSL are only quoted.
 * @see https://nodejs.org/api/errors.html#nodejs-error-codes
 */

import { type ErrorCode, HoldfastError } from '../errors.js'
import { formatForeignText } from '../printable.js'

/** What was going on when the fault came. */
export interface NetworkActivity {
  /** For example `asking the proxy for a tunnel`. */
  readonly doing: string
  /** The other side of the connection, `host:port`. */
  readonly peer: string
  readonly isProxy: boolean
  readonly now: Date
  /** When this program was built; a clock before that is certainly wrong. */
  readonly buildDate?: Date | undefined
  /** Path of the CA bundle in use instead of the default roots. */
  readonly caBundle?: string | undefined
  /** Where the address and a CA to trust are set; if not given, where they are for Roles Anywhere. */
  readonly settings?: { readonly address: string; readonly trust: string } | undefined
}

const ROLES_ANYWHERE_SETTINGS = { address: 'the region or --endpoint', trust: 'AWS_CA_BUNDLE' }

/**
 * Translates an error; it is kept as the cause.
 * @returns NETWORK_FAILED (worth another try), TLS_FAILED, CLOCK_WRONG, REPLY_INVALID or PROXY_FAILED
 */
export function explainNetworkFault(cause: unknown, activity: NetworkActivity): HoldfastError {
  const { code = '', message = '' } = Object(cause) as { code?: string; message?: string }
  const { doing, settings = ROLES_ANYWHERE_SETTINGS } = activity
  const peer = activity.isProxy ? `the proxy ${activity.peer}` : activity.peer
  const fault = (errorCode: ErrorCode, text: string) => new HoldfastError(errorCode, text, { cause })

  const unreachable = UNREACHABLE[code]
  if (unreachable) {
    return fault('NETWORK_FAILED', `${peer} ${unreachable.replace('ADDRESS', settings.address)} (${code})`)
  }
  if (code.startsWith('HPE_')) {
    return fault(
      activity.isProxy ? 'PROXY_FAILED' : 'REPLY_INVALID',
      `the answer of ${peer} is not HTTP/1.1, or its headers are too long (${code}); check the address`,
    )
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return fault('TLS_FAILED', `the TLS certificate of ${peer} is for another host: ${quote(message)}`)
  }
  const certificateFault = CERTIFICATE_FAULTS[code]
  if (certificateFault) return explainCertificateFault(cause, certificateFault, { ...activity, peer })
  // Node's names for OpenSSL's other verification results; a system error has no underscore.
  if (/^(?!EAI_|ERR_)[A-Z]+_|^UNSPECIFIED$/.test(code)) {
    return fault('TLS_FAILED', `the TLS certificate of ${peer} is not accepted: ${quote(message)} (${code})`)
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) {
    return fault(
      'TLS_FAILED',
      `TLS with ${peer} failed: ${quote(message)}; it must speak TLS 1.2 or later on that port`,
    )
  }
  return fault('NETWORK_FAILED', `the connection to ${peer} failed while ${doing}: ${quote(message || code)}`)
}

function quote(text: string): string {
  return formatForeignText(text, 300)
}

/** What Node says before there is a connection, or when one breaks. */
const UNREACHABLE: Readonly<Record<string, string>> = {
  ENOTFOUND: 'is not known to the DNS; check ADDRESS, and the network',
  EAI_AGAIN: 'could not be looked up, since the DNS does not answer; check the network',
  ECONNREFUSED: 'refuses connections; check that it is running and that the port is right',
  ECONNRESET: 'broke the connection',
  EPIPE: 'broke the connection',
  ETIMEDOUT: 'does not answer; check the network and its firewalls',
  EHOSTUNREACH: 'cannot be reached; check the network',
  ENETUNREACH: 'cannot be reached; check the network',
}

type CertificateFault = 'early' | 'late' | 'unknown CA'

/** OpenSSL's verification errors that have an explanation; the others are shown with OpenSSL's words. */
const CERTIFICATE_FAULTS: Readonly<Record<string, CertificateFault>> = {
  CERT_NOT_YET_VALID: 'early',
  CERT_HAS_EXPIRED: 'late',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'unknown CA',
  SELF_SIGNED_CERT_IN_CHAIN: 'unknown CA',
  UNABLE_TO_GET_ISSUER_CERT: 'unknown CA',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unknown CA',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unknown CA',
}

function explainCertificateFault(
  cause: unknown,
  kind: CertificateFault,
  { peer, now, buildDate, caBundle, settings = ROLES_ANYWHERE_SETTINGS }: NetworkActivity,
): HoldfastError {
  const clock = `this machine's clock says ${now.toISOString()}`
  // A server shows a certificate from the future far more rarely than a machine starts without a clock.
  if (kind === 'early') {
    return new HoldfastError(
      'CLOCK_WRONG',
      `the TLS certificate of ${peer} is not valid yet, and ${clock}; set the clock`,
      { cause },
    )
  }
  if (buildDate && now < buildDate) {
    return new HoldfastError(
      'CLOCK_WRONG',
      `the TLS certificate of ${peer} could not be verified, and ${clock}, which is before this program was built; set the clock`,
      { cause },
    )
  }
  if (kind === 'late') {
    return new HoldfastError(
      'TLS_FAILED',
      `the TLS certificate of ${peer} has expired, and ${clock}; if the clock is right, the server needs a new certificate`,
      { cause },
    )
  }
  const trust = caBundle
    ? `is not in the bundle ${caBundle}, which replaces the usual ones`
    : 'is not one that Node trusts'
  return new HoldfastError(
    'TLS_FAILED',
    `the TLS certificate of ${peer} comes from a CA that ${trust}; if a firewall or proxy of your organization opens TLS, or the endpoint is your own, name the CA's PEM file in ${settings.trust}`,
    { cause },
  )
}
