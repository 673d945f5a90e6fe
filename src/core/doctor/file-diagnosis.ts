/**
 * Who else can read or change the files that a credential depends on. Those that decide what is loaded or tried
 * (configuration, module, PIN) are judged where they are read; here are all others.
 */

import { formatPathRisk, isGroupOfOthers, type PathRisk } from '../path-trust.js'
import type { Trouble } from './diagnosis.js'
import { shown, type Told, tell } from './told.js'

/** What the file system says of a file. */
export interface FileFacts {
  readonly path: string
  readonly uid: number
  readonly gid: number
  readonly mode: number
  /** On the way to it. */
  readonly risks: readonly PathRisk[]
}

/** @param isSecret whether others may not even read it */
export function findFileTroubles(
  what: Told,
  { path, uid: owner, gid, mode, risks }: FileFacts,
  { uid, isSecret }: { readonly uid: number; readonly isSecret: boolean },
): Trouble[] {
  const file = tell`${what} ${shown(path)}`
  const warn = (message: Told, fix: Told): Trouble => ({ status: 'warn', message, fix })
  const troubles: Trouble[] = []
  if (owner !== 0 && owner !== uid) {
    troubles.push(warn(tell`${file} belongs to uid ${owner}`, tell`chown ${uid} ${shown(path)}`))
  }
  const isOthers = isGroupOfOthers(gid, uid)
  const isWritable = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && isOthers)
  if (isWritable) troubles.push(warn(tell`others can change ${file}`, tell`chmod go-w ${shown(path)}`))
  const isReadable = (mode & 0o004) !== 0 || ((mode & 0o040) !== 0 && isOthers)
  if (isSecret && isReadable) {
    troubles.push(warn(tell`others can read ${file}`, tell`chmod 600 ${shown(path)}`))
  }
  const [risk] = risks
  if (risk !== undefined) {
    const [message, fix] = formatPathRisk(risk).split(/: (?=ch)/) as [string, string]
    troubles.push(warn(tell`${file}: ${shown(message)}`, shown(fix)))
  }
  return troubles
}
