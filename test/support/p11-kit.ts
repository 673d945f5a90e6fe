/**
 * A token as another process lends it: `p11-kit server` on a unix socket, and the client module that finds it there.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { findLibrary } from './command.js'
import { until } from './outcome.js'
import type { TestToken } from './token.js'

/** A server that can be ended and started again. */
export interface P11KitServer {
  /** Of the client. */
  readonly modulePath: string
  /** Environment of the client. */
  readonly env: Readonly<Record<string, string>>
  /** Where it listens. */
  readonly socket: string
  start(): Promise<void>
  /** Ends it at once, as a crash would: the socket stays. */
  kill(): Promise<void>
  /** Process ids of those that hold a connection, one each. */
  connections(): Promise<number[]>
}

/** Lends all that the token's module has, also slots without a token. It goes away with this process at the latest. */
export async function startP11KitServer(token: TestToken): Promise<P11KitServer> {
  const socket = join(token.directory, `p11-kit-${crypto.randomUUID()}`)
  let child: ChildProcess | undefined
  const kill = async () => {
    const running = child
    child = undefined
    if (running === undefined) return
    const ended = new Promise((resolve) => running.once('exit', resolve))
    running.kill('SIGKILL')
    await ended
  }
  const start = async () => {
    await rm(socket, { force: true })
    const args = ['server', '--foreground', '--name', socket, '--provider', token.modulePath, 'pkcs11:']
    child = spawn('p11-kit', args, { env: { ...process.env, ...token.env }, stdio: 'ignore' })
    child.unref()
    process.once('exit', () => child?.kill('SIGKILL'))
    await until(() => existsSync(socket))
  }
  await start()
  return {
    modulePath: findLibrary('pkcs11/p11-kit-client.so'),
    env: { P11_KIT_SERVER_ADDRESS: `unix:path=${socket}` },
    socket,
    start,
    kill,
    connections: () => (child?.pid === undefined ? Promise.resolve([]) : childrenOf(child.pid)),
  }
}

async function childrenOf(parent: number): Promise<number[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const parents = ids.map(async (id) => {
    const status = await readFile(`/proc/${id}/stat`, 'latin1').catch(() => '')
    // The name, in parentheses, may hold anything.
    return Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1]) === parent ? [Number(id)] : []
  })
  return (await Promise.all(parents)).flat()
}
