/**
 * The checks of the way to the endpoint. They open one connection, as every credential does, and tell what of it
 * worked: each step that was reached is a check that passed, and the fault belongs to the next one.
 */

import { isIP } from 'node:net'
import { explainClockSkew, findClockTrouble } from '../core/doctor/clock.js'
import type { Examination, Examined, Outcome } from '../core/doctor/diagnosis.js'
import { listed, quoted, shown, type Told, tell } from '../core/doctor/told.js'
import { HoldfastError } from '../core/errors.js'
import { findProxy } from '../core/roles-anywhere/proxy.js'
import type { Reply } from '../core/roles-anywhere/refusal.js'
import { withDeadline } from '../io/deadline.js'
import { addressOf, type DoneStep, type IssuerName } from '../io/network/exchange.js'
import { type Probe, probeRolesAnywhere } from '../io/network/probe.js'
import { type RouteOptions, readCaBundle } from '../io/network/roles-anywhere.js'

/** How to reach the endpoint, and for how long to try. */
export interface NetworkOptions extends Omit<RouteOptions, 'endpoint'> {
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** All outcomes, for the check that needs them. */
export type NetworkOutcomes = Readonly<
  Record<'proxy' | 'dns' | 'tcp' | 'tls' | 'http' | 'clock', Outcome<unknown>>
>

/** Makes the checks. */
export async function checkNetwork(
  examination: Examination,
  endpoint: Outcome<URL>,
  options: NetworkOptions,
): Promise<NetworkOutcomes> {
  const { env, now, verifyTls = true } = options
  const proxy = await examination.check('proxy', { endpoint }, ({ endpoint }) => examineProxy(endpoint, env))
  const roots = await examination.check('ca-bundle', { endpoint }, () => examineCaBundle(env, verifyTls))
  const ways = [endpoint, proxy, roots] as const
  const probe: Probe =
    endpoint.passed && ways.every(({ passed }) => passed)
      ? await probeInTime(endpoint.value, options)
      : { steps: [] }
  const first = proxy.passed && endpoint.passed ? (proxy.value ?? endpoint.value) : undefined

  const dns = await examination.check('dns', { proxy, roots }, () => examineLookup(first!, probe))
  const tcp = await examination.check('tcp', { dns }, () => {
    return examineStep(probe, 'connected', () => tell`connected to ${shown(addressOf(first!))}`)
  })
  const usesProxy = proxy.passed && proxy.value !== undefined
  const way = usesProxy
    ? await examination.check('tunnel', { tcp, endpoint }, ({ endpoint }) =>
        examineStep(probe, 'tunnelled', () => tell`the proxy leads to ${shown(addressOf(endpoint))}`),
      )
    : tcp
  const tls = await examination.check('tls', { way, endpoint }, ({ endpoint }) =>
    examineTls(endpoint, probe, verifyTls),
  )
  const http = await examination.check('http', { tls }, () => examineReply(probe))
  const clock = await examination.check('clock', { http }, ({ http }) =>
    examineClock(http, now(), options.buildDate),
  )
  return { proxy, dns, tcp, tls, http, clock }
}

function examineProxy(
  endpoint: URL,
  env: Readonly<Record<string, string | undefined>>,
): Examined<URL | undefined> {
  const proxy = findProxy(endpoint, env)
  const message =
    proxy === undefined
      ? tell`none on the way to ${shown(endpoint.host)}`
      : tell`${shown(addressOf(proxy.url))}, of HTTPS_PROXY${proxy.authorization === undefined ? tell`` : tell`, with a password`}`
  return { value: proxy?.url, message }
}

function examineCaBundle(
  env: Readonly<Record<string, string | undefined>>,
  verifyTls: boolean,
): Examined<undefined> {
  const { AWS_CA_BUNDLE: path } = env
  if (path) readCaBundle(path)
  return {
    value: undefined,
    message: path
      ? tell`${shown(path)}, of AWS_CA_BUNDLE, instead of the CAs that Node brings`
      : tell`the CAs that Node brings`,
    troubles: verifyTls
      ? []
      : [
          {
            status: 'warn',
            message: tell`TLS certificates are not checked`,
            fix: tell`leave out --no-verify-ssl`,
          },
        ],
  }
}

function probeInTime(endpoint: URL, options: NetworkOptions): Promise<Probe> {
  const { timeoutMs } = options
  const expired = new HoldfastError('DEADLINE_EXCEEDED', `no answer within ${timeoutMs / 1000} s (--timeout)`)
  return withDeadline({ ...options, expired }, (signal) =>
    probeRolesAnywhere({ ...options, endpoint }, { signal }),
  )
}

function examineLookup(peer: URL, probe: Probe): Examined<undefined> {
  const host = peer.hostname.replaceAll(/[[\]]/g, '')
  if (isIP(host)) return { value: undefined, message: tell`${shown(host)} is an address` }
  const addresses = probe.steps.flatMap((step) => (step.done === 'looked up' ? [shown(step.address)] : []))
  if (addresses.length === 0) throw probe.fault
  return { value: undefined, message: tell`${shown(host)} is ${listed([...new Set(addresses)])}` }
}

function examineStep(
  { steps, fault }: Probe,
  done: DoneStep['done'],
  describe: () => Told,
): Examined<undefined> {
  if (!steps.some((step) => step.done === done)) throw fault
  return { value: undefined, message: describe() }
}

/** With a proxy that is itself spoken to in TLS, the last one to be secured is the endpoint. */
function examineTls(endpoint: URL, probe: Probe, verifyTls: boolean): Examined<undefined> {
  if (endpoint.protocol === 'http:') {
    return {
      value: undefined,
      message: tell`not used: ${shown(endpoint.origin)} is plain HTTP on this machine`,
    }
  }
  const step = probe.steps.findLast(({ done, peer }) => done === 'secured' && peer === endpoint)
  if (step?.done !== 'secured') throw probe.fault
  const issuer = describeIssuer(step.issuer)
  const isStranger = isAmazonHost(endpoint.hostname) && step.issuer.organization !== 'Amazon'
  return {
    value: undefined,
    message: tell`${shown(step.protocol)}; the certificate of ${shown(endpoint.hostname)} is issued by ${issuer}`,
    troubles: isStranger
      ? [
          {
            status: 'warn',
            message: tell`the TLS certificate of ${shown(endpoint.hostname)} is issued by ${issuer} and not by Amazon: something on the way opens TLS, and can read the credentials`,
            fix: tell`let your network's proxy or firewall pass ${shown(endpoint.hostname)} unopened${verifyTls ? tell`` : tell`, and leave out --no-verify-ssl`}`,
          },
        ]
      : [],
  }
}

/** Hosts whose certificates come from Amazon's own CA. @see https://www.amazontrust.com/repository/ */
function isAmazonHost(host: string): boolean {
  return /\.(amazonaws\.com|api\.aws)$/.test(host)
}

function describeIssuer({ organization, commonName }: IssuerName): Told {
  const names = [organization, commonName].flatMap((name) => (name === undefined ? [] : [quoted(name)]))
  return names.length === 0 ? tell`somebody without a name` : listed(names)
}

function examineReply({ reply, fault }: Probe): Examined<Reply> {
  if (reply === undefined) throw fault
  if (reply.status >= 300 && reply.status < 400) {
    throw new HoldfastError(
      'REPLY_INVALID',
      'the endpoint redirects, as Roles Anywhere never does: check --endpoint, or sign in to the network if it has a login page',
    )
  }
  return { value: reply, message: tell`the endpoint answers (${reply.status} to an empty request)` }
}

function examineClock(reply: Reply, now: Date, buildDate: Date | undefined): Examined<undefined> {
  const theirs = new Date(reply.headers.date ?? '')
  if (Number.isNaN(theirs.getTime())) {
    return {
      value: undefined,
      message: tell`${now}`,
      troubles: [
        {
          status: 'warn',
          message: tell`the endpoint does not say what time it is, so the clock could not be compared`,
        },
      ],
    }
  }
  const trouble = findClockTrouble(now, theirs, buildDate)
  return {
    value: undefined,
    message: explainClockSkew(now, theirs),
    troubles: trouble === undefined ? [] : [trouble],
  }
}
