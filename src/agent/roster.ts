/**
 * The identities that the agent serves, by name, as the configuration has them. When that changes, what is the same goes
 * on undisturbed; and when it cannot be read, everything does.
 */

import { isDeepStrictEqual } from 'node:util'
import type { ServedIdentity } from '../core/config/config.js'
import { HoldfastError } from '../core/errors.js'
import { createQueue } from './queue.js'
import { createServed, type Served, type ServedParts } from './served.js'

/** All that is served. */
export interface Roster {
  readonly entries: ReadonlyMap<string, Served>
  /** Why the configuration as it stands now is not used; undefined if it is. */
  readonly error: unknown
  /** @throws HoldfastError CONFIG_NOT_FOUND */
  get(name: string): Served
  /** Begins to refresh, from now on also what is added. */
  start(): void
  /** Takes up the configuration. @param options.renewAll also of what has not changed, new credentials are got */
  reload(options: { readonly renewAll: boolean }): Promise<void>
  /** True if one of the configuration's files is not what was read. */
  isOutdated(): boolean
  stop(): void
}

/** Reads the configuration. @throws HoldfastError CONFIG_* */
export async function createRoster(parts: ServedParts): Promise<Roster> {
  const { onEvent, fingerprint, configFiles } = parts
  const takeTurn = createQueue()
  let entries = new Map<string, Served>()
  let files = ''
  let failure: unknown
  let isStarted = false

  const read = async (renewAll: boolean) => {
    files = fingerprint(configFiles)
    const next = new Map<string, Served>()
    for (const [name, identity] of await parts.readIdentities()) {
      const former = entries.get(name)
      const isSame = former !== undefined && isDeepStrictEqual(former.identity, identity)
      next.set(name, isSame ? former : await createSuccessor(name, identity, former, parts))
    }
    const former = entries
    entries = next
    for (const [name, entry] of former) if (next.get(name) !== entry) entry.keeper.stop()
    for (const [name, entry] of next) {
      const isNew = former.get(name) !== entry
      if (isNew || renewAll) entry.renew()
      if (isNew && isStarted) entry.keeper.start()
    }
    failure = undefined
    onEvent({ kind: 'config', names: [...next.keys()] })
  }

  await read(false)
  return {
    get entries() {
      return entries
    },
    get error() {
      return failure
    },
    get(name) {
      const entry = entries.get(name)
      if (entry !== undefined) return entry
      const names = [...entries.keys()].join(', ')
      throw new HoldfastError(
        'CONFIG_NOT_FOUND',
        `the agent serves no identity ${JSON.stringify(name)}, only ${names}`,
      )
    },
    start() {
      isStarted = true
      for (const { keeper } of entries.values()) keeper.start()
    },
    reload: ({ renewAll }) =>
      takeTurn(() => read(renewAll)).catch((error) => {
        failure = error
        onEvent({ kind: 'config', names: [...entries.keys()], error })
      }),
    isOutdated: () => fingerprint(configFiles) !== files,
    stop() {
      for (const { keeper } of entries.values()) keeper.stop()
    },
  }
}

/** What takes the place of an identity that was changed goes on with its credentials, where they are what it is to have. */
async function createSuccessor(
  name: string,
  identity: ServedIdentity,
  former: Served | undefined,
  parts: ServedParts,
): Promise<Served> {
  const entry = await createServed(name, identity, parts)
  if (former === undefined) return entry
  parts.onEvent({ kind: 'changed', name })
  const { credentials } = former.keeper.state
  if (credentials !== undefined && isSameRole(former.identity, identity)) entry.keeper.adopt(credentials)
  return entry
}

/** Credentials of another role, or for another time, are not what the identity is to have now. */
function isSameRole(one: ServedIdentity, other: ServedIdentity): boolean {
  return (
    [
      'trustAnchorArn',
      'profileArn',
      'roleArn',
      'roleSessionName',
      'sessionDuration',
      'region',
      'endpoint',
    ] as const
  ).every((field) => one[field] === other[field])
}
