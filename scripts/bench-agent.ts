#!/usr/bin/env -S node --import tsx
/**
 * What the agent spares: `credential-process` from the agent's memory beside one that signs, each as time over a Node that
 * does nothing; and how many requests the container endpoint answers, beside an HTTP server of Node that sends
 * the same bytes to everybody. Needs wrk (Debian's package wrk).
 *
 *     scripts/bench-agent.ts [runs] [seconds]
 */

import { execFile, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { createAgentEdge } from '../test/support/agent-edge.js'
import { createEdge } from '../test/support/edge.js'

const RUNS = Number(process.argv[2] ?? 15)
const SECONDS = Number(process.argv[3] ?? 5)
const CONNECTIONS = 16
const PROGRAM = resolve(import.meta.dirname, '../dist/bin.cjs')
const execute = promisify(execFile)

const edge = await createEdge()
const machine = await createAgentEdge(edge)
const agent = await machine.serve('--container-port', '0')
try {
  await measureProcess()
  await measureEndpoint()
} finally {
  await agent.stop()
  await machine.dispose()
  await edge.dispose()
}

async function measureProcess(): Promise<void> {
  const env: NodeJS.ProcessEnv = { PATH: '/usr/bin:/bin', HOME: machine.runtimeFolder, ...machine.env }
  const take = [PROGRAM, 'credential-process', 'edge', '--config', machine.config]
  const { XDG_RUNTIME_DIR: _, ...alone } = env
  const cases = {
    'node -e 0': { args: ['-e', '0'], env },
    'from the agent': { args: take, env },
    'without an agent': { args: take, env: { ...alone, XDG_STATE_HOME: machine.runtimeFolder } },
  }
  const times = Object.keys(cases).map((): number[] => [])
  for (let run = -1; run < RUNS; run += 1) {
    for (const [index, { args, env }] of Object.values(cases).entries()) {
      const milliseconds = await time(args, env)
      if (run >= 0) times[index]!.push(milliseconds) // the first round only fills the disk cache
    }
  }
  const [bare = Number.NaN] = times.map(median)
  console.log(`Node ${process.versions.node}, median of ${RUNS} runs in ms, and how much over node -e 0`)
  for (const [index, name] of Object.keys(cases).entries()) {
    const middle = median(times[index]!)
    console.log(
      `  ${name.padEnd(18)}${middle.toFixed(0).padStart(5)}  +${(middle - bare).toFixed(0).padStart(4)}`,
    )
  }
}

/** Wall time of a run of Node that ends well. */
async function time(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const started = performance.now()
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
  await new Promise<void>((done, fail) => {
    child.on('error', fail).on('exit', (status) => {
      if (status === 0) done()
      else fail(new Error(`${args.slice(0, 2).join(' ')} ended with ${status}`))
    })
  })
  return performance.now() - started
}

async function measureEndpoint(): Promise<void> {
  const port = /FULL_URI=http:\/\/127\.0\.0\.1:(\d+)/.exec(agent.output())?.[1]
  if (port === undefined) throw new Error(`no port of the container endpoint in:\n${agent.output()}`)
  const add = [
    'consumer',
    'add',
    'edge',
    'bench',
    '--json',
    '--container-port',
    port,
    '--config',
    machine.config,
  ]
  const variables = JSON.parse((await machine.run(add)).stdout) as Record<string, string>
  const url = variables.AWS_CONTAINER_CREDENTIALS_FULL_URI!
  const token = await readFile(variables.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE!, 'utf8')
  const answer = await fetch(url, { headers: { authorization: token } })
  const body = Buffer.from(await answer.arrayBuffer())
  if (answer.status !== 200) throw new Error(`the endpoint answered ${answer.status}`)

  const plain = createServer((_, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body)
  })
  await new Promise<void>((done) => plain.listen(0, '127.0.0.1', done))
  const baseline = `http://127.0.0.1:${(plain.address() as AddressInfo).port}/`
  console.log(`\n${CONNECTIONS} connections of wrk for ${SECONDS} s, three times in turn`)
  const rounds: { bare: Load; endpoint: Load }[] = []
  for (let round = 0; round < 3; round += 1) {
    rounds.push({ bare: await load(baseline, token), endpoint: await load(url, token) })
  }
  plain.close()
  for (const { bare, endpoint } of rounds) {
    console.log(
      `  endpoint ${format(endpoint)}; node:http ${format(bare)}; ${(endpoint.perSecond / bare.perSecond).toFixed(2)}×`,
    )
  }
  const status = await readFile(`/proc/${agent.child.pid}/status`, 'utf8')
  console.log(`  resident memory of the agent then: ${/VmRSS:\s+(\d+)/.exec(status)![1]} KiB`)
}

interface Load {
  readonly perSecond: number
  /** Latency that 99 of 100 requests stay below, as wrk prints it. */
  readonly p99: string
}

async function load(url: string, token: string): Promise<Load> {
  const { stdout } = await execute('wrk', [
    ...['-t', '1', '-c', String(CONNECTIONS), '-d', `${SECONDS}s`, '--latency'],
    ...['-H', `Authorization: ${token}`, url],
  ])
  if (/Non-2xx/.test(stdout)) throw new Error(stdout)
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)![1]),
    p99: /99%\s+(\S+)/.exec(stdout)![1]!,
  }
}

function format({ perSecond, p99 }: Load): string {
  return `${perSecond.toFixed(0)} requests/s, p99 ${p99}`
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}
