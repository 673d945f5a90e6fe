/** Tells whether files have changed since they were looked at last, without reading them. */

import { statSync } from 'node:fs'

/** A text that differs as soon as one of the files is another one, was written, or came or went. Links are followed. */
export function fingerprintFiles(paths: readonly string[]): string {
  return paths.map(fingerprintFile).join('\n')
}

function fingerprintFile(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  }
}
