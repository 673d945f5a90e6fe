/**
 * Enrollment over Secure Transport: the addresses of its operations, and what a server's answer means. Left
 * out: CSR attributes, keys made by the server, and full CMC.
 * @see RFC 7030 §3.2.2 (paths), §4.1 to §4.2 (operations); RFC 8951 (base64 whatever the headers say)
 */

import { HoldfastError } from '../errors.js'
import { formatForeignText } from '../printable.js'
import type { Reply } from '../roles-anywhere/refusal.js'
import type { Certificate } from '../x509/certificate.js'
import { parseCertsOnly } from '../x509/pkcs7.js'

/** `cacerts` is a GET, the others are a POST of a PKCS#10 request. */
export type EstOperation = 'cacerts' | 'simpleenroll' | 'simplereenroll'

/** Certificates at once, or word that a person must approve first. */
export type EstAnswer =
  | { readonly kind: 'issued'; readonly certificates: readonly Certificate[] }
  /** The same request is to be sent again, after so many seconds if the server named a number. */
  | { readonly kind: 'pending'; readonly retryAfterSeconds: number | undefined }

const WELL_KNOWN = '/.well-known/est'

/**
 * The base address that operations are appended to: an https URL. Without a path it is that of RFC 7030; a path
 * that is given is taken as it is, and may end in the label of one of the server's CAs.
 * @throws HoldfastError USAGE; the text is not repeated, since it may hold a password
 */
export function parseEstUrl(text: string): URL {
  const refuse = (what: string) => new HoldfastError('USAGE', `--est-url ${what}`)
  if (!URL.canParse(text))
    throw refuse('is not a URL: write https://host or https://host/.well-known/est/LABEL')
  const url = new URL(text)
  if (url.protocol !== 'https:') throw refuse('must begin with https://, since EST is nothing without TLS')
  if (url.username !== '' || url.password !== '') {
    throw refuse('has a user name or password in it: give --est-user and --est-password-file')
  }
  if (url.search !== '' || url.hash !== '') throw refuse('has more than a host and a path')
  url.pathname = url.pathname === '/' ? WELL_KNOWN : url.pathname.replace(/\/+$/, '')
  return url
}

/**
 * What a server answered.
 * @param server `host:port`, for messages
 * @throws HoldfastError ISSUER_REFUSED, THROTTLED, SERVICE_UNAVAILABLE, REPLY_INVALID; with the server's own words
 */
export function readEstReply(
  reply: Reply,
  { server, operation, now }: { server: string; operation: EstOperation; now: Date },
): EstAnswer {
  const answer = `the EST server ${server} answered ${reply.status} to ${operation}`
  if (reply.status === 202 && operation !== 'cacerts') {
    return { kind: 'pending', retryAfterSeconds: parseRetryAfter(reply.headers['retry-after'], now) }
  }
  if (reply.status !== 200) throw explainStatus(reply, answer)
  const [type = '', ...parameters] = (reply.headers['content-type'] ?? '')
    .split(';')
    .map((part) => part.trim().toLowerCase())
  const smimeType = parameters.find((parameter) => parameter.startsWith('smime-type='))
  if (type !== 'application/pkcs7-mime' || (smimeType !== undefined && !/="?certs-only"?$/.test(smimeType))) {
    throw new HoldfastError(
      'REPLY_INVALID',
      `${answer} with "${formatForeignText(reply.headers['content-type'] ?? 'no content type', 100)}" instead of application/pkcs7-mime; smime-type=certs-only; check --est-url`,
    )
  }
  try {
    return { kind: 'issued', certificates: parseCertsOnly(decodeBase64(reply.body)) }
  } catch (cause) {
    throw new HoldfastError('REPLY_INVALID', `${answer} with no certificates: ${(cause as Error).message}`, {
      cause,
    })
  }
}

function decodeBase64(body: Uint8Array): Uint8Array {
  const text = Buffer.from(body).toString('latin1').replaceAll(/\s+/g, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) throw new RangeError('it is not base64')
  return Buffer.from(text, 'base64')
}

/** Seconds from now: the header holds a number of them, or a date (RFC 9110 §10.2.3). */
function parseRetryAfter(text: string | undefined, now: Date): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text)
  const seconds = Math.ceil((Date.parse(text) - now.getTime()) / 1000)
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds)
}

function explainStatus({ status, headers, body }: Reply, answer: string): HoldfastError {
  const words = formatForeignText(Buffer.from(body).toString('utf8'), 300)
  const said = words === '' ? answer : `${answer}: "${words}"`
  if (status === 429) return new HoldfastError('THROTTLED', `${said}; try again later`)
  if (status >= 500) return new HoldfastError('SERVICE_UNAVAILABLE', `${said}; try again later`)
  if (status === 401) {
    const scheme = formatForeignText(headers['www-authenticate'] ?? '', 100)
    const wants = scheme === '' ? '' : ` (it asks for ${scheme})`
    return new HoldfastError(
      'ISSUER_REFUSED',
      `${said}${wants}; give --est-user and --est-password-file, or --est-client-cert and --est-client-key`,
    )
  }
  if (status >= 400) {
    const mend = status === 404 ? '; check the path of --est-url' : ''
    return new HoldfastError('ISSUER_REFUSED', `${said}${mend}`)
  }
  const place = formatForeignText(headers.location ?? '', 200)
  const redirect = place === '' ? '' : `, a redirect to ${place}, which is not followed; check --est-url`
  return new HoldfastError('REPLY_INVALID', `${said}${redirect}`)
}
