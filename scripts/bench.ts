#!/usr/bin/env -S node --import tsx
/**
 * How long one credential takes, beside a Node that does nothing: with SoftHSM and the emulator over TLS, on
 * this Node and on the newest; next door, and with 50 ms of network between, where the token's child should
 * be hidden behind the connect. Medians of alternating runs.
 *
 *     scripts/bench.ts [runs]
 */

import { execFileSync, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { join, resolve } from 'node:path'
import { certificatePem, createFileKey } from '../test/support/certificates.js'
import { createEdge, type Edge } from '../test/support/edge.js'
import { installNode26 } from '../test/support/node-26.js'

const RUNS = Number(process.argv[2] ?? 15)
const ONE_WAY_MS = 25
const PROGRAM = resolve(import.meta.dirname, '../dist/bin.cjs')

const edge = await createEdge()
const distance = await startDistance(edge.emulator.port)
const far = `https://127.0.0.1:${(distance.address() as AddressInfo).port}`
const token = edge.args
const file = await fileKeyArgs(edge)
const at = (args: readonly string[], url: string) => args.with(args.indexOf('--endpoint') + 1, url)
const cases = {
  'node -e 0': ['-e', '0'],
  'token, next door': [PROGRAM, 'credential-process', ...token],
  'file key, next door': [PROGRAM, 'credential-process', ...file],
  'token, 50 ms away': [PROGRAM, 'credential-process', ...at(token, far)],
  'file key, 50 ms away': [PROGRAM, 'credential-process', ...at(file, far)],
}
const nodes = [process.execPath, join(await installNode26(), 'node')]
const times = nodes.map(() => Object.keys(cases).map((): number[] => []))
for (let run = -1; run < RUNS; run += 1) {
  for (const [n, node] of nodes.entries()) {
    for (const [c, args] of Object.values(cases).entries()) {
      const milliseconds = await time(node, args)
      if (run >= 0) times[n]![c]!.push(milliseconds) // the first round only fills the disk cache
    }
  }
}
distance.close()
await edge.dispose()

for (const [n, node] of nodes.entries()) {
  const bare = median(times[n]![0]!)
  console.log(`\nNode ${version(node)}, median of ${RUNS} runs in ms, and how much over node -e 0`)
  for (const [c, name] of Object.keys(cases).entries()) {
    const row = times[n]![c]!
    const [middle, least] = [median(row), Math.min(...row)].map((ms) => ms.toFixed(0).padStart(5))
    const over = (median(row) - bare).toFixed(0).padStart(5)
    console.log(
      `  ${name.padEnd(22)}${middle}  +${over}  (${(median(row) / bare).toFixed(1)}×, least ${least?.trim()})`,
    )
  }
}

/** Wall time of a run of Node that ends well. */
async function time(node: string, args: readonly string[]): Promise<number> {
  const started = performance.now()
  const env = { PATH: '/usr/bin:/bin', HOME: edge.token.directory, ...edge.env }
  const child = spawn(node, args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
  await new Promise<void>((done, fail) => {
    child.on('error', fail).on('exit', (status) => {
      if (status === 0) done()
      else fail(new Error(`${args.slice(0, 2).join(' ')} ended with ${status}`))
    })
  })
  return performance.now() - started
}

/** The same identity with its key in a file: no child. */
async function fileKeyArgs({ authority, token, args }: Edge): Promise<string[]> {
  const key = await createFileKey('P-256')
  const [keyFile, certificateFile] = [join(token.directory, 'key.pem'), join(token.directory, 'cert.pem')]
  await writeFile(keyFile, key.privateKeyPem, { mode: 0o600 })
  await writeFile(certificateFile, certificatePem(await authority.issue(key.publicKey)))
  return [
    '--private-key',
    keyFile,
    '--certificate',
    certificateFile,
    ...args.slice(args.indexOf('--trust-anchor-arn')),
  ]
}

/** A relay that keeps everything back on its way; the first bytes longer, for TCP's own round trip. */
async function startDistance(port: number): Promise<Server> {
  const server = createServer({ noDelay: true }, (near) => {
    const remote = connect({ port, host: '127.0.0.1', noDelay: true })
    const opened = performance.now()
    near.on('data', (chunk) => {
      const connecting = opened + 2 * ONE_WAY_MS - performance.now()
      setTimeout(() => remote.write(chunk), ONE_WAY_MS + Math.max(0, connecting))
    })
    remote.on('data', (chunk) => setTimeout(() => near.write(chunk), ONE_WAY_MS))
    near.on('close', () => remote.destroy()).on('error', () => {})
    remote.on('close', () => setTimeout(() => near.destroy(), ONE_WAY_MS)).on('error', () => {})
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return server
}

function version(node: string): string {
  return execFileSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }).trim()
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}
