/**
 * Whether a proxy stands between here and the endpoint: HTTPS_PROXY and NO_PROXY as the AWS CLI, curl and Go
 * read them, lowercase names before uppercase ones. A value without a scheme is an http:// proxy; NO_PROXY
 * names hosts with all their subdomains. Left out: ALL_PROXY and SOCKS, which the AWS CLI does not know
 * either, and address ranges in NO_PROXY.
 * @see https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-proxy.html
 */

import { HoldfastError } from '../errors.js'
import { isLoopbackHost } from './endpoint.js'

/** An HTTP proxy, which opens tunnels with CONNECT. */
export interface HttpProxy {
  /** `http:` or `https:`, how the proxy itself is reached. Holds no user name or password. */
  readonly url: URL
  /** Value of the Proxy-Authorization header: a secret. */
  readonly authorization: string | undefined
}

/**
 * The proxy for an endpoint, or undefined to connect directly. Plain http and loopback hosts never take one.
 * @throws HoldfastError USAGE if the variable does not hold the URL of an HTTP proxy; its value is not repeated
 */
export function findProxy(
  endpoint: URL,
  env: Readonly<Record<string, string | undefined>>,
): HttpProxy | undefined {
  const text = env.https_proxy || env.HTTPS_PROXY
  if (!text || endpoint.protocol !== 'https:' || isLoopbackHost(endpoint.hostname)) return undefined
  if (isExempt(endpoint, env.no_proxy || env.NO_PROXY || '')) return undefined
  return parseProxy(text)
}

function parseProxy(text: string): HttpProxy {
  const withScheme = text.includes('://') ? text : `http://${text}`
  try {
    const url = new URL(withScheme)
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError('not an HTTP proxy')
    const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
    url.username = ''
    url.password = ''
    return {
      url,
      authorization: credentials === ':' ? undefined : `Basic ${Buffer.from(credentials).toString('base64')}`,
    }
  } catch {
    // What the parsers say quotes the text, which may hold a password.
    throw new HoldfastError('USAGE', 'HTTPS_PROXY must be the URL of an HTTP proxy, http://host:port')
  }
}

function isExempt(endpoint: URL, noProxy: string): boolean {
  const host = endpoint.hostname.replaceAll(/[[\]]/g, '')
  const port = endpoint.port || '443'
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === '*') return true
      const [, name = entry, entryPort = port] = /^(\[.*\]|[^:]*)(?::(\d+))?$/.exec(entry) ?? []
      const suffix = name.replaceAll(/^\*?\.|[[\]]/g, '')
      return entryPort === port && suffix !== '' && (host === suffix || host.endsWith(`.${suffix}`))
    })
}
