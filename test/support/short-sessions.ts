/** A real agent whose sessions last for seconds, since Roles Anywhere gives none that a test could outlive. */

import { type Agent, createAgent } from '../../src/agent/agent.js'
import { createLedger } from '../../src/agent/ledger.js'
import type { LogFields } from '../../src/core/agent/log-line.js'
import type { ServedIdentity } from '../../src/core/config/config.js'
import type { Credentials } from '../../src/core/credentials.js'
import { systemClock } from '../../src/io/steady-clock.js'

/** What stands ready, and what was done with it. */
export interface ShortSessions {
  readonly agent: Agent
  readonly ledger: ReturnType<typeof createLedger>
  readonly log: [event: string, fields: LogFields][]
  /** All that were made, the last one last. */
  readonly sessions: Credentials[]
  /** What the next sessions fail with; undefined lets them succeed again. */
  failure: Error | undefined
  /** What the next sessions wait for. */
  delay: Promise<void> | undefined
}

/** An agent that serves `identities`, with sessions of `seconds`. Whoever has one ends it with `agent.stop()`. */
export async function createShortSessions({
  seconds,
  identities = { edge: {} },
}: {
  seconds: number
  identities?: Readonly<Record<string, ServedIdentity>>
}): Promise<ShortSessions> {
  const log: ShortSessions['log'] = []
  const sessions: Credentials[] = []
  const common = {
    roleArn: 'arn:aws:iam::111122223333:role/path/edge-role',
    trustAnchorArn: 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/x',
  }
  const agent = await createAgent({
    configFiles: [],
    fingerprint: () => '',
    readIdentities: async () =>
      new Map(Object.entries(identities).map(([name, identity]) => [name, { ...common, ...identity }])),
    createProvider: () => async () => {
      await short.delay
      if (short.failure !== undefined) throw short.failure
      const number = sessions.length + 1
      const session = {
        accessKeyId: `ASIASESSION${String(number).padStart(5, '0')}`,
        secretAccessKey: `canary-secret-${number}`,
        sessionToken: `canary-session-${number}`,
        // As AWS does, without fractions.
        expiration: new Date(Math.ceil(Date.now() / 1000) * 1000 + seconds * 1000),
        accountId: '111122223333',
      }
      sessions.push(session)
      return session
    },
    asksPerson: async () => false,
    findSessionKey: () => '',
    clock: systemClock,
    random: Math.random,
    onEvent: () => undefined,
  })
  const ledger = createLedger((event, fields) => log.push([event, fields]))
  const short: ShortSessions = { agent, ledger, log, sessions, failure: undefined, delay: undefined }
  return short
}
