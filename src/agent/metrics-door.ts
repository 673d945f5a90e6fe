/**
 * Figures for Prometheus on a port of the loopback interface. They are no secret to the users of this machine, but no page in
 * a browser reads them.
 */

import { formatMetrics, METRICS_TYPE } from '../core/agent/agent-metrics.js'
import type { AgentReport } from '../core/agent/agent-status.js'
import { textReply } from '../core/endpoints/endpoint-answer.js'
import { findForeignSign, listHosts } from '../core/endpoints/local-request.js'
import { type EndpointServer, startEndpointServer } from '../io/endpoint-server.js'

/** What is told, and where. */
export interface MetricsDoorParts {
  /** 0 for a free one. */
  readonly port: number
  readonly report: () => AgentReport
  readonly now: () => Date
  readonly onFault: (error: unknown) => void
}

const ADDRESS = '127.0.0.1'

/** Opens the port. @throws HoldfastError NETWORK_FAILED */
export async function openMetricsDoor({
  port,
  report,
  now,
  onFault,
}: MetricsDoorParts): Promise<EndpointServer> {
  const server: EndpointServer = await startEndpointServer({
    listen: { host: ADDRESS, port },
    onFault,
    async answer(request) {
      const hosts = listHosts([ADDRESS, 'localhost'], server.port)
      if (findForeignSign(request, hosts) !== undefined) return textReply(403, 'Forbidden')
      if (request.target !== '/metrics') return textReply(404, 'Not Found')
      if (request.method !== 'GET') return textReply(405, 'Method Not Allowed', { allow: 'GET' })
      return textReply(200, formatMetrics(report(), now()), { 'content-type': METRICS_TYPE })
    },
  })
  return server
}
