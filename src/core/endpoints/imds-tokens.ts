/**
 * The session tokens that an IMDSv2 endpoint has given out, by their SHA-256: nobody who reads the memory, or a log of
 * it, gets one that works. There is room for some of each remote side and for some in all; a remote side that wants many
 * loses its own oldest ones.
 */

import { createHash } from 'node:crypto'

const MAX_PER_REMOTE = 128
const MAX_IN_ALL = 1024

/** One token. */
interface IssuedToken {
  /** Who asked for it. */
  readonly remote: string
  /** On the clock of whoever calls. */
  readonly expiresAtMs: number
}

/** Tokens by their digest, in the order in which they were given out. */
export type ImdsTokens = Map<string, IssuedToken>

/** Keeps a token, and makes room for it. */
export function issueToken(
  tokens: ImdsTokens,
  token: string,
  { remote, expiresAtMs, nowMs }: IssuedToken & { readonly nowMs: number },
): void {
  for (const [digest, issued] of tokens) if (issued.expiresAtMs <= nowMs) tokens.delete(digest)
  const counts = new Map<string, number>()
  for (const issued of tokens.values()) counts.set(issued.remote, (counts.get(issued.remote) ?? 0) + 1)
  if ((counts.get(remote) ?? 0) >= MAX_PER_REMOTE) dropOldest(tokens, remote)
  else if (tokens.size >= MAX_IN_ALL) dropOldest(tokens, findGreediest(counts))
  tokens.set(digestToken(token), { remote, expiresAtMs })
}

/** True if the token was given out and has not expired. */
export function holdsToken(tokens: ImdsTokens, token: string, nowMs: number): boolean {
  const issued = tokens.get(digestToken(token))
  return issued !== undefined && nowMs < issued.expiresAtMs
}

function dropOldest(tokens: ImdsTokens, remote: string): void {
  for (const [digest, issued] of tokens) {
    if (issued.remote !== remote) continue
    tokens.delete(digest)
    return
  }
}

function findGreediest(counts: ReadonlyMap<string, number>): string {
  const [[remote]] = [...counts].sort(([, one], [, other]) => other - one) as [[string, number]]
  return remote
}

function digestToken(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
