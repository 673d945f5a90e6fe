/** The agent's figures, as Prometheus reads them. A parser of its makers judges them in agent-metrics.heavy.ts. */

import assert from 'node:assert/strict'
import { formatMetrics } from '../../../src/core/agent/agent-metrics.js'
import {
  type AgentReport,
  formatAgentReport,
  parseAgentReport,
} from '../../../src/core/agent/agent-status.js'

const NOW = new Date('2026-01-02T03:00:00Z')
const REPORT: AgentReport = {
  version: '0.1.0',
  pid: 7,
  since: '2026-01-02T02:00:00Z',
  identities: [
    {
      name: 'edge',
      mode: 'unattended',
      expiration: '2026-01-02T03:30:00Z',
      refreshing: false,
      certificate: { serial: '0a', notAfter: '2026-01-05T03:00:00Z' },
      refreshes: 3,
      failures: { THROTTLED: 2 },
    },
    {
      name: 'line-4',
      mode: 'locked',
      refreshing: true,
      failure: { code: 'PIN_NEEDED', message: 'a\nline', at: '2026-01-02T02:59:00Z', count: 1 },
      refreshes: 0,
      failures: {},
    },
  ],
  requests: [{ door: 'socket', name: 'edge', result: 'ok', count: 5 }],
}

describe('formatMetrics', () => {
  const lines = formatMetrics(REPORT, NOW).split('\n')

  it('counts refreshes, failures by cause, and requests by result', () => {
    for (const line of [
      'holdfast_refreshes_total{identity="edge"} 3',
      'holdfast_refresh_failures_total{identity="edge",code="THROTTLED"} 2',
      'holdfast_requests_total{identity="edge",door="socket",result="ok"} 5',
    ]) {
      assert.ok(lines.includes(line), line)
    }
  })

  it('says how long credentials and certificates are good, and 0 where there are no credentials', () => {
    assert.ok(lines.includes('holdfast_credentials_expiry_seconds{identity="edge"} 1800'))
    assert.ok(lines.includes('holdfast_credentials_expiry_seconds{identity="line-4"} 0'))
    assert.ok(lines.includes('holdfast_certificate_expiry_seconds{identity="edge"} 259200'))
  })

  it('quotes labels', () => {
    const [identity] = REPORT.identities
    const odd = { ...REPORT, version: 'a"\\\nb', identities: [identity!] }
    assert.match(formatMetrics(odd, NOW), /holdfast_info\{version="a\\"\\\\\\nb"\} 1\n/)
  })
})

describe('formatAgentReport', () => {
  it('says what a person wants to know, on lines of its own', () => {
    assert.equal(
      formatAgentReport(REPORT, NOW),
      `agent 0.1.0, process 7, since 2026-01-02T02:00:00Z

edge: unattended
  credentials until 2026-01-02T03:30:00Z (in 30 min)
  certificate 0a until 2026-01-05T03:00:00Z (in 3 days)
  sessions 3, failures THROTTLED 2
  requests socket ok 5

line-4: locked, refreshing
  credentials none
  sessions 0, failures none
  requests none
  last failure 2026-01-02T02:59:00Z, 1 in a row: a\\u{a}line (PIN_NEEDED)
`,
    )
  })

  it('says that the configuration is not used', () => {
    const report = { ...REPORT, configFailure: { code: 'CONFIG_INVALID', message: 'bad' } }
    assert.match(formatAgentReport(report, NOW), /^the configuration .* bad \(CONFIG_INVALID\)$/m)
  })
})

describe('parseAgentReport', () => {
  it('reads the JSON of a report, and nothing else', () => {
    assert.deepEqual(parseAgentReport(Buffer.from(JSON.stringify(REPORT))), REPORT)
    for (const body of ['', 'x', '{}', '{"identities":1,"requests":[]}', 'null']) {
      assert.throws(() => parseAgentReport(Buffer.from(body)), { code: 'AGENT_FAILED' }, body)
    }
  })
})
