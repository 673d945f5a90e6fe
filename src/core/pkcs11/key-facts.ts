/** What the attributes of a key in a token say, in words: a key that can leave its token is no better than a file. */

import type { KeyFacts } from './admin-protocol.js'

/** What must be so of a key that stays in its token and only signs, and what it means if it is not. */
const FAULTS: readonly (readonly [name: string, wanted: boolean, fault: string])[] = [
  ['extractable', false, 'it can be taken out of the token'],
  ['sensitive', true, 'the token shows its secret half'],
  ['neverExtractable', true, 'it could once be taken out of the token'],
  ['alwaysSensitive', true, 'the token once showed its secret half'],
  ['local', true, 'it was made outside the token'],
  ['sign', true, 'it may not sign'],
  ['decrypt', false, 'it may decrypt as well as sign'],
  ['unwrap', false, 'it may unwrap other keys as well as sign'],
  ['derive', false, 'it may derive other keys as well as sign'],
]

/** What is not as it should be, as far as the token tells; nothing where only the public key is seen. */
export function findKeyFaults({ attributes }: Pick<KeyFacts, 'attributes'>): string[] {
  return FAULTS.flatMap(([name, wanted, fault]) => ((attributes[name] ?? wanted) === wanted ? [] : [fault]))
}
