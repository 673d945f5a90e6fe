/**
 * A week of the agent in a minute or two: its real parts, with a token, a child for each signature and the emulator, but
 * clocks that are turned. Prints what the process holds in memory, early and late, in bytes.
 */

import { createAgent } from '../../src/agent/agent.js'
import { createIdentityProvider } from '../../src/identity-provider.js'
import { createEdge } from '../support/edge.js'
import { createFakeClock } from '../support/fake-clock.js'
import { until } from '../support/outcome.js'

const MINUTE = 60_000
const WEEK_MINUTES = 7 * 24 * 60

const clock = createFakeClock(new Date(), 1)
const edge = await createEdge({ tls: false, now: clock.now })
const identity = Object.fromEntries(
  edge.args.flatMap((arg, index) =>
    index % 2 === 0
      ? [
          [
            arg.slice(2).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
            edge.args[index + 1]!,
          ],
        ]
      : [],
  ),
)
let refreshes = 0
const agent = await createAgent({
  clock,
  random: Math.random,
  configFiles: [],
  readIdentities: async () => new Map([['edge', identity]]),
  fingerprint: () => '',
  createProvider: (served, parts) =>
    createIdentityProvider(served, {
      ...parts,
      env: { ...process.env, ...edge.env },
      uid: process.geteuid!(),
      execPath: process.execPath,
      warn: () => undefined,
      now: clock.now,
      buildDate: new Date(0),
      signal: new AbortController().signal,
    }),
  asksPerson: async () => false,
  findSessionKey: () => '',
  onEvent: ({ kind }) => {
    if (kind === 'refreshed') refreshes++
  },
})

const weigh = () => {
  globalThis.gc!()
  const { rss, heapUsed } = process.memoryUsage()
  return { refreshes, rss, heapUsed }
}

agent.start()
let early: ReturnType<typeof weigh> | undefined
for (let minute = 0; minute < WEEK_MINUTES; minute += 5) {
  await clock.pass(5 * MINUTE)
  await until(() => !agent.states[0]!.refreshing)
  await agent.get('edge', { attended: false, signal: new AbortController().signal })
  if (refreshes === 40) early ??= weigh()
}
const late = weigh()
agent.stop()
await edge.dispose()
process.stdout.write(`${JSON.stringify({ early, late })}\n`)
