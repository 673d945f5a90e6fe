/**
 * What every judge has to get out of the endpoints of an agent: the session that is there, and after its expiry the
 * next one.
 */

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EndpointParts, openContainerEndpoint, openImds } from '../../src/agent/endpoints.js'
import { formatContainerVariables } from '../../src/core/endpoints/container-endpoint.js'
import { locateConsumer, writeConsumer } from '../../src/io/consumers/consumer-files.js'
import { createConsumerLookup } from '../../src/io/consumers/consumer-lookup.js'
import type { EndpointServer } from '../../src/io/endpoint-server.js'
import { systemClock } from '../../src/io/steady-clock.js'
import { createShortSessions, type ShortSessions } from '../support/short-sessions.js'
import { type EndpointJudge, runJudge } from './endpoint-judges.js'

/** Adds the tests of the judges. */
export function describeEndpoints(container: readonly EndpointJudge[], imds: readonly EndpointJudge[]): void {
  let short: ShortSessions
  let folder: string
  let servers: EndpointServer[]
  let toContainer: ReturnType<typeof formatContainerVariables>
  let imdsUrl: string
  const uid = process.getuid!()

  before(async () => {
    short = await createShortSessions({ seconds: 4 })
    folder = await mkdtemp(join(tmpdir(), 'holdfast-endpoints-'))
    const parts: EndpointParts = {
      ...short,
      clock: systemClock,
      listen: { host: '127.0.0.1', port: 0 },
      allowedUids: new Set([uid]),
      onFault: (place, error) => assert.fail(`${place}: ${error}`),
    }
    const files = locateConsumer(folder, 'edge', 'judge')
    writeConsumer(files, 'a-token-for-the-judge', { uid })
    const consumersOf = createConsumerLookup([folder], { uid, now: () => new Date(), warn: assert.fail })
    servers = [
      await openContainerEndpoint(parts, { consumersOf }),
      await openImds(parts, { identity: 'edge' }),
    ]
    toContainer = formatContainerVariables({
      port: servers[0]!.port,
      identity: 'edge',
      tokenFile: files.tokenFile,
    })
    imdsUrl = `http://127.0.0.1:${servers[1]!.port}`
    short.agent.start()
  })
  after(async () => {
    short.agent.stop()
    await Promise.all(servers.map((server) => server.close()))
    await rm(folder, { recursive: true })
  })

  /** Two sessions that the agent has made, the second one after the first had expired. */
  async function assertRefreshes(judge: EndpointJudge, env: Readonly<Record<string, string>>): Promise<void> {
    const { stdout, stderr } = await runJudge(judge, env)
    assert.match(stdout, /^\[/, stderr)
    const keys = short.sessions.map(({ accessKeyId }) => accessKeyId)
    const [one, two] = (JSON.parse(stdout) as string[]).map((key) => keys.indexOf(key))
    assert.ok(one! >= 0 && two! > one!, stdout)
    assert.ok(short.sessions[one!]!.expiration < new Date(), stdout)
  }

  for (const judge of container) {
    it(`${judge.name} gets credentials from the container endpoint, and others once they have expired`, async () => {
      const { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenFile, ...uri } = toContainer
      const token: Record<string, string> = judge.readsTokenFile
        ? { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenFile }
        : { AWS_CONTAINER_AUTHORIZATION_TOKEN: await readFile(tokenFile, 'utf8') }
      await assertRefreshes(judge, { ...uri, ...token, AWS_EC2_METADATA_DISABLED: 'true' })
      const { stdout } = await runJudge(judge, { ...uri, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'wrong' })
      assert.doesNotMatch(stdout, /ASIA/)
    }).timeout(120_000)
  }

  for (const judge of imds) {
    for (const slash of ['', '/']) {
      it(`${judge.name} gets credentials from IMDSv2 at a URL that ends with ${slash || 'its port'}, and others later`, async () => {
        await assertRefreshes(judge, { AWS_EC2_METADATA_SERVICE_ENDPOINT: `${imdsUrl}${slash}` })
      }).timeout(120_000)
    }
  }
}
