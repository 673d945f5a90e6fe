/**
 * What every judge has to get out of an agent, at its endpoints and at its socket: the session that is there, and after its
 * expiry the next one.
 */

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createDoor } from '../../src/agent/door.js'
import { createDoors, type Doors } from '../../src/agent/doors.js'
import { type EndpointParts, openContainerEndpoint, openImds } from '../../src/agent/endpoints.js'
import { findUserAgentFolder } from '../../src/core/agent/agent-place.js'
import { formatCommand } from '../../src/core/aws-files/aws-config.js'
import { formatContainerVariables } from '../../src/core/endpoints/container-endpoint.js'
import { makeSocketFolder } from '../../src/io/agent-socket/folder.js'
import { locateConsumer, writeConsumer } from '../../src/io/consumers/consumer-files.js'
import { createConsumerLookup } from '../../src/io/consumers/consumer-lookup.js'
import type { EndpointServer } from '../../src/io/endpoint-server.js'
import { systemClock } from '../../src/io/steady-clock.js'
import { type AwsServices, startAwsServices } from '../support/aws-services.js'
import { createShortSessions, type ShortSessions } from '../support/short-sessions.js'
import { type EndpointJudge, runJudge, SESSION_SECONDS } from './endpoint-judges.js'

const PROGRAM = resolve(import.meta.dirname, '../../dist/bin.cjs')

/** Who is to judge which way. */
export interface Judges {
  readonly container: readonly EndpointJudge[]
  readonly imds: readonly EndpointJudge[]
  /** By a `credential_process` that asks the agent. */
  readonly socket: readonly EndpointJudge[]
}

/** Adds the tests of the judges. */
export function describeEndpoints({ container, imds, socket }: Judges): void {
  let short: ShortSessions
  let services: AwsServices
  let folder: string
  let servers: EndpointServer[]
  let runtimeFolder: string
  let doors: Doors | undefined
  let toContainer: ReturnType<typeof formatContainerVariables>
  let imdsUrl: string
  const uid = process.getuid!()

  before(async () => {
    short = await createShortSessions({ seconds: SESSION_SECONDS })
    services = await startAwsServices(() => short.sessions)
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
    // Not where anybody can make folders: clients would not trust it.
    runtimeFolder = await mkdtemp(join(homedir(), '.holdfast-test-'))
    doors = await openDoors(short, runtimeFolder, uid)
    short.agent.start()
  })
  after(async () => {
    short.agent.stop()
    await Promise.all([...servers, doors, services].map((server) => server?.close()))
    await Promise.all([folder, runtimeFolder].map((path) => rm(path, { recursive: true })))
  })

  /** Two sessions that the agent has made, the second one after the first had expired. */
  async function assertRefreshes(judge: EndpointJudge, env: Readonly<Record<string, string>>): Promise<void> {
    const { stdout, stderr } = await runJudge(judge, { AWS_ENDPOINT_URL_STS: services.url, ...env })
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
      const env = { ...uri, AWS_EC2_METADATA_DISABLED: 'true' }
      await assertRefreshes(judge, { ...env, ...token })
      const { stdout } = await runJudge(judge, { ...env, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'wrong' })
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

  for (const judge of socket) {
    it(`${judge.name} gets credentials from the socket by credential_process, and others once they have expired`, async () => {
      const config = join(folder, 'config')
      const command = formatCommand([process.execPath, PROGRAM, 'credential-process', 'edge'])
      await writeFile(config, `[default]\ncredential_process = ${command}\n`)
      await assertRefreshes(judge, { AWS_CONFIG_FILE: config, XDG_RUNTIME_DIR: runtimeFolder })
    }).timeout(120_000)
  }
}

/** The socket of a user's agent. */
async function openDoors(
  { agent, ledger }: ShortSessions,
  runtimeFolder: string,
  uid: number,
): Promise<Doors> {
  const folder = findUserAgentFolder({ XDG_RUNTIME_DIR: runtimeFolder })!
  makeSocketFolder(folder, 0o700, uid)
  const doors = createDoors({
    folder,
    isSystem: false,
    identities: () => agent.identities,
    createHandler: (place, only) =>
      createDoor(agent, { only, place, ledger, report: assert.fail, now: () => new Date() }),
    onError: (place, error) => assert.fail(`${place}: ${error}`),
  })
  await doors.update()
  return doors
}
