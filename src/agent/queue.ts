/** Work that must not overlap: tokens, and above all TPMs, take badly to two at a time. */

/** Runs what it is given one after the other, in the order in which it was given. */
export function createQueue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const result = last.then(work)
    last = result.catch(() => undefined)
    return result
  }
}
