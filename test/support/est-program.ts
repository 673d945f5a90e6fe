/**
 * The EST server as a program, for a machine that has nothing but its loopback interface. Arguments: a file for the
 * certificate of its authority, and one that says for how many days from now on certificates are issued. Its URL is the
 * first line on stdout.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { createAuthority } from './certificates.js'
import { startEstServer } from './est-server.js'

const [certificateFile, daysFile] = process.argv.slice(2) as [string, string]
const authority = await createAuthority()
writeFileSync(certificateFile, authority.certificatePem)
const { url } = await startEstServer({
  authority,
  login: 'edge:password',
  get certificate() {
    return { notAfter: new Date(Date.now() + Number(readFileSync(daysFile, 'utf8')) * 24 * 3600 * 1000) }
  },
})
process.stdout.write(`${url}\n`)
