/** A reading of something that changes, shared by all who want to know how it is now. */

/**
 * `read`, but one at a time, and one for all who ask while another is under way: that one began before they asked, so it
 * may not have what they look for.
 * @param read must not reject
 */
export function shareReads<T>(read: () => Promise<T>): () => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  let next: Promise<T> | undefined
  return () => {
    if (next !== undefined) return next
    next = last.then(() => {
      next = undefined
      return read()
    })
    last = next
    return next
  }
}
