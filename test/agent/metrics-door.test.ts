/** The agent's figures on a port of the loopback interface. */

import assert from 'node:assert/strict'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { openMetricsDoor } from '../../src/agent/metrics-door.js'
import type { EndpointServer } from '../../src/io/endpoint-server.js'

describe('openMetricsDoor', () => {
  let server: EndpointServer
  before(async () => {
    server = await openMetricsDoor({
      port: 0,
      report: () => ({ version: '1', pid: 1, since: '2026-01-01T00:00:00Z', identities: [], requests: [] }),
      now: () => new Date(),
      onFault: (error: unknown) => assert.fail(String(error)),
    })
  })
  after(() => server.close())

  const ask = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const { port } = server
    const reply = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
      request({ host: '127.0.0.1', port, path, method, headers, agent: false }, resolve)
        .on('error', reject)
        .end()
    })
    return { status: reply.statusCode, body: await text(reply) }
  }

  it('shows them to a program of this machine', async () => {
    const { status, body } = await ask('/metrics')
    assert.equal(status, 200)
    assert.match(body, /^holdfast_info\{version="1"\} 1$/m)
    assert.equal(server.address, '127.0.0.1')
  })

  it('shows them to no page in a browser, under whatever name it has come', async () => {
    for (const headers of [
      { host: 'evil.example' },
      { host: '127.0.0.1' },
      { origin: 'http://evil.example' },
    ]) {
      assert.equal((await ask('/metrics', headers)).status, 403, JSON.stringify(headers))
    }
  })

  it('has nothing else', async () => {
    assert.equal((await ask('/')).status, 404)
    assert.equal((await ask('/status')).status, 404)
    assert.equal((await ask('/metrics', {}, 'POST')).status, 405)
  })

  it('says that the port is taken', async () => {
    const options = {
      report: assert.fail,
      now: () => new Date(),
      onFault: (error: unknown) => assert.fail(String(error)),
    }
    await assert.rejects(openMetricsDoor({ ...options, port: server.port }), { code: 'NETWORK_FAILED' })
  })
})
