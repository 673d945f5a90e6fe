/**
 * The agent's figures in the text format of Prometheus.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */

import type { AgentReport } from './agent-status.js'

/** Media type of the text. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number]

/** All figures. Seconds to an expiry are negative after it, and missing where nothing is known to expire. */
export function formatMetrics({ version, since, identities, requests }: AgentReport, now: Date): string {
  const secondsTo = (time: string) => (Date.parse(time) - now.getTime()) / 1000
  const each = (samples: (identity: AgentReport['identities'][number]) => readonly Sample[]) =>
    identities.flatMap(samples)
  return [
    format('holdfast_info', 'gauge', 'The running agent.', [[{ version }, 1]]),
    format('holdfast_start_time_seconds', 'gauge', 'When the agent started, in seconds since 1970.', [
      [{}, Date.parse(since) / 1000],
    ]),
    format(
      'holdfast_refreshes_total',
      'counter',
      'Sessions that were made.',
      each(({ name, refreshes }) => [[{ identity: name }, refreshes]]),
    ),
    format(
      'holdfast_refresh_failures_total',
      'counter',
      'Sessions that could not be made, by cause.',
      each(({ name, failures }) =>
        Object.entries(failures).map(([code, count]) => [{ identity: name, code }, count] as const),
      ),
    ),
    format(
      'holdfast_credentials_expiry_seconds',
      'gauge',
      'Seconds until the credentials expire; 0 without any.',
      each(({ name, expiration }) => [
        [{ identity: name }, expiration === undefined ? 0 : secondsTo(expiration)],
      ]),
    ),
    format(
      'holdfast_certificate_expiry_seconds',
      'gauge',
      'Seconds until the certificate expires; missing until it has been seen.',
      each(({ name, certificate }) =>
        certificate === undefined ? [] : [[{ identity: name }, secondsTo(certificate.notAfter)]],
      ),
    ),
    format(
      'holdfast_requests_total',
      'counter',
      'Requests for credentials, by door and result.',
      requests.map(({ door, name, result, count }) => [{ identity: name, door, result }, count]),
    ),
  ].join('')
}

function format(name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([labels, value]) => `${name}${formatLabels(labels)} ${value}\n`)
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeLabel(value: string): string {
  return value
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('"', String.raw`\"`)
    .replaceAll('\n', String.raw`\n`)
}
