/** Reads a stream whole that somebody else fills, who may never stop. */

/**
 * All bytes of `stream`; undefined if there are more than `maxBytes`, and then the stream is destroyed. The pieces are wiped,
 * because what is read may be a secret: the whole is the caller's.
 * @throws what the stream fails with
 */
export async function readStream(
  stream: AsyncIterable<Buffer>,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    chunks.push(chunk)
    length += chunk.length
    if (length > maxBytes) return undefined
  }
  const whole = Buffer.concat(chunks)
  for (const chunk of chunks) chunk.fill(0)
  return whole
}
