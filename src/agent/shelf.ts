/**
 * The shelf: what the agent may hand out. Every door (socket, container endpoint, IMDS) takes from it.
 */

import type { Credentials } from '../core/credentials.js'

/** How credentials are taken from the shelf. */
export interface TakeOptions {
  /** True if a person may be waited for: a touch, for one. False rejects with PIN_NEEDED at once where that would be needed. */
  readonly attended: boolean
  /** Ends the wait, not the refresh that others may wait for as well. */
  readonly signal: AbortSignal
}

/** Credentials of several identities by their names. */
export interface Shelf {
  readonly names: readonly string[]
  /**
   * What `get` would give at once to somebody who cannot be asked for anything; undefined if it would have to wait.
   * @throws HoldfastError CONFIG_NOT_FOUND for a name that is not served
   */
  held(name: string): Credentials | undefined
  /**
   * The current credentials of one identity: at once from memory while they are valid, else from one refresh that all
   * who ask share.
   * @throws HoldfastError why the last refresh failed; CONFIG_NOT_FOUND for a name that is not served
   */
  get(name: string, options: TakeOptions): Promise<Credentials>
}
