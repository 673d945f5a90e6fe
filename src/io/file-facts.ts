/** What the file system says of a file that others might read or change. */

import { lstatSync, readlinkSync, statSync } from 'node:fs'
import type { FileFacts } from '../core/doctor/file-diagnosis.js'
import { findPathRisks } from '../core/path-trust.js'

/**
 * Facts about the file, links followed; undefined if it is not there or may not be looked at.
 * @param uid the user who, beside root, may own what lies on the way
 */
export function findFileFacts(path: string, uid: number): FileFacts | undefined {
  try {
    const status = statSync(path)
    const risks = findPathRisks(path, uid, { lstatSync, readlinkSync })
    return { path, uid: status.uid, gid: status.gid, mode: status.mode, risks }
  } catch {
    return undefined
  }
}
